//! What all services share: hooks, look-ups, refusals and management addresses.

use super::layout::Layout;
use super::names::{self, CLOSED, FAMILIES, FamilyNames, LIMITED, NO_SERVER, OVER_LIMIT, UNDECLARED};
use super::parts::{
    base_chain, chain, commented, datum, dnat, from_slot, goto, insert, is_protocol, port_dnat, rule,
    set_ct_mark, set_meta_mark,
};
use super::{persistence, source, strays, synproxy};
use crate::ids::Registry;
use crate::model::{Model, Node, Protocol};
use director_nft::ir::{
    ChainKind, Datum, Element, ElementData, Expression, Hook, Key, Reject, Rule, Ruleset, Selector,
    Statement, Verdict,
};
use std::net::IpAddr;

/// The ruleset without its services.
#[must_use]
pub fn skeleton(layout: &Layout, model: &Model, node: &Node, registry: &Registry) -> Ruleset {
    let mut ruleset = layout.maps();
    let families: Vec<&FamilyNames> = FAMILIES.iter().filter(|names| layout.has(names.vips)).collect();
    let prerouting = prerouting(layout, &families);
    base_chain(&mut ruleset, "prerouting", (ChainKind::Nat, Hook::Prerouting, -100), prerouting);
    source::translation(&mut ruleset, layout, model, node);
    strays::refusal(&mut ruleset, model, node);
    synproxy::skeleton(&mut ruleset, layout, model, node);
    chain(&mut ruleset, NO_SERVER, refusal("no server"));
    chain(&mut ruleset, CLOSED, refusal("closed port of a service"));
    chain(&mut ruleset, UNDECLARED, refusal("undeclared port of a VIP"));
    if layout.has(LIMITED) {
        chain(&mut ruleset, OVER_LIMIT, refusal("over the rate limit"));
    }
    for names in &families {
        let dests = dnat(names, &[Selector::CtMark], names.dests, false);
        chain(&mut ruleset, names.pick, delivery(vec![from_slot(), dests.clone()], NO_SERVER));
        chain(&mut ruleset, names.deliver, delivery(vec![dests], NO_SERVER));
        if layout.has(names.port_dests) {
            let mut rules = vec![rule(vec![from_slot()])];
            rules.extend(port_delivery(names));
            chain(&mut ruleset, names.pick_ports, rules);
            if layout.has(names.overflow) {
                chain(&mut ruleset, names.deliver_ports, port_delivery(names));
            }
        }
    }
    for profile in layout.profiles() {
        let names = if profile.ipv6 { &FAMILIES[1] } else { &FAMILIES[0] };
        chain(&mut ruleset, &profile.returning(), persistence::returning(names, &profile));
        chain(&mut ruleset, &profile.sticking(), persistence::sticking(names, &profile));
    }
    for vip in model.public_addresses() {
        insert_address(&mut ruleset, vip, UNDECLARED.to_owned(), "undeclared ports");
    }
    management(&mut ruleset, layout, model, registry);
    ruleset
}

fn prerouting(layout: &Layout, families: &[&FamilyNames]) -> Vec<Rule> {
    let mut rules = Vec::new();
    for names in families {
        let daddr = if names.ipv6 { Selector::Ip6Daddr } else { Selector::Ip4Daddr };
        let tuple = vec![daddr, Selector::L4Proto, Selector::ThDport];
        rules.push(vmap(tuple.clone(), names.vips));
        if layout.has(names.ranges) {
            rules.push(vmap(tuple, names.ranges));
        }
        rules.push(vmap(vec![daddr], names.addresses));
    }
    rules
}

/// Answers that the connection is refused; other protocols than tcp and udp (a ping) reach the director itself.
fn refusal(comment: &str) -> Vec<Rule> {
    vec![
        commented(vec![is_protocol(Protocol::Tcp), Statement::Reject(Reject::TcpReset)], comment),
        commented(vec![is_protocol(Protocol::Udp), Statement::Reject(Reject::PortUnreachable)], comment),
    ]
}

fn management(ruleset: &mut Ruleset, layout: &Layout, model: &Model, registry: &Registry) {
    for it in model.management.values() {
        let Some(id) = registry.management(&it.name, &it.server) else { continue };
        let names = if it.vip.is_ipv6() { &FAMILIES[1] } else { &FAMILIES[0] };
        let name = names::management_chain(&it.name);
        let rules = [Protocol::Tcp, Protocol::Udp].map(|protocol| {
            let mut statements = vec![is_protocol(protocol), set_meta_mark(it.mark.get())];
            statements.extend(layout.events(None));
            statements.push(set_ct_mark(Expression::Value(Datum::Mark(id.get()))));
            statements.push(goto(names.deliver));
            commented(statements, &format!("every port of {} to {}", it.vip, it.server))
        });
        chain(ruleset, &name, rules.into());
        insert_address(ruleset, it.vip, name, &it.name);
        let element = Element {
            data: Some(ElementData::Values(vec![datum(it.address)])),
            comment: Some(format!("management {} to {}", it.name, it.server)),
        };
        insert(ruleset, names.dests, Key::of([Datum::Mark(id.get())]), element);
    }
}

fn insert_address(ruleset: &mut Ruleset, vip: IpAddr, chain: String, comment: &str) {
    let names = if vip.is_ipv6() { &FAMILIES[1] } else { &FAMILIES[0] };
    let element =
        Element { data: Some(ElementData::Verdict(Verdict::Goto(chain))), comment: Some(comment.to_owned()) };
    insert(ruleset, names.addresses, Key::of([datum(vip)]), element);
}

fn vmap(key: Vec<Selector>, map: &str) -> Rule {
    rule(vec![Statement::Vmap { key, map: map.to_owned() }])
}

fn delivery(statements: Vec<Statement>, otherwise: &str) -> Vec<Rule> {
    vec![rule(statements), rule(vec![goto(otherwise)])]
}

fn port_delivery(names: &FamilyNames) -> Vec<Rule> {
    let deliver = |protocol| rule(vec![is_protocol(protocol), port_dnat(names)]);
    vec![deliver(Protocol::Tcp), deliver(Protocol::Udp), rule(vec![goto(NO_SERVER)])]
}
