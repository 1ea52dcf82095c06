//! The status as the control loop knows it.

pub(super) mod probes;

use super::counting::Entries;
use crate::decide::{Overrides, PortOverrides};
use crate::status::{
    DrainStatus, EntriesStatus, EntryTableStatus, ManagementStatus, PortStatus, QuorumStatus,
    RateLimitStatus, RateStatus, ServerState, ServerStatus, ServiceStatus, ServingStatus,
    SynProtectionStatus, TrafficStatus,
};
use crate::targets::VerdictMap;
use crate::traffic::{Connections, Flows, Rates};
use crate::verdicts::standings;
use director_core::availability::{Availability, State, WHOLE};
use director_core::ids::{DestinationId, Registry, ServiceNumber};
use director_core::model::{Model, PortMap, PortRange, Protocol, RealServer, Role, Scheduler, Service};
use director_core::overrides::Drain;
use director_core::pool::{Offer, Offers, Serving};
use director_core::ports::{PortException, PortStates};
use probes::Clock;
use std::collections::BTreeMap;

/// What services and management addresses are shown from.
pub(super) struct Picture<'a> {
    pub(super) model: &'a Model,
    pub(super) registry: &'a Registry,
    pub(super) offers: &'a Offers,
    pub(super) overrides: &'a Overrides,
    pub(super) ports: &'a PortOverrides,
    /// Seconds since 1970.
    pub(super) now: u64,
    /// Persistence entries.
    pub(super) entries: &'a Entries,
    /// Those that made room for others so far, by service.
    pub(super) evicted: &'a BTreeMap<ServiceNumber, u64>,
    pub(super) verdicts: &'a VerdictMap,
    pub(super) clock: Clock,
    pub(super) connections: &'a Connections,
    pub(super) flows: &'a Flows,
    /// The kernel has no SYN proxy for services that want one.
    pub(super) unprotected: bool,
    pub(super) rates: &'a Rates,
}

impl Picture<'_> {
    pub(super) fn services(&self) -> Vec<ServiceStatus> {
        self.model.services.values().map(|service| self.service(service)).collect()
    }

    pub(super) fn management(&self) -> Vec<ManagementStatus> {
        let show = |it: &director_core::model::ManagementAddress| {
            let id = self.registry.management(&it.name, &it.server);
            ManagementStatus {
                name: it.name.clone(),
                mark: it.mark.get(),
                vip: it.vip,
                server: it.server.clone(),
                address: it.address,
                traffic: self.traffic(id),
                rates: self.rates(id),
            }
        };
        self.model.management.values().map(show).collect()
    }

    /// The tables of entries, of families that have persistent services.
    pub(super) fn persistence(&self) -> Vec<EntryTableStatus> {
        let has = |ipv6: bool| {
            let mut persistent = self.model.services.values().filter(|it| it.persistence.is_some());
            persistent.any(|service| service.vips.iter().any(|vip| vip.is_ipv6() == ipv6))
        };
        let [four, six] = self.entries.by_family;
        [("ipv4", false, four), ("ipv6", true, six)]
            .into_iter()
            .filter(|(_, ipv6, _)| has(*ipv6))
            .map(|(family, _, entries)| EntryTableStatus {
                family: family.to_owned(),
                entries,
                limit: self.model.persistence_limit,
            })
            .collect()
    }

    fn service(&self, service: &Service) -> ServiceStatus {
        let persistence = service.persistence;
        let offer = Offer::of(self.offers, &service.name);
        let (serving, serving_priority) = match offer.serving {
            Serving::Regular { priority } => (ServingStatus::Regular, Some(priority)),
            Serving::Sorry => (ServingStatus::Sorry, None),
            Serving::Nobody => (ServingStatus::Nobody, None),
        };
        let servers: Vec<ServerStatus> =
            service.servers.values().map(|server| self.server(service, offer, server)).collect();
        ServiceStatus {
            name: service.name.clone(),
            mark: service.mark.get(),
            vips: service.vips.clone(),
            ports: ports(&service.ports),
            port_states: self.port_states(service),
            scheduler: service.scheduler.name().to_owned(),
            persistence_seconds: persistence.map(|it| it.timeout.as_secs()),
            granularity_v4: persistence.map(|it| it.granularity.v4),
            granularity_v6: persistence.map(|it| it.granularity.v6),
            serving,
            serving_priority,
            quorum: QuorumStatus {
                weight: service.quorum.weight,
                hysteresis: service.quorum.hysteresis,
                present: offer.quorum.weight,
                held: offer.quorum.held,
            },
            entries: persistence.map(|_| self.entries(service)),
            rate_limit: service.rate_limit.map(|limit| RateLimitStatus {
                connections: limit.connections,
                per: limit.per.name().to_owned(),
                burst: limit.burst,
                refused: self.connections.over_limit(service.mark.get()),
            }),
            syn_protection: service.syn_protection.then_some(if self.unprotected {
                SynProtectionStatus::Unsupported
            } else {
                SynProtectionStatus::On
            }),
            full_nat: service.full_nat,
            rates: self.rates.window().map(|_| servers.iter().filter_map(|server| server.rates).sum()),
            servers,
        }
    }

    fn entries(&self, service: &Service) -> EntriesStatus {
        let ids = service.servers.keys().filter_map(|name| self.registry.server(&service.name, name));
        let number = self.registry.service(&service.name);
        let [refused_v4, refused_v6] = self.connections.without_entry(service.mark.get());
        EntriesStatus {
            entries: ids.filter_map(|id| self.entries.by_destination.get(&id.get())).sum(),
            evicted: number.and_then(|number| self.evicted.get(&number)).copied().unwrap_or(0),
            refused_v4,
            refused_v6,
        }
    }

    fn port_states(&self, service: &Service) -> Vec<PortStatus> {
        let none = PortStates::default();
        let exceptions = self.ports.get(&service.name).unwrap_or(&none).exceptions(service);
        let show = |it: PortException| PortStatus {
            protocol: it.ports.protocol,
            first: it.ports.first,
            last: it.ports.last,
            state: it.state(),
            configured_state: it.configured,
            override_state: it.set,
        };
        exceptions.into_iter().map(show).collect()
    }

    fn server(&self, service: &Service, offer: &Offer, server: &RealServer) -> ServerStatus {
        let available = offer.servers.get(&server.name);
        let overridden = self.overrides.get(&service.name).and_then(|servers| servers.get(&server.name));
        let overridden = overridden.copied().unwrap_or_default();
        let id = self.registry.server(&service.name, &server.name);
        let probes = standings(self.model, service, server, self.verdicts);
        ServerStatus {
            name: server.name.clone(),
            addresses: server.addresses.clone(),
            port_map: port_map(&server.ports),
            sorry: server.role == Role::Sorry,
            priority: match server.role {
                Role::Regular { priority } => Some(priority),
                Role::Sorry => None,
            },
            state: available.map_or(ServerState::Down, state),
            reason: available.map(|it| it.reason.clone()).unwrap_or_default(),
            weight: available.map_or(0, |it| it.weight.get()),
            share_percent: available.map_or(0, |it| share_percent(service, it)),
            configured_weight: server.weight.get(),
            override_weight: overridden.weight_at(self.now),
            override_seconds_left: overridden
                .weight
                .and_then(|it| it.until)
                .map(|until| until.saturating_sub(self.now)),
            drained: overridden.drain.is_some(),
            drain: overridden.drain.map(|drain| self.drain(&drain, id)),
            probes: probes.map(|it| probes::probe(&it, self.clock)).collect(),
            probes_required: server.checks.required,
            traffic: self.traffic(id),
            rates: self.rates(id),
        }
    }

    fn drain(&self, drain: &Drain, id: Option<DestinationId>) -> DrainStatus {
        let id = id.map(DestinationId::get);
        DrainStatus {
            seconds: self.now.saturating_sub(drain.since),
            seconds_left: drain.deadline.map(|deadline| deadline.saturating_sub(self.now)),
            at_deadline: drain.at_deadline,
            connections_left: id.map_or(0, |id| self.flows.live(id).open),
            entries_left: id.and_then(|id| self.entries.by_destination.get(&id)).copied().unwrap_or(0),
        }
    }

    fn traffic(&self, id: Option<DestinationId>) -> TrafficStatus {
        let Some(id) = id.map(DestinationId::get) else { return TrafficStatus::default() };
        let totals = self.flows.totals().get(&id).copied().unwrap_or_default();
        let live = self.flows.live(id);
        TrafficStatus {
            connections: self.connections.total(id),
            active: live.active,
            inactive: live.inactive,
            packets_in: totals.packets[0],
            packets_out: totals.packets[1],
            bytes_in: totals.bytes[0],
            bytes_out: totals.bytes[1],
        }
    }

    fn rates(&self, id: Option<DestinationId>) -> Option<RateStatus> {
        let rate = self.rates.of(id?.get())?;
        let (packets, bytes) = (rate.packets, rate.bytes);
        let rates = RateStatus {
            connections: rate.connections,
            packets_in: packets[0],
            packets_out: packets[1],
            bytes_in: bytes[0],
            bytes_out: bytes[1],
        };
        Some(rates.rounded())
    }
}

fn state(available: &Availability) -> ServerState {
    match available.state {
        State::Up => ServerState::Up,
        State::Standby => ServerState::Standby,
        State::Overloaded => ServerState::Overloaded,
        State::Down => ServerState::Down,
        State::Unknown => ServerState::Unknown,
        State::Drained => ServerState::Drained,
        State::Quiescent => ServerState::Quiescent,
    }
}

/// What it has of its full share.
fn share_percent(service: &Service, available: &Availability) -> u8 {
    let weight = if matches!(service.scheduler, Scheduler::Rr | Scheduler::Lc) {
        1
    } else {
        available.weight.get().max(1)
    };
    let percent = u64::from(available.share) * 100 / (u64::from(weight) * u64::from(WHOLE));
    u8::try_from(percent).unwrap_or(100).min(100)
}

/// `tcp 25,80,1000-2000`, a text for each protocol.
pub(super) fn ports(ranges: &[PortRange]) -> Vec<String> {
    let of = |protocol: Protocol, name: &str| {
        let ranges = ranges.iter().filter(|range| range.protocol == protocol);
        let texts: Vec<String> = ranges.map(range).collect();
        (!texts.is_empty()).then(|| format!("{name} {}", texts.join(",")))
    };
    [of(Protocol::Tcp, "tcp"), of(Protocol::Udp, "udp")].into_iter().flatten().collect()
}

fn range(range: &PortRange) -> String {
    if range.first == range.last {
        range.first.to_string()
    } else {
        format!("{}-{}", range.first, range.last)
    }
}

fn port_map(ports: &PortMap) -> String {
    match ports {
        PortMap::Keep => String::new(),
        PortMap::All(port) => port.to_string(),
        PortMap::Table(table) => {
            let texts: Vec<String> = table.iter().map(|(from, to)| format!("{from}->{to}")).collect();
            texts.join(",")
        }
    }
}
