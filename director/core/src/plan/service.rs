//! One service's part of the ruleset.

use super::layout::{Layout, distinct_ports, maps_ports};
use super::names::{CLOSED, FAMILIES, FamilyNames, NO_SERVER, Profile, SLOTS, service_chain};
use super::parts::{chain, commented, datum, insert, set_ct_mark, set_meta_mark, vip_key};
use super::{limit, pick, slot_owners, synproxy};
use crate::availability::Availability;
use crate::ids::{DestinationId, Registry};
use crate::model::{RealServer, Service};
use crate::pool::Offer;
use crate::ports::{intersect, subtract};
use director_nft::ir::{Datum, Element, ElementData, Key, Rule, Ruleset, Statement, Verdict};

/// The chains of a service, and its elements of the shared maps. All maps of the layout are named, so that two
/// parts of one service differ by elements and rules only.
#[must_use]
pub fn service(layout: &Layout, service: &Service, registry: &Registry, offer: &Offer) -> Ruleset {
    let mut part = layout.maps();
    limit::refusal(&mut part, service);
    for names in FAMILIES.iter().filter(|names| service.vips.iter().any(|vip| vip.is_ipv6() == names.ipv6)) {
        ports(&mut part, names, service, offer);
        let slots = slots(&mut part, names, service, registry, offer);
        destinations(&mut part, names, service, registry, offer);
        overflow(&mut part, names, service);
        let shielded = synproxy::shield(&mut part, layout, names, service);
        let rules = rules(layout, names, service, slots, shielded);
        if shielded {
            synproxy::chains(&mut part, names, service, rules, serves(names, service, offer));
        } else {
            chain(&mut part, &service_chain(&service.name, names.ipv6), rules);
        }
    }
    part
}

/// True if new clients of the family get a server.
fn serves(names: &FamilyNames, service: &Service, offer: &Offer) -> bool {
    service.servers.values().any(|server| {
        server.addresses.iter().any(|address| address.is_ipv6() == names.ipv6)
            && offer.servers.get(&server.name).is_some_and(|it| it.share > 0)
    })
}

/// First slot and number of slots of a service in a family.
type SlotRange = (u32, u32);

/// Every port leads somewhere, closed ones to their refusal. Pieces of a range stay where ranges are: so closing a
/// port never takes more room in the map of fixed size.
fn ports(part: &mut Ruleset, names: &FamilyNames, service: &Service, offer: &Offer) {
    let element = |chain: String, comment: String| {
        let data = Some(ElementData::Verdict(Verdict::Goto(chain)));
        Element { data, comment: Some(comment) }
    };
    let open = element(service_chain(&service.name, names.ipv6), service.name.clone());
    let closed = element(CLOSED.to_owned(), format!("{}: closed", service.name));
    for range in &service.ports {
        let map = if range.first == range.last { names.vips } else { names.ranges };
        let pieces = [
            (subtract(&[*range], &offer.closed_ports), &open),
            (intersect(&[*range], &offer.closed_ports), &closed),
        ];
        for vip in service.vips.iter().filter(|vip| vip.is_ipv6() == names.ipv6) {
            for (pieces, element) in &pieces {
                for piece in pieces {
                    insert(part, map, vip_key(datum(*vip), *piece), (*element).clone());
                }
            }
        }
    }
}

fn slots(
    part: &mut Ruleset,
    names: &FamilyNames,
    service: &Service,
    registry: &Registry,
    offer: &Offer,
) -> Option<SlotRange> {
    let number = registry.service(&service.name)?;
    let first = number.first_slot(names.ipv6);
    let id = |owner| {
        // A hash without fallback keeps the slots of servers that take nothing.
        let serves = offer.servers.get(owner).is_some_and(|it| it.share > 0);
        if serves { registry.server(&service.name, owner) } else { Some(number.nobody()) }
    };
    let owners = slot_owners(service, offer, names.ipv6).into_iter();
    let ids: Vec<u32> = owners.filter_map(id).map(DestinationId::get).collect();
    let mut count = 0;
    for (slot, id) in (first..).zip(ids) {
        let data = Some(ElementData::Values(vec![Datum::Mark(id)]));
        insert(part, SLOTS, Key::of([Datum::Mark(slot)]), Element { data, comment: None });
        count += 1;
    }
    Some((first, count))
}

/// Destinations that a new connection may go to, by a slot or by a persistence entry.
fn destinations(
    part: &mut Ruleset,
    names: &FamilyNames,
    service: &Service,
    registry: &Registry,
    offer: &Offer,
) {
    let open =
        |server: &&RealServer| offer.servers.get(&server.name).is_some_and(Availability::takes_returning);
    let ports = maps_ports(service).then(|| distinct_ports(service));
    for server in service.servers.values().filter(open) {
        let address = server.addresses.iter().find(|address| address.is_ipv6() == names.ipv6);
        let (Some(address), Some(id)) = (address, registry.server(&service.name, &server.name)) else {
            continue;
        };
        let comment = Some(label(&service.name, &server.name));
        let Some(ports) = &ports else {
            let data = Some(ElementData::Values(vec![datum(*address)]));
            insert(part, names.dests, Key::of([Datum::Mark(id.get())]), Element { data, comment });
            continue;
        };
        for &port in ports {
            let mapped = Datum::Port(server.ports.map(port));
            let data = Some(ElementData::Values(vec![datum(*address), mapped]));
            let key = Key::of([Datum::Mark(id.get()), Datum::Port(port)]);
            insert(part, names.port_dests, key, Element { data, comment: comment.clone() });
        }
    }
}

/// Where clients go that find no room for an entry; the element counts them.
fn overflow(part: &mut Ruleset, names: &FamilyNames, service: &Service) {
    if service.persistence.is_some() {
        let chain = if maps_ports(service) { names.deliver_ports } else { names.deliver };
        let data = Some(ElementData::Verdict(Verdict::Goto(chain.to_owned())));
        let key = Key::of([Datum::Mark(service.mark.get())]);
        insert(part, names.overflow, key, Element { data, comment: Some(service.name.clone()) });
    }
}

/// What leads to a server. `shielded`: its limit has a chain of its own.
fn rules(
    layout: &Layout,
    names: &FamilyNames,
    service: &Service,
    slots: Option<SlotRange>,
    shielded: bool,
) -> Vec<Rule> {
    let mapped = maps_ports(service);
    let profile = service.persistence.map(|persistence| Profile::of(persistence, names.ipv6, mapped));
    let next = match (&profile, mapped) {
        (Some(profile), _) => profile.sticking(),
        (None, true) => names.pick_ports.to_owned(),
        (None, false) => names.pick.to_owned(),
    };
    let (schedule, comment) = match slots {
        Some((offset, modulus)) if modulus > 0 => {
            let slot = pick::slot(service, names.ipv6, offset, modulus);
            let next = Statement::Verdict(Verdict::Goto(next));
            let plural = if modulus == 1 { "" } else { "s" };
            let comment = format!("{} {}, {modulus} slot{plural}", service.name, service.scheduler.name());
            (vec![set_ct_mark(slot), next], comment)
        }
        _ => {
            let refuse = Statement::Verdict(Verdict::Goto(NO_SERVER.to_owned()));
            (vec![refuse], format!("{}: no server takes new connections", service.name))
        }
    };
    let mut rules = Vec::new();
    // What comes first in the chain marks the packet.
    let mut first = vec![set_meta_mark(service.mark.get())];
    first.extend(layout.events(Some(service)));
    let mut rule = |statements: Vec<Statement>, comment: &str| {
        rules.push(commented([std::mem::take(&mut first), statements].concat(), comment));
    };
    if let Some(limit) = service.rate_limit.filter(|_| !shielded) {
        rule(limit::statements(names, limit), &format!("{}: clients over the rate limit", service.name));
    }
    if let Some(profile) = profile {
        let jump = Statement::Verdict(Verdict::Jump(profile.returning()));
        rule(vec![jump], &format!("{}: returning clients", service.name));
    }
    rule(schedule, &comment);
    rules
}

/// `service/server`, shortened to what a comment may hold.
fn label(service: &str, server: &str) -> String {
    let mut label = format!("{service}/{server}");
    label.truncate(127);
    label
}
