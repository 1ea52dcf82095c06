//! Adverts as bytes (RFC 9568, section 5).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+---------------+---------------+
//! | 3     | 1     | VRID          | priority      | address count |
//! +-------+-------+---------------+---------------+---------------+
//! | 0     | interval, centiseconds| checksum                      |
//! +-------+-----------------------+-------------------------------+
//! | addresses: 4 or 16 bytes each                                 |
//! +---------------------------------------------------------------+
//! | a trailer, when adverts are signed (see `authentication`)     |
//! +---------------------------------------------------------------+
//! ```

mod discard;
#[cfg(test)]
mod tests;

pub use discard::{Discard, Discards, Kind};

use crate::checksum::Sum;
use crate::vrrp::timing::Interval;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;

/// The number of VRRP among the protocols of IP (RFC 9568, section 5.1.1.4).
pub const PROTOCOL: u8 = 112;
/// TTL or hop limit of adverts. What arrives with less has crossed a router (RFC 9568, sections 5.1.1.3, 5.1.2.3).
pub const HOPS: u8 = 255;
/// Where adverts go by multicast over IPv4 (RFC 9568, section 5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Where adverts go by multicast over IPv6 (RFC 9568, section 5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// What the Active says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// The virtual router: 1 to 255.
    pub vrid: NonZeroU8,
    /// 1 to 255, or 0: the sender leaves (RFC 9568, section 5.2.4).
    pub priority: u8,
    /// How often the sender adverts.
    pub interval: Interval,
    /// What it holds.
    pub addresses: Addresses,
}

/// The addresses of a virtual router: 1 to 255 of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses(List);

/// Not what an advert can list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an advert lists 1 to 255 addresses, not {0}")]
pub struct CountError(usize);

impl Addresses {
    /// # Errors
    /// None, or more than 255.
    pub fn v4(addresses: Vec<Ipv4Addr>) -> Result<Self, CountError> {
        counted(addresses.len()).map(|()| Self(List::V4(addresses)))
    }

    /// Link-local ones are put first. RFC 9568, section 5.2.9 asks for one, which the virtual router shall have; a
    /// router whose VIPs are all global has none to list, and nobody is refused for it.
    ///
    /// # Errors
    /// None, or more than 255.
    pub fn v6(mut addresses: Vec<Ipv6Addr>) -> Result<Self, CountError> {
        addresses.sort_by_key(|address| !address.is_unicast_link_local());
        counted(addresses.len()).map(|()| Self(List::V6(addresses)))
    }

    /// A single address.
    #[must_use]
    pub fn one(address: IpAddr) -> Self {
        Self(match address {
            IpAddr::V4(address) => List::V4(vec![address]),
            IpAddr::V6(address) => List::V6(vec![address]),
        })
    }

    /// Those of `addresses` that have the family of `model`, no more than an advert can list; `None` if there are
    /// none.
    #[must_use]
    pub fn like(model: IpAddr, addresses: impl IntoIterator<Item = IpAddr>) -> Option<Self> {
        let same = addresses.into_iter().filter(|it| it.is_ipv4() == model.is_ipv4()).take(MOST);
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for address in same {
            match address {
                IpAddr::V4(address) => v4.push(address),
                IpAddr::V6(address) => v6.push(address),
            }
        }
        let list = if model.is_ipv4() { Self::v4(v4) } else { Self::v6(v6) };
        list.ok()
    }

    /// In the order of the advert.
    #[must_use]
    pub fn to_vec(&self) -> Vec<IpAddr> {
        match &self.0 {
            List::V4(addresses) => addresses.iter().copied().map(IpAddr::V4).collect(),
            List::V6(addresses) => addresses.iter().copied().map(IpAddr::V6).collect(),
        }
    }

    /// The same addresses, in whatever order.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let set = |list: &Self| BTreeSet::from_iter(list.to_vec());
        set(self) == set(other)
    }

    fn count(&self) -> u8 {
        let count = match &self.0 {
            List::V4(addresses) => addresses.len(),
            List::V6(addresses) => addresses.len(),
        };
        u8::try_from(count).unwrap_or(u8::MAX)
    }
}

/// What the checksum covers. It makes a difference for IPv4 only: over IPv6 the pseudo-header is always in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// RFC 9568, section 5.2.8: the message alone.
    Rfc9568,
    /// RFC 5798, section 5.2.8: a pseudo-header too. keepalived up to 2.2.7 knows only this one, and later ones send it unless
    /// `v3_checksum_as_v2` is set.
    Rfc5798,
}

/// Which checksums are good enough when an advert comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// Either reading: for peers that are changed over, or not known.
    Either,
    /// This reading alone.
    Only(Checksum),
}

/// A VRRP message as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// Where it was sent to: it is part of a checksum.
    pub destination: IpAddr,
    /// TTL or hop limit that is left.
    pub hops: u8,
    /// What follows the IP header.
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Takes apart what a raw IPv4 socket receives: it has the IP header in front (RFC 791, section 3.1). Raw IPv6
    /// sockets don't: there the caller knows the parts.
    ///
    /// # Errors
    /// [`Discard::Length`] if it isn't whole, [`Discard::NotVrrp`] if it is something else.
    pub fn from_ipv4(packet: &'a [u8]) -> Result<Self, Discard> {
        let short = |expected| Discard::Length { got: packet.len(), expected };
        let (header, _) = packet.split_first_chunk::<IPV4_HEADER>().ok_or_else(|| short(IPV4_HEADER))?;
        let &[version_length, _, length_high, length_low, _, _, _, _, hops, protocol, _, _, rest @ ..] =
            header;
        if version_length >> 4 != 4 || protocol != PROTOCOL {
            return Err(Discard::NotVrrp);
        }
        let begin = usize::from(version_length & 0xf) * 4;
        let end = usize::from(u16::from_be_bytes([length_high, length_low]));
        // Ethernet may have filled the packet up.
        let payload = packet.get(begin..end).ok_or_else(|| short(end.max(begin)))?;
        let [s0, s1, s2, s3, destination @ ..] = rest;
        let (source, destination) = ([s0, s1, s2, s3].into(), destination.into());
        Ok(Self { source, destination, hops, payload })
    }
}

impl Advert {
    /// The message, without a trailer and with a checksum of zero: [`seal`] puts that in.
    pub(crate) fn unsealed(&self) -> Vec<u8> {
        let [high, low] = self.interval.centiseconds().to_be_bytes();
        let head =
            [VERSION << 4 | ADVERTISEMENT, self.vrid.get(), self.priority, self.addresses.count(), high, low];
        let mut message = Vec::from(head);
        message.extend([0; 2]);
        match &self.addresses.0 {
            List::V4(addresses) => message.extend(addresses.iter().flat_map(Ipv4Addr::octets)),
            List::V6(addresses) => message.extend(addresses.iter().flat_map(Ipv6Addr::octets)),
        }
        message
    }

    /// The message as plain RFC 9568 has it.
    #[must_use]
    pub fn encode(&self, source: IpAddr, destination: IpAddr, checksum: Checksum) -> Vec<u8> {
        let mut message = self.unsealed();
        seal(&mut message, source, destination, checksum);
        message
    }

    /// The advert, and what follows its addresses. The checks of RFC 9568, section 7.1 that ask for no knowledge
    /// of the virtual router, in the order given there.
    ///
    /// # Errors
    /// Why it must be dropped.
    pub fn decode<'a>(datagram: &Datagram<'a>, accept: Accept) -> Result<(Self, &'a [u8]), Discard> {
        let payload = datagram.payload;
        if datagram.hops != HOPS {
            return Err(Discard::Hops { got: datagram.hops });
        }
        let short = |expected| Discard::Length { got: payload.len(), expected };
        let (head, rest) = payload.split_first_chunk::<HEAD>().ok_or_else(|| short(HEAD))?;
        let &[version_type, vrid, priority, count, high, low, _, _] = head;
        if version_type >> 4 != VERSION {
            return Err(Discard::Version { got: version_type >> 4 });
        }
        if version_type & 0xf != ADVERTISEMENT {
            return Err(Discard::Type { got: version_type & 0xf });
        }
        if !accept.readings().iter().any(|&reading| sum(payload, datagram, reading) == 0) {
            return Err(Discard::Checksum);
        }
        let vrid = NonZeroU8::new(vrid).ok_or(Discard::Vrid { got: vrid })?;
        let centiseconds = u16::from_be_bytes([high & 0xf, low]);
        let interval = Interval::from_centiseconds(centiseconds).map_err(|_| Discard::Interval)?;
        let each = if datagram.source.is_ipv4() { 4 } else { 16 };
        let length = usize::from(count) * each;
        let (list, trailer) = rest.split_at_checked(length).ok_or_else(|| short(HEAD + length))?;
        let addresses = if datagram.source.is_ipv4() {
            Addresses::v4(list.as_chunks::<4>().0.iter().copied().map(Ipv4Addr::from).collect())
        } else {
            Addresses::v6(list.as_chunks::<16>().0.iter().copied().map(Ipv6Addr::from).collect())
        };
        let addresses = addresses.map_err(|_| Discard::NoAddresses)?;
        Ok((Self { vrid, priority, interval, addresses }, trailer))
    }
}

/// Puts the checksum into a message that has zero there. It covers a trailer too: to RFC 9568 that is part of the
/// message.
pub(crate) fn seal(message: &mut [u8], source: IpAddr, destination: IpAddr, checksum: Checksum) {
    let sum = sum(message, &Datagram { source, destination, hops: HOPS, payload: &[] }, checksum);
    if let Some(field) = message.get_mut(CHECKSUM) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

/// The message as it was before [`seal`].
#[cfg(feature = "authentication")]
pub(crate) fn unseal(message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    if let Some(field) = message.get_mut(CHECKSUM) {
        field.fill(0);
    }
    message
}

impl Accept {
    fn readings(&self) -> &[Checksum] {
        match self {
            Self::Either => &[Checksum::Rfc9568, Checksum::Rfc5798],
            Self::Only(reading) => std::slice::from_ref(reading),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum List {
    V4(Vec<Ipv4Addr>),
    V6(Vec<Ipv6Addr>),
}

fn counted(count: usize) -> Result<(), CountError> {
    if (1..=MOST).contains(&count) { Ok(()) } else { Err(CountError(count)) }
}

fn sum(message: &[u8], datagram: &Datagram<'_>, checksum: Checksum) -> u16 {
    let plain = datagram.source.is_ipv4() && checksum == Checksum::Rfc9568;
    let pseudo = Sum::pseudo(datagram.source, datagram.destination, PROTOCOL, message.len());
    if plain { Sum::default() } else { pseudo }.bytes(message).finish()
}

/// Addresses in an advert.
const MOST: usize = u8::MAX as usize;
const VERSION: u8 = 3;
const ADVERTISEMENT: u8 = 1;
/// Bytes before the addresses.
const HEAD: usize = 8;
/// Where the checksum stands.
const CHECKSUM: std::ops::Range<usize> = 6..8;
/// Bytes of an IPv4 header without options.
const IPV4_HEADER: usize = 20;
