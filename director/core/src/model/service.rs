//! Virtual services and their real servers.

use super::{Checks, Granularity, Mark};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A virtual service: what arrives at its VIPs and ports gets its mark and goes to its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name, the key in the configuration: 1 to 64 of `A-Z a-z 0-9 - _ .`
    pub name: String,
    /// Its firewall mark, given or derived from the name.
    pub mark: Mark,
    /// The cluster IPs, at least one.
    pub vips: Vec<IpAddr>,
    /// At least one; ranges of one protocol do not overlap.
    pub ports: Vec<PortRange>,
    /// How servers are chosen.
    pub scheduler: Scheduler,
    /// Clients stay with their server, if set.
    pub persistence: Option<Persistence>,
    /// What weight 0 and failed probes mean.
    pub quiescence: Quiescence,
    /// The real servers by name, sorry servers among them; may be empty.
    pub servers: BTreeMap<String, RealServer>,
    /// How much of the service must be up for it to be served by its regular servers.
    pub quorum: Quorum,
    /// How a server that comes up gets to its full weight; `None`: at once.
    pub slow_start: Option<SlowStart>,
    /// New connections that one client may make; `None`: any number.
    pub rate_limit: Option<RateLimit>,
    /// The director answers SYNs by cookie until a client proves itself.
    pub syn_protection: bool,
    /// Connections come to the servers from the director's own address.
    pub full_nat: bool,
    /// Ports of the service that are refused until somebody enables them at run time. Each lies within a range of
    /// `ports`.
    pub disabled_ports: Vec<PortRange>,
}

/// How much of a service must be up (keepalived's `quorum` and `hysteresis`). Sums are of the weights of regular
/// servers that are up and not drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum {
    /// Least sum of weights; 1: any server will do.
    pub weight: u32,
    /// The quorum is gained at `weight + hysteresis`, and lost below `weight - hysteresis`. Less than `weight`.
    pub hysteresis: u32,
}

impl Default for Quorum {
    fn default() -> Self {
        Self { weight: 1, hysteresis: 0 }
    }
}

/// How a server gets to its full weight after it came up, was enabled, or got a weight again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowStart {
    /// Time until the full weight: 1 s to a day, whole seconds.
    pub duration: Duration,
    /// How the share grows.
    pub ramp: Ramp,
}

/// How a share grows, in 32nds of the weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ramp {
    /// Evenly.
    Linear,
    /// From 1/32, doubled five times (Piranha's).
    Doubling,
}

/// New connections that one client may make; further ones are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// So many, 1 to 1,000,000.
    pub connections: u32,
    /// In this time: a second, a minute, an hour or a day.
    pub per: RateUnit,
    /// So many at once before the limit is felt: 1 to 1,000,000.
    pub burst: u32,
    /// Which clients are one.
    pub granularity: Granularity,
}

/// Units of time that the kernel limits by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RateUnit {
    /// 1 s
    Second,
    /// 60 s
    Minute,
    /// 3,600 s
    Hour,
    /// 86,400 s
    Day,
}

impl RateUnit {
    /// Its name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// A closed range of ports of one protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortRange {
    /// tcp or udp; "both" in the configuration makes one range of each.
    pub protocol: Protocol,
    /// First port, at least 1.
    pub first: u16,
    /// Last port, at least `first`.
    pub last: u16,
}

impl PortRange {
    /// True if the port lies in it, of the protocol with that number in the IP header.
    #[must_use]
    pub fn contains(&self, protocol: u8, port: u16) -> bool {
        self.protocol.number() == protocol && (self.first..=self.last).contains(&port)
    }
}

/// Transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

impl Protocol {
    /// Number in the IP header.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// Its name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// How a server is chosen for a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduler {
    /// Round robin: each server in turn, weights aside (weight 0 gets none).
    Rr,
    /// Weighted round robin: shares by weight, interleaved as LVS does.
    Wrr,
    /// At random, by weight.
    Random,
    /// Source hash: a client goes to the same server as long as no server's weight or state changes.
    Sh(ClientHash),
    /// Maglev hash: the same, and a change moves few clients but those of the servers concerned.
    Mh(ClientHash),
    /// Destination hash: all connections to a VIP go to the same server.
    Dh,
    /// Failover: the server with the highest weight gets all.
    Fo,
    /// Overflow: the server with the highest weight, until it has as many connections as weight; then the next.
    Ovf,
    /// Least connections, weights aside.
    Lc,
    /// Least connections by weight.
    Wlc,
    /// Shortest expected delay: as wlc, counting the connection that is to come.
    Sed,
    /// Never queue: a server without connections first, else as sed.
    Nq,
}

/// What of a client is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientHash {
    /// Which clients are one.
    pub granularity: Granularity,
    /// The source port counts too: each connection of a client is hashed for itself.
    pub port: bool,
    /// Clients of a server that takes no connections go to another one; false: they are refused (LVS's sh and mh
    /// without their fallback flag).
    pub fallback: bool,
}

impl Default for ClientHash {
    fn default() -> Self {
        Self { granularity: Granularity::default(), port: false, fallback: true }
    }
}

impl Scheduler {
    /// LVS's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Random => "random",
            Self::Sh(_) => "sh",
            Self::Mh(_) => "mh",
            Self::Dh => "dh",
            Self::Fo => "fo",
            Self::Ovf => "ovf",
            Self::Lc => "lc",
            Self::Wlc => "wlc",
            Self::Sed => "sed",
            Self::Nq => "nq",
        }
    }

    /// What it hashes of a client, if it does.
    #[must_use]
    pub fn client_hash(self) -> Option<ClientHash> {
        if let Self::Sh(hash) | Self::Mh(hash) = self { Some(hash) } else { None }
    }

    /// True if it goes by the number of live connections, which have to be watched then.
    #[must_use]
    pub fn counts_connections(self) -> bool {
        matches!(self, Self::Ovf | Self::Lc | Self::Wlc | Self::Sed | Self::Nq)
    }
}

/// Clients return to the server of their last connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// Life of an entry after its last new connection: 1 s to 31 days, whole seconds.
    pub timeout: Duration,
    /// Which clients are one.
    pub granularity: Granularity,
}

/// What weight 0, a failed probe and removal mean. LVS's names; defaults all true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiescence {
    /// A failed probe sets weight 0; false: it takes the server out as if it were not configured.
    pub quiescent: bool,
    /// A persistent client of a server with weight 0 goes elsewhere with its next connection; false: it returns
    /// until its entry ages out.
    pub expire_quiescent_template: bool,
    /// Connections of a dead or removed server end at once; false: they are left alone.
    pub expire_nodest_conn: bool,
}

impl Default for Quiescence {
    fn default() -> Self {
        Self { quiescent: true, expire_quiescent_template: true, expire_nodest_conn: true }
    }
}

/// A real server of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealServer {
    /// Its name, the key in the configuration.
    pub name: String,
    /// Its addresses: one, or one of each family.
    pub addresses: Vec<IpAddr>,
    /// What becomes of the destination port.
    pub ports: PortMap,
    /// Configured weight.
    pub weight: Weight,
    /// When it serves.
    pub role: Role,
    /// The probes that it must pass; shared by servers that are probed alike.
    pub checks: Arc<Checks>,
    /// Connections at which it gets no more; `None`: any number.
    pub thresholds: Option<Thresholds>,
}

/// When a server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// While no server of a lower level can: level 0 to 255 (NLB's handling priority). Servers of one level share.
    Regular {
        /// The level.
        priority: u8,
    },
    /// While the regular servers don't: none of them can, or the quorum is lost.
    Sorry,
}

impl Default for Role {
    fn default() -> Self {
        Self::Regular { priority: 0 }
    }
}

/// Connection thresholds of a server, as LVS's u- and lthreshold: active and inactive connections together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// At so many connections it gets no new ones. At least 1.
    pub upper: u32,
    /// Below so many it gets new ones again: 1 to `upper`.
    pub lower: u32,
}

impl RealServer {
    /// Its address in the family of `vip`.
    #[must_use]
    pub fn address_for(&self, vip: IpAddr) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| address.is_ipv4() == vip.is_ipv4())
    }
}

/// What becomes of the destination port on the way to a real server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortMap {
    /// It stays.
    Keep,
    /// Every port of the service becomes this one.
    All(u16),
    /// Service port to server port; others stay. Only with services that have listed ports or ranges of at most
    /// 1,024 ports in all.
    Table(BTreeMap<u16, u16>),
}

impl PortMap {
    /// The server's port for `port` of the service.
    #[must_use]
    pub fn map(&self, port: u16) -> u16 {
        match self {
            Self::Keep => port,
            Self::All(all) => *all,
            Self::Table(table) => table.get(&port).copied().unwrap_or(port),
        }
    }
}

/// A server's share: 0 to 65535, where 0 is quiescent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u16);

impl Weight {
    /// No new connections.
    pub const ZERO: Self = Self(0);
    /// What a server has that names no weight.
    pub const DEFAULT: Self = Self(1);

    /// Any 16-bit number is a weight, as in LVS.
    #[must_use]
    pub fn new(value: u16) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}
