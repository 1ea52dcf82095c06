//! What is probed, and how.

use crate::Policy;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Everything that is probed, by its name.
pub type Targets = Arc<BTreeMap<TargetId, Target>>;

/// Name of a target, chosen by who wants it probed; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(Arc<str>);

impl TargetId {
    /// A target of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is tried on a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A TCP connection can be made.
    Tcp,
}

/// One thing to probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What is tried.
    pub kind: Kind,
    /// Where.
    pub address: SocketAddr,
    /// Address that probes leave from, of the same family; `None` leaves it to the routes.
    pub source: Option<IpAddr>,
    /// From one attempt's start to the next one's; kept within 1 ms and a day.
    pub interval: Duration,
    /// An attempt without an outcome by then has failed. Not over `interval`, or attempts come late.
    pub timeout: Duration,
    /// How outcomes make a verdict.
    pub policy: Policy,
}
