//! What the plan's rulesets are put together from: statements, rules, chains and elements.

use super::names::{FamilyNames, SLOTS};
use crate::model::{PortRange, Protocol};
use director_nft::ir::{
    BaseChain, Chain, ChainKind, Datum, Dnat, Element, Expression, Family, Hook, Key, KeyPart, MarkTarget,
    Match, Rule, Ruleset, Selector, Statement, Verdict,
};
use std::net::IpAddr;

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

/// A rule without a comment.
pub(super) fn rule(statements: Vec<Statement>) -> Rule {
    Rule { statements, comment: None }
}

/// `goto chain`
pub(super) fn goto(chain: &str) -> Statement {
    Statement::Verdict(Verdict::Goto(chain.to_owned()))
}

/// `meta l4proto …`
pub(super) fn is_protocol(protocol: Protocol) -> Statement {
    let value = Datum::Proto(protocol.number());
    Statement::Match(Match::Value { selector: Selector::L4Proto, negate: false, value })
}

/// `oifname …`
pub(super) fn output_interface(name: &str) -> Statement {
    Statement::Match(Match::OutputInterface { negate: false, name: name.to_owned() })
}

/// The slot in the ct mark becomes the destination that owns it.
pub(super) fn from_slot() -> Statement {
    set_ct_mark(Expression::Map { key: vec![Selector::CtMark], map: SLOTS.to_owned() })
}

/// `dnat … to … map @…`
pub(super) fn dnat(names: &FamilyNames, key: &[Selector], map: &str, port: bool) -> Statement {
    let family = if names.ipv6 { Family::V6 } else { Family::V4 };
    Statement::Dnat(Dnat { family, key: key.to_vec(), map: map.to_owned(), port })
}

/// The same to an address and port.
pub(super) fn port_dnat(names: &FamilyNames) -> Statement {
    dnat(names, &[Selector::CtMark, Selector::ThDport], names.port_dests, true)
}

/// Adds a chain that hangs in a hook.
pub(super) fn base_chain(
    ruleset: &mut Ruleset,
    name: &str,
    (kind, hook, priority): (ChainKind, Hook, i32),
    rules: Vec<Rule>,
) {
    let base = Some(BaseChain { kind, hook, priority });
    ruleset.chains.insert(name.to_owned(), Chain { base, rules });
}

/// Adds a chain that others lead to.
pub(super) fn chain(ruleset: &mut Ruleset, name: &str, rules: Vec<Rule>) {
    ruleset.chains.insert(name.to_owned(), Chain { base: None, rules });
}

/// Key of a VIP's ports.
pub(super) fn vip_key(vip: Datum, range: PortRange) -> Key {
    let port = if range.first == range.last {
        KeyPart::Value(Datum::Port(range.first))
    } else {
        KeyPart::Range(Datum::Port(range.first), Datum::Port(range.last))
    };
    Key(vec![KeyPart::Value(vip), KeyPart::Value(Datum::Proto(range.protocol.number())), port])
}
