//! What is probed, and how.

use crate::{Kind, Policy};
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

/// One thing to probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What is tried; shared, as many servers are probed alike.
    pub kind: Arc<Kind>,
    /// Where; the port is 0 for kinds that have none.
    pub address: SocketAddr,
    /// How attempts leave.
    pub origin: Origin,
    /// When attempts are made.
    pub pace: Pace,
    /// An attempt without an outcome by then has failed. Not over `pace.interval`, or attempts come late.
    pub timeout: Duration,
    /// How outcomes make a verdict.
    pub policy: Policy,
}

/// How attempts leave the director.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// Address that they leave from, of the same family as the target's; `None` leaves it to the routes.
    pub source: Option<IpAddr>,
    /// Mark of their packets, for policy routing; 0: none. Programs of an exec probe leave as they like.
    pub mark: u32,
}

/// When attempts are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From one attempt's start to the next one's; kept within 1 ms and a day.
    pub interval: Duration,
    /// The same while attempts fail or the verdict is not up.
    pub retry: Duration,
    /// The first attempt starts at a random moment within it.
    pub jitter: Duration,
}
