//! Adverts on one link: what goes out is signed and numbered, what comes in is held against what is expected.

use crate::vrrp::authentication::{self, Claim, Keyring, Purpose, Sequence, TRAILER, Windows};
use crate::vrrp::packet::{self, Accept, Addresses, Advert, Checksum, Datagram, Discard, Discards};
use crate::vrrp::timing::Interval;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU8;

/// What both ends of a link agree about.
#[derive(Debug, Clone)]
pub struct Channel {
    /// The virtual router.
    pub vrid: NonZeroU8,
    /// Our own address on this link, which adverts leave from. On equal priorities the higher one wins.
    pub local: IpAddr,
    /// The addresses of the peers on this link.
    pub peers: BTreeSet<IpAddr>,
    /// Others may speak too, as on a multicast group.
    pub anybody: bool,
    /// The addresses of the virtual router, of this link's family; our own if it has none here.
    pub addresses: Addresses,
    /// How often we advert.
    pub interval: Interval,
    /// The checksum that we send.
    pub checksum: Checksum,
    /// The checksums that we take.
    pub accept: Accept,
    /// Keys; `None` speaks plain RFC 9568.
    pub keyring: Option<Keyring>,
}

/// Makes adverts.
#[derive(Debug)]
pub struct Sender {
    channel: Channel,
    next: Sequence,
}

impl Sender {
    /// `epoch` must be higher than at any start before: see [`Sequence::epoch`].
    #[must_use]
    pub const fn new(channel: Channel, epoch: u64) -> Self {
        Self { channel, next: Sequence { epoch, counter: 0 } }
    }

    /// Goes by another agreement from now on. Its numbers go on: to begin again would look like a replay.
    pub fn configure(&mut self, channel: Channel) {
        self.channel = channel;
    }

    /// Begins to count anew from a higher `epoch`.
    pub const fn begin(&mut self, epoch: u64) {
        self.next = Sequence { epoch, counter: 0 };
    }

    /// The message to send to `destination`. Each call makes another one: a copy would be taken for a replay.
    ///
    /// `priority` 0 says that we leave; `successor`, which only signed adverts can carry, who shall take over.
    pub fn advert(&mut self, priority: u8, successor: Option<IpAddr>, destination: IpAddr) -> Vec<u8> {
        let Channel { vrid, local, addresses, interval, checksum, keyring, .. } = &self.channel;
        let advert = Advert { vrid: *vrid, priority, interval: *interval, addresses: addresses.clone() };
        let mut message = advert.unsealed();
        if let Some(keyring) = keyring {
            let claim = Claim { sequence: self.next, successor };
            let purpose = Purpose::Adverts { to: destination };
            authentication::sign(&mut message, keyring, purpose, *local, &claim);
            self.next.counter = self.next.counter.saturating_add(1);
        }
        packet::seal(&mut message, *local, destination, *checksum);
        message
    }
}

/// An advert that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Who sent it.
    pub source: IpAddr,
    /// What it says.
    pub advert: Advert,
    /// Who shall take over, if the sender leaves and signs.
    pub successor: Option<IpAddr>,
    /// The sender lists other addresses than we do: the configurations differ. It is heard all the same, since two
    /// directors that ignore each other would both be Active.
    pub other_addresses: bool,
    /// The sender adverts at another interval. A Backup goes by the Active's (RFC 9568, section 6.1).
    pub other_interval: bool,
}

/// Takes adverts in.
#[derive(Debug)]
pub struct Receiver {
    channel: Channel,
    windows: Windows,
    discards: Discards,
}

impl Receiver {
    /// `heard`: what [`Self::heard`] said before a restart.
    #[must_use]
    pub fn new(channel: Channel, heard: impl IntoIterator<Item = (IpAddr, Sequence)>) -> Self {
        Self { channel, windows: Windows::resume(heard), discards: Discards::default() }
    }

    /// Goes by another agreement from now on, and remembers what was heard.
    pub fn configure(&mut self, channel: Channel) {
        self.channel = channel;
    }

    /// What arrived, if it is for us and good. Never waits, and costs no more than the message is long.
    ///
    /// # Errors
    /// Why it was refused; that has been counted.
    pub fn receive(&mut self, datagram: &Datagram<'_>) -> Result<Received, Discard> {
        self.check(datagram).inspect_err(|&discard| self.discards.count(discard))
    }

    /// What a raw IPv4 socket gave, with its IP header.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub fn receive_ipv4(&mut self, packet: &[u8]) -> Result<Received, Discard> {
        let datagram = Datagram::from_ipv4(packet).inspect_err(|&discard| self.discards.count(discard))?;
        self.receive(&datagram)
    }

    /// What was refused so far.
    #[must_use]
    pub const fn discards(&self) -> &Discards {
        &self.discards
    }

    /// Senders that are refused until their epoch exceeds another: see [`authentication::Window::behind`].
    pub fn behind(&self) -> impl Iterator<Item = (IpAddr, u64)> {
        self.windows.behind()
    }

    /// The newest sequence of each sender: to be kept for [`Self::new`].
    pub fn heard(&self) -> impl Iterator<Item = (IpAddr, Sequence)> {
        self.windows.iter()
    }

    fn check(&mut self, datagram: &Datagram<'_>) -> Result<Received, Discard> {
        let Channel { vrid, local, peers, anybody, addresses, interval, accept, keyring, .. } = &self.channel;
        let source = datagram.source;
        if source == *local {
            return Err(Discard::Own(source));
        }
        let known = peers.contains(&source);
        if source.is_ipv4() != local.is_ipv4() || !known && !anybody {
            return Err(Discard::Stranger(source));
        }
        let (advert, trailer) = Advert::decode(datagram, *accept)?;
        if advert.vrid != *vrid {
            return Err(Discard::Vrid { got: advert.vrid.get() });
        }
        let claim = match (keyring, trailer.len()) {
            (None, 0) => None,
            (None, TRAILER) => return Err(Discard::Signed),
            (Some(_), 0) => return Err(Discard::Unsigned),
            (Some(keyring), TRAILER) => {
                let message = packet::unseal(datagram.payload);
                let purpose = Purpose::Adverts { to: datagram.destination };
                Some(authentication::verify(&message, keyring, purpose, source)?)
            }
            (_, extra) => {
                let got = datagram.payload.len();
                let expected = got - extra + keyring.as_ref().map_or(0, |_| TRAILER);
                return Err(Discard::Length { got, expected });
            }
        };
        // Signed by our key, it is no stranger; nor is a peer whose file differs for a while.
        if !known && claim.is_none() && self.foreign(source, &advert) {
            return Err(Discard::Foreign(source));
        }
        let (other_addresses, other_interval) =
            (!advert.addresses.same(addresses), advert.interval != *interval);
        if let Some(claim) = claim {
            self.windows.admit(source, claim.sequence)?;
        }
        let successor = claim.and_then(|claim| claim.successor);
        Ok(Received { source, advert, successor, other_addresses, other_interval })
    }

    /// None of the addresses is ours: two virtual routers have one identifier. RFC 9568, section 7.1 lets a receiver
    /// compare the lists, and report; keepalived drops what lacks one of its own.
    fn foreign(&self, source: IpAddr, advert: &Advert) -> bool {
        let list = |addresses: &Addresses, own: IpAddr| {
            addresses.to_vec().into_iter().filter(|&it| it != own).collect::<BTreeSet<_>>()
        };
        let (ours, theirs) =
            (list(&self.channel.addresses, self.channel.local), list(&advert.addresses, source));
        !ours.is_empty() && !theirs.is_empty() && ours.is_disjoint(&theirs)
    }
}

#[cfg(test)]
mod tests;
