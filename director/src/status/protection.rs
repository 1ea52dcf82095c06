//! What limits and protects a service.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How fast one client may open connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimitStatus {
    /// So many.
    pub connections: u32,
    /// In this time: `second`, `minute`, `hour` or `day`.
    pub per: String,
    /// So many at once.
    pub burst: u32,
    /// Connections refused so far. Never runs backwards.
    pub refused: u64,
}

impl fmt::Display for RateLimitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, per, burst, refused } = self;
        write!(f, "limit {connections}/{per} burst {burst}")?;
        if *refused > 0 { write!(f, " refused {refused}") } else { Ok(()) }
    }
}

/// Whether a service that asks for SYN protection has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SynProtectionStatus {
    /// It has.
    On,
    /// This kernel has no SYN proxy: the service runs without.
    Unsupported,
}
