//! The file as it is written: every key of the format, also of what this version does not do yet.

mod pool;
mod probe;
mod redundancy;
mod service;
mod settings;

pub(super) use pool::{Climb, Ramp, RateLimit, ServiceServer, SorryServer, Thresholds};
pub(super) use probe::{
    Argument, Combination, Exit, FlapDamping, Header, Method, Probe, ProbeType, ProbeUse, RecordType, Reply,
    Source, Start,
};
pub(super) use redundancy::{
    Announce, Authentication, InitialState, Link, Mode, Preempt, Reading, Redundancy, Sync, Track,
    TrackTarget,
};
pub(super) use service::{MarkPackets, Persistence, Ports, SchedulerName, Service};
pub(super) use settings::{Api, Kernel, Outbound};

use super::decode::{Checked, List, Named, OneOrMany, record};
use super::values::{InterfaceName, Name, Number};
use crate::model::{Mark, Network};
use std::net::IpAddr;

record! {
    /// The configuration of a pair of directors: the same file on both.
    File {
        /// Version of this format: 1.
        version: Number<0, { u32::MAX }> = required,
        /// The directors by name. Each finds its own entry by host name or `--node`.
        nodes: Named<Node> = required,
        /// The virtual gateway on the private side, the real servers' default route: one address, or one of each
        /// family.
        gateway: OneOrMany<IpAddr>,
        /// The real servers by name.
        servers: Named<Server>,
        /// Probes by name. A service says which of them its servers must pass.
        probes: Named<Probe>,
        /// The virtual services by name.
        services: Named<Service>,
        /// Management addresses by name: each leads to one real server, on every port.
        management: Named<Management>,
        /// The real servers' way out, and to the VIPs.
        outbound: Outbound,
        /// Kernel settings and the sizes of tables.
        kernel: Kernel,
        /// How the directors agree on who is Active. Default: each that runs is, by itself.
        redundancy: Checked<Redundancy>,
        /// What the directors say to each other beside that.
        sync: Sync,
        /// The HTTP API.
        api: Api,
    }
}

record! {
    /// A director.
    Node {
        /// The interface towards the clients. It carries the VIPs and management addresses.
        public: Attachment = required,
        /// The interface towards the real servers. It carries the virtual gateway.
        private: Attachment = required,
    }
}

record! {
    /// A network interface and the director's own addresses there, which the administrator has set up.
    Attachment {
        /// Name of the interface, as `eth0`.
        interface: InterfaceName = required,
        /// The director's own address with the prefix length of its network.
        address: Network = one_of,
        /// The same for several addresses, in place of `address`.
        addresses: List<Network> = one_of,
    }
}

record! {
    /// A real server.
    Server {
        /// Its address on the private side.
        address: IpAddr = one_of,
        /// One address of each family, in place of `address`.
        addresses: List<IpAddr> = one_of,
    }
}

record! {
    /// A management address: a VIP that leads to one real server, on every port.
    Management {
        /// The address that clients call.
        vip: IpAddr = required,
        /// Name of the real server behind it.
        server: Name = required,
        /// Its firewall mark. Default: derived from the name.
        mark: Mark,
    }
}
