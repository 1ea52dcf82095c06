//! What a service offers: from what is known of each of its servers, what they get together.

use crate::availability::{Availability, Health, availability};
use crate::model::{PortRange, Scheduler, Service};
use crate::overrides::Override;
use std::collections::BTreeMap;

/// Parts of a whole share: a server that starts slowly has fewer of them for each unit of its weight.
pub const WHOLE: u32 = 32;

/// Live connections of a server in a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// TCP connections that open or are established, and UDP flows. LVS counts those that open as inactive, and so
    /// lets a burst flood the server that it finds first.
    pub active: u32,
    /// TCP connections that close. Those in TIME_WAIT have ended; LVS still counts them.
    pub inactive: u32,
}

/// What schedulers that go by live connections go by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demand {
    /// By server. One that is missing has none.
    pub loads: BTreeMap<String, Load>,
    /// New connections that are to come before the next decision, about.
    pub expected: u32,
}

/// What is known of a service's servers, by name.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// What their probes say; a server that is missing counts as up.
    pub health: &'a BTreeMap<String, Health>,
    /// What operators set.
    pub overrides: &'a BTreeMap<String, Override>,
    /// Their connections; only of services that need to know ([`needs_loads`]).
    pub demand: &'a Demand,
    /// Seconds since 1970.
    pub now: u64,
}

/// What a service has to offer at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// Availability of its servers by name. A server that is missing counts as removed.
    pub servers: BTreeMap<String, Availability>,
    /// Ports of the service that are refused. Each lies within a range of the service's ports.
    pub closed_ports: Vec<PortRange>,
    /// Empty where the scheduler does not go by it.
    pub demand: Demand,
}

impl Offer {
    /// What a service without servers offers.
    #[must_use]
    pub fn nothing() -> &'static Self {
        static NOTHING: Offer = Offer {
            servers: BTreeMap::new(),
            closed_ports: Vec::new(),
            demand: Demand { loads: BTreeMap::new(), expected: 0 },
        };
        &NOTHING
    }
}

/// What is remembered of a service from one decision to the next. A new one starts from the configuration.
#[derive(Debug, Clone, Default)]
pub struct Pool {}

impl Pool {
    /// Decides what the service offers now.
    pub fn offer(&mut self, service: &Service, observation: &Observation<'_>) -> Offer {
        let servers = service.servers.values().map(|server| {
            let health = observation.health.get(&server.name).unwrap_or(&Health::Up);
            let overridden = observation.overrides.get(&server.name).copied().unwrap_or_default();
            let mut it = availability(server, service.quiescence, health, overridden, observation.now);
            if matches!(service.scheduler, Scheduler::Rr | Scheduler::Lc) {
                it.share = it.share.min(WHOLE);
            }
            (server.name.clone(), it)
        });
        let counts = service.scheduler.counts_connections();
        Offer {
            servers: servers.collect(),
            closed_ports: service.disabled_ports.clone(),
            demand: if counts { observation.demand.clone() } else { Demand::default() },
        }
    }

    /// When the offer changes by itself, after the last decision, in seconds since 1970.
    #[must_use]
    pub fn next_change(&self) -> Option<u64> {
        None
    }
}

/// True if live connections of the service's servers have to be counted.
#[must_use]
pub fn needs_loads(service: &Service) -> bool {
    service.scheduler.counts_connections()
        || service.servers.values().any(|server| server.thresholds.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    /// Shares of servers with these weights.
    fn shares(scheduler: &str, weights: [u16; 3]) -> Vec<u32> {
        let [a, b, c] = weights;
        let text = format!(
            "
version: 1
nodes: {{lb1: {{public: {{interface: eth0, address: 192.168.1.33/24}}, private: {{interface: eth1, address: 10.0.1.33/24}}}}}}
servers: {{a: {{address: 10.0.1.1}}, b: {{address: 10.0.1.2}}, c: {{address: 10.0.1.3}}}}
services:
  web:
    vip: 192.168.1.35
    ports: {{tcp: 80}}
    scheduler: {scheduler}
    servers: {{a: {{weight: {a}}}, b: {{weight: {b}}}, c: {{weight: {c}}}}}
"
        );
        let model = load(&text, "farm").unwrap_or_else(|report| panic!("{report}"));
        let nothing = (BTreeMap::new(), BTreeMap::new(), Demand::default());
        let observation =
            Observation { health: &nothing.0, overrides: &nothing.1, demand: &nothing.2, now: 0 };
        let offer = Pool::default().offer(&model.services["web"], &observation);
        offer.servers.values().map(|it| it.share).collect()
    }

    #[test]
    fn rr_ignores_weights_but_for_zero() {
        assert_eq!(shares("rr", [5, 0, 2]), [WHOLE, 0, WHOLE]);
        assert_eq!(shares("wrr", [5, 0, 2]), [5 * WHOLE, 0, 2 * WHOLE]);
    }
}
