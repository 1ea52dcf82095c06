//! Names of chains and maps, in one place.

use crate::model::Persistence;
use std::time::Duration;

/// Shared maps of a family, and the chains that use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FamilyNames {
    /// True for IPv6.
    pub(super) ipv6: bool,
    /// VIP . protocol . port to a service's chain.
    pub(super) vips: &'static str,
    /// The same for port ranges.
    pub(super) ranges: &'static str,
    /// Any other packet to a VIP.
    pub(super) addresses: &'static str,
    /// Destination id to address.
    pub(super) dests: &'static str,
    /// Destination id . port to address . port.
    pub(super) port_dests: &'static str,
    /// Client . mark to destination id.
    pub(super) persist: &'static str,
    /// Mark of a persistent service to where its clients go that find no room in `persist`.
    pub(super) overflow: &'static str,
    /// VIP . port of a service with SYN protection to its mark.
    pub(super) shields: &'static str,
    /// The same for port ranges.
    pub(super) shield_ranges: &'static str,
    /// Client . port . mark of those that have sent a SYN, to the mark.
    pub(super) handshakes: &'static str,
    /// Mark of a service to its limit for clients that finish a handshake.
    pub(super) proofs: &'static str,
    /// Mark of a service to the chain for clients that have finished it.
    pub(super) proven: &'static str,
    /// Slot to destination to address.
    pub(super) pick: &'static str,
    /// The same with port mapping.
    pub(super) pick_ports: &'static str,
    /// Destination id in the ct mark to address.
    pub(super) deliver: &'static str,
    /// The same with port mapping.
    pub(super) deliver_ports: &'static str,
}

/// IPv4, then IPv6.
pub(super) const FAMILIES: [FamilyNames; 2] = [
    FamilyNames {
        ipv6: false,
        vips: "vips4",
        ranges: "vips4-ranges",
        addresses: "addresses4",
        dests: "dests4",
        port_dests: "dests4-ports",
        persist: "persist4",
        overflow: "overflow4",
        shields: "shields4",
        shield_ranges: "shields4-ranges",
        handshakes: "handshakes4",
        proofs: "proofs4",
        proven: "proven4",
        pick: "pick4",
        pick_ports: "pick4-ports",
        deliver: "deliver4",
        deliver_ports: "deliver4-ports",
    },
    FamilyNames {
        ipv6: true,
        vips: "vips6",
        ranges: "vips6-ranges",
        addresses: "addresses6",
        dests: "dests6",
        port_dests: "dests6-ports",
        persist: "persist6",
        overflow: "overflow6",
        shields: "shields6",
        shield_ranges: "shields6-ranges",
        handshakes: "handshakes6",
        proofs: "proofs6",
        proven: "proven6",
        pick: "pick6",
        pick_ports: "pick6-ports",
        deliver: "deliver6",
        deliver_ports: "deliver6-ports",
    },
];

/// Slot to destination id, of all services and both families.
pub(super) const SLOTS: &str = "slots";
/// Mark of a service to what becomes of clients over its rate limit.
pub(super) const LIMITED: &str = "limited";
/// Refuses clients over a rate limit.
pub(super) const OVER_LIMIT: &str = "over-limit";
/// Mark of a service with full NAT to where its connections get another source.
pub(super) const SOURCES: &str = "sources";
/// Marks of services that get more SYNs than can be remembered.
pub(super) const FLOODED: &str = "flooded";
/// Chain with a SYN proxy whose only use is to be there.
pub(super) const TRANSLATION: &str = "synproxy";
/// Gives connections of services with full NAT their source.
pub(super) const FULL_NAT: &str = "full-nat";
/// Refuses what no server can be found for.
pub(super) const NO_SERVER: &str = "no-server";
/// Refuses ports of a service that are closed.
pub(super) const CLOSED: &str = "closed";
/// Refuses ports of a VIP that no service declares.
pub(super) const UNDECLARED: &str = "undeclared";

/// A way to treat persistent clients that services can share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Profile {
    /// True for IPv6.
    pub(super) ipv6: bool,
    /// Leading bits of the client's address.
    pub(super) granularity: u8,
    /// Life of an entry.
    pub(super) timeout: Duration,
    /// With port mapping.
    pub(super) ports: bool,
}

impl Profile {
    pub(super) fn of(persistence: Persistence, ipv6: bool, ports: bool) -> Self {
        let granularity = persistence.granularity.bits(ipv6);
        Self { ipv6, granularity, timeout: persistence.timeout, ports }
    }

    /// Chain for clients that have an entry.
    pub(super) fn returning(&self) -> String {
        self.name("return")
    }

    /// Chain for clients that get one.
    pub(super) fn sticking(&self) -> String {
        self.name("stick")
    }

    fn name(&self, prefix: &str) -> String {
        let family = if self.ipv6 { 6 } else { 4 };
        let ports = if self.ports { "-ports" } else { "" };
        format!("{prefix}{family}-{}-{}s{ports}", self.granularity, self.timeout.as_secs())
    }
}

/// Chain of a service in a family.
pub(super) fn service_chain(service: &str, ipv6: bool) -> String {
    format!("svc-{service}-{}", if ipv6 { 6 } else { 4 })
}

/// Chain of a protected service in a family that limits its clients.
pub(super) fn limit_chain(service: &str, ipv6: bool) -> String {
    format!("limit-{service}-{}", if ipv6 { 6 } else { 4 })
}

/// Chain of a protected service in a family for clients that have proved themselves.
pub(super) fn proven_chain(service: &str, ipv6: bool) -> String {
    format!("proven-{service}-{}", if ipv6 { 6 } else { 4 })
}

/// Chain of a management address.
pub(super) fn management_chain(name: &str) -> String {
    format!("management-{name}")
}
