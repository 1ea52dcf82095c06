//! Sends packets through a ruleset, as the kernel would: for tests, and to explain what happens to a packet.
//!
//! A packet is the first one of its connection and is routed through: it meets the base chains of prerouting,
//! forward and postrouting. The tracer keeps what the kernel keeps from packet to packet: where each generator
//! stands, and the elements of dynamic maps with their time-outs. Its clock is the caller's `now`.

mod hash;
mod memory;
mod packet;
mod walk;

#[cfg(test)]
mod tests;

pub use memory::Entry;
pub use packet::Packet;

use crate::ir::{BaseChain, ChainKind, Hook, Key, Reject, Ruleset};
use memory::Memory;
use std::net::IpAddr;
use std::time::Duration;
use walk::Walk;

/// A ruleset, and what it has learnt from the packets so far.
#[derive(Debug, Clone)]
pub struct Tracer {
    ruleset: Ruleset,
    memory: Memory,
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
    /// True if the source becomes the outgoing interface's address.
    pub masquerade: bool,
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
}

impl Tracer {
    /// A tracer for `ruleset`, with empty dynamic maps. It is as lenient as the ruleset allows: a chain or a map
    /// that is missing matches nothing.
    #[must_use]
    pub fn new(ruleset: &Ruleset) -> Self {
        Self { ruleset: ruleset.clone(), memory: Memory::default() }
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

    /// Sends the first packet of a new connection through. `now` is the time since some beginning and must not go
    /// back.
    pub fn send(&mut self, packet: &Packet, now: Duration) -> Trace {
        let mut walk = Walk::new(&self.ruleset, &mut self.memory, packet, now);
        for hook in [Hook::Prerouting, Hook::Forward, Hook::Postrouting] {
            let mut chains: Vec<(&String, BaseChain)> = self
                .ruleset
                .chains
                .iter()
                .filter_map(|(name, chain)| Some((name, chain.base?)))
                .filter(|(_, base)| base.hook == hook)
                .collect();
            chains.sort_by_key(|(_, base)| base.priority);
            for (name, base) in chains {
                // Once a hook's translation is settled, no further nat chain is asked.
                if base.kind == ChainKind::Filter || !walk.translated(hook) {
                    walk.hooked(name);
                }
            }
        }
        walk.finish()
    }

    /// The live elements of a dynamic map.
    #[must_use]
    pub fn entries(&self, map: &str, now: Duration) -> Vec<(Key, Entry)> {
        self.memory.live(map, now)
    }
}
