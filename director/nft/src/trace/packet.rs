//! The packet under way.

use crate::ir::{Datum, Family, Selector};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first packet of a connection, as it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Name of the interface it came in by.
    pub input: String,
    /// Name of the interface it would leave by.
    pub output: String,
    /// Source address.
    pub source: IpAddr,
    /// Destination address, of the same family.
    pub destination: IpAddr,
    /// 6 is tcp, 17 is udp.
    pub protocol: u8,
    /// Source port; 0 for protocols without ports.
    pub source_port: u16,
    /// Destination port; 0 for protocols without ports.
    pub destination_port: u16,
    /// The packet's mark before the first rule.
    pub mark: u32,
}

impl Packet {
    /// The family of its destination.
    #[must_use]
    pub fn family(&self) -> Family {
        if self.destination.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The field's value; `None` if the packet has no such field, and then the rule does not match. Without a
    /// connection there is no `ct_mark`.
    pub(super) fn field(&self, selector: Selector, ct_mark: Option<u32>) -> Option<Datum> {
        let value = match selector {
            Selector::Nfproto => Datum::Proto(self.family().number()),
            Selector::L4Proto => Datum::Proto(self.protocol),
            Selector::MetaMark => Datum::Mark(self.mark),
            Selector::CtMark => Datum::Mark(ct_mark?),
            Selector::Ip4Saddr { prefix } | Selector::Ip6Saddr { prefix } => {
                masked(datum(self.source), prefix)
            }
            Selector::Ip4Daddr | Selector::Ip6Daddr => datum(self.destination),
            Selector::ThSport if matches!(self.protocol, 6 | 17) => Datum::Port(self.source_port),
            Selector::ThDport if matches!(self.protocol, 6 | 17) => Datum::Port(self.destination_port),
            Selector::ThSport | Selector::ThDport => return None,
        };
        selector.family().is_none_or(|family| family == self.family()).then_some(value)
    }
}

fn datum(address: IpAddr) -> Datum {
    match address {
        IpAddr::V4(address) => Datum::Ipv4(address),
        IpAddr::V6(address) => Datum::Ipv6(address),
    }
}

/// An address with all but its leading `length` bits zero.
pub(super) fn masked(address: Datum, length: u8) -> Datum {
    match address {
        Datum::Ipv4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            Datum::Ipv4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        Datum::Ipv6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
            Datum::Ipv6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
        Datum::Proto(_) | Datum::Port(_) | Datum::Mark(_) => address,
    }
}
