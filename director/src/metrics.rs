//! The director's metrics: [`ALL`] names every one, [`render`] prints them from one picture of the state.
//!
//! Totals are kept by the kernel and the control loop; a scrape only copies them, so a restart of nothing but the
//! API loses none of them.

mod families;
mod redundancy;

use crate::status::{
    ProbeState, ProbeStatus, ServerState, ServerStatus, ServiceStatus, ServingStatus, Status,
    SynProtectionStatus, TrafficStatus,
};
use director_core::ports::PortState;
use families::Families;
use prometheus::{Registry, TextEncoder};

/// The content type of what [`render`] makes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Never runs backwards but on a restart.
    Counter,
    /// A figure of the moment.
    Gauge,
}

/// A metric as documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells, with the unit.
    pub help: &'static str,
}

/// Names each metric once: a constant for the code, and all of them in [`ALL`].
macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(const $id: Metric =
            Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*

        /// Every metric in the order in which they are printed.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

metrics! {
    BUILD_INFO = Gauge "director_build_info" ["version"] "Always 1; the version of the daemon.";
    UPTIME = Gauge "director_uptime_seconds" [] "Seconds since the daemon started.";

    CONFIG_INFO = Gauge "director_config_info" ["hash"] "Always 1; the hash of the configuration in force.";
    CONFIG_AGE = Gauge "director_config_age_seconds" [] "Seconds since the configuration in force was loaded.";
    CONFIG_RELOADS = Counter "director_config_reloads_total" ["result"]
        "Reloads of the configuration: result ok, or refused.";
    CONFIG_REFUSED = Gauge "director_config_last_reload_refused" []
        "1 if the last reload was refused, so that the configuration in force is not the file's.";

    RECONCILE_RUNS = Counter "director_reconcile_runs_total" []
        "Comparisons of what shall be with what is, also those that found nothing to do.";
    RECONCILE_FAILURES = Counter "director_reconcile_failures_total" [] "Reconcile runs that failed.";
    RECONCILE_FAILING = Gauge "director_reconcile_failing" [] "1 if the last reconcile run failed.";
    RECONCILE_SECONDS = Gauge "director_reconcile_last_seconds" []
        "Duration of the last reconcile run that changed something, in seconds.";
    DRIFT_REPAIRS = Counter "director_drift_repairs_total" ["kind"]
        "Repairs of what somebody else changed: kind ruleset, address, or setting.";
    SETTING_DEVIATES = Gauge "director_setting_deviates" ["name"]
        "1 if a kernel setting is not what the director wants.";
    ADDRESS_PRESENT = Gauge "director_address_present" ["address", "interface"]
        "1 if an address that the director looks after is on its interface.";

    REDUNDANCY_ANSWERS = Gauge "director_redundancy_answers" []
        "1 if the thread that holds the addresses answers, 0 if it hangs.";
    REDUNDANCY_ROLE = Gauge "director_redundancy_role" ["role"]
        "1 for what this director is: active, backup, or initialize; absent without redundancy, as all below.";
    REDUNDANCY_SINCE = Gauge "director_redundancy_role_seconds" [] "Seconds since the last change of role.";
    REDUNDANCY_PRIORITY = Gauge "director_redundancy_priority" []
        "Priority in force: lower than configured while something is wrong.";
    REDUNDANCY_CONFIGURED_PRIORITY = Gauge "director_redundancy_configured_priority" []
        "Priority in the configuration file.";
    REDUNDANCY_FIT = Gauge "director_redundancy_fit" []
        "1 if this director could serve, 0 if a link or something tracked forbids it.";
    REDUNDANCY_STOOD_DOWN = Gauge "director_redundancy_stood_down" []
        "1 if an operator made it step down, and it does not take back by itself.";
    REDUNDANCY_REAL_TIME = Gauge "director_redundancy_real_time" []
        "1 if the thread that holds the addresses has real-time priority.";
    REDUNDANCY_TRANSITIONS = Counter "director_redundancy_transitions_total" [] "Changes of role.";
    REDUNDANCY_DUAL_EPISODES = Counter "director_redundancy_dual_active_episodes_total" []
        "How often another director was Active at the same time.";
    REDUNDANCY_DUAL_SECONDS = Counter "director_redundancy_dual_active_seconds_total" []
        "For how long in all, in seconds.";
    REDUNDANCY_ANNOUNCEMENTS = Counter "director_redundancy_announcements_total" []
        "Frames that told neighbours where addresses are.";
    REDUNDANCY_DISCARDS = Counter "director_redundancy_discards_total" ["reason"]
        "Adverts and hellos that were refused.";
    REDUNDANCY_LINK_UP = Gauge "director_redundancy_link_up" ["link", "interface"]
        "1 if a link that adverts go by is up and has a carrier.";
    REDUNDANCY_LINK_SILENT = Gauge "director_redundancy_link_silent" ["link", "interface"]
        "1 if adverts are missing on a link that come by another.";
    REDUNDANCY_SENT = Counter "director_redundancy_adverts_sent_total" ["link", "interface"] "Adverts sent.";
    REDUNDANCY_RECEIVED = Counter "director_redundancy_adverts_received_total" ["link", "interface"]
        "Adverts taken from others.";
    REDUNDANCY_ADVERT_AGE = Gauge "director_redundancy_advert_age_seconds" ["link", "interface"]
        "Seconds since the last advert taken; absent before the first.";
    REDUNDANCY_PEER_REACHABLE = Gauge "director_redundancy_peer_reachable" ["peer"]
        "1 if another director says hello.";
    REDUNDANCY_PEER_FIT = Gauge "director_redundancy_peer_fit" ["peer"]
        "1 if another director said that it could serve; absent before it said anything.";
    REDUNDANCY_PEER_PRIORITY = Gauge "director_redundancy_peer_priority" ["peer"]
        "Priority in force of another director; absent before it said anything.";
    REDUNDANCY_PEER_SAME = Gauge "director_redundancy_peer_same_configuration" ["peer"]
        "1 if another director has the same configuration; absent before it said anything.";

    SERVICE_INFO = Gauge "director_service_info" ["service", "mark", "scheduler"]
        "Always 1; a virtual service with its firewall mark and scheduler.";
    SERVICE_SERVERS_UP = Gauge "director_service_servers_up" ["service"]
        "Real servers of a service that take new connections.";
    SERVICE_SERVING = Gauge "director_service_serving" ["service", "pool"]
        "1 for who gets the new connections of a service: regular servers, sorry servers, or nobody.";
    SERVICE_PRIORITY = Gauge "director_service_priority" ["service"]
        "Level of the regular servers that serve; absent if none of them does.";
    QUORUM_WEIGHT = Gauge "director_service_quorum_weight" ["service"]
        "Sum of weights that a service needs, its quorum.";
    QUORUM_PRESENT = Gauge "director_service_quorum_present" ["service"]
        "Sum of the weights of regular servers that are neither down, unknown nor drained.";
    QUORUM_HELD = Gauge "director_service_quorum_held" ["service"] "1 unless the quorum is lost.";
    RATE_LIMITED = Counter "director_service_rate_limited_total" ["service"]
        "Connections refused because their client was over the rate limit; absent without one.";
    SYN_PROTECTION = Gauge "director_service_syn_protection" ["service"]
        "1 if a service that asks for SYN protection has it, 0 if the kernel has none; absent if it does not ask.";
    SERVICE_CLOSED_PORTS = Gauge "director_service_closed_ports" ["service"]
        "Ports of a service that are drained or disabled; one of tcp and udp counts twice.";
    PORT_STATE = Gauge "director_port_state" ["service", "protocol", "port", "state"]
        "1 for the state of ports that are closed, or were opened or closed by an operator.";
    PORT_OVERRIDDEN = Gauge "director_port_overridden" ["service", "protocol", "port"]
        "1 if an operator set the state of these ports; absent if they are simply enabled.";
    SERVICE_CONNECTIONS = Counter "director_service_connections_total" ["service"]
        "Connections scheduled, over the servers that a service has now.";
    SERVICE_ACTIVE = Gauge "director_service_active_connections" ["service"]
        "Established connections of a service.";
    SERVICE_INACTIVE = Gauge "director_service_inactive_connections" ["service"]
        "Connections of a service in another state: opening, closing, or udp.";
    SERVICE_PACKETS = Counter "director_service_packets_total" ["service", "direction"]
        "Packets from (in) and to (out) clients, over the servers that a service has now.";
    SERVICE_BYTES = Counter "director_service_bytes_total" ["service", "direction"]
        "Bytes from (in) and to (out) clients, over the servers that a service has now.";

    ENTRIES = Gauge "director_persistence_entries" ["family"]
        "Persistence entries of a family, ipv4 or ipv6, at the last count.";
    ENTRIES_LIMIT = Gauge "director_persistence_entries_limit" ["family"]
        "Most persistence entries that a family may have.";
    SERVICE_ENTRIES = Gauge "director_service_persistence_entries" ["service"]
        "Persistence entries of a service at the last count; absent unless it is persistent.";
    SERVICE_EVICTED = Counter "director_service_persistence_evicted_total" ["service"]
        "Persistence entries of a service that made room for others, because the table was nearly full.";
    SERVICE_REFUSED = Counter "director_service_persistence_refused_total" ["service", "family"]
        "Connections of a persistent service that found no room for an entry.";

    SERVER_STATE = Gauge "director_server_state" ["service", "server", "state"]
        "1 for the state that a real server is in: up, standby, overloaded, down, unknown, drained, or quiescent.";
    SERVER_WEIGHT = Gauge "director_server_weight" ["service", "server"]
        "Weight in force; 0 if the server gets no new connections.";
    SERVER_SHARE = Gauge "director_server_share_ratio" ["service", "server"]
        "Part of its weight by which a server gets new connections: less than 1 while it starts slowly or is slow.";
    SERVER_CONFIGURED_WEIGHT = Gauge "director_server_configured_weight" ["service", "server"]
        "Weight in the configuration file.";
    SERVER_OVERRIDDEN = Gauge "director_server_overridden" ["service", "server"]
        "1 if an operator set a weight or a drain that the configuration file does not have.";
    DRAIN_CONNECTIONS_LEFT = Gauge "director_drain_connections_left" ["service", "server"]
        "Connections of a draining server that neither side has closed; absent unless it is drained.";
    DRAIN_ENTRIES_LEFT = Gauge "director_drain_entries_left" ["service", "server"]
        "Persistence entries that name a draining server; absent unless it is drained.";
    SERVER_CONNECTIONS = Counter "director_server_connections_total" ["service", "server"]
        "Connections scheduled to a real server.";
    SERVER_ACTIVE = Gauge "director_server_active_connections" ["service", "server"]
        "Established connections of a real server.";
    SERVER_INACTIVE = Gauge "director_server_inactive_connections" ["service", "server"]
        "Connections of a real server in another state: opening, closing, or udp.";
    SERVER_PACKETS = Counter "director_server_packets_total" ["service", "server", "direction"]
        "Packets from (in) and to (out) clients; 0 while accounting is off.";
    SERVER_BYTES = Counter "director_server_bytes_total" ["service", "server", "direction"]
        "Bytes from (in) and to (out) clients; 0 while accounting is off.";

    PROBE_UP = Gauge "director_probe_up" ["service", "server", "probe"]
        "1 if a real server passes a probe, 0 if it fails; absent while nobody knows.";
    PROBE_SLOW = Gauge "director_probe_slow" ["service", "server", "probe"]
        "1 if a real server passes a probe, but slowly.";
    PROBE_DAMPED = Gauge "director_probe_damped" ["service", "server", "probe"]
        "1 if a real server failed a probe too often, and has to prove itself before it is up again.";
    PROBE_ATTEMPTS = Counter "director_probe_attempts_total" ["service", "server", "probe"]
        "Attempts of a probe.";
    PROBE_FAILURES = Counter "director_probe_failures_total" ["service", "server", "probe"]
        "Attempts of a probe that failed.";
    PROBE_FAULTS = Counter "director_probe_faults_total" ["service", "server", "probe", "fault"]
        "Attempts of a probe that failed, by what failed; absent before the first of its kind.";
    PROBE_LATENCY = Gauge "director_probe_latency_seconds" ["service", "server", "probe"]
        "Duration of a probe's last attempt in seconds; absent before the first.";

    MANAGEMENT_CONNECTIONS = Counter "director_management_connections_total" ["management", "server"]
        "Connections to a management address.";
    MANAGEMENT_ACTIVE = Gauge "director_management_active_connections" ["management", "server"]
        "Established connections to a management address.";
    MANAGEMENT_INACTIVE = Gauge "director_management_inactive_connections" ["management", "server"]
        "Connections to a management address in another state: opening, closing, or udp.";
    MANAGEMENT_PACKETS = Counter "director_management_packets_total" ["management", "server", "direction"]
        "Packets from (in) and to (out) clients of a management address; 0 while accounting is off.";
    MANAGEMENT_BYTES = Counter "director_management_bytes_total" ["management", "server", "direction"]
        "Bytes from (in) and to (out) clients of a management address; 0 while accounting is off.";
}

/// Kinds of drift that are always shown, so that the first repair counts as an increase.
const DRIFT_KINDS: [&str; 3] = ["ruleset", "address", "setting"];

/// The metrics of `status`, and after them what else `registry` holds, in Prometheus's text format.
///
/// # Errors
/// The registry holds something that has no text form.
pub fn render(status: &Status, registry: &Registry) -> Result<String, prometheus::Error> {
    let mut families = Families::default();
    daemon(&mut families, status);
    families.set(REDUNDANCY_ANSWERS, &[], flag(status.redundancy_error.is_none()));
    status.redundancy.iter().for_each(|status| redundancy::redundancy(&mut families, status));
    for service in &status.services {
        self::service(&mut families, service);
    }
    for table in &status.persistence {
        families.set(ENTRIES, &[&table.family], count(table.entries));
        families.set(ENTRIES_LIMIT, &[&table.family], f64::from(table.limit));
    }
    for management in &status.management {
        let labels = [management.name.as_str(), management.server.as_str()];
        traffic(&mut families, &MANAGEMENT_TRAFFIC, &labels, &management.traffic);
    }
    let mut all = families.into_proto();
    all.extend(registry.gather());
    TextEncoder::new().encode_to_string(&all)
}

fn daemon(families: &mut Families, status: &Status) {
    families.set(BUILD_INFO, &[&status.version], 1.0);
    families.set(UPTIME, &[], count(status.uptime_seconds));

    let configuration = &status.configuration;
    families.set(CONFIG_INFO, &[&configuration.hash], 1.0);
    families.set(CONFIG_AGE, &[], count(configuration.age_seconds));
    families.set(CONFIG_RELOADS, &["ok"], count(configuration.reloads));
    families.set(CONFIG_RELOADS, &["refused"], count(configuration.refused));
    families.set(CONFIG_REFUSED, &[], flag(configuration.error.is_some()));

    let reconcile = &status.reconcile;
    families.set(RECONCILE_RUNS, &[], count(reconcile.runs));
    families.set(RECONCILE_FAILURES, &[], count(reconcile.failures));
    families.set(RECONCILE_FAILING, &[], flag(reconcile.error.is_some()));
    families.set(RECONCILE_SECONDS, &[], reconcile.last_seconds);
    for kind in DRIFT_KINDS.iter().filter(|kind| !reconcile.drift_repairs.contains_key(**kind)) {
        families.set(DRIFT_REPAIRS, &[kind], 0.0);
    }
    for (kind, repairs) in &reconcile.drift_repairs {
        families.set(DRIFT_REPAIRS, &[kind], count(*repairs));
    }

    for setting in &status.settings {
        families.set(SETTING_DEVIATES, &[&setting.name], flag(setting.deviates()));
    }
    for address in &status.addresses {
        let labels = [address.address.to_string(), address.interface.clone()];
        families.set(ADDRESS_PRESENT, &labels.each_ref().map(String::as_str), flag(address.present));
    }
}

fn service(families: &mut Families, service: &ServiceStatus) {
    let name = service.name.as_str();
    families.set(SERVICE_INFO, &[name, &service.mark.to_string(), &service.scheduler], 1.0);
    let up = service.servers.iter().filter(|server| server.state == ServerState::Up).count();
    families.set(SERVICE_SERVERS_UP, &[name], up as f64);
    for serving in ServingStatus::ALL {
        families.set(SERVICE_SERVING, &[name, serving.name()], flag(service.serving == serving));
    }
    if let Some(priority) = service.serving_priority {
        families.set(SERVICE_PRIORITY, &[name], f64::from(priority));
    }
    families.set(QUORUM_WEIGHT, &[name], f64::from(service.quorum.weight));
    families.set(QUORUM_PRESENT, &[name], f64::from(service.quorum.present));
    families.set(QUORUM_HELD, &[name], flag(service.quorum.held));
    if let Some(limit) = &service.rate_limit {
        families.set(RATE_LIMITED, &[name], count(limit.refused));
    }
    if let Some(protection) = service.syn_protection {
        families.set(SYN_PROTECTION, &[name], flag(protection == SynProtectionStatus::On));
    }
    ports(families, service);
    traffic(families, &SERVICE_TRAFFIC, &[name], &service.traffic());
    if let Some(entries) = &service.entries {
        families.set(SERVICE_ENTRIES, &[name], count(entries.entries));
        families.set(SERVICE_EVICTED, &[name], count(entries.evicted));
        families.set(SERVICE_REFUSED, &[name, "ipv4"], count(entries.refused_v4));
        families.set(SERVICE_REFUSED, &[name, "ipv6"], count(entries.refused_v6));
    }
    for server in &service.servers {
        self::server(families, name, server);
    }
}

fn ports(families: &mut Families, service: &ServiceStatus) {
    let name = service.name.as_str();
    let closed = service.port_states.iter().filter(|it| it.state != PortState::Enabled);
    let closed: f64 = closed.map(|it| f64::from(it.last) - f64::from(it.first) + 1.0).sum();
    families.set(SERVICE_CLOSED_PORTS, &[name], closed);
    for it in &service.port_states {
        let (protocol, ports) = (it.protocol.name(), it.ports());
        families.set(PORT_STATE, &[name, protocol, &ports, it.state.name()], 1.0);
        families.set(PORT_OVERRIDDEN, &[name, protocol, &ports], flag(it.override_state.is_some()));
    }
}

fn server(families: &mut Families, service: &str, server: &ServerStatus) {
    let labels = [service, server.name.as_str()];
    for state in ServerState::ALL {
        families.set(SERVER_STATE, &[service, &server.name, state.name()], flag(server.state == state));
    }
    families.set(SERVER_WEIGHT, &labels, f64::from(server.weight));
    families.set(SERVER_SHARE, &labels, f64::from(server.share_percent) / 100.0);
    families.set(SERVER_CONFIGURED_WEIGHT, &labels, f64::from(server.configured_weight));
    families.set(SERVER_OVERRIDDEN, &labels, flag(server.drained || server.override_weight.is_some()));
    if let Some(drain) = &server.drain {
        families.set(DRAIN_CONNECTIONS_LEFT, &labels, count(drain.connections_left));
        families.set(DRAIN_ENTRIES_LEFT, &labels, count(drain.entries_left));
    }
    traffic(families, &SERVER_TRAFFIC, &labels, &server.traffic);
    for probe in &server.probes {
        self::probe(families, &[service, &server.name, &probe.name], probe);
    }
}

fn probe(families: &mut Families, labels: &[&str], probe: &ProbeStatus) {
    if probe.state != ProbeState::Unknown {
        families.set(PROBE_UP, labels, flag(probe.state == ProbeState::Up));
    }
    families.set(PROBE_SLOW, labels, flag(probe.slow));
    families.set(PROBE_DAMPED, labels, flag(probe.damped));
    families.set(PROBE_ATTEMPTS, labels, count(probe.attempts));
    families.set(PROBE_FAILURES, labels, count(probe.failures));
    for (fault, failures) in &probe.faults {
        families.set(PROBE_FAULTS, &[labels, &[fault]].concat(), count(*failures));
    }
    if let Some(micros) = probe.latency_micros {
        families.set(PROBE_LATENCY, labels, count(micros) / 1e6);
    }
}

/// The five metrics of something that carries traffic.
struct TrafficMetrics {
    connections: Metric,
    active: Metric,
    inactive: Metric,
    packets: Metric,
    bytes: Metric,
}

const SERVICE_TRAFFIC: TrafficMetrics = TrafficMetrics {
    connections: SERVICE_CONNECTIONS,
    active: SERVICE_ACTIVE,
    inactive: SERVICE_INACTIVE,
    packets: SERVICE_PACKETS,
    bytes: SERVICE_BYTES,
};

const SERVER_TRAFFIC: TrafficMetrics = TrafficMetrics {
    connections: SERVER_CONNECTIONS,
    active: SERVER_ACTIVE,
    inactive: SERVER_INACTIVE,
    packets: SERVER_PACKETS,
    bytes: SERVER_BYTES,
};

const MANAGEMENT_TRAFFIC: TrafficMetrics = TrafficMetrics {
    connections: MANAGEMENT_CONNECTIONS,
    active: MANAGEMENT_ACTIVE,
    inactive: MANAGEMENT_INACTIVE,
    packets: MANAGEMENT_PACKETS,
    bytes: MANAGEMENT_BYTES,
};

fn traffic(families: &mut Families, metrics: &TrafficMetrics, labels: &[&str], traffic: &TrafficStatus) {
    families.set(metrics.connections, labels, count(traffic.connections));
    families.set(metrics.active, labels, count(traffic.active));
    families.set(metrics.inactive, labels, count(traffic.inactive));
    for (direction, packets, bytes) in
        [("in", traffic.packets_in, traffic.bytes_in), ("out", traffic.packets_out, traffic.bytes_out)]
    {
        let labels = [labels, &[direction]].concat();
        families.set(metrics.packets, &labels, count(packets));
        families.set(metrics.bytes, &labels, count(bytes));
    }
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

/// Prometheus knows no other numbers than these; they are exact up to 2^53.
fn count(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
