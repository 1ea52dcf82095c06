//! Frames taken apart, as far as they matter.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The port of the directors' hellos, unless the configuration has another one.
pub(super) const HELLO_PORT: u16 = 3780;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;

/// Numbers among the protocols of IP.
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const VRRP: u8 = 112;

/// Length of an advert before its addresses.
const HEAD: usize = 8;

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Unasked, that this address is here: gratuitous ARP or an unsolicited neighbour advertisement.
    Claim(IpAddr),
    /// Asked, that this address is here.
    Answer(IpAddr),
    /// A router's advert.
    Advert(Advert),
    /// A director's hello, to that address.
    Hello(IpAddr),
}

/// An advert of VRRP, whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// Source of the packet.
    pub from: IpAddr,
    /// Its destination.
    pub to: IpAddr,
    /// 2 or 3.
    pub version: u8,
    /// The virtual router.
    pub vrid: u8,
    /// 0: its sender leaves.
    pub priority: u8,
    /// How often its sender adverts.
    pub interval: Duration,
    /// What its sender has.
    pub addresses: Vec<IpAddr>,
    /// Something follows the addresses: a signature, or the password of version 2.
    pub trailer: bool,
}

/// Sender and contents, if it says anything of interest.
pub(super) fn frame(bytes: &[u8]) -> Option<([u8; 6], Said)> {
    let mac = bytes.get(6..12)?.try_into().ok()?;
    let packet = bytes.get(14..)?;
    let said = match two(bytes, 12)? {
        ARP => arp(packet),
        IPV4 => {
            let from_to = (IpAddr::V4(v4(packet, 12)?), IpAddr::V4(v4(packet, 16)?));
            let begin = usize::from(packet.first()? & 0xf) * 4;
            // Short packets are filled up.
            let payload = packet.get(begin..usize::from(two(packet, 2)?))?;
            message(*packet.get(9)?, from_to, payload)
        }
        IPV6 => {
            let from_to = (IpAddr::V6(v6(packet, 8)?), IpAddr::V6(v6(packet, 24)?));
            let payload = packet.get(40..40 + usize::from(two(packet, 4)?))?;
            message(*packet.get(6)?, from_to, payload)
        }
        _ => None,
    };
    Some((mac, said?))
}

fn arp(packet: &[u8]) -> Option<Said> {
    const REPLY: u16 = 2;
    let (sender, target) = (v4(packet, 14)?, v4(packet, 24)?);
    match two(packet, 6)? {
        _ if sender == target => Some(Said::Claim(sender.into())),
        REPLY => Some(Said::Answer(sender.into())),
        _ => None,
    }
}

fn message(protocol: u8, (from, to): (IpAddr, IpAddr), payload: &[u8]) -> Option<Said> {
    const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    const SOLICITED: u8 = 0x40;
    match protocol {
        VRRP => advert(from, to, payload).map(Said::Advert),
        UDP if two(payload, 2)? == HELLO_PORT => Some(Said::Hello(to)),
        ICMPV6 if *payload.first()? == NEIGHBOUR_ADVERTISEMENT => {
            let address = v6(payload, 8)?.into();
            let solicited = *payload.get(4)? & SOLICITED != 0;
            Some(if solicited { Said::Answer(address) } else { Said::Claim(address) })
        }
        _ => None,
    }
}

fn advert(from: IpAddr, to: IpAddr, payload: &[u8]) -> Option<Advert> {
    let &[version, vrid, priority, count, high, low, ..] = payload else { return None };
    let (version, length) = (version >> 4, if from.is_ipv4() { 4 } else { 16 });
    let interval = match version {
        2 => Duration::from_secs(low.into()),
        _ => Duration::from_millis(10) * (u32::from(high & 0xf) << 8 | u32::from(low)),
    };
    let end = HEAD + usize::from(count) * length;
    let addresses = payload.get(HEAD..end)?.chunks(length).filter_map(|bytes| match from {
        IpAddr::V4(_) => v4(bytes, 0).map(IpAddr::V4),
        IpAddr::V6(_) => v6(bytes, 0).map(IpAddr::V6),
    });
    let (addresses, trailer) = (addresses.collect(), payload.len() > end);
    Some(Advert { from, to, version, vrid, priority, interval, addresses, trailer })
}

fn two(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn v4(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    Some(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?.into())
}

fn v6(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    Some(<[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok()?.into())
}
