//! Weights to slot tables.
//!
//! The kernel counts through a service's slots, one a new connection; a slot holds the server that gets it. What
//! a scheduler is, is how it fills the slots.

#[cfg(test)]
mod tests;

use crate::model::{Scheduler, Weight};

/// Most slots of one service in one family: what a slot's key leaves room for.
pub const MAX_SLOTS: usize = 1 << 15;

/// The slots of a service: one turn through its servers, as indices into `weights`. Empty if no server has a
/// weight.
///
/// Shares are exact over a turn: a server owns `weight / gcd` slots. Only where that would take more than
/// [`MAX_SLOTS`] slots, shares are rounded to the nearest that fit, and every server with a weight keeps one.
/// Slots of a server are spread evenly over the turn, so a heavy server gets no burst (LVS's wrr starts each turn
/// with one).
#[must_use]
pub fn slots(scheduler: Scheduler, weights: &[Weight]) -> Vec<usize> {
    let shares: Vec<u64> = match scheduler {
        Scheduler::Rr => weights.iter().map(|weight| u64::from(weight.get() > 0)).collect(),
        Scheduler::Wrr => weights.iter().map(|weight| u64::from(weight.get())).collect(),
    };
    interleave(&fit(&shares))
}

/// `shares` in lowest terms, and so that their sum is at most [`MAX_SLOTS`].
fn fit(shares: &[u64]) -> Vec<u64> {
    let divisor = shares.iter().copied().fold(0, gcd).max(1);
    let reduced: Vec<u64> = shares.iter().map(|share| share / divisor).collect();
    let sum: u64 = reduced.iter().sum();
    if sum <= MAX_SLOTS as u64 {
        return reduced;
    }
    let owners = reduced.iter().filter(|share| **share > 0).count() as u64;
    // Each owner keeps one slot; the others go by share, rounded down, so the sum can't exceed the limit.
    let rest = (MAX_SLOTS as u64).saturating_sub(owners);
    reduced.iter().map(|share| if *share == 0 { 0 } else { 1 + share * rest / sum }).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Gives owner `i` `shares[i]` slots: its k-th stands where (2k + 1) / (2 * share) of the turn has passed.
fn interleave(shares: &[u64]) -> Vec<usize> {
    let mut places: Vec<(u128, usize)> = Vec::new();
    for (owner, share) in shares.iter().enumerate() {
        // Positions as fixed-point fractions of a turn: shares are at most 2^16, so 2^64 keeps them apart.
        places.extend((0..*share).map(|k| ((u128::from(2 * k + 1) << 64) / u128::from(2 * share), owner)));
    }
    places.sort_unstable();
    places.into_iter().map(|(_, owner)| owner).collect()
}
