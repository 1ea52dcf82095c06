//! Sends packets through a ruleset, as the kernel would: for tests, and to explain what happens to a packet.
//!
//! A packet is the first one of its connection, or a stray of none. It meets the base chains of prerouting; then, if
//! its destination is still one of the tracer's own addresses, those of input, and else those of forward and
//! postrouting. One that begins here meets those of output and postrouting. Nat chains see what connection tracking knows only, and nobody's connection is known before
//! priority -200. The tracer keeps what the kernel keeps from packet to packet: where each generator stands, and the
//! elements of dynamic maps with their time-outs and token buckets. Its clock is the caller's `now`.

mod hash;
mod memory;
mod packet;
mod walk;

#[cfg(test)]
mod tests;

pub use memory::Entry;
pub use packet::Packet;

use crate::ir::{EventMask, Hook, Key, Reject, Ruleset};
use memory::Memory;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use walk::Walk;

/// A ruleset, and what it has learnt from the packets so far.
#[derive(Debug, Clone)]
pub struct Tracer {
    ruleset: Ruleset,
    memory: Memory,
    own: BTreeSet<IpAddr>,
}

/// What became of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Whether it passed.
    pub outcome: Outcome,
    /// The packet's mark in the end.
    pub meta_mark: u32,
    /// The connection's mark in the end.
    pub ct_mark: u32,
    /// The new destination, and its port if the rule says one.
    pub dnat: Option<(IpAddr, Option<u16>)>,
    /// The new source.
    pub snat: Option<IpAddr>,
    /// True if the source becomes the outgoing interface's address.
    pub masquerade: bool,
    /// What listeners may hear of the connection, if a rule says; else they hear all.
    pub events: Option<EventMask>,
    /// The rules that were tried, as `chain/number`, counted from 1.
    pub path: Vec<String>,
}

/// Whether a packet passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It passed all hooks.
    Accepted,
    /// It was dropped without an answer.
    Dropped,
    /// It was refused with an answer.
    Rejected(Reject),
    /// Its handshake is done in the server's place.
    Synproxy,
}

impl Tracer {
    /// A tracer for `ruleset`, with empty dynamic maps. It is as lenient as the ruleset allows: a chain or a map
    /// that is missing matches nothing.
    #[must_use]
    pub fn new(ruleset: &Ruleset) -> Self {
        Self { ruleset: ruleset.clone(), memory: Memory::default(), own: BTreeSet::new() }
    }

    /// With addresses of its own: packets that keep one of them as their destination go no further than input.
    #[must_use]
    pub fn with_own(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.own.extend(addresses);
        self
    }

    /// Puts `ruleset` in the place of the present one, as [`crate::diff::diff`] would: the dynamic maps of both
    /// keep their elements, and the generators of chains that stay the same stand where they stood.
    pub fn replace(&mut self, ruleset: &Ruleset) {
        let before = std::mem::replace(&mut self.ruleset, ruleset.clone());
        let after = &self.ruleset;
        self.memory.keep(
            |map| {
                let spec = |ruleset: &Ruleset| ruleset.maps.get(map).map(|map| map.spec.clone());
                spec(&before) == spec(after)
            },
            |chain| before.chains.get(chain) == after.chains.get(chain),
        );
    }

    /// Sends the first packet of a new connection through; if it is tcp, only SYN is set. `now` is the time since some
    /// beginning and must not go back.
    pub fn send(&mut self, packet: &Packet, now: Duration) -> Trace {
        self.walk(packet, false, now)
    }

    /// Sends a packet through that belongs to no connection and can't begin one; if it is tcp, only ACK is set.
    /// (With `net.netfilter.nf_conntrack_tcp_loose=1` a real kernel would begin a connection by it.)
    pub fn send_stray(&mut self, packet: &Packet, now: Duration) -> Trace {
        self.walk(packet, true, now)
    }

    /// Sends the first packet of a new connection that begins here: through output and postrouting. So goes the SYN
    /// that a SYN proxy sends in a client's name.
    pub fn send_own(&mut self, packet: &Packet, now: Duration) -> Trace {
        let mut walk = Walk::new(&self.ruleset, &mut self.memory, packet, false, now);
        walk.hook(Hook::Output);
        walk.hook(Hook::Postrouting);
        walk.finish()
    }

    fn walk(&mut self, packet: &Packet, stray: bool, now: Duration) -> Trace {
        let mut walk = Walk::new(&self.ruleset, &mut self.memory, packet, stray, now);
        walk.hook(Hook::Prerouting);
        if self.own.contains(&walk.destination()) {
            walk.hook(Hook::Input);
        } else {
            walk.hook(Hook::Forward);
            walk.hook(Hook::Postrouting);
        }
        walk.finish()
    }

    /// The live elements of a dynamic map.
    #[must_use]
    pub fn entries(&self, map: &str, now: Duration) -> Vec<(Key, Entry)> {
        self.memory.live(map, now)
    }
}
