//! Slots by live connections.
//!
//! Between two decisions the kernel deals slots by itself. So they say how the connections that are expected until
//! the next decision shall be spread, not which server has the fewest at the moment: with one expected that is the
//! same, and with many nobody is flooded. The number of slots never changes with the loads, so the rule that counts
//! through them stays, and only elements differ.

use super::{Candidate, turns};
use crate::availability::WHOLE;
use crate::pool::Load;
use std::cmp::Reverse;

/// Fewest slots: shares are this fine.
const FEWEST: usize = 64;

/// Most slots: all of them may have to be rewritten ten times a second.
const MOST: usize = 1024;

/// LVS's weight of an active connection; an inactive one has 1.
const ACTIVE: u128 = 256;

/// At least one in so many of the connections that are there counts as expected: a burst that nobody foresaw then
/// does no server much harm, and a difference so small is made up for smoothly.
const CALM: u64 = 64;

/// lc and wlc: to the server that has the fewest by its share.
pub(super) fn least(candidates: &[Candidate<'_>], expected: u32) -> Vec<usize> {
    let has = |load: Load| u128::from(load.active) * ACTIVE + u128::from(load.inactive);
    deal(&fill(&having(candidates, has), calm(candidates, expected) * ACTIVE))
}

/// sed: to the server that would have the fewest by its share with one more.
pub(super) fn shortest_delay(candidates: &[Candidate<'_>], expected: u32) -> Vec<usize> {
    deal(&fill(&having(candidates, with_one_more), calm(candidates, expected)))
}

/// nq: every server that has none gets one, and the rest goes as under sed.
pub(super) fn never_queue(candidates: &[Candidate<'_>], expected: u32) -> Vec<usize> {
    let expected = calm(candidates, expected);
    let idle = |it: &Candidate<'_>| it.share > 0 && it.load.active == 0;
    let idlers = candidates.iter().filter(|it| idle(it)).count() as u128;
    let mut delays = having(candidates, with_one_more);
    if idlers == 0 {
        return deal(&fill(&delays, expected));
    }
    if expected <= idlers {
        for (it, candidate) in delays.iter_mut().zip(candidates) {
            it.share = if idle(candidate) { it.share } else { 0 };
        }
        return deal(&fill(&delays, expected));
    }
    for (it, candidate) in delays.iter_mut().zip(candidates) {
        it.has += u128::from(idle(candidate));
    }
    let rest = fill(&delays, expected - idlers);
    // In the parts that the rest has.
    let whole = rest.iter().sum::<u128>();
    let parts = rest.into_iter().zip(candidates);
    let parts = parts.map(|(part, it)| part * (expected - idlers) + if idle(it) { whole } else { 0 });
    deal(&parts.collect::<Vec<_>>())
}

/// ovf: to the server with the highest weight, up to as many connections as its weight; then to the next. No slots if
/// all of them are full.
pub(super) fn overflow(candidates: &[Candidate<'_>], expected: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|at| Reverse(candidates[*at].share));
    let mut parts = vec![0; candidates.len()];
    let mut rest = expected.max(1);
    for at in order {
        let Candidate { share, load, .. } = candidates[at];
        let gets = share.div_ceil(WHOLE).saturating_sub(load.active).min(rest);
        parts[at] = gets.into();
        rest -= gets;
    }
    deal(&parts)
}

/// The slots of a service whose candidates get these parts.
fn deal(parts: &[u128]) -> Vec<usize> {
    turns::deal(parts, (2 * parts.len()).next_power_of_two().clamp(FEWEST, MOST))
}

/// How many connections to deal.
fn calm(candidates: &[Candidate<'_>], expected: u32) -> u128 {
    let active: u64 = candidates.iter().map(|it| u64::from(it.load.active)).sum();
    u128::from((active / CALM).max(expected.into()).max(1))
}

/// What a server has, and its share.
#[derive(Clone, Copy)]
struct Vessel {
    has: u128,
    share: u128,
}

fn having(candidates: &[Candidate<'_>], has: impl Fn(Load) -> u128) -> Vec<Vessel> {
    candidates.iter().map(|it| Vessel { has: has(it.load), share: it.share.into() }).collect()
}

fn with_one_more(load: Load) -> u128 {
    u128::from(load.active) + 1
}

/// Pours `amount` so that it reaches the same level, what a server has by its share, wherever it comes to: what each
/// gets, in parts of no meaning. This is where dealing one by one, always to the lowest, comes to, without its
/// preference for the first among equals.
fn fill(vessels: &[Vessel], amount: u128) -> Vec<u128> {
    let mut order: Vec<Vessel> = vessels.iter().copied().filter(|it| it.share > 0).collect();
    order.sort_by(|a, b| (a.has * b.share).cmp(&(b.has * a.share)));
    // The level is `water / width`.
    let (mut water, mut width) = (amount, 0);
    for it in order {
        if width > 0 && it.has * width >= water * it.share {
            break;
        }
        water += it.has;
        width += it.share;
    }
    vessels.iter().map(|it| (it.share * water).saturating_sub(it.has * width)).collect()
}

#[cfg(test)]
mod tests;
