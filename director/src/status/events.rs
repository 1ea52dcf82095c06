//! What happened in the virtual router, as it is shown.

use serde::{Deserialize, Serialize};

/// Some of the events that the director remembers: the last 1,000 since it started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsStatus {
    /// Number of the last event there is; 0: none. Less than was seen before: the director has been restarted.
    pub last: u64,
    /// Those that were asked for, oldest first.
    pub events: Vec<EventStatus>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventStatus {
    /// Its number, counted from 1 since the daemon started.
    pub number: u64,
    /// When, as `2026-01-31T12:34:56.789Z`.
    pub at: String,
    /// How much it matters.
    pub level: LevelStatus,
    /// What kind of event: `role`, `link`, `dual-active` and so on.
    pub kind: String,
    /// What happened, in words.
    pub text: String,
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LevelStatus {
    /// As it should be.
    Info,
    /// Worth a look.
    Warning,
}

impl LevelStatus {
    /// The word that the API and the tables use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
        }
    }
}
