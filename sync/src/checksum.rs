//! The checksum of the Internet protocols (RFC 1071), and the pseudo-headers that some of them add to it.

use std::net::IpAddr;

/// A running sum of 16-bit words.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// The pseudo-header of IPv6 (RFC 8200, section 8.1) or IPv4 (as RFC 5798, section 5.2.8 has it): addresses,
    /// protocol, and length of the message in bytes.
    pub(crate) fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Self {
        let addresses = Self::default().address(source).address(destination);
        Self(addresses.0 + u64::from(protocol) + length as u64)
    }

    /// Adds `bytes`; an odd last one counts as if a zero followed.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        let words = bytes.chunks(2).map(|pair| match *pair {
            [high, low] => u16::from_be_bytes([high, low]),
            [high] => u16::from_be_bytes([high, 0]),
            _ => 0,
        });
        Self(self.0 + words.map(u64::from).sum::<u64>())
    }

    /// What belongs into the field, which must have been zero while summing. 0 over a whole message means that its
    /// checksum is right.
    pub(crate) fn finish(self) -> u16 {
        let fold = |sum: &u64| (*sum > 0xffff).then(|| (sum & 0xffff) + (sum >> 16));
        let folded = std::iter::successors(Some(self.0), fold).last();
        !folded.and_then(|sum| u16::try_from(sum).ok()).unwrap_or(0)
    }

    fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.bytes(&address.octets()),
            IpAddr::V6(address) => self.bytes(&address.octets()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sums_up_as_the_example_of_rfc_1071() {
        let words = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().bytes(&words).finish(), !0xddf2);
    }

    proptest! {
        #[test]
        fn an_odd_byte_is_as_if_a_zero_followed(bytes: Vec<u8>) {
            let padded = [&*bytes, &[0][..bytes.len() % 2]].concat();
            prop_assert_eq!(Sum::default().bytes(&bytes).finish(), Sum::default().bytes(&padded).finish());
        }
    }
}
