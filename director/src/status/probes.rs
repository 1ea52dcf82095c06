//! What probes say of a server.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is known from one probe of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeStatus {
    /// The probe's name.
    pub name: String,
    /// Whether the server passes it.
    pub state: ProbeState,
    /// Why, in words.
    pub reason: String,
    /// What failed last, in one word; `None` if the last attempt passed, or there was none.
    pub fault: Option<String>,
    /// Something to look at though it passes.
    pub note: Option<String>,
    /// The weight that it asks for.
    pub weight: Option<u8>,
    /// It passes, but slowly.
    pub slow: bool,
    /// It went down too often, and has to prove itself before it is up again.
    pub damped: bool,
    /// When `state` last changed, or probing began (RFC 3339, UTC); `None` if it has not begun.
    pub since: Option<String>,
    /// Duration of the last attempt in microseconds; `None` before the first.
    pub latency_micros: Option<u64>,
    /// Attempts so far.
    pub attempts: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// The same by what failed, in one word; only what did.
    pub faults: BTreeMap<String, u64>,
    /// The last attempts, at most 20 and oldest first: `.` passed, `x` failed.
    pub results: String,
}

/// Whether a server passes a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeState {
    /// It does.
    Up,
    /// It does not.
    Down,
    /// Nobody knows yet.
    Unknown,
}

impl ProbeState {
    /// The word that the API, the tables and the log use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

impl From<health::State> for ProbeState {
    fn from(state: health::State) -> Self {
        match state {
            health::State::Up => Self::Up,
            health::State::Down => Self::Down,
            health::State::Unknown => Self::Unknown,
        }
    }
}

/// A probe of a server with its last attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeHistory {
    /// What is known now.
    #[serde(flatten)]
    pub probe: ProbeStatus,
    /// How long those of the history took that passed; `None` if none did.
    pub latencies: Option<LatenciesStatus>,
    /// At most 20 attempts, oldest first.
    pub history: Vec<AttemptStatus>,
}

/// How long attempts took, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatenciesStatus {
    /// The quickest.
    pub least_micros: u64,
    /// On average.
    pub mean_micros: u64,
    /// The slowest.
    pub greatest_micros: u64,
}

/// An attempt of the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptStatus {
    /// When it ended (RFC 3339, UTC).
    pub at: String,
    /// It passed.
    pub passed: bool,
    /// What failed, in one word; `None` if it passed.
    pub fault: Option<String>,
    /// Why it failed, or what is to be looked at though it passed.
    pub reason: Option<String>,
    /// Its duration in microseconds.
    pub latency_micros: u64,
}
