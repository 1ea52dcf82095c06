//! What a service offers: from what is known of each of its servers, what they get together.
//!
//! Servers stand in tiers: levels of regular servers, and behind them the sorry servers. One tier serves: the lowest
//! level with a server that can, or the sorry servers if there is none or the quorum is lost. Within it, shares go by
//! weight, and are less while a server starts slowly or is slow.

mod quorum;
mod ramp;
#[cfg(test)]
mod tests;
mod tier;

pub use quorum::QuorumState;
pub use tier::Serving;

use crate::availability::{Availability, Health, State, WHOLE, availability};
use crate::clocks::Clocks;
use crate::model::{PortRange, Role, Scheduler, Service, SlowStart, Weight};
use crate::overrides::Override;
use crate::ports::PortStates;
use ramp::Memory;
use std::collections::{BTreeMap, BTreeSet};

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

impl Demand {
    /// What stands in for it while nobody counts: with very many connections to come, every scheduler spreads them by
    /// weight.
    #[must_use]
    pub fn unknown() -> Self {
        Self { loads: BTreeMap::new(), expected: u32::MAX }
    }
}

/// What is known of a service's servers, by name.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// What their probes say; a server that is missing counts as up.
    pub health: &'a BTreeMap<String, Health>,
    /// What operators set.
    pub overrides: &'a BTreeMap<String, Override>,
    /// What they set for its ports.
    pub ports: &'a PortStates,
    /// Their connections; only of services that need to know ([`needs_loads`]).
    pub demand: &'a Demand,
    /// When that is.
    pub now: Clocks,
}

/// What a service has to offer at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// Availability of its servers by name. A server that is missing counts as removed.
    pub servers: BTreeMap<String, Availability>,
    /// Who gets new connections.
    pub serving: Serving,
    /// How much of the service is up.
    pub quorum: QuorumState,
    /// Ports of the service that are refused. Each lies within a range of the service's ports.
    pub closed_ports: Vec<PortRange>,
    /// Those of them whose connections end.
    pub ended_ports: Vec<PortRange>,
    /// Empty where the scheduler does not go by it.
    pub demand: Demand,
}

/// Offers by service.
pub type Offers = BTreeMap<String, Offer>;

impl Offer {
    /// What a service offers; one that is not among them offers nothing.
    #[must_use]
    pub fn of<'a>(offers: &'a Offers, service: &str) -> &'a Self {
        offers.get(service).unwrap_or(Self::nothing())
    }

    /// What a service without servers offers.
    fn nothing() -> &'static Self {
        static NOTHING: Offer = Offer {
            servers: BTreeMap::new(),
            serving: Serving::Nobody,
            quorum: QuorumState { weight: 0, held: false },
            closed_ports: Vec::new(),
            ended_ports: Vec::new(),
            demand: Demand { loads: BTreeMap::new(), expected: 0 },
        };
        &NOTHING
    }
}

/// What is remembered of a service from one decision to the next. A new one starts from the configuration.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    /// The quorum as it was; `None` before the first decision.
    quorum: Option<QuorumState>,
    /// Servers that have reached their upper threshold, and have not been below the lower one since.
    overloaded: BTreeSet<String>,
    /// Servers by name.
    servers: BTreeMap<String, Memory>,
    next_change: Option<u64>,
}

impl Pool {
    /// Decides what the service offers now. The same input at the same time leads to the same offer, however often.
    pub fn offer(&mut self, service: &Service, observation: &Observation<'_>) -> Offer {
        let unprobed = Health::default();
        let mut servers: BTreeMap<String, Availability> = service
            .servers
            .values()
            .map(|server| {
                let health = observation.health.get(&server.name).unwrap_or(&unprobed);
                let overridden = observation.overrides.get(&server.name).copied().unwrap_or_default();
                let mut it =
                    availability(server, service.quiescence, health, overridden, observation.now.wall);
                if matches!(service.scheduler, Scheduler::Rr | Scheduler::Lc) {
                    it.share = it.share.min(WHOLE);
                }
                (server.name.clone(), it)
            })
            .collect();
        let quorum = QuorumState::of(service, &servers, self.quorum);
        self.overload(service, &mut servers, &observation.demand.loads);
        let serving = tier::choose(service, &servers, quorum);
        tier::hold_back(service, &mut servers, serving, quorum);
        self.next_change = self.lessen(service, &mut servers, observation);
        self.quorum = Some(quorum);
        let counts = service.scheduler.counts_connections();
        Offer {
            servers,
            serving,
            quorum,
            closed_ports: observation.ports.closed(service),
            ended_ports: observation.ports.ended(service),
            demand: if counts { observation.demand.clone() } else { Demand::default() },
        }
    }

    /// When the offer changes by itself, after the last decision, by the steady clock.
    #[must_use]
    pub fn next_change(&self) -> Option<u64> {
        self.next_change
    }

    /// Marks servers that have reached their threshold, until they are below the lower one.
    fn overload(
        &mut self,
        service: &Service,
        servers: &mut BTreeMap<String, Availability>,
        loads: &BTreeMap<String, Load>,
    ) {
        let before = std::mem::take(&mut self.overloaded);
        for server in service.servers.values() {
            let Some(limits) = server.thresholds else { continue };
            let load = loads.get(&server.name).copied().unwrap_or_default();
            let limit = if before.contains(&server.name) { limits.lower } else { limits.upper };
            if load.active.saturating_add(load.inactive) < limit {
                continue;
            }
            self.overloaded.insert(server.name.clone());
            if let Some(it) = servers.get_mut(&server.name).filter(|it| it.state == State::Up) {
                it.state = State::Overloaded;
                it.reason = format!(
                    "overloaded: it reached {} connections, and gets new ones below {}",
                    limits.upper, limits.lower
                );
                it.weight = Weight::ZERO;
                it.share = 0;
            }
        }
    }

    /// Lessens the shares of servers that are slow or began to serve a short while ago, and remembers all servers.
    /// Tells when the shares change next.
    fn lessen(
        &mut self,
        service: &Service,
        servers: &mut BTreeMap<String, Availability>,
        observation: &Observation<'_>,
    ) -> Option<u64> {
        if matches!(service.scheduler, Scheduler::Fo | Scheduler::Ovf) {
            // Who comes first does not depend on how much it could take.
            self.remember(service, servers, None, observation.now.steady);
            return None;
        }
        self.remember(service, servers, service.slow_start, observation.now.steady);
        let slow_start = service.slow_start.filter(|_| self.began_apart(servers));
        let mut next = None;
        for (name, it) in servers.iter_mut().filter(|(_, it)| it.share > 0) {
            let mut parts = WHOLE;
            if let Some(percent) = observation.health.get(name).and_then(slow_weight) {
                parts = ramp::percent(percent);
                say_first(it, format!("slow: {percent}% of its weight"));
            }
            if let (Some(slow_start), Some(since)) = (slow_start, self.since(name)) {
                let elapsed = observation.now.steady.saturating_sub(since);
                let ramp = ramp::parts(slow_start, elapsed);
                parts = (parts * ramp / WHOLE).max(1);
                say_first(it, format!("starts slowly: {ramp}/{WHOLE} of its weight"));
                let step = since.saturating_add(ramp::next_step(slow_start, elapsed));
                next = Some(next.map_or(step, |next: u64| next.min(step)));
            }
            it.share = ramp::part(it.share, parts);
        }
        next
    }

    fn remember(
        &mut self,
        service: &Service,
        servers: &BTreeMap<String, Availability>,
        slow_start: Option<SlowStart>,
        now: u64,
    ) {
        let first = self.quorum.is_none();
        let remembered = service.servers.values().filter_map(|server| {
            let it = servers.get(&server.name)?;
            let slow_start = slow_start.filter(|_| matches!(server.role, Role::Regular { .. }));
            let before = self.servers.get(&server.name).copied().unwrap_or_default();
            Some((server.name.clone(), before.then(it, slow_start, first, now)))
        });
        self.servers = remembered.collect();
    }

    /// False if the servers that serve began to do so together: they have all there is between them, and grow alike.
    fn began_apart(&self, servers: &BTreeMap<String, Availability>) -> bool {
        let mut serving = servers.iter().filter(|(_, it)| it.share > 0).map(|(name, _)| self.since(name));
        let first = serving.next();
        serving.any(|since| Some(since) != first)
    }

    fn since(&self, server: &str) -> Option<u64> {
        self.servers.get(server)?.since
    }
}

/// Percent of its weight that a server keeps, if it is slow.
fn slow_weight(health: &Health) -> Option<u8> {
    match health {
        Health::Up(advice) => advice.slow_weight,
        Health::Unknown(_) | Health::Down(_) => None,
    }
}

/// Puts `text` before what is to be said of a server.
fn say_first(it: &mut Availability, text: String) {
    it.reason = if it.reason.is_empty() { text } else { format!("{text}; {}", it.reason) };
}

/// True if live connections of the service's servers have to be counted.
#[must_use]
pub fn needs_loads(service: &Service) -> bool {
    service.scheduler.counts_connections()
        || service.servers.values().any(|server| server.thresholds.is_some())
}
