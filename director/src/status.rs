//! The director's state as it is shown: the API's JSON, the tables of the command line and the metrics all come
//! from here.

mod events;
mod probes;
mod protection;
mod redundancy;

pub use events::{EventStatus, EventsStatus, LevelStatus};
pub use probes::{AttemptStatus, LatenciesStatus, ProbeHistory, ProbeState, ProbeStatus};
pub use protection::{RateLimitStatus, SynProtectionStatus};
pub use redundancy::{ActiveStatus, LinkStatus, PeerSays, PeerStatus, RedundancyStatus, RoleStatus};

use director_core::model::Protocol;
use director_core::overrides::AtDeadline;
use director_core::ports::PortState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::iter::Sum;
use std::net::IpAddr;

/// Everything at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Name of this director.
    pub node: String,
    /// Version of the daemon.
    pub version: String,
    /// Seconds since the daemon started.
    pub uptime_seconds: u64,
    /// Its part in the virtual router; `None` without one, or if [`Self::redundancy_error`] says why.
    pub redundancy: Option<RedundancyStatus>,
    /// Why nothing is known of it, in words: the thread that holds the addresses doesn't answer.
    pub redundancy_error: Option<String>,
    /// The configuration in force.
    pub configuration: ConfigurationStatus,
    /// What reconciling has done.
    pub reconcile: ReconcileStatus,
    /// Kernel settings that matter.
    pub settings: Vec<SettingStatus>,
    /// Addresses that the director looks after.
    pub addresses: Vec<AddressStatus>,
    /// Virtual services by name.
    pub services: Vec<ServiceStatus>,
    /// Management addresses by name.
    pub management: Vec<ManagementStatus>,
    /// Tables of persistence entries, of families that have persistent services.
    pub persistence: Vec<EntryTableStatus>,
    /// Time that rates are measured over, in seconds; `None` while there are none.
    pub rates_seconds: Option<f64>,
}

/// The persistence entries of a family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryTableStatus {
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// Entries when they were last counted: half a minute ago at most, as a rule.
    pub entries: u64,
    /// Most entries there may be.
    pub limit: u32,
}

/// The configuration in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationStatus {
    /// Path of the file.
    pub path: String,
    /// Hash of the text in force, 16 hexadecimal digits.
    pub hash: String,
    /// Seconds since it was loaded.
    pub age_seconds: u64,
    /// Why the last reload was refused, if it was.
    pub error: Option<String>,
    /// Reloads that were carried out since the daemon started.
    pub reloads: u64,
    /// Reloads that were refused since the daemon started.
    pub refused: u64,
}

/// What reconciling has done since the daemon started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReconcileStatus {
    /// Runs, also those that found nothing to do.
    pub runs: u64,
    /// Runs that failed.
    pub failures: u64,
    /// The last failure, until a run succeeds.
    pub error: Option<String>,
    /// Repairs of what somebody else changed, by kind: `ruleset`, `address`, `setting`.
    pub drift_repairs: BTreeMap<String, u64>,
    /// Duration of the last run that changed something, in seconds.
    pub last_seconds: f64,
}

/// A kernel setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingStatus {
    /// Name as in sysctl, `net.ipv4.ip_forward`.
    pub name: String,
    /// What the director wants: a value, or `>= 65536` where more will do.
    pub wanted: String,
    /// What the kernel has; `None` if the kernel has no such setting.
    pub actual: Option<String>,
}

impl SettingStatus {
    /// The kernel has something else than the director wants.
    #[must_use]
    pub fn deviates(&self) -> bool {
        let Some(actual) = &self.actual else { return true };
        match self.wanted.strip_prefix(">= ").map(str::parse::<u64>) {
            Some(Ok(least)) => !actual.parse::<u64>().is_ok_and(|actual| actual >= least),
            Some(Err(_)) | None => *actual != self.wanted,
        }
    }
}

/// An address that the director looks after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressStatus {
    /// The address.
    pub address: IpAddr,
    /// Its interface.
    pub interface: String,
    /// It is there.
    pub present: bool,
    /// The director added it, and so removes it when it is no longer wanted.
    pub ours: bool,
}

/// A virtual service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Its firewall mark.
    pub mark: u32,
    /// Its cluster IPs.
    pub vips: Vec<IpAddr>,
    /// Its ports, as `tcp 25,80,443` or `udp 1000-2000`.
    pub ports: Vec<String>,
    /// Those of them that are not simply enabled by the configuration.
    pub port_states: Vec<PortStatus>,
    /// LVS's name of the scheduler.
    pub scheduler: String,
    /// Persistence timeout, if it is persistent.
    pub persistence_seconds: Option<u64>,
    /// Leading bits of a client's IPv4 address that make one client.
    pub granularity_v4: Option<u8>,
    /// Leading bits of a client's IPv6 address that make one client.
    pub granularity_v6: Option<u8>,
    /// Who gets its new connections.
    pub serving: ServingStatus,
    /// Level of the regular servers that serve; `None` if none of them does.
    pub serving_priority: Option<u8>,
    /// How much of it is up, and how much must be.
    pub quorum: QuorumStatus,
    /// Its persistence entries, if it is persistent.
    pub entries: Option<EntriesStatus>,
    /// How fast one client may open connections, if that is limited.
    pub rate_limit: Option<RateLimitStatus>,
    /// Whether it is protected from SYN floods, if it asks for that.
    pub syn_protection: Option<SynProtectionStatus>,
    /// Connections come to the servers from the director's address.
    pub full_nat: bool,
    /// What its present servers carry together; `None` while there are no rates.
    pub rates: Option<RateStatus>,
    /// Its real servers by name.
    pub servers: Vec<ServerStatus>,
}

/// Ports that are closed, or have a state that an operator set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStatus {
    /// Their protocol.
    pub protocol: Protocol,
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
    /// The state in force.
    pub state: PortState,
    /// What the configuration file says: `enabled` or `disabled`.
    pub configured_state: PortState,
    /// What was set at run time.
    pub override_state: Option<PortState>,
}

impl PortStatus {
    /// `80` or `1000-1010`.
    #[must_use]
    pub fn ports(&self) -> String {
        if self.first == self.last { self.first.to_string() } else { format!("{}-{}", self.first, self.last) }
    }
}

/// Who gets the new connections of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServingStatus {
    /// Regular servers.
    Regular,
    /// The sorry servers.
    Sorry,
    /// Nobody: they are refused.
    Nobody,
}

impl ServingStatus {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Regular, Self::Sorry, Self::Nobody];

    /// The word that the API and the metrics use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::Sorry => "sorry",
            Self::Nobody => "nobody",
        }
    }
}

/// How much of a service is up, in sums of weights, and how much must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumStatus {
    /// What must be up.
    pub weight: u32,
    /// So much more to gain the quorum, so much less to lose it.
    pub hysteresis: u32,
    /// What is up: regular servers of all levels that are neither down, unknown nor drained.
    pub present: u32,
    /// The quorum is not lost.
    pub held: bool,
}

/// The persistence entries of a service. Totals never run backwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntriesStatus {
    /// Entries of its present servers when they were last counted.
    pub entries: u64,
    /// Entries that made room for others so far.
    pub evicted: u64,
    /// IPv4 connections so far that found no room for an entry.
    pub refused_v4: u64,
    /// IPv6 connections so far that found no room for an entry.
    pub refused_v6: u64,
}

impl ServiceStatus {
    /// What its present servers have carried together.
    #[must_use]
    pub fn traffic(&self) -> TrafficStatus {
        self.servers.iter().map(|server| server.traffic).sum()
    }
}

/// A real server of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its port mapping as text: empty, `8080` or `80->8080`.
    pub port_map: String,
    /// It serves only while the regular servers do not.
    pub sorry: bool,
    /// Its level among the regular servers: 0 serves first; `None` for a sorry server.
    pub priority: Option<u8>,
    /// What it is good for now.
    pub state: ServerState,
    /// Why, in words.
    pub reason: String,
    /// Weight in force: 0 if it gets no new connections.
    pub weight: u16,
    /// Percent of that weight by which it gets new connections: less than 100 while it starts slowly or is slow, 0 if
    /// it gets none.
    pub share_percent: u8,
    /// Weight in the configuration file.
    pub configured_weight: u16,
    /// Weight set at run time.
    pub override_weight: Option<u16>,
    /// Seconds until that weight lapses, if it does.
    pub override_seconds_left: Option<u64>,
    /// Drained by an operator.
    pub drained: bool,
    /// How far the drain is.
    pub drain: Option<DrainStatus>,
    /// What its probes say; empty if it has none.
    pub probes: Vec<ProbeStatus>,
    /// So many of them must pass.
    pub probes_required: usize,
    /// What it has carried.
    pub traffic: TrafficStatus,
    /// What it carries; `None` while there are no rates.
    pub rates: Option<RateStatus>,
}

/// A drain in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainStatus {
    /// Seconds since it began.
    pub seconds: u64,
    /// Seconds until its deadline, 0 once that has come; `None` if it has none.
    pub seconds_left: Option<u64>,
    /// What becomes of connections that are left then.
    pub at_deadline: AtDeadline,
    /// Connections that neither side has closed yet.
    pub connections_left: u64,
    /// Persistence entries that name the server.
    pub entries_left: u64,
}

impl DrainStatus {
    /// Nothing is left, or what is left has been told to stay at the deadline.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.connections_left == 0 || self.seconds_left == Some(0)
    }
}

/// State of a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// Takes new connections.
    Up,
    /// Could, but waits for others to fail.
    Standby,
    /// Has reached its upper connection threshold, and is not below the lower one yet.
    Overloaded,
    /// Its probes fail.
    Down,
    /// Its probes have yet to tell.
    Unknown,
    /// An operator drains it.
    Drained,
    /// Its weight is 0.
    Quiescent,
}

impl ServerState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Up,
        Self::Standby,
        Self::Overloaded,
        Self::Down,
        Self::Unknown,
        Self::Drained,
        Self::Quiescent,
    ];

    /// The word that the API, the tables and the metrics use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Standby => "standby",
            Self::Overloaded => "overloaded",
            Self::Down => "down",
            Self::Unknown => "unknown",
            Self::Drained => "drained",
            Self::Quiescent => "quiescent",
        }
    }
}

/// What a server has carried for a service. Totals never run backwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficStatus {
    /// Connections scheduled so far.
    pub connections: u64,
    /// Established now.
    pub active: u64,
    /// In another state now: opening, closing, or udp.
    pub inactive: u64,
    /// Packets from clients; 0 while accounting is off.
    pub packets_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
}

impl Sum for TrafficStatus {
    fn sum<I: Iterator<Item = Self>>(each: I) -> Self {
        each.fold(Self::default(), |sum, one| Self {
            connections: sum.connections.saturating_add(one.connections),
            active: sum.active.saturating_add(one.active),
            inactive: sum.inactive.saturating_add(one.inactive),
            packets_in: sum.packets_in.saturating_add(one.packets_in),
            packets_out: sum.packets_out.saturating_add(one.packets_out),
            bytes_in: sum.bytes_in.saturating_add(one.bytes_in),
            bytes_out: sum.bytes_out.saturating_add(one.bytes_out),
        })
    }
}

/// What a server carries a second, to a tenth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RateStatus {
    /// New connections.
    pub connections: f64,
    /// Packets from clients; 0 while accounting is off.
    pub packets_in: f64,
    /// Packets to clients.
    pub packets_out: f64,
    /// Bytes from clients.
    pub bytes_in: f64,
    /// Bytes to clients.
    pub bytes_out: f64,
}

impl RateStatus {
    /// The same, to a tenth.
    #[must_use]
    pub fn rounded(self) -> Self {
        let round = |rate: f64| (rate * 10.0).round() / 10.0;
        Self {
            connections: round(self.connections),
            packets_in: round(self.packets_in),
            packets_out: round(self.packets_out),
            bytes_in: round(self.bytes_in),
            bytes_out: round(self.bytes_out),
        }
    }
}

impl Sum for RateStatus {
    fn sum<I: Iterator<Item = Self>>(each: I) -> Self {
        let sum = each.fold(Self::default(), |sum, one| Self {
            connections: sum.connections + one.connections,
            packets_in: sum.packets_in + one.packets_in,
            packets_out: sum.packets_out + one.packets_out,
            bytes_in: sum.bytes_in + one.bytes_in,
            bytes_out: sum.bytes_out + one.bytes_out,
        });
        sum.rounded()
    }
}

/// A management address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManagementStatus {
    /// Its name.
    pub name: String,
    /// Its mark.
    pub mark: u32,
    /// What clients call.
    pub vip: IpAddr,
    /// Name of the server behind it.
    pub server: String,
    /// Its address.
    pub address: IpAddr,
    /// What it has carried.
    pub traffic: TrafficStatus,
    /// What it carries; `None` while there are no rates.
    pub rates: Option<RateStatus>,
}

#[cfg(test)]
mod tests {
    use super::SettingStatus;

    #[test]
    fn a_setting_deviates_unless_it_is_what_is_wanted() {
        let deviates = |wanted: &str, actual: Option<&str>| {
            let actual = actual.map(str::to_owned);
            SettingStatus { name: "n".into(), wanted: wanted.into(), actual }.deviates()
        };
        assert!(!deviates("1", Some("1")));
        assert!(deviates("1", Some("0")));
        assert!(deviates("1", None));
        assert!(!deviates(">= 65536", Some("65536")));
        assert!(!deviates(">= 65536", Some("131072")));
        assert!(deviates(">= 65536", Some("1024")));
        assert!(deviates(">= 65536", Some("many")));
    }
}
