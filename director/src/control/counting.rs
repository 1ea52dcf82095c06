//! Reads the kernel's counters in time, and often enough.

use super::memory::Traffic;
use crate::traffic::{Connections, Flows};
use director_core::ids::{DestinationId, ServiceNumber};
use director_core::persistence::Report;
use director_nft::netlink::{Conntrack, Flow};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// From one dump of the connections to the next: they stay in the kernel's table for 10 s after their end at least.
const DUMP_PERIOD: Duration = Duration::from_secs(5);

/// From one reading of all counters to the next, if nobody wants to see them. The kernel's elements keep their counts;
/// what somebody else removes with an element is lost.
const COUNT_PERIOD: Duration = Duration::from_secs(60);

/// Share of the time that may go into dumps: one in so many.
const DUTY: u32 = 20;

/// Least time between two dumps, whoever asks.
const GAP: Duration = Duration::from_millis(500);

/// The counters, and when they were read last.
#[derive(Debug, Default)]
pub(super) struct Counting {
    connections: Connections,
    flows: Flows,
    entries: Entries,
    evicted: BTreeMap<ServiceNumber, u64>,
    counted: Option<Instant>,
    dumped: Option<Instant>,
    /// What was counted is no longer good enough to be shown.
    outdated: bool,
    cost: Duration,
}

/// Persistence entries that there are.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// IPv4, IPv6.
    pub(super) by_family: [u64; 2],
    /// By destination id.
    pub(super) by_destination: BTreeMap<u32, u64>,
}

impl Counting {
    /// Goes on from what an earlier run has counted.
    pub(super) fn resume(traffic: Traffic) -> Self {
        let flows = Flows::resume(traffic.totals);
        Self { connections: traffic.connections, flows, evicted: traffic.evicted, ..Self::default() }
    }

    pub(super) fn connections(&mut self) -> &mut Connections {
        &mut self.connections
    }

    pub(super) fn connections_so_far(&self) -> &Connections {
        &self.connections
    }

    pub(super) fn flows(&self) -> &Flows {
        &self.flows
    }

    /// Persistence entries at the last round.
    pub(super) fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Persistence entries that made room for others so far, by service.
    pub(super) fn evicted(&self) -> &BTreeMap<ServiceNumber, u64> {
        &self.evicted
    }

    /// Takes the figures of a round over.
    pub(super) fn count_entries(&mut self, report: Report) {
        self.entries = Entries { by_family: report.entries, by_destination: report.by_destination };
        for (service, evicted) in report.evicted {
            let total = self.evicted.entry(service).or_default();
            *total = total.saturating_add(evicted);
        }
    }

    /// What the next run goes on from.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            connections: self.connections.clone(),
            totals: self.flows.totals().clone(),
            evicted: self.evicted.clone(),
        }
    }

    /// All counters have been read.
    pub(super) fn counted(&mut self) {
        self.counted = Some(Instant::now());
        self.outdated = false;
    }

    /// The figures are to be read again before they are shown.
    pub(super) fn distrust(&mut self) {
        self.outdated = true;
    }

    /// True if it is time to read all counters.
    pub(super) fn count_due(&self, now: Instant) -> bool {
        self.counted.is_none_or(|counted| now >= counted + COUNT_PERIOD.max(self.cost * DUTY))
    }

    /// True if it is time for [`Self::poll`]. Dumps of a large table come less often.
    pub(super) fn dump_due(&self, now: Instant) -> bool {
        self.dumped.is_none_or(|dumped| now >= dumped + DUMP_PERIOD.max(self.cost * DUTY))
    }

    /// True if the figures are too old to be shown.
    pub(super) fn stale(&self, now: Instant) -> bool {
        self.outdated || self.counted.is_none_or(|counted| now >= counted + GAP.max(self.cost * DUTY))
    }

    /// What the last dump took.
    pub(super) fn cost(&self) -> Duration {
        self.cost
    }

    /// Dumps the director's connections; false if that failed, and the figures are the old ones.
    pub(super) fn poll(&mut self, conntrack: &mut Conntrack) -> bool {
        self.poll_and_show(conntrack, |_| {})
    }

    /// As [`Self::poll`], and shows them to somebody else.
    pub(super) fn poll_and_show(&mut self, conntrack: &mut Conntrack, mut each: impl FnMut(&Flow)) -> bool {
        let start = Instant::now();
        let mut dump = self.flows.dump();
        let dumped = conntrack.dump(DestinationId::FLAG, DestinationId::FLAG, |flow| {
            dump.add(flow);
            each(flow);
        });
        match &dumped {
            Ok(()) => dump.finish(),
            Err(error) => tracing::warn!(%error, "can't dump connections; their figures stay"),
        }
        self.cost = start.elapsed();
        self.dumped = Some(Instant::now());
        dumped.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_when_somebody_looks_and_once_a_minute() {
        let mut counting = Counting::default();
        let now = Instant::now();
        assert!(counting.count_due(now) && counting.stale(now));
        counting.counted();
        let now = Instant::now();
        assert!(!counting.stale(now) && counting.stale(now + GAP));
        assert!(!counting.count_due(now + DUMP_PERIOD) && counting.count_due(now + COUNT_PERIOD));
    }

    #[test]
    fn an_override_outdates_what_is_shown_and_asks_for_no_reading() {
        let mut counting = Counting::default();
        counting.counted();
        counting.distrust();
        let now = Instant::now();
        assert!(counting.stale(now) && !counting.count_due(now));
        counting.counted();
        assert!(!counting.stale(Instant::now()));
    }
}
