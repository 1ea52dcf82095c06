//! Virtual services.

use super::pool::{RateLimit, ServiceServer, SlowStart, SorryServer};
use super::probe::{Combination, ProbeUse};
use crate::config::decode::{List, Named, OneOrMany, choice, record};
use crate::config::values::{Granularity, Number, Period, PortSpan};
use crate::model::Mark;
use std::net::IpAddr;

record! {
    /// A virtual service: what arrives at its VIPs and ports gets its mark and goes to one of its real servers.
    Service {
        /// Its firewall mark, as 80 or 0x50. Default: derived from the name.
        mark: Mark,
        /// The cluster IP.
        vip: IpAddr = one_of,
        /// Several cluster IPs, in place of `vip`.
        vips: List<IpAddr> = one_of,
        /// The ports of the VIPs that belong to the service.
        ports: Ports = required,
        /// How a server is chosen for a new connection. Default: wrr.
        scheduler: SchedulerName,
        /// sh and mh: leading bits of an IPv4 client address that are hashed: 24, /24 or 255.255.255.0. Default: 32.
        hash_granularity: Granularity<32>,
        /// sh and mh: leading bits of an IPv6 client address that are hashed: 64 or /64. Default: 128.
        hash_granularity6: Granularity<128>,
        /// sh and mh: the client's port counts too. Default: false.
        hash_port: bool,
        /// sh and mh: clients of a server that takes no connections go to another one (true), or are refused (false).
        /// Default: true.
        hash_fallback: bool,
        /// Clients return to the server of their last connection, on all ports and protocols of the service.
        persistence: Persistence,
        /// A server whose probe fails gets weight 0 (true), or is treated as if it were not configured (false).
        /// Default: true.
        quiescent: bool,
        /// A persistent client of a server with weight 0 goes elsewhere with its next connection (true), or returns
        /// until its entry ages out (false). Default: true.
        expire_quiescent_template: bool,
        /// Connections of a dead or removed server end at once (true), or are left alone (false). Default: true.
        expire_nodest_conn: bool,
        /// The probe that the servers must pass: its name, or its keys in place. Default: none, and servers count
        /// as up.
        probe: ProbeUse = at_most_one_of("probe"),
        /// Several probes, in place of `probe`.
        probes: List<ProbeUse> = at_most_one_of("probe"),
        /// How many of the probes a server must pass: `all`, `any`, or a number, also as {at-least: 2}. Default: all.
        probes_required: Combination,
        /// The real servers of the service, by their names under `servers`. May be empty: {}.
        servers: Named<ServiceServer> = required,
        /// Serves while the servers of the service do not: none of them can, or the quorum is lost. One, or a list.
        sorry_server: OneOrMany<SorryServer>,
        /// Sum of the weights of servers that must be up for them to serve. Default: 1.
        quorum: Number<1, 1_000_000_000>,
        /// The quorum is gained at `quorum` plus this, and lost below `quorum` minus this. Less than `quorum`.
        /// Default: 0.
        hysteresis: Number<0, 1_000_000_000>,
        /// Which packets carry the mark: a connection's `first`, or `all`. Default: first. `all` is not supported
        /// yet.
        mark_packets: MarkPackets,
        /// Connections to the servers come from the director's address, for servers with another gateway. Default:
        /// false.
        full_nat: bool,
        /// Time over which a server that comes up gets to its full weight: 1s to 1d, whole seconds. With `over` and
        /// `ramp`, also how. Default: at once.
        slow_start: SlowStart,
        /// New connections that one client may make; further ones are refused. Default: any number.
        rate_limit: RateLimit,
        /// The director answers SYNs by cookie until a client proves itself. Default: false.
        syn_protection: bool,
        /// Established connections take the kernel's fast path. Not supported yet.
        offload: bool,
        /// Ports of the service that are refused until somebody enables them at run time.
        disabled_ports: Ports,
    }
}

record! {
    /// Ports by protocol: a number, a range as "1000-1010", or a list of those.
    Ports {
        /// TCP ports.
        tcp: OneOrMany<PortSpan>,
        /// UDP ports.
        udp: OneOrMany<PortSpan>,
        /// Ports of both protocols.
        both: OneOrMany<PortSpan>,
    }
}

record! {
    /// Persistence of a service.
    Persistence {
        /// How long a client is remembered after its last new connection: 1s to 31d, whole seconds. Default: 6m.
        timeout: Period<1_000, 2_678_400_000>,
        /// Leading bits of an IPv4 client address that make one client: 24, /24 or 255.255.255.0. Default: 32.
        granularity: Granularity<32>,
        /// Leading bits of an IPv6 client address that make one client: 64 or /64. Default: 128.
        granularity6: Granularity<128>,
    }
}

choice! {
    /// Schedulers by LVS's names.
    SchedulerName {
        Rr = "rr",
        Wrr = "wrr",
        Random = "random",
        Lc = "lc",
        Wlc = "wlc",
        Sed = "sed",
        Nq = "nq",
        Sh = "sh",
        Mh = "mh",
        Dh = "dh",
        Fo = "fo",
        Ovf = "ovf",
        Lblc = "lblc",
        Lblcr = "lblcr",
    }
}

choice! {
    /// Packets that carry the mark.
    MarkPackets {
        First = "first",
        All = "all",
    }
}
