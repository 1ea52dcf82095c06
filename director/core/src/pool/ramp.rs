//! Parts of a share. Slow start: the share of a server grows from the moment when it begins to serve.

use crate::availability::{Availability, State, WHOLE};
use crate::model::{Ramp, SlowStart};

/// What is remembered of a server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory {
    /// It serves, or did so until it was overloaded.
    serves: bool,
    /// When it began to serve, by the steady clock, while it starts slowly.
    pub(super) since: Option<u64>,
}

impl Memory {
    /// What is remembered of it after a decision, which may be the `first` one of the service: then nothing says that
    /// its servers only begin to serve.
    pub(super) fn then(
        self,
        it: &Availability,
        slow_start: Option<SlowStart>,
        first: bool,
        now: u64,
    ) -> Self {
        let serves = it.share > 0 || it.state == State::Overloaded;
        let since = match slow_start {
            Some(slow_start) if serves && self.serves => {
                self.since.filter(|since| now.saturating_sub(*since) < slow_start.duration.as_secs())
            }
            Some(_) if serves && !first => Some(now),
            Some(_) | None => None,
        };
        Self { serves, since }
    }
}

/// Parts of [`WHOLE`] that a server has so many seconds after it began to serve.
pub(super) fn parts(slow_start: SlowStart, elapsed: u64) -> u32 {
    match slow_start.ramp {
        Ramp::Linear => 1 + step(slow_start, elapsed),
        Ramp::Doubling => 1 << step(slow_start, elapsed),
    }
}

/// The parts of [`WHOLE`] that come closest to a percentage, at least one.
pub(super) fn percent(percent: u8) -> u32 {
    ((u32::from(percent) * WHOLE + 50) / 100).max(1)
}

/// So many parts of a whole share. Those of heavy servers are rounded to units of weight, at least 1: exact ones would
/// have small common divisors, and take tens of slots for each unit.
pub(super) fn part(share: u32, parts: u32) -> u32 {
    let weight = share / WHOLE;
    if weight < WHOLE { weight * parts } else { (weight * parts + WHOLE / 2) / WHOLE * WHOLE }
}

/// Seconds from its begin until it has more of them; only while it does not have the whole.
pub(super) fn next_step(slow_start: SlowStart, elapsed: u64) -> u64 {
    let next = u64::from(step(slow_start, elapsed)) + 1;
    next.saturating_mul(seconds(slow_start)).div_ceil(u64::from(steps(slow_start.ramp)))
}

/// How many steps it is up.
fn step(slow_start: SlowStart, elapsed: u64) -> u32 {
    let steps = steps(slow_start.ramp);
    let step = elapsed.saturating_mul(u64::from(steps)) / seconds(slow_start);
    u32::try_from(step).unwrap_or(steps).min(steps)
}

fn seconds(slow_start: SlowStart) -> u64 {
    slow_start.duration.as_secs().max(1)
}

/// From the first part to the whole.
fn steps(ramp: Ramp) -> u32 {
    match ramp {
        Ramp::Linear => WHOLE - 1,
        Ramp::Doubling => WHOLE.ilog2(),
    }
}
