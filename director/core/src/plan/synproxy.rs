//! SYN protection: the director finishes a client's handshake itself, by cookie, and calls the server only then.
//!
//! ```text
//! nat prerouting ── svc-NAME-4: a client's SYN goes on to the director itself
//! filter input   ── handshake4: SYN ─▶ SYN/ACK with a cookie; its ACK ─▶ proof4 ─▶ the kernel's own SYN
//! nat output     ── that SYN ─▶ proven-NAME-4 ─▶ dnat, as any other service's
//! ```
//!
//! The SYN proxy takes the SYN before its connection is recorded. So a connection is known, scheduled and counted when
//! its client has proved that it is there, and neither a flood nor anybody's established connection meets a chain
//! that it would not meet without protection.
//!
//! A packet of no connection may hold a cookie only where a SYN came lately, or where there are more SYNs than
//! `handshakes4` can hold. All others get a RST: else clients of a dead server would wait in vain, since a cookie that
//! does not hold is dropped in silence.
//!
//! The kernel translates sequence numbers and time-stamps of such a connection as long as it lasts, the latter only
//! while there is a SYN proxy in some rule. So one stays when the last service gives up its protection: in a chain
//! that no packet comes to.
//!
//! Only clients meet this: what comes from the private side, or begins here, is balanced without proof. So is a
//! service that has no server: it refuses at once, and a client that has had its SYN/ACK would take no notice.

use super::layout::{Layout, is_protected};
use super::limit;
use super::maps::HANDSHAKE;
use super::names::{FAMILIES, FLOODED, FamilyNames, TRANSLATION, limit_chain, proven_chain, service_chain};
use super::parts::{
    base_chain, chain, commented, datum, goto, insert, is_protocol, rule, saddr, set_meta_mark, vip_key,
};
use crate::model::{Model, Node, Protocol, Service, Side};
use director_nft::ir::{
    ChainKind, CtStates, Datum, Element, ElementData, Expression, Hook, Key, MarkTarget, Match, Reject, Rule,
    Ruleset, Selector, Statement, Synproxy, TcpFlags, Verdict,
};
use std::collections::BTreeSet;

/// Chain that lets SYNs of clients go on to the director itself.
const CLIENTS: &str = "clients";

/// What the kernel must know.
pub const NEEDS: [Statement; 2] = [proxy(false), Statement::StripTimestamp];

/// What clients are told in the server's place: what Linux and Windows servers say on a wire of 1500 bytes.
const fn proxy(ipv6: bool) -> Statement {
    let mss = if ipv6 { 1440 } else { 1460 };
    Statement::Synproxy(Synproxy { mss, wscale: 7, timestamp: true, sack_perm: true })
}

/// The chains that all protected services share.
pub(super) fn skeleton(ruleset: &mut Ruleset, layout: &Layout, model: &Model, node: &Node) {
    if layout.proxied() {
        let stay = commented(vec![proxy(false)], "for connections that began by it");
        chain(ruleset, TRANSLATION, vec![stay]);
    }
    let families: Vec<&FamilyNames> = FAMILIES.iter().filter(|names| layout.has(names.shields)).collect();
    if families.is_empty() {
        return;
    }
    let (private, public) = (&node.private.interface, &node.public.interface);
    // With one interface for both, a real server is a client as any other.
    let inside = if private == public { BTreeSet::new() } else { model.entrances(node, Side::Private) };
    let outside =
        inside.into_iter().map(|name| Statement::Match(Match::InputInterface { negate: true, name }));
    let on = Statement::Verdict(Verdict::Accept);
    let clients = commented(outside.chain([on]).collect(), "to the SYN proxy");
    chain(ruleset, CLIENTS, vec![clients]);

    let maps = || families.iter().flat_map(|names| shields(layout, names).map(move |map| (*names, map)));
    let input = maps().map(|(names, map)| {
        let states = Statement::Match(Match::CtState(CtStates::INVALID | CtStates::NEW));
        let handshake = goto(&handshake_chain(names));
        commented(
            vec![states, mark_by(&called(names), map), handshake],
            "of no connection to a protected port",
        )
    });
    // Before others that drop what belongs to no connection.
    base_chain(ruleset, "input", (ChainKind::Filter, Hook::Input, -150), input.collect());
    for names in &families {
        chain(ruleset, &handshake_chain(names), handshake(names));
        chain(ruleset, &proof_chain(names), proof(layout, names));
    }

    let ends = maps().map(|(names, map)| {
        let flags = Match::TcpFlags {
            mask: TcpFlags::SYN | TcpFlags::RST | TcpFlags::ACK,
            value: TcpFlags::ACK,
            negate: false,
        };
        let mut statements = vec![Statement::Match(Match::CtStatusDnat), Statement::Match(flags)];
        // The kernel (6.18 and before) translates the time-stamp of this ACK twice, and recent servers ignore it.
        statements.extend([mark_by(&called(names), map), Statement::StripTimestamp]);
        commented(statements, "end of a handshake with a server")
    });
    // Before nat: the destination is the VIP as yet.
    base_chain(ruleset, "output-filter", (ChainKind::Filter, Hook::Output, -150), ends.collect());
    let proven = maps().map(|(names, map)| {
        let proven = Statement::Vmap { key: vec![Selector::MetaMark], map: names.proven.to_owned() };
        commented(vec![mark_by(&called(names), map), proven], "for clients that have proved themselves")
    });
    base_chain(ruleset, "output", (ChainKind::Nat, Hook::Output, -100), proven.collect());
}

/// Leads what comes to the service's protected ports. True if it is protected: [`chains()`] makes its chains.
pub(super) fn shield(part: &mut Ruleset, layout: &Layout, names: &FamilyNames, service: &Service) -> bool {
    if !is_protected(service) || !layout.has(names.shields) {
        return false;
    }
    let comment = Some(service.name.clone());
    let mark = Datum::Mark(service.mark.get());
    for range in service.ports.iter().filter(|range| range.protocol == Protocol::Tcp) {
        for vip in service.vips.iter().filter(|vip| vip.is_ipv6() == names.ipv6) {
            let map = if range.first == range.last { names.shields } else { names.shield_ranges };
            let data = Some(ElementData::Values(vec![mark]));
            insert(part, map, vip_key(datum(*vip), *range), Element { data, comment: comment.clone() });
        }
    }
    let mut lead = |map, verdict| {
        let data = Some(ElementData::Verdict(verdict));
        insert(part, map, Key::of([mark]), Element { data, comment: comment.clone() });
    };
    lead(names.proven, Verdict::Goto(proven_chain(&service.name, names.ipv6)));
    if service.rate_limit.is_some() {
        lead(names.proofs, Verdict::Jump(limit_chain(&service.name, names.ipv6)));
    }
    true
}

/// The chains of a protected service, of which `rules` lead to a server, if it has one. Who has proved itself has
/// passed the limit before.
pub(super) fn chains(
    part: &mut Ruleset,
    names: &FamilyNames,
    service: &Service,
    rules: Vec<Rule>,
    serves: bool,
) {
    let chain_name = |name: fn(&str, bool) -> String| name(&service.name, names.ipv6);
    let mut front = Vec::new();
    if serves {
        let prove = vec![is_protocol(Protocol::Tcp), Statement::Verdict(Verdict::Jump(CLIENTS.to_owned()))];
        front.push(commented(prove, &format!("{}: clients prove themselves first", service.name)));
    }
    if let Some(limit) = service.rate_limit {
        let mut statements = vec![set_meta_mark(service.mark.get())];
        statements.extend(limit::statements(names, limit));
        let comment = format!("{}: clients over the rate limit", service.name);
        chain(part, &chain_name(limit_chain), vec![commented(statements, &comment)]);
        front.push(rule(vec![Statement::Verdict(Verdict::Jump(chain_name(limit_chain)))]));
    }
    front.push(rule(vec![goto(&chain_name(proven_chain))]));
    chain(part, &chain_name(service_chain), front);
    chain(part, &chain_name(proven_chain), rules);
}

/// What becomes of a client's packets that belong to no connection. A full map ends the rule.
fn handshake(names: &FamilyNames) -> Vec<Rule> {
    let address = saddr(names.ipv6, if names.ipv6 { 128 } else { 32 });
    let client = [address, Selector::ThSport, Selector::MetaMark];
    let remember = |map: &str, key: &[Selector]| Statement::Update {
        map: map.to_owned(),
        key: key.to_vec(),
        timeout: Some(HANDSHAKE),
        data: Some(Selector::MetaMark),
    };
    let proof = || goto(&proof_chain(names));
    vec![
        commented(vec![is_syn(), remember(names.handshakes, &client), proxy(names.ipv6)], "SYN: cookie"),
        commented(
            vec![is_syn(), remember(FLOODED, &[Selector::MetaMark]), proxy(names.ipv6)],
            "SYN, too many to remember: cookie",
        ),
        commented(vec![mark_by(&client, names.handshakes), proof()], "it has sent a SYN"),
        commented(vec![mark_by(&[Selector::MetaMark], FLOODED), proof()], "it may have sent a SYN"),
        commented(vec![is_protocol(Protocol::Tcp), Statement::Reject(Reject::TcpReset)], "of no connection"),
    ]
}

/// Checks a cookie, and calls the server if it holds.
fn proof(layout: &Layout, names: &FamilyNames) -> Vec<Rule> {
    let limits = Statement::Vmap { key: vec![Selector::MetaMark], map: names.proofs.to_owned() };
    let limits = layout.has(names.proofs).then_some(rule(vec![limits]));
    limits.into_iter().chain([rule(vec![proxy(names.ipv6)])]).collect()
}

/// The maps of protected ports that a family has.
fn shields(layout: &Layout, names: &FamilyNames) -> impl Iterator<Item = &'static str> {
    [names.shields, names.shield_ranges]
        .into_iter()
        .filter(|map| layout.has(map))
        .collect::<Vec<_>>()
        .into_iter()
}

/// Goes on only if the key stands in the map, with the mark of its service.
fn mark_by(key: &[Selector], map: &str) -> Statement {
    let value = Expression::Map { key: key.to_vec(), map: map.to_owned() };
    Statement::SetMark { target: MarkTarget::Meta, value }
}

/// VIP, protocol and port.
fn called(names: &FamilyNames) -> [Selector; 3] {
    let daddr = if names.ipv6 { Selector::Ip6Daddr } else { Selector::Ip4Daddr };
    [daddr, Selector::L4Proto, Selector::ThDport]
}

fn is_syn() -> Statement {
    let mask = TcpFlags::FIN | TcpFlags::SYN | TcpFlags::RST | TcpFlags::ACK;
    Statement::Match(Match::TcpFlags { mask, value: TcpFlags::SYN, negate: false })
}

fn handshake_chain(names: &FamilyNames) -> String {
    format!("handshake{}", if names.ipv6 { 6 } else { 4 })
}

fn proof_chain(names: &FamilyNames) -> String {
    format!("proof{}", if names.ipv6 { 6 } else { 4 })
}
