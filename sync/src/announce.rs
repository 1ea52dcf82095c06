//! Telling the neighbours that addresses are here now: how often, and the sockets that do it.

mod schedule;
#[cfg(feature = "announce")]
mod sockets;

pub use schedule::Schedule;
#[cfg(feature = "announce")]
pub use sockets::{AnnounceError, Outlet, Sockets};

use std::time::Duration;

/// How the neighbours are told that addresses are here now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcements {
    /// Frames for each address in a burst, at least one.
    pub count: u8,
    /// Time between them.
    pub spacing: Duration,
    /// A second burst comes so long after the first began; `None`: there is none.
    pub repeat: Option<Duration>,
    /// One frame for each address every so often, as long as it is here; `None`: none.
    pub refresh: Option<Duration>,
}

impl Default for Announcements {
    /// As keepalived: five frames, five more after 5 s. Beyond that one a minute, for neighbours that were away.
    fn default() -> Self {
        Self {
            count: 5,
            spacing: Duration::from_millis(20),
            repeat: Some(Duration::from_secs(5)),
            refresh: Some(Duration::from_secs(60)),
        }
    }
}
