//! Targets that go up and down.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A target that went down too often stays down until it has proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damping {
    /// So many times down, counted as 1 to [`MOST_CHANGES`] ...
    pub changes: u32,
    /// ... within this time are too often;
    pub within: Duration,
    /// then it must pass without a failure for so long to come up.
    pub hold: Duration,
}

/// So many times down are kept in mind.
pub const MOST_CHANGES: u32 = 100;

/// When a target went down.
#[derive(Debug, Clone, Default)]
pub(super) struct Falls {
    /// Those that counted when it went down last, oldest first.
    recent: VecDeque<Instant>,
    too_many: bool,
    /// End of the first success since the last failure.
    passing_since: Option<Instant>,
}

impl Falls {
    /// It goes down.
    pub(super) fn fell(&mut self, damping: Damping, now: Instant) {
        while self.recent.front().is_some_and(|&at| now.saturating_duration_since(at) > damping.within)
            || self.recent.len() >= MOST_CHANGES as usize
        {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.too_many = self.recent.len() >= damping.changes.clamp(1, MOST_CHANGES) as usize;
    }

    /// It comes up. The times that it went down still count.
    pub(super) fn forgive(&mut self) {
        self.too_many = false;
    }

    /// An attempt passed.
    pub(super) fn passing(&mut self, now: Instant) {
        self.passing_since.get_or_insert(now);
    }

    /// One failed, or what was passing is no longer what is probed.
    pub(super) fn not_passing(&mut self) {
        self.passing_since = None;
    }

    /// True from the time down that was too much until it comes up.
    pub(super) fn are_too_many(&self) -> bool {
        self.too_many
    }

    /// How often it went down.
    pub(super) fn count(&self) -> usize {
        self.recent.len()
    }

    /// For so long it must still pass to come up.
    pub(super) fn remaining(&self, damping: Damping, now: Instant) -> Duration {
        if !self.too_many {
            return Duration::ZERO;
        }
        let passing = self.passing_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        damping.hold.saturating_sub(passing)
    }
}
