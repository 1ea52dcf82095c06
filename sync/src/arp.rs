//! Gratuitous ARP: who has an IPv4 address now (RFC 826, RFC 5227 section 3).

use crate::Mac;
use std::net::Ipv4Addr;

/// Bytes of an announcement, Ethernet header included. What Ethernet wants to be longer, the driver fills up.
pub const LENGTH: usize = 42;

const BROADCAST: Mac = [0xff; 6];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
/// Ethernet, IPv4, 6 and 4 bytes of address.
const FORMAT: [u8; 6] = [0, 1, 0x08, 0, 6, 4];
const REQUEST: [u8; 2] = [0, 1];

/// The frame that tells everybody on the link that `address` is at `mac`.
///
/// A request for the address by the address itself: hosts take over the new place of an address they know from a
/// request as well as from a reply, and some ignore replies that they did not ask for.
#[must_use]
pub fn announcement(mac: Mac, address: Ipv4Addr) -> [u8; LENGTH] {
    let mut frame = [0; LENGTH];
    let address = address.octets();
    let parts: [&[u8]; 9] = [
        &BROADCAST,
        &mac,
        &ETHERTYPE_ARP,
        &FORMAT,
        &REQUEST,
        &mac,
        &address,
        // The target's hardware address is what a request asks for; RFC 5227 leaves it zero.
        &[0; 6],
        &address,
    ];
    frame.iter_mut().zip(parts.concat()).for_each(|(byte, value)| *byte = value);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_an_announcement_of_rfc_5227() {
        #[rustfmt::skip]
        let expected = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // to everybody
            0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, // from us
            0x08, 0x06,                         // ARP
            0x00, 0x01, 0x08, 0x00,             // Ethernet, IPv4
            0x06, 0x04,                         // address lengths
            0x00, 0x01,                         // request
            0x02, 0x00, 0x5e, 0x10, 0x00, 0x01, // sender
            192, 168, 1, 35,
            0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // target
            192, 168, 1, 35,
        ];
        let mac = [0x02, 0x00, 0x5e, 0x10, 0x00, 0x01];
        assert_eq!(announcement(mac, Ipv4Addr::new(192, 168, 1, 35)), expected);
    }
}
