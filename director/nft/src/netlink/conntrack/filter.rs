//! Which connections are meant.

use super::flow::{Flow, write_address};
use crate::ir::Family;
use crate::netlink::attribute::Writer;
use crate::netlink::constants::conntrack as attr;
use std::net::IpAddr;

/// Which connections: those that fit all of it. The kernel sorts out what it can, so that the others are not even
/// copied; the rest is sorted out here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// The mark, in the bits of the mask.
    pub mark: u32,
    /// Bits of the mark that count; 0 lets every mark pass.
    pub mask: u32,
    /// Of this family.
    pub family: Option<Family>,
    /// Of this protocol: 6 is tcp, 17 is udp.
    pub protocol: Option<u8>,
    /// With all of these `IPS_…` bits; see [`Flow::status`].
    pub status: u32,
    /// With none of these.
    pub status_without: u32,
    /// Begun by this address.
    pub client: Option<IpAddr>,
}

impl Filter {
    /// Connections whose mark is `mark` in the bits of `mask`.
    #[must_use]
    pub fn mark(mark: u32, mask: u32) -> Self {
        Self { mark, mask, ..Self::default() }
    }

    /// True if the connection fits.
    #[must_use]
    pub fn fits(&self, flow: &Flow) -> bool {
        let six = flow.original.source.is_ipv6();
        flow.mark & self.mask == self.mark
            && flow.status & (self.status | self.status_without) == self.status
            && self.family.is_none_or(|family| (family == Family::V6) == six)
            && self.protocol.is_none_or(|protocol| protocol == flow.protocol)
            && self.client.is_none_or(|client| client == flow.original.source)
    }

    /// Number of the one family that can fit; 0 for both.
    pub(super) fn family_number(&self) -> u8 {
        let client = self.client.map(|client| if client.is_ipv6() { Family::V6 } else { Family::V4 });
        self.family.or(client).map_or(0, Family::number)
    }

    /// Adds what the kernel is to sort out.
    pub(super) fn write(&self, out: &mut Writer) {
        if self.mask != 0 {
            out.u32(attr::MARK, self.mark).u32(attr::MARK_MASK, self.mask);
        }
        let bits = self.status | self.status_without;
        if bits != 0 {
            out.u32(attr::STATUS, self.status).u32(attr::STATUS_MASK, bits);
        }
        // The kernel has the comparison of IPv6 addresses the wrong way round (6.1 as 6.18), and no tuple without
        // a family.
        let client = self.client.filter(|client| client.is_ipv4() && self.family != Some(Family::V6));
        let protocol = self.protocol.filter(|_| self.family_number() != 0);
        let flags = client.map_or(0, |_| attr::FILTER_SOURCE) | protocol.map_or(0, |_| attr::FILTER_PROTOCOL);
        if flags == 0 {
            return;
        }
        out.nest(attr::TUPLE_ORIGINAL, |tuple| {
            if let Some(client) = client {
                tuple.nest(attr::TUPLE_IP, |addresses| {
                    write_address(addresses, attr::IPV4_SOURCE, attr::IPV6_SOURCE, client);
                });
            }
            if let Some(protocol) = protocol {
                tuple.nest(attr::TUPLE_PROTOCOL, |parts| {
                    parts.bytes(attr::PROTOCOL_NUMBER, &[protocol]);
                });
            }
        });
        out.nest(attr::FILTER, |filter| {
            filter.bytes(attr::FILTER_ORIGINAL, &flags.to_ne_bytes());
        });
    }
}
