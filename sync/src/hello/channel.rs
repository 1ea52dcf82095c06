//! Saying hello and hearing it: signed and numbered on one side, verified on the other.

use super::{Discard, Discards, Hello, LONGEST, Roster};
use crate::vrrp::authentication::{self, Claim, Keyring, Purpose, Sequence, TRAILER, Windows};
use crate::vrrp::packet::{self, HOPS};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Makes messages of hellos.
#[derive(Debug)]
pub struct Speaker {
    keyring: Option<Keyring>,
    next: Sequence,
}

impl Speaker {
    /// `epoch` must be higher than at any start before: see [`Sequence::epoch`]. `keyring`: `None` signs nothing.
    #[must_use]
    pub const fn new(keyring: Option<Keyring>, epoch: u64) -> Self {
        Self { keyring, next: Sequence { epoch, counter: 0 } }
    }

    /// Signs with other keys from now on.
    pub fn configure(&mut self, keyring: Option<Keyring>) {
        self.keyring = keyring;
    }

    /// Begins to count anew from a higher `epoch`.
    pub const fn begin(&mut self, epoch: u64) {
        self.next = Sequence { epoch, counter: 0 };
    }

    /// The message to send from `source`, to one peer or to several. Each call makes another one: a peer that got it
    /// twice would take the copy for a replay.
    #[must_use]
    pub fn say(&mut self, hello: &Hello, source: IpAddr) -> Vec<u8> {
        let mut message = hello.encode();
        if let Some(keyring) = &self.keyring {
            let claim = Claim { sequence: self.next, successor: None };
            authentication::sign(&mut message, keyring, Purpose::Hellos, source, &claim);
            self.next.counter = self.next.counter.saturating_add(1);
        }
        message
    }
}

/// A hello that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Where it came from.
    pub source: IpAddr,
    /// The address on the first link of the node that has `source`.
    pub peer: IpAddr,
    /// What it says.
    pub hello: Hello,
}

/// Takes hellos in.
#[derive(Debug)]
pub struct Listener {
    keyring: Option<Keyring>,
    own: BTreeSet<IpAddr>,
    /// Each address of a peer, and by which one it is known.
    peers: BTreeMap<IpAddr, IpAddr>,
    windows: Windows,
    discards: Discards,
}

impl Listener {
    /// `heard`: what [`Self::heard`] said before a restart.
    #[must_use]
    pub fn new(
        roster: &Roster,
        keyring: Option<Keyring>,
        heard: impl IntoIterator<Item = (IpAddr, Sequence)>,
    ) -> Self {
        Self {
            keyring,
            own: roster.own.clone(),
            peers: roster.by_address(),
            windows: Windows::resume(heard),
            discards: Discards::default(),
        }
    }

    /// Other peers, other keys from now on. What was heard before stays heard.
    pub fn configure(&mut self, roster: &Roster, keyring: Option<Keyring>) {
        (self.own, self.peers, self.keyring) = (roster.own.clone(), roster.by_address(), keyring);
    }

    /// What arrived from `source` with a TTL or hop limit of `hops`, if it is good. `None`: a newer one came first, by
    /// another link.
    ///
    /// # Errors
    /// Why it was refused; that has been counted.
    pub fn receive(&mut self, source: IpAddr, hops: u8, payload: &[u8]) -> Result<Option<Received>, Discard> {
        self.check(source, hops, payload).inspect_err(|&discard| self.discards.count(discard))
    }

    /// What was refused so far.
    #[must_use]
    pub const fn discards(&self) -> &Discards {
        &self.discards
    }

    /// Peers that are refused until their epoch exceeds another: see [`authentication::Window::behind`].
    pub fn behind(&self) -> impl Iterator<Item = (IpAddr, u64)> {
        self.windows.behind()
    }

    /// The newest sequence of each peer, by its address on the first link: to be kept for [`Self::new`].
    pub fn heard(&self) -> impl Iterator<Item = (IpAddr, Sequence)> {
        self.windows.iter()
    }

    fn check(&mut self, source: IpAddr, hops: u8, payload: &[u8]) -> Result<Option<Received>, Discard> {
        if self.own.contains(&source) {
            return Err(packet::Discard::Own(source).into());
        }
        let &peer = self.peers.get(&source).ok_or(packet::Discard::Stranger(source))?;
        if hops != HOPS {
            return Err(packet::Discard::Hops { got: hops }.into());
        }
        if payload.len() > LONGEST {
            return Err(packet::Discard::Length { got: payload.len(), expected: LONGEST }.into());
        }
        let Some(keyring) = &self.keyring else {
            if authentication::looks_signed(payload) {
                return Err(packet::Discard::Signed.into());
            }
            return Hello::decode(payload).map(|hello| Some(Received { source, peer, hello }));
        };
        if !authentication::looks_signed(payload) {
            return Err(packet::Discard::Unsigned.into());
        }
        let Claim { sequence, .. } = authentication::verify(payload, keyring, Purpose::Hellos, source)?;
        let newest = self.windows.newest(peer);
        // One window for all links of a peer: what somebody holds back on one of them is old when it comes.
        self.windows.admit(peer, sequence)?;
        let text = payload.split_at_checked(payload.len().saturating_sub(TRAILER)).map_or(payload, |it| it.0);
        let hello = Hello::decode(text)?;
        Ok(newest.is_none_or(|newest| sequence > newest).then_some(Received { source, peer, hello }))
    }
}

impl Roster {
    fn by_address(&self) -> BTreeMap<IpAddr, IpAddr> {
        let known = |addresses: &'_ Vec<IpAddr>| {
            let first = addresses.first().copied();
            addresses.clone().into_iter().filter_map(move |address| Some((address, first?)))
        };
        self.peers.values().flat_map(known).collect()
    }
}

#[cfg(test)]
pub(super) mod tests;
