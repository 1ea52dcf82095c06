//! Reads the kernel's counters in time, and often enough.

use super::memory::Traffic;
use crate::traffic::{Connections, Flows};
use director_core::ids::DestinationId;
use director_nft::netlink::Conntrack;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Connections stay in the kernel's table for 10 s after their end at least.
const PERIOD: Duration = Duration::from_secs(5);

/// Share of the time that may go into dumps: one in so many.
const DUTY: u32 = 20;

/// Least time between two dumps, whoever asks.
const GAP: Duration = Duration::from_millis(500);

/// The counters, and when they were read last.
#[derive(Debug, Default)]
pub(super) struct Counting {
    connections: Connections,
    flows: Flows,
    entries: BTreeMap<u32, u64>,
    counted: Option<Instant>,
    cost: Duration,
}

impl Counting {
    /// Goes on from what an earlier run has counted.
    pub(super) fn resume(traffic: Traffic) -> Self {
        let flows = Flows::resume(traffic.totals);
        Self { connections: traffic.connections, flows, ..Self::default() }
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

    /// Persistence entries by destination id.
    pub(super) fn entries(&self) -> &BTreeMap<u32, u64> {
        &self.entries
    }

    /// Takes a new count of the persistence entries over.
    pub(super) fn set_entries(&mut self, entries: BTreeMap<u32, u64>) {
        self.entries = entries;
    }

    /// What the next run goes on from.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic { connections: self.connections.clone(), totals: self.flows.totals().clone() }
    }

    /// All counters have been read.
    pub(super) fn counted(&mut self) {
        self.counted = Some(Instant::now());
    }

    /// The figures are to be read again before they are shown.
    pub(super) fn distrust(&mut self) {
        self.counted = None;
    }

    /// True if it is time to read all counters. Dumps of a large table come less often.
    pub(super) fn due(&self, now: Instant) -> bool {
        self.counted.is_none_or(|counted| now >= counted + PERIOD.max(self.cost * DUTY))
    }

    /// True if the figures are too old to be shown.
    pub(super) fn stale(&self, now: Instant) -> bool {
        self.counted.is_none_or(|counted| now >= counted + GAP.max(self.cost * DUTY))
    }

    /// Dumps the director's connections; false if that failed, and the figures are the old ones.
    pub(super) fn poll(&mut self, conntrack: &mut Conntrack) -> bool {
        let start = Instant::now();
        let mut dump = self.flows.dump();
        let dumped = conntrack.dump(DestinationId::FLAG, DestinationId::FLAG, |flow| dump.add(flow));
        match &dumped {
            Ok(()) => dump.finish(),
            Err(error) => tracing::warn!(%error, "can't dump connections; their figures stay"),
        }
        self.cost = start.elapsed();
        dumped.is_ok()
    }
}
