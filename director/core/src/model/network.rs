//! Networks and interface addresses in prefix notation.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address with a prefix length, host bits kept: an interface's address, or the network it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// `None` if the length is over 32 (IPv4) or 128 (IPv6).
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        (length <= if address.is_ipv4() { 32 } else { 128 }).then_some(Self { address, length })
    }

    /// The address as written, host bits included.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// The prefix length.
    #[must_use]
    pub fn length(self) -> u8 {
        self.length
    }

    /// The network's first address: host bits zero.
    #[must_use]
    pub fn network(self) -> IpAddr {
        mask(self.address, self.length)
    }

    /// True if it is one address.
    #[must_use]
    pub fn is_host(self) -> bool {
        self.length == if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// True if `address` is of the same family and lies in the network.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && mask(address, self.length) == self.network()
    }
}

/// `address` with all but its leading `length` bits zero.
fn mask(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// Leading bits of a client's address that count: clients that have them in common are one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granularity {
    /// Of an IPv4 address: 1 to 32.
    pub v4: u8,
    /// Of an IPv6 address: 1 to 128.
    pub v6: u8,
}

impl Granularity {
    /// Those of a family.
    #[must_use]
    pub fn bits(self, ipv6: bool) -> u8 {
        if ipv6 { self.v6 } else { self.v4 }
    }
}

impl Default for Granularity {
    /// Every address is a client.
    fn default() -> Self {
        Self { v4: 32, v6: 128 }
    }
}

/// A text is no address with a prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address with a prefix length, as 10.0.1.33/24 or fd00::1/64")]
pub struct ParseNetworkError;

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        let (address, length) = text.split_once('/').ok_or(ParseNetworkError)?;
        let address = address.parse().map_err(|_| ParseNetworkError)?;
        if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseNetworkError);
        }
        Self::new(address, length.parse().map_err(|_| ParseNetworkError)?).ok_or(ParseNetworkError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_lies_in_it() {
        let network: Network = "10.0.1.33/24".parse().unwrap();
        assert_eq!(network.network(), "10.0.1.0".parse::<IpAddr>().unwrap());
        assert!(network.contains("10.0.1.254".parse().unwrap()));
        assert!(!network.contains("10.0.2.1".parse().unwrap()));
        assert!(!network.contains("::10.0.1.1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("255.1.1.1".parse().unwrap()));
        assert!("fd00::1/64".parse::<Network>().unwrap().contains("fd00::ffff".parse().unwrap()));
        let host = |text: &str| text.parse::<Network>().unwrap().is_host();
        assert!(host("10.0.1.1/32") && host("fd00::1/128") && !host("10.0.1.1/31") && !host("fd00::1/32"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "::1/129", "10.0.0/8", "10.0.0.0/+8", "/8"] {
            assert_eq!(text.parse::<Network>(), Err(ParseNetworkError), "{text:?}");
        }
    }
}
