//! What the control loop tells in the log, by matter.

use crate::telling::Budget;
use std::time::Instant;

/// What is told in the log, by matter.
#[derive(Debug)]
pub(super) struct Telling {
    /// Verdicts that turned.
    pub(super) verdicts: Budget,
    /// Servers that changed in a service.
    pub(super) servers: Budget,
}

impl Default for Telling {
    fn default() -> Self {
        Self {
            verdicts: Budget::new("verdicts changed: the status has them all"),
            servers: Budget::new("servers changed: the status has them all"),
        }
    }
}

impl Telling {
    /// Says how much was left out, once it is time to.
    pub(super) fn catch_up(&mut self, now: Instant) {
        self.verdicts.catch_up(now);
        self.servers.catch_up(now);
    }
}
