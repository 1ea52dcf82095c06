//! Which target is probed when.
//!
//! Attempts of a target start its pace's `interval` apart, or `retry` after one that did not go well. The first starts
//! at a moment drawn from the target's name and a seed, within `jitter`, so that targets don't fire together. A target
//! has at most one attempt under way: one that overruns its time starts again as soon as it ends. All have a place
//! of their own, so a slow target delays no other, unless `limit` attempts are under way; then whoever waits longest is
//! next.

use crate::{Pace, TargetId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Attempts to come. Every target that [`Self::start`] gives out must be given back to [`Self::finish`] or
/// removed.
#[derive(Debug)]
pub(crate) struct Schedule {
    seed: u64,
    limit: usize,
    turns: BTreeMap<TargetId, Turn>,
    /// Targets without an attempt under way, by when their next is due.
    waiting: BTreeSet<(Instant, TargetId)>,
}

#[derive(Debug)]
struct Turn {
    pace: Pace,
    /// The last attempt went well, or there was none yet.
    well: bool,
    /// What the next attempt is counted from: when the last one should have started; `None` before the first.
    last: Option<Instant>,
    progress: Progress,
}

#[derive(Debug, Clone, Copy)]
enum Progress {
    /// The next attempt starts then.
    Due(Instant),
    /// One is under way.
    Started {
        /// When it should have started.
        due: Instant,
        /// When it did.
        at: Instant,
    },
}

impl Schedule {
    /// Nothing to probe yet; at most `limit` attempts (at least one) are under way at a time.
    #[must_use]
    pub(crate) fn new(seed: u64, limit: usize) -> Self {
        Self { seed, limit: limit.max(1), turns: BTreeMap::new(), waiting: BTreeSet::new() }
    }

    /// Adds a target, or starts one anew.
    pub(crate) fn insert(&mut self, id: TargetId, pace: Pace, now: Instant) {
        self.remove(&id);
        let due = now + self.draw(&id, pace.jitter.min(LONGEST));
        self.waiting.insert((due, id.clone()));
        self.turns.insert(id, Turn { pace, well: true, last: None, progress: Progress::Due(due) });
    }

    /// Changes the pace of a target, which goes on in step: its next attempt starts within its new interval, at the
    /// same moment of it as before, so that many targets that change together don't fire together.
    pub(crate) fn set_pace(&mut self, id: &TargetId, pace: Pace, now: Instant) {
        let Some(turn) = self.turns.get_mut(id) else { return };
        turn.pace = pace;
        let Progress::Due(before) = turn.progress else { return };
        let period = turn.period();
        let due = in_step(turn.last.map_or(before, |last| last + period), period, now);
        turn.progress = Progress::Due(due);
        self.waiting.remove(&(before, id.clone()));
        self.waiting.insert((due, id.clone()));
    }

    /// Forgets a target, also one with an attempt under way.
    pub(crate) fn remove(&mut self, id: &TargetId) {
        if let Some(Turn { progress: Progress::Due(due), .. }) = self.turns.remove(id) {
            self.waiting.remove(&(due, id.clone()));
        }
    }

    /// A target to probe now. Call until it gives none; then again at [`Self::wakeup`] and after each
    /// [`Self::finish`].
    pub(crate) fn start(&mut self, now: Instant) -> Option<TargetId> {
        if self.is_full() || self.waiting.first()?.0 > now {
            return None;
        }
        let (due, id) = self.waiting.pop_first()?;
        let turn = self.turns.get_mut(&id)?;
        turn.progress = Progress::Started { due, at: now };
        Some(id)
    }

    /// The attempt of a target has ended: `well`, or it is to be made again after the time for that.
    pub(crate) fn finish(&mut self, id: &TargetId, well: bool) {
        let Some(turn) = self.turns.get_mut(id) else { return };
        let Progress::Started { due, at } = turn.progress else { return };
        turn.well = well;
        // Counted from when it was due, so that lateness does not add up; turns that were missed are left out.
        let from = if due + turn.period() > at { due } else { at };
        let next = from + turn.period();
        turn.last = Some(from);
        turn.progress = Progress::Due(next);
        self.waiting.insert((next, id.clone()));
    }

    /// When the next attempt is due; `None` if nothing is until an attempt ends.
    #[must_use]
    pub(crate) fn wakeup(&self) -> Option<Instant> {
        if self.is_full() { None } else { self.waiting.first().map(|(due, _)| *due) }
    }

    fn is_full(&self) -> bool {
        self.turns.len().saturating_sub(self.waiting.len()) >= self.limit
    }

    fn draw(&self, id: &TargetId, below: Duration) -> Duration {
        let hash = id.as_str().bytes().fold(self.seed, |hash, byte| mix(hash ^ u64::from(byte)));
        Duration::from_nanos(hash % nanos(below).max(1))
    }
}

impl Turn {
    /// From one start to the next.
    fn period(&self) -> Duration {
        let period = if self.well { self.pace.interval } else { self.pace.retry };
        period.clamp(SHORTEST, LONGEST)
    }
}

/// The moment within a period from `now` that is a whole number of periods from `due`; `due` itself if it is one.
fn in_step(due: Instant, period: Duration, now: Instant) -> Instant {
    let period = nanos(period).max(1);
    let ahead = match due.checked_duration_since(now) {
        Some(ahead) if nanos(ahead) <= period => return due,
        Some(ahead) => nanos(ahead) % period,
        None => period - nanos(now.saturating_duration_since(due)) % period,
    };
    now + Duration::from_nanos(ahead)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A bijection that spreads its input over all bits (the finalizer of SplitMix64).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests;
