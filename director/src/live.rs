//! Counts live connections, while there are services that have to know.
//!
//! ```text
//! conntrack ──events──▶ reader ──▶ Tally ──what moved──▶ Control: slots, thresholds
//!           ◀──census──   (a thread of its own)
//! ```
//!
//! Listening makes every new connection of the machine dearer, so nobody does unless a scheduler goes by the number of
//! connections, or a server has thresholds.

mod forecast;
mod reader;
mod tally;

use crate::decide::Demands;
use director_core::ids::{Registry, ServiceNumber};
use director_core::model::Model;
use director_core::pool::{Demand, needs_loads};
use forecast::Forecast;
use reader::Reader;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Least time between two decisions about a service. Forecasts are for as long.
pub const PERIOD: Duration = Duration::from_millis(100);

/// When to look again at services that were busy, and may be no more.
const SETTLE: Duration = Duration::from_secs(1);

/// Live connections of the services that have to know.
#[derive(Debug, Default)]
pub struct Live {
    services: BTreeMap<ServiceNumber, Watched>,
    reader: Option<Reader>,
    /// Services of which several connections were expected at the last look.
    busy: BTreeSet<ServiceNumber>,
}

/// Why connections can't be counted.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// Netlink.
    #[error(transparent)]
    Netlink(#[from] director_nft::netlink::Error),
    /// There is no thread to be had.
    #[error("can't start to count connections: {0}")]
    Thread(#[source] std::io::Error),
}

#[derive(Debug)]
struct Watched {
    name: String,
    /// Destination ids and names.
    servers: Vec<(u32, String)>,
    forecast: Option<Forecast>,
}

impl Live {
    /// Counts for the services of `model` that need it from now on, and stops if none does. All of them have moved
    /// once their connections are counted, if others were counted before.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub fn watch(&mut self, model: &Model, registry: &Registry) -> Result<(), LiveError> {
        let mut services = BTreeMap::new();
        for service in model.services.values().filter(|service| needs_loads(service)) {
            let Some(number) = registry.service(&service.name) else { continue };
            let id = |server: &String| Some((registry.server(&service.name, server)?.get(), server.clone()));
            let servers = service.servers.keys().filter_map(id).collect();
            let forecast = self.services.get(&number).and_then(|it| it.forecast);
            services.insert(number, Watched { name: service.name.clone(), servers, forecast });
        }
        if !services.keys().eq(self.services.keys()) {
            let numbers: BTreeSet<ServiceNumber> = services.keys().copied().collect();
            self.reader = if numbers.is_empty() { None } else { Some(Reader::start(numbers)?) };
        }
        self.busy.retain(|service| services.contains_key(service));
        self.services = services;
        Ok(())
    }

    /// Waits until connections of a service have moved that had not since the last [`Self::take`].
    pub async fn moved(&self) {
        match &self.reader {
            Some(reader) => reader.moved().await,
            None => std::future::pending().await,
        }
    }

    /// Services that moved or were busy, and their connections.
    pub fn take(&mut self, now: Instant) -> Demands {
        let Some(reader) = &self.reader else { return Demands::new() };
        let mut tally = reader.tally();
        let mut look = tally.take_moved();
        look.append(&mut self.busy);
        let mut demands = Demands::new();
        for number in look {
            let Some(it) = self.services.get_mut(&number) else { continue };
            let arrivals = tally.arrivals(number);
            let forecast = it.forecast.get_or_insert_with(|| Forecast::new(arrivals, now));
            let expected = forecast.expect(arrivals, now, PERIOD);
            if expected > 1 {
                self.busy.insert(number);
            }
            let loads = it.servers.iter().map(|(id, server)| (server.clone(), tally.load(*id))).collect();
            demands.insert(it.name.clone(), Demand { loads, expected });
        }
        demands
    }

    /// How long to wait at most before [`Self::take`] is called again.
    #[must_use]
    pub fn settles(&self) -> Option<Duration> {
        (!self.busy.is_empty()).then_some(SETTLE)
    }
}
