//! Weights to slot tables.
//!
//! For a new connection the kernel takes one of a service's slots: the next one, a random one, or the one that a
//! hash of the packet says. A slot holds the server that gets it. This module fills the slots; how the kernel
//! comes to one is the plan's to say.

mod live;
mod maglev;
#[cfg(test)]
mod tests;
mod turns;

use crate::model::Scheduler;
use crate::pool::Load;

/// Most slots of one service in one family: what a slot's key leaves room for.
pub const MAX_SLOTS: usize = 1 << 15;

/// A server that slots may go to. What its share is made of (its weight, but not under rr; less while it starts
/// slowly) is the pool's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its name: what a Maglev table places it by.
    pub name: &'a str,
    /// Its share of the slots; 0 for none of them.
    pub share: u32,
    /// Its share when nothing is wrong with it. A Maglev table keeps the places of a server by it that has no share
    /// at the moment.
    pub full_share: u32,
    /// Its live connections, where they count.
    pub load: Load,
}

impl Candidate<'_> {
    /// The share by which it takes its place, whether anybody goes there or not.
    fn place(&self) -> u64 {
        u64::from(if self.share == 0 { self.full_share } else { self.share })
    }
}

/// The slots of a service, as indices into `candidates`. Empty if none of them has a share. The result depends on
/// nothing else: two directors, or one before and after a restart, come to the same.
///
/// - rr, wrr, random, sh, dh: one turn through the servers. Shares are exact over a turn: a server owns
///   `share / gcd` slots. Only where that would take more than [`MAX_SLOTS`] slots, shares are rounded to the
///   nearest that fit, and every server with a share keeps one. Slots of a server are spread evenly over the turn,
///   so a heavy server gets no burst (LVS's wrr starts each turn with one).
/// - mh: a Maglev table. Shares are exact to a slot, and every server with a share owns one. Its size depends on
///   the number of candidates alone. Slots change hands only where they must: when a server loses its share its
///   own, and when it comes back the same ones, at once or little by little.
/// - sh and mh without fallback: servers without a share keep the slots of their full share, so that their clients
///   are refused and nobody's move.
/// - lc, wlc, sed, nq, ovf: as LVS would spread the next `expected` connections one by one. The number of slots
///   depends on the number of candidates alone, but for ovf when all servers are full: then there is none.
/// - fo: a single slot, for the server with the highest share; the first of them, if there are several.
#[must_use]
pub fn slots(scheduler: Scheduler, candidates: &[Candidate<'_>], expected: u32) -> Vec<usize> {
    let shares = || candidates.iter().map(|it| u64::from(it.share));
    if shares().all(|share| share == 0) {
        return Vec::new();
    }
    match scheduler {
        Scheduler::Sh(hash) if !hash.fallback => {
            turns::turn(&candidates.iter().map(Candidate::place).collect::<Vec<_>>(), MAX_SLOTS)
        }
        Scheduler::Rr | Scheduler::Wrr | Scheduler::Random | Scheduler::Sh(_) | Scheduler::Dh => {
            turns::turn(&shares().collect::<Vec<_>>(), MAX_SLOTS)
        }
        Scheduler::Lc | Scheduler::Wlc => live::least(candidates, expected),
        Scheduler::Sed => live::shortest_delay(candidates, expected),
        Scheduler::Nq => live::never_queue(candidates, expected),
        Scheduler::Ovf => live::overflow(candidates, expected),
        Scheduler::Mh(hash) => maglev::table(candidates, hash.fallback),
        Scheduler::Fo => {
            // `max_by_key` would find the last one.
            let highest = shares().max();
            highest.and_then(|highest| shares().position(|share| share == highest)).into_iter().collect()
        }
    }
}
