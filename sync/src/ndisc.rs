//! Unsolicited neighbour advertisement: who has an IPv6 address now (RFC 4861, sections 4.4 and 7.2.6).

use crate::Mac;
use crate::checksum::Sum;
use std::net::Ipv6Addr;

/// Bytes of an announcement, Ethernet header included.
pub const LENGTH: usize = 14 + 40 + MESSAGE as usize;

/// Advertisement and target link-layer address option.
const MESSAGE: u8 = 24 + 8;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const VERSION: [u8; 4] = [0x60, 0, 0, 0];
const ICMPV6: u8 = 58;
/// Receivers drop anything less: it has crossed a router.
const HOP_LIMIT: u8 = 255;
const ADVERTISEMENT: u8 = 136;
const ROUTER: u8 = 0x80;
const OVERRIDE: u8 = 0x20;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
/// In units of eight bytes.
const OPTION_LENGTH: u8 = 1;

/// The frame that tells everybody on the link that `address` is at `mac`, whatever they knew before.
///
/// `router` says that the sender forwards: hosts drop a default gateway that advertises itself without it.
#[must_use]
pub fn announcement(mac: Mac, address: Ipv6Addr, router: bool) -> [u8; LENGTH] {
    let flags = OVERRIDE | if router { ROUTER } else { 0 };
    let mut message = Vec::with_capacity(usize::from(MESSAGE));
    message.extend([ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0]);
    message.extend(address.octets());
    message.extend([TARGET_LINK_LAYER_ADDRESS, OPTION_LENGTH]);
    message.extend(mac);
    let pseudo = Sum::pseudo(address.into(), ALL_NODES.into(), ICMPV6, message.len());
    message.splice(2..4, pseudo.bytes(&message).finish().to_be_bytes());

    let mut frame = [0; LENGTH];
    let parts: [&[u8]; 8] = [
        &ALL_NODES_MAC,
        &mac,
        &ETHERTYPE_IPV6,
        &VERSION,
        &[0, MESSAGE, ICMPV6, HOP_LIMIT],
        &address.octets(),
        &ALL_NODES.octets(),
        &message,
    ];
    frame.iter_mut().zip(parts.concat()).for_each(|(byte, value)| *byte = value);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn is_an_unsolicited_advertisement_of_rfc_4861() {
        #[rustfmt::skip]
        let expected = [
            0x33, 0x33, 0x00, 0x00, 0x00, 0x01, // to all nodes
            0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, // from us
            0x86, 0xdd,                         // IPv6
            0x60, 0x00, 0x00, 0x00,             // version
            0x00, 0x20, 0x3a, 0xff,             // 32 bytes of ICMPv6, hop limit 255
            0xfd, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x35,
            0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x01,
            0x88, 0x00, 0x7c, 0x22,             // neighbour advertisement, checksum
            0xa0, 0x00, 0x00, 0x00,             // router, override
            0xfd, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x35,
            0x02, 0x01,                         // target link-layer address
            0x02, 0x00, 0x5e, 0x10, 0x00, 0x01,
        ];
        let mac = [0x02, 0x00, 0x5e, 0x10, 0x00, 0x01];
        assert_eq!(announcement(mac, "fd00::35".parse().unwrap(), true), expected);
        assert_eq!(announcement(mac, "fd00::35".parse().unwrap(), false)[58], OVERRIDE);
    }

    proptest! {
        #[test]
        fn what_a_receiver_sums_up_is_all_ones(mac: Mac, address: u128, router: bool) {
            let frame = announcement(mac, Ipv6Addr::from_bits(address), router);
            let packet = &frame[14..];
            // Addresses and message as they stand in the packet, then what the pseudo-header adds.
            let mut sum = u32::from(ICMPV6) + u32::from(MESSAGE);
            for pair in packet[8..].chunks(2) {
                sum += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
            }
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            prop_assert_eq!(sum, 0xffff);
        }
    }
}
