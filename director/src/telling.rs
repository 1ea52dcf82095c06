//! Keeps the log readable when a hundred servers die together: so many lines a second are written, the rest is counted.

use std::time::{Duration, Instant};

/// Lines on one matter within [`PERIOD`].
const LINES: u32 = 20;
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// Lines of one matter.
#[derive(Debug)]
pub(crate) struct Budget {
    matter: &'static str,
    /// Since the first line of the period.
    since: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl Budget {
    /// Lines that end in `and so many more {matter}` when some were left out.
    pub(crate) fn new(matter: &'static str) -> Self {
        Self { matter, since: None, written: 0, left_out: 0 }
    }

    /// True if one more line may be written.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.catch_up(now);
        self.since.get_or_insert(now);
        let may = self.written < LINES;
        if may {
            self.written += 1;
        } else {
            self.left_out += 1;
        }
        may
    }

    /// Says how many lines were left out, once it is time to.
    pub(crate) fn catch_up(&mut self, now: Instant) {
        if let Some(more) = self.settle(now) {
            tracing::info!(more, "and {more} more {}", self.matter);
        }
    }

    /// Lines were left out that nobody was told of.
    pub(crate) fn owes(&self) -> bool {
        self.left_out > 0
    }

    /// Begins anew when the period is over; tells how many lines were left out in it, if any.
    fn settle(&mut self, now: Instant) -> Option<u64> {
        self.since.filter(|since| now.saturating_duration_since(*since) >= PERIOD)?;
        let left_out = std::mem::replace(self, Self::new(self.matter)).left_out;
        (left_out > 0).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_lines_a_second_and_then_how_many_more() {
        let start = Instant::now();
        let mut budget = Budget::new("servers");
        assert_eq!((0..100).filter(|_| budget.take(start)).count(), 20);
        assert_eq!(budget.settle(start + PERIOD / 2), None);
        assert_eq!(budget.settle(start + PERIOD), Some(80));
        assert_eq!(budget.settle(start + PERIOD * 3), None, "it is said once");
        assert!(budget.take(start + PERIOD * 3), "and a new second begins");
    }

    #[test]
    fn a_line_now_and_then_is_always_written() {
        let start = Instant::now();
        let mut budget = Budget::new("servers");
        assert!((0..100).all(|second| budget.take(start + PERIOD * second)));
        assert_eq!(budget.settle(start + PERIOD * 1000), None);
    }
}
