//! Weights to slot tables.
//!
//! For a new connection the kernel takes one of a service's slots: the next one, a random one, or the one that a
//! hash of the packet says. A slot holds the server that gets it. This module fills the slots; how the kernel
//! comes to one is the plan's to say.

mod maglev;
#[cfg(test)]
mod tests;
mod turns;

use crate::model::{Scheduler, Weight};

/// Most slots of one service in one family: what a slot's key leaves room for.
pub const MAX_SLOTS: usize = 1 << 15;

/// A server that slots may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its name: what a Maglev table places it by.
    pub name: &'a str,
    /// Its weight; 0 for none of the slots.
    pub weight: Weight,
    /// Its weight when nothing is wrong with it. A Maglev table keeps the places of a server by it that has no
    /// weight at the moment.
    pub full_weight: Weight,
}

/// The slots of a service, as indices into `candidates`. Empty if none of them has a weight. The result depends on
/// nothing else: two directors, or one before and after a restart, come to the same.
///
/// - rr, wrr, random, sh, dh: one turn through the servers. Shares are exact over a turn: a server owns
///   `weight / gcd` slots. Only where that would take more than [`MAX_SLOTS`] slots, shares are rounded to the
///   nearest that fit, and every server with a weight keeps one. Slots of a server are spread evenly over the turn,
///   so a heavy server gets no burst (LVS's wrr starts each turn with one).
/// - mh: a Maglev table. Shares are exact to a slot, and every server with a weight owns one. Its size depends on
///   the number of candidates alone. Slots change hands only where they must: when a server loses its weight its
///   own, and when it comes back the same ones.
/// - fo: a single slot, for the server with the highest weight; the first of them, if there are several.
#[must_use]
pub fn slots(scheduler: Scheduler, candidates: &[Candidate<'_>]) -> Vec<usize> {
    let weights = || candidates.iter().map(|it| u64::from(it.weight.get()));
    match scheduler {
        Scheduler::Rr => turns::turn(&weights().map(|weight| weight.min(1)).collect::<Vec<_>>(), MAX_SLOTS),
        Scheduler::Wrr | Scheduler::Random | Scheduler::Sh(_) | Scheduler::Dh => {
            turns::turn(&weights().collect::<Vec<_>>(), MAX_SLOTS)
        }
        Scheduler::Mh(_) => maglev::table(candidates),
        Scheduler::Fo => {
            // `max_by_key` would find the last one.
            let highest = weights().max().filter(|highest| *highest > 0);
            highest.and_then(|highest| weights().position(|weight| weight == highest)).into_iter().collect()
        }
    }
}
