//! Turns: how often each server comes, and in which order.

use std::cmp::Reverse;

/// One turn through owners with these weights, in at most `limit` steps (more only if there are more owners): the
/// owner of each step.
pub(super) fn turn(weights: &[u64], limit: usize) -> Vec<usize> {
    interleave(&fit(weights, limit as u64))
}

/// Exactly `steps` steps, dealt by these parts of them to the nearest whole one; none if all parts are 0.
pub(super) fn deal(parts: &[u128], steps: usize) -> Vec<usize> {
    let sum: u128 = parts.iter().sum();
    if sum == 0 {
        return Vec::new();
    }
    let mut shares: Vec<u64> = Vec::new();
    let mut rests = Vec::new();
    for (owner, part) in parts.iter().enumerate() {
        let exact = part * steps as u128;
        shares.push(u64::try_from(exact / sum).unwrap_or(u64::MAX));
        rests.push((Reverse(exact % sum), owner));
    }
    let left = (steps as u64).saturating_sub(shares.iter().sum());
    rests.sort_unstable();
    for (_, owner) in rests.into_iter().take(usize::try_from(left).unwrap_or(0)) {
        shares[owner] += 1;
    }
    interleave(&shares)
}

/// `shares` in lowest terms, and so that their sum is at most `limit`.
fn fit(shares: &[u64], limit: u64) -> Vec<u64> {
    let divisor = shares.iter().copied().fold(0, gcd).max(1);
    let reduced: Vec<u64> = shares.iter().map(|share| share / divisor).collect();
    let sum: u64 = reduced.iter().sum();
    if sum <= limit {
        return reduced;
    }
    let owners = reduced.iter().filter(|share| **share > 0).count() as u64;
    // Each owner keeps one slot; the others go by share, rounded down, so the sum can't exceed the limit.
    let rest = limit.saturating_sub(owners);
    reduced.iter().map(|share| if *share == 0 { 0 } else { 1 + share * rest / sum }).collect()
}

pub(super) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Gives owner `i` `shares[i]` steps: its k-th stands where (2k + 1) / (2 * share) of the turn has passed.
fn interleave(shares: &[u64]) -> Vec<usize> {
    let mut places: Vec<(u128, usize)> = Vec::new();
    for (owner, share) in shares.iter().enumerate() {
        // Positions as fixed-point fractions of a turn: shares are at most 2^15, so 2^64 keeps them apart.
        places.extend((0..*share).map(|k| ((u128::from(2 * k + 1) << 64) / u128::from(2 * share), owner)));
    }
    places.sort_unstable();
    places.into_iter().map(|(_, owner)| owner).collect()
}
