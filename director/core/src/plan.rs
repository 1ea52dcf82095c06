//! The ruleset that carries out a model.
//!
//! ```text
//! nat prerouting ── vips4: VIP . proto . port ─▶ svc-NAME-4 ── mark, next slot ─▶ pick4 ── slot ─▶ destination ─▶ dnat
//!                │                                   └─ persistent: return4-… (entry ─▶ dnat), else stick4-…
//!                └─ addresses4: VIP ─▶ undeclared (refused), or management-NAME ─▶ deliver4
//! nat postrouting ── full NAT, masquerade, hairpin                           (only where configured)
//! filter forward  ── packets of no connection                                 (only where configured)
//! filter input, output; nat output ── SYN protection                          (only where configured)
//! ```
//!
//! Nat chains see a connection's first packet only, so established traffic meets none of this. A service is one
//! chain a family with at most two rules; what it needs besides are elements of maps that all services share. So
//! a change of one service is a [`service()`] part of the ruleset, compared and applied on its own.

mod layout;
mod limit;
mod maps;
mod names;
mod parts;
mod persistence;
mod pick;
mod service;
mod skeleton;
mod source;
mod strays;
mod synproxy;
#[cfg(test)]
mod tests;

pub use layout::Layout;
pub use pick::slot as next_slot;
pub use service::service;
pub use skeleton::skeleton;
pub use synproxy::NEEDS as SYN_PROTECTION_NEEDS;

use crate::availability::WHOLE;
use crate::ids::Registry;
use crate::model::{Model, Node, Service};
use crate::pool::{Offer, Offers};
use crate::schedule::{self, Candidate};
use director_nft::ir::Ruleset;
use names::FAMILIES;

/// The whole ruleset: the skeleton and every service.
#[must_use]
pub fn ruleset(layout: &Layout, model: &Model, node: &Node, registry: &Registry, offers: &Offers) -> Ruleset {
    let mut ruleset = skeleton(layout, model, node, registry);
    for it in model.services.values() {
        ruleset.merge(service(layout, it, registry, Offer::of(offers, &it.name)));
    }
    ruleset
}

/// True if elements of the map count, in one layout or another.
#[must_use]
pub fn counts(map: &str) -> bool {
    let of_family =
        |names: &names::FamilyNames| [names.dests, names.port_dests, names.overflow].contains(&map);
    map == names::LIMITED || FAMILIES.iter().any(of_family)
}

/// Map whose elements count, by a service's mark, the connections of clients over the rate limit.
#[must_use]
pub fn limited_map() -> &'static str {
    names::LIMITED
}

/// Map of the persistence entries of a family.
#[must_use]
pub fn persistence_map(ipv6: bool) -> &'static str {
    FAMILIES[usize::from(ipv6)].persist
}

/// Map whose elements count, by a service's mark, the connections of a family that found no room for an entry.
#[must_use]
pub fn overflow_map(ipv6: bool) -> &'static str {
    FAMILIES[usize::from(ipv6)].overflow
}

/// How many slots a service takes in both families together.
#[must_use]
pub fn slot_count(service: &Service, offer: &Offer) -> usize {
    [false, true].map(|ipv6| slot_owners(service, offer, ipv6).len()).iter().sum()
}

/// One turn through the servers that serve a family: their names in slot order.
#[must_use]
pub fn slot_owners<'a>(service: &'a Service, offer: &Offer, ipv6: bool) -> Vec<&'a str> {
    if !service.vips.iter().any(|vip| vip.is_ipv6() == ipv6) {
        return Vec::new();
    }
    let candidates: Vec<Candidate<'a>> = service
        .servers
        .values()
        .filter(|server| server.addresses.iter().any(|address| address.is_ipv6() == ipv6))
        .map(|server| {
            let (share, full_share) = offer
                .servers
                .get(&server.name)
                .map_or((0, 0), |it| (it.share, u32::from(it.full_weight.get()) * WHOLE));
            let load = offer.demand.loads.get(&server.name).copied().unwrap_or_default();
            Candidate { name: &server.name, share, full_share, load }
        })
        .collect();
    let slots = schedule::slots(service.scheduler, &candidates, offer.demand.expected);
    slots.into_iter().map(|owner| candidates[owner].name).collect()
}
