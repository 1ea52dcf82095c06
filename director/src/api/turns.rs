//! How much of what takes its time happens at once; what is more is refused.

use health::probe::Resources;
use tokio::sync::Semaphore;

/// Listings of the kernel's tables, and endings.
pub(super) const LOOKS: usize = 4;
/// Servers whose probes are tried.
pub(super) const TRIALS: usize = 4;

/// What trials share.
#[derive(Debug)]
pub(super) struct Trials {
    pub(super) resources: Resources,
    pub(super) turns: Semaphore,
}

impl Default for Trials {
    fn default() -> Self {
        Self { resources: Resources::default(), turns: Semaphore::new(TRIALS) }
    }
}
