//! What was heard: the Active, links, other Actives.

use crate::vrrp::timing::{Interval, Priority, Time};
use std::net::IpAddr;
use std::time::Duration;

/// The Active, as a Backup hears it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leader {
    pub(super) from: IpAddr,
    pub(super) priority: Priority,
    pub(super) interval: Interval,
    pub(super) heard: Time,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Hearing {
    pub(super) up: bool,
    pub(super) heard: Time,
    pub(super) silent: bool,
}

impl Hearing {
    pub(super) const fn new(now: Time) -> Self {
        Self { up: true, heard: now, silent: false }
    }
}

/// How often, and how long, others were Active too.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Dual {
    pub(super) episodes: u64,
    pub(super) total: Duration,
    pub(super) last: Option<Time>,
}

impl Dual {
    /// True for the first advert of an episode.
    pub(super) fn heard(&mut self, now: Time) -> bool {
        let last = self.last.replace(now);
        match last {
            Some(last) => self.total += now.since(last),
            None => self.episodes += 1,
        }
        last.is_none()
    }

    /// True if an episode ended since nothing was heard for `patience`.
    pub(super) fn ended(&mut self, now: Time, patience: Duration) -> bool {
        self.last.take_if(|last| now.since(*last) >= patience).is_some()
    }
}
