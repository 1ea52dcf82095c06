//! What services offer: verdicts, overrides, port states and live connections to the pool of each service.

use crate::targets::VerdictMap;
use crate::verdicts::health_of;
use director_core::availability::Health;
use director_core::clocks::Clocks;
use director_core::model::{Model, Service};
use director_core::overrides::Override;
use director_core::pool::{Demand, Observation, Offer, Offers, Pool};
use director_core::ports::PortStates;
use std::collections::{BTreeMap, BTreeSet};

/// Overrides by service and server.
pub type Overrides = BTreeMap<String, BTreeMap<String, Override>>;

/// States of ports that operators set, by service.
pub type PortOverrides = BTreeMap<String, PortStates>;

/// Live connections by service, of those that need to know.
pub type Demands = BTreeMap<String, Demand>;

/// What is remembered of each service, by name.
pub type Pools = BTreeMap<String, Pool>;

/// Everything that decisions are made from.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The configuration.
    pub model: &'a Model,
    /// What probes say.
    pub verdicts: &'a VerdictMap,
    /// What operators set.
    pub overrides: &'a Overrides,
    /// What they set for ports.
    pub ports: &'a PortOverrides,
    /// Live connections.
    pub demands: &'a Demands,
    /// When that is.
    pub now: Clocks,
}

/// Services of which something has lapsed or become due by `now`, since they were decided on.
pub fn due(overrides: &Overrides, pools: &Pools, now: Clocks) -> BTreeSet<String> {
    let lapsed = |it: &Override| it.at(now.wall) != *it || it.drain.is_some_and(|drain| drain.cuts(now.wall));
    let overridden = overrides.iter().filter(|(_, servers)| servers.values().any(lapsed));
    let pools = pools.iter().filter(|(_, pool)| pool.next_change().is_some_and(|at| at <= now.steady));
    overridden.map(|(name, _)| name).chain(pools.map(|(name, _)| name)).cloned().collect()
}

impl Situation<'_> {
    /// Decides for one service.
    pub fn offer(&self, service: &Service, pools: &mut Pools) -> Offer {
        let (no_overrides, no_ports, no_demand) = (BTreeMap::new(), PortStates::default(), Demand::unknown());
        let health: BTreeMap<String, Health> = service
            .servers
            .values()
            .map(|server| (server.name.clone(), health_of(self.model, service, server, self.verdicts)))
            .collect();
        let observation = Observation {
            health: &health,
            overrides: self.overrides.get(&service.name).unwrap_or(&no_overrides),
            ports: self.ports.get(&service.name).unwrap_or(&no_ports),
            demand: self.demands.get(&service.name).unwrap_or(&no_demand),
            now: self.now,
        };
        if let Some(pool) = pools.get_mut(&service.name) {
            return pool.offer(service, &observation);
        }
        pools.entry(service.name.clone()).or_default().offer(service, &observation)
    }

    /// Decides for all services. What is remembered of others is forgotten.
    pub fn offers(&self, pools: &mut Pools) -> Offers {
        let services = &self.model.services;
        pools.retain(|name, _| services.contains_key(name));
        services.values().map(|service| (service.name.clone(), self.offer(service, pools))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use director_core::config::load;
    use director_core::overrides::{AtDeadline, Drain, WeightOverride};

    const FARM: &str = "
version: 1
nodes: {lb1: {public: {interface: eth0, address: 192.168.1.33/24}, private: {interface: eth1, address: 10.0.1.33/24}}}
servers: {a: {address: 10.0.1.1}, b: {address: 10.0.1.2}}
services:
  mail: {vip: 192.168.1.35, ports: {tcp: 25}, slow_start: 62s, servers: {a: {}, b: {}}}
  web: {vip: 192.168.1.35, ports: {tcp: 80}, servers: {a: {}, b: {}}}
";

    fn set(service: &str, it: Override) -> Overrides {
        Overrides::from([(service.to_owned(), BTreeMap::from([("a".to_owned(), it)]))])
    }

    fn at(seconds: u64) -> Clocks {
        Clocks { wall: seconds, steady: seconds }
    }

    #[test]
    fn only_services_that_change_by_themselves_are_due() {
        let model = load(FARM, "farm").unwrap_or_else(|report| panic!("{report}"));
        let mut pools = Pools::new();
        let mut decide = |overrides: &Overrides, now| {
            let (model, verdicts, demands) = (&model, &VerdictMap::new(), &Demands::new());
            let ports = &PortOverrides::new();
            Situation { model, verdicts, overrides, ports, demands, now: at(now) }.offers(&mut pools);
            pools.clone()
        };
        let drained = set("mail", Override { weight: None, drain: Some(Drain::default()) });
        let pools = decide(&drained, 100);
        assert!(due(&drained, &pools, at(1_000)).is_empty());
        let pools = decide(&Overrides::new(), 200);
        assert!(due(&Overrides::new(), &pools, at(201)).is_empty());
        assert_eq!(due(&Overrides::new(), &pools, at(202)), ["mail".to_owned()].into());
    }

    #[test]
    fn a_service_is_due_when_something_set_for_it_lapses_or_ends() {
        let weight = Some(WeightOverride { weight: 3, until: Some(100) });
        let drain = Drain { deadline: Some(100), at_deadline: AtDeadline::Cut, ..Drain::default() };
        for it in [Override { weight, drain: None }, Override { weight: None, drain: Some(drain) }] {
            let overrides = set("web", it);
            assert!(due(&overrides, &Pools::new(), at(99)).is_empty());
            assert_eq!(due(&overrides, &Pools::new(), at(100)), ["web".to_owned()].into());
        }
    }
}
