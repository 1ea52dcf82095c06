//! What all services share: hooks, look-ups, refusals and management addresses.

use super::layout::Layout;
use super::names::{self, FAMILIES, FamilyNames, LIMITED, NO_SERVER, OVER_LIMIT, Profile, SLOTS, UNDECLARED};
use super::{source, strays, synproxy};
use crate::ids::Registry;
use crate::model::{Model, Node, Protocol};
use director_nft::ir::{
    BaseChain, Chain, ChainKind, Datum, Dnat, Element, ElementData, Expression, Family, Hook, Key,
    MarkTarget, Match, Reject, Rule, Ruleset, Selector, Statement, Verdict,
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
    synproxy::skeleton(&mut ruleset, layout, node);
    chain(&mut ruleset, NO_SERVER, refusal("no server"));
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
        chain(&mut ruleset, &profile.returning(), returning(names, &profile));
        chain(&mut ruleset, &profile.sticking(), sticking(names, &profile));
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

/// Clients that have an entry: to their server, and the entry lives anew. Where the server may not be returned
/// to, it stands in no destination map: the look-up ends the rule and the stale entry goes.
fn returning(names: &FamilyNames, profile: &Profile) -> Vec<Rule> {
    let known = known(names, profile);
    let renew = renew(names, profile);
    let mut rules = Vec::new();
    if profile.ports {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let statements = vec![is_protocol(protocol), known.clone(), renew.clone(), port_dnat(names)];
            rules.push(commented(statements, "returning client"));
        }
    } else {
        let deliver = dnat(names, &[Selector::CtMark], names.dests, false);
        rules.push(commented(vec![known, renew, deliver], "returning client"));
    }
    let forget = Statement::Delete {
        map: names.persist.to_owned(),
        key: client_key(profile),
        data: Some(Selector::CtMark),
    };
    rules.push(commented(vec![forget], "its server is gone"));
    rules
}

/// Clients without an entry: to the slot's server, and they get one. A full map ends the rule, and the client goes to
/// its server without; so does a slot whose server takes nobody, but that leaves an entry.
fn sticking(names: &FamilyNames, profile: &Profile) -> Vec<Rule> {
    let stick = |dnat| vec![from_slot(), renew(names, profile), dnat];
    let deliveries: Vec<Vec<Statement>> = if profile.ports {
        let protocols = [Protocol::Tcp, Protocol::Udp];
        protocols.map(|it| [vec![is_protocol(it)], stick(port_dnat(names))].concat()).into()
    } else {
        vec![stick(dnat(names, &[Selector::CtMark], names.dests, false))]
    };
    let refuse = Statement::Verdict(Verdict::Goto(NO_SERVER.to_owned()));
    let mut rules: Vec<Rule> =
        deliveries.into_iter().map(|it| commented(it, "client sticks to this server")).collect();
    rules.push(commented(vec![known(names, profile), refuse], "its server takes nobody"));
    let overflow = Statement::Vmap { key: vec![Selector::MetaMark], map: names.overflow.to_owned() };
    rules.push(commented(vec![overflow], "no room for an entry"));
    rules.push(goto(NO_SERVER));
    rules
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
            statements.push(Statement::Verdict(Verdict::Goto(names.deliver.to_owned())));
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

/// Adds an element to a map that the ruleset has.
pub(super) fn insert(ruleset: &mut Ruleset, map: &str, key: Key, element: Element) {
    if let Some(map) = ruleset.maps.get_mut(map) {
        map.elements.insert(key, element);
    }
}

/// The address as an element's field.
pub(super) fn datum(address: IpAddr) -> Datum {
    match address {
        IpAddr::V4(v4) => Datum::Ipv4(v4),
        IpAddr::V6(v6) => Datum::Ipv6(v6),
    }
}

/// The leading bits of the client's address.
pub(super) fn saddr(ipv6: bool, prefix: u8) -> Selector {
    if ipv6 { Selector::Ip6Saddr { prefix } } else { Selector::Ip4Saddr { prefix } }
}

/// `meta mark set …`
pub(super) fn set_meta_mark(mark: u32) -> Statement {
    Statement::SetMark { target: MarkTarget::Meta, value: Expression::Value(Datum::Mark(mark)) }
}

/// `ct mark set …`
pub(super) fn set_ct_mark(value: Expression) -> Statement {
    Statement::SetMark { target: MarkTarget::Ct, value }
}

/// A rule with a comment.
pub(super) fn commented(statements: Vec<Statement>, comment: &str) -> Rule {
    Rule { statements, comment: Some(comment.to_owned()) }
}

fn rule(statements: Vec<Statement>) -> Rule {
    Rule { statements, comment: None }
}

fn goto(chain: &str) -> Rule {
    rule(vec![Statement::Verdict(Verdict::Goto(chain.to_owned()))])
}

fn vmap(key: Vec<Selector>, map: &str) -> Rule {
    rule(vec![Statement::Vmap { key, map: map.to_owned() }])
}

fn delivery(statements: Vec<Statement>, otherwise: &str) -> Vec<Rule> {
    vec![rule(statements), goto(otherwise)]
}

fn is_protocol(protocol: Protocol) -> Statement {
    let value = Datum::Proto(protocol.number());
    Statement::Match(Match::Value { selector: Selector::L4Proto, negate: false, value })
}

pub(super) fn output_interface(name: &str) -> Statement {
    Statement::Match(Match::OutputInterface { negate: false, name: name.to_owned() })
}

/// The slot in the ct mark becomes the destination that owns it.
fn from_slot() -> Statement {
    set_ct_mark(Expression::Map { key: vec![Selector::CtMark], map: SLOTS.to_owned() })
}

fn dnat(names: &FamilyNames, key: &[Selector], map: &str, port: bool) -> Statement {
    let family = if names.ipv6 { Family::V6 } else { Family::V4 };
    Statement::Dnat(Dnat { family, key: key.to_vec(), map: map.to_owned(), port })
}

fn port_dnat(names: &FamilyNames) -> Statement {
    dnat(names, &[Selector::CtMark, Selector::ThDport], names.port_dests, true)
}

fn port_delivery(names: &FamilyNames) -> Vec<Rule> {
    let deliver = |protocol| rule(vec![is_protocol(protocol), port_dnat(names)]);
    vec![deliver(Protocol::Tcp), deliver(Protocol::Udp), goto(NO_SERVER)]
}

fn client_key(profile: &Profile) -> Vec<Selector> {
    vec![saddr(profile.ipv6, profile.granularity), Selector::MetaMark]
}

fn renew(names: &FamilyNames, profile: &Profile) -> Statement {
    Statement::Update {
        map: names.persist.to_owned(),
        key: client_key(profile),
        timeout: Some(profile.timeout),
        data: Some(Selector::CtMark),
    }
}

/// Ends the rule if the client has no entry.
fn known(names: &FamilyNames, profile: &Profile) -> Statement {
    set_ct_mark(Expression::Map { key: client_key(profile), map: names.persist.to_owned() })
}

pub(super) fn base_chain(
    ruleset: &mut Ruleset,
    name: &str,
    (kind, hook, priority): (ChainKind, Hook, i32),
    rules: Vec<Rule>,
) {
    let base = Some(BaseChain { kind, hook, priority });
    ruleset.chains.insert(name.to_owned(), Chain { base, rules });
}

pub(super) fn chain(ruleset: &mut Ruleset, name: &str, rules: Vec<Rule>) {
    ruleset.chains.insert(name.to_owned(), Chain { base: None, rules });
}
