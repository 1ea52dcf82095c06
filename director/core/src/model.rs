//! The validated configuration: whoever holds a [`Model`] needs to check nothing again.

mod mark;
mod network;
mod node;
mod probe;
mod redundancy;
mod service;
mod virtual_mac;

pub use mark::{Mark, ParseMarkError};
pub use network::{Granularity, Network, ParseNetworkError};
pub use node::{Attachment, Node};
pub use probe::{Checks, ProbeSource, ProbeSpec};
pub use redundancy::{Announcements, Mode, Redundancy, Side, Track, Tracked};
pub use service::{
    ClientHash, Persistence, PortMap, PortRange, Protocol, Quiescence, Quorum, Ramp, RateLimit, RateUnit,
    RealServer, Role, Scheduler, Service, SlowStart, Thresholds, Weight,
};

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// One configuration file, the same on every director.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The directors by name.
    pub nodes: BTreeMap<String, Node>,
    /// Virtual gateway addresses on the private side: the real servers' default gateways. At most one a family.
    pub gateways: Vec<IpAddr>,
    /// Virtual services by name.
    pub services: BTreeMap<String, Service>,
    /// Management addresses by name.
    pub management: BTreeMap<String, ManagementAddress>,
    /// Probes by name: those that services or [`Redundancy::track`] use.
    pub probes: BTreeMap<String, ProbeSpec>,
    /// The real servers' way out, and back in.
    pub outbound: Outbound,
    /// Kernel settings.
    pub kernel: KernelSettings,
    /// Most persistence entries of each family; further clients are balanced without one.
    pub persistence_limit: u32,
    /// How the directors agree on who is Active; `None`: each is, by itself.
    pub redundancy: Option<Redundancy>,
    /// The HTTP API.
    pub api: ApiSettings,
}

/// A VIP that leads to one real server, on every port of tcp and udp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagementAddress {
    /// Its name, the key in the configuration.
    pub name: String,
    /// The address clients call.
    pub vip: IpAddr,
    /// Name of the server behind it.
    pub server: String,
    /// The server's address, of the same family as `vip`.
    pub address: IpAddr,
    /// Mark of its connections' first packets.
    pub mark: Mark,
}

/// How real servers reach the outside, and the VIPs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbound {
    /// Networks whose traffic out of the public interface gets that interface's address.
    pub masquerade: Vec<Network>,
    /// Real servers may call VIPs that lead back into their own network: such connections are masqueraded too.
    pub hairpin: bool,
    /// Packets of unknown connections that servers send get a TCP RST in place of being forwarded with their private
    /// source. Costs every forwarded packet a look at its state.
    pub reset_invalid: bool,
}

/// What the director does to the kernel's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelSettings {
    /// False: settings are compared and reported, never written.
    pub manage: bool,
    /// Count bytes and packets of connections (`nf_conntrack_acct`); a new connection gets about 5% dearer.
    pub accounting: bool,
    /// `nf_conntrack_max`; `None` leaves it. 256 bytes of memory an entry.
    pub conntrack_max: Option<u32>,
    /// `nf_conntrack_buckets`; `None` leaves it.
    pub conntrack_buckets: Option<u32>,
}

/// Where the HTTP API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiSettings {
    /// Unix socket, mode 0660.
    pub socket: PathBuf,
    /// Group that may use the socket beside root.
    pub group: Option<String>,
    /// TCP listener for the API and `/metrics`; always a loopback address.
    pub listen: Option<SocketAddr>,
}

impl Model {
    /// Default for [`ApiSettings::socket`].
    pub const DEFAULT_SOCKET: &'static str = "/run/director/director.sock";
    /// Default for [`Self::persistence_limit`], entries a family.
    pub const DEFAULT_PERSISTENCE_LIMIT: u32 = 65_536;
    /// Default for [`Persistence::timeout`], as keepalived's and the kernel's.
    pub const DEFAULT_PERSISTENCE_TIMEOUT: Duration = Duration::from_secs(360);

    /// Addresses on the public side that the director holds while it is Active: every VIP and management
    /// address, each once, in order.
    #[must_use]
    pub fn public_addresses(&self) -> Vec<IpAddr> {
        let services = self.services.values().flat_map(|service| service.vips.iter().copied());
        let management = self.management.values().map(|management| management.vip);
        let all: std::collections::BTreeSet<IpAddr> = services.chain(management).collect();
        all.into_iter().collect()
    }
}
