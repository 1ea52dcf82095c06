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

/// An Active that a better director takes over from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Preempted {
    pub(super) from: IpAddr,
    pub(super) priority: Priority,
}

/// An Active that said that it leaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub(super) from: IpAddr,
    /// It will say hello, and why it left.
    pub(super) known: bool,
}

/// How often, and how long, others were Active too.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Dual {
    pub(super) episodes: u64,
    pub(super) total: Duration,
    pub(super) last: Option<Time>,
    until: Time,
}

impl Dual {
    /// True for the first word of an episode, which lasts `patience` longer.
    pub(super) fn heard(&mut self, now: Time, patience: Duration) -> bool {
        self.until = self.until.max(now + patience);
        let last = self.last.replace(now);
        match last {
            Some(last) => self.total += now.since(last),
            None => self.episodes += 1,
        }
        last.is_none()
    }

    /// True if an episode is over by now.
    pub(super) fn ended(&mut self, now: Time) -> bool {
        self.until <= now && self.end()
    }

    /// True if an episode ends with this.
    pub(super) fn end(&mut self) -> bool {
        self.until = Time::default();
        self.last.take().is_some()
    }
}
