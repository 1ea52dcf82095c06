//! Targets that pass, but slowly.

/// Slow or quick, turned by successes in a row; failures say nothing about it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slowness {
    slow: bool,
    /// Successes in a row that speak against `slow`.
    against: u32,
}

impl Slowness {
    /// A success that was slow or quick: `fall` slow ones in a row make it slow, `rise` quick ones no longer.
    pub(super) fn observe(&mut self, slow: bool, rise: u32, fall: u32) {
        if slow == self.slow {
            self.against = 0;
            return;
        }
        self.against = self.against.saturating_add(1);
        if self.against >= self.needed(rise, fall) {
            *self = Self { slow, against: 0 };
        }
    }

    /// Counting starts anew.
    pub(super) fn restart(&mut self) {
        self.against = 0;
    }

    /// True if it is slow.
    pub(super) fn is_slow(self) -> bool {
        self.slow
    }

    /// Successes in a row that speak against what it is.
    pub(super) fn against(self) -> u32 {
        self.against
    }

    /// So many of them turn it.
    pub(super) fn needed(self, rise: u32, fall: u32) -> u32 {
        if self.slow { rise.max(1) } else { fall.max(1) }
    }
}
