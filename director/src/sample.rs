//! The Exchange farm's status and numbers, for the tests of everything that shows them.

mod redundancy;

pub(crate) use redundancy::{journal, redundancy, router};

use crate::command::error::CommandError;
use crate::decide::{Demands, Overrides, Pools, PortOverrides, Situation};
use crate::explain::Moment;
use crate::persistence::{Table, View};
use crate::status::*;
use crate::targets::VerdictMap;
use crate::trial::Plan;
use director_core::clocks::Clocks;
use director_core::config;
use director_core::ids::Registry;
use director_core::model::{ProbeSpec, Protocol};
use director_core::overrides::AtDeadline;
use director_core::persistence::Pins;
use director_core::ports::PortState;
use std::sync::Arc;

/// The numbers of the example: the services' servers get 0x80000001 and so on.
pub(crate) fn registry() -> Registry {
    let text = include_str!("../../deploy/examples/exchange.yaml");
    let mut registry = Registry::default();
    registry.assign(&config::load(text, "exchange.yaml").unwrap()).unwrap();
    registry
}

/// The example with these entries.
pub(crate) fn entries(table: Arc<dyn Table>) -> View {
    let text = include_str!("../../deploy/examples/exchange.yaml");
    let model = Arc::new(config::load(text, "exchange.yaml").unwrap());
    View { model, registry: Arc::new(registry()), pins: Pins::new(), table }
}

/// A service without persistence, so that nobody has to ask a kernel.
pub(crate) fn moment() -> Moment {
    let text = include_str!("../../deploy/examples/exchange.yaml");
    let mut model = config::load(text, "exchange.yaml").unwrap();
    for service in model.services.values_mut() {
        service.persistence = None;
    }
    let (verdicts, overrides, demands) = (&VerdictMap::new(), &Overrides::new(), &Demands::new());
    let ports = &PortOverrides::new();
    let situation = Situation { model: &model, verdicts, overrides, ports, demands, now: Clocks::default() };
    let offer = situation.offers(&mut Pools::new()).remove("exchange").unwrap();
    Moment { model: Arc::new(model), registry: Arc::new(registry()), offer, protects: true }
}

/// The example's probe.
pub(crate) fn probe() -> ProbeSpec {
    let text = include_str!("../../deploy/examples/exchange.yaml");
    config::load(text, "exchange.yaml").unwrap().probes["rdp"].clone()
}

/// What is known of exchange1 by its probe: the last two of its attempts.
pub(crate) fn probe_history() -> ProbeHistory {
    let probe = status().services.remove(0).servers.remove(0).probes.remove(0);
    let passed = AttemptStatus {
        at: "2026-01-31T12:34:56.789Z".into(),
        passed: true,
        fault: None,
        reason: probe.note.clone(),
        latency_micros: 1_500,
    };
    let failed = AttemptStatus {
        at: "2026-01-31T12:34:54.789Z".into(),
        passed: false,
        fault: Some("refused".into()),
        reason: Some("connection refused".into()),
        latency_micros: 210,
    };
    let latencies = LatenciesStatus { least_micros: 1_200, mean_micros: 1_400, greatest_micros: 1_500 };
    ProbeHistory { probe, latencies: Some(latencies), history: vec![failed, passed] }
}

/// The example's probes, of a port of this machine on which nothing listens.
pub(crate) fn trial(service: &str, server: &str, probe: Option<&str>) -> Result<Plan, CommandError> {
    let text = include_str!("../../deploy/examples/exchange.yaml");
    let mut model = config::load(text, "exchange.yaml").unwrap();
    for probe in model.probes.values_mut() {
        (probe.address, probe.port) = (Some([127, 0, 0, 1].into()), Some(1));
    }
    Plan::new(&model, &model.nodes["lb1"], (service, server), probe)
}

/// exchange1 is up, exchange2 drained; nothing needs attention.
pub(crate) fn status() -> Status {
    Status {
        node: "lb1".into(),
        version: "0.1.0".into(),
        uptime_seconds: 7_500,
        redundancy: Some(redundancy()),
        redundancy_error: None,
        configuration: ConfigurationStatus {
            path: "/etc/director/director.yaml".into(),
            hash: "0123456789abcdef".into(),
            age_seconds: 65,
            error: None,
            reloads: 2,
            refused: 1,
        },
        reconcile: ReconcileStatus {
            runs: 42,
            failures: 1,
            error: None,
            drift_repairs: [("ruleset".into(), 2), ("address".into(), 1)].into(),
            last_seconds: 0.0042,
        },
        settings: vec![SettingStatus {
            name: "net.ipv4.ip_forward".into(),
            wanted: "1".into(),
            actual: Some("1".into()),
        }],
        addresses: vec![AddressStatus {
            address: [192, 168, 1, 35].into(),
            interface: "eth0".into(),
            present: true,
            ours: true,
        }],
        services: vec![ServiceStatus {
            name: "exchange".into(),
            mark: 80,
            vips: vec![[192, 168, 1, 35].into()],
            ports: vec!["tcp 25,80,443,465,587,717,2525".into()],
            port_states: vec![PortStatus {
                protocol: Protocol::Tcp,
                first: 2525,
                last: 2525,
                state: PortState::Drained,
                configured_state: PortState::Enabled,
                override_state: Some(PortState::Drained),
            }],
            scheduler: "wrr".into(),
            persistence_seconds: Some(600),
            granularity_v4: Some(32),
            granularity_v6: Some(128),
            serving: ServingStatus::Regular,
            serving_priority: Some(0),
            quorum: QuorumStatus { weight: 1, hysteresis: 0, present: 1, held: true },
            entries: Some(EntriesStatus { entries: 40, evicted: 3, refused_v4: 2, refused_v6: 1 }),
            rate_limit: Some(RateLimitStatus {
                connections: 10,
                per: "second".into(),
                burst: 20,
                refused: 3,
            }),
            syn_protection: Some(SynProtectionStatus::On),
            full_nat: false,
            rates: Some(RateStatus {
                connections: 2.5,
                packets_in: 120.6,
                packets_out: 110.4,
                bytes_in: 9_876.5,
                bytes_out: 1_234_567.8,
            }),
            servers: vec![
                ServerStatus {
                    name: "exchange1".into(),
                    addresses: vec![[10, 0, 1, 1].into()],
                    port_map: String::new(),
                    sorry: false,
                    priority: Some(0),
                    state: ServerState::Up,
                    reason: "rdp answers in 1.5 ms".into(),
                    weight: 1,
                    share_percent: 100,
                    configured_weight: 1,
                    override_weight: None,
                    override_seconds_left: None,
                    drained: false,
                    drain: None,
                    probes: vec![ProbeStatus {
                        name: "rdp".into(),
                        state: ProbeState::Up,
                        reason: "passed".into(),
                        fault: None,
                        note: Some("the certificate ends in 5 days".into()),
                        weight: None,
                        slow: false,
                        damped: false,
                        since: Some("2026-01-31T12:00:00Z".into()),
                        latency_micros: Some(1_500),
                        attempts: 100,
                        failures: 3,
                        faults: [("refused".into(), 2), ("timed-out".into(), 1)].into(),
                        results: "..............x.....".into(),
                    }],
                    probes_required: 1,
                    traffic: TrafficStatus {
                        connections: 1_234,
                        active: 56,
                        inactive: 7,
                        packets_in: 98_765,
                        packets_out: 87_654,
                        bytes_in: 12_345_678,
                        bytes_out: 1_234_567_890,
                    },
                    rates: Some(RateStatus {
                        connections: 2.5,
                        packets_in: 120.0,
                        packets_out: 110.4,
                        bytes_in: 9_876.5,
                        bytes_out: 1_234_567.8,
                    }),
                },
                ServerStatus {
                    name: "exchange2".into(),
                    addresses: vec![[10, 0, 1, 2].into()],
                    port_map: String::new(),
                    sorry: false,
                    priority: Some(0),
                    state: ServerState::Drained,
                    reason: "drained by an operator".into(),
                    weight: 0,
                    share_percent: 0,
                    configured_weight: 1,
                    override_weight: None,
                    override_seconds_left: None,
                    drained: true,
                    drain: Some(DrainStatus {
                        seconds: 90,
                        seconds_left: Some(510),
                        at_deadline: AtDeadline::Cut,
                        connections_left: 2,
                        entries_left: 14,
                    }),
                    probes: vec![],
                    probes_required: 0,
                    traffic: TrafficStatus { connections: 1_200, active: 2, ..TrafficStatus::default() },
                    rates: Some(RateStatus { packets_in: 0.6, ..RateStatus::default() }),
                },
            ],
        }],
        management: vec![ManagementStatus {
            name: "exchange1-rdp".into(),
            mark: 1,
            vip: [192, 168, 1, 36].into(),
            server: "exchange1".into(),
            address: [10, 0, 1, 1].into(),
            traffic: TrafficStatus { connections: 5, active: 1, ..TrafficStatus::default() },
            rates: Some(RateStatus::default()),
        }],
        persistence: vec![EntryTableStatus { family: "ipv4".into(), entries: 40, limit: 65_536 }],
        rates_seconds: Some(6.3),
    }
}
