//! What happened in the virtual router, as it is shown.

use serde::{Deserialize, Serialize};

/// Some of the last 1,000 events, which the director remembers also when it is restarted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsStatus {
    /// Number of the last event there is; 0: none. Less than was seen before: the director lost its state folder.
    pub last: u64,
    /// Those that were asked for, oldest first.
    pub events: Vec<EventStatus>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventStatus {
    /// Its number. Numbers that are missing stand for events that are no longer known: all of a run that was killed, if
    /// there were any.
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
