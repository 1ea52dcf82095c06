//! One look at the kernel's counters and connections. With a large table it takes its time, so it runs beside the
//! control loop, on sockets of its own.

use crate::traffic::{Found, Meter, Readings};
use director_core::ids::DestinationId;
use director_core::model::Model;
use director_core::persistence::{Live, Policies, holds};
use director_nft::netlink::{Conntrack, Error, Flow, Nft};
use nix::errno::Errno;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What it takes to read.
pub(super) struct Tools {
    conntrack: Conntrack,
    nft: Nft,
    meter: Meter,
}

/// What to read.
pub(super) struct Task {
    /// Maps whose elements count.
    pub(super) maps: Vec<&'static str>,
    /// Somebody who wants to know which clients have connections.
    pub(super) look: Option<Look>,
}

/// Clients with connections, in the eyes of a configuration.
pub(super) struct Look {
    pub(super) model: Arc<Model>,
    pub(super) policies: Policies,
    pub(super) live: Live,
}

/// What was read.
pub(super) struct Reading {
    pub(super) began: Instant,
    pub(super) cost: Duration,
    /// `None` if they could not be read.
    pub(super) readings: Option<Readings>,
    /// `None` if the connections could not be read.
    pub(super) found: Option<Found>,
    pub(super) look: Option<Look>,
}

impl Tools {
    pub(super) fn open() -> Result<Self, Error> {
        Ok(Self { conntrack: Conntrack::open()?, nft: Nft::open()?, meter: Meter::default() })
    }

    /// Reads; blocks while the kernel works.
    pub(super) fn read(&mut self, task: Task) -> Reading {
        let began = Instant::now();
        let readings = match self.elements(&task.maps) {
            Ok(readings) => Some(readings),
            // Somebody removed the table, or the control loop puts another map in a map's place just now.
            Err(error) if error.errno() == Some(Errno::ENOENT as i32) => None,
            Err(error) => {
                tracing::warn!(%error, "can't read the connection counters");
                None
            }
        };
        let mut look = task.look;
        let mut dump = self.meter.dump();
        let each = |flow: &Flow| {
            dump.add(flow);
            if let Some(look) = &mut look
                && holds(flow.protocol, flow.tcp_state)
            {
                look.live.add(&look.policies, flow.original.source, flow.mark);
            }
        };
        let found = match self.conntrack.dump(DestinationId::FLAG, DestinationId::FLAG, each) {
            Ok(()) => Some(dump.finish()),
            Err(error) => {
                tracing::warn!(%error, "can't dump connections; their figures stay");
                None
            }
        };
        Reading { began, cost: began.elapsed(), readings, found, look }
    }

    fn elements(&mut self, maps: &[&str]) -> Result<Readings, Error> {
        let mut readings = Readings::default();
        for map in maps {
            let counters = self.nft.counters_in_passing(map)?;
            readings.add(map, counters.into_iter().map(|(key, counter)| (key, counter.packets)));
        }
        Ok(readings)
    }
}
