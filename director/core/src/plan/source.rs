//! What becomes of a connection's source on its way out: the way out of real servers, hairpin, full NAT.

use super::layout::Layout;
use super::names::{FULL_NAT, SOURCES};
use super::parts::{base_chain, chain, commented, insert, output_interface};
use crate::model::{Model, Node, Side};
use director_nft::ir::{
    ChainKind, Datum, Element, ElementData, Hook, Key, Match, Rule, Ruleset, Selector, Statement, Verdict,
};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The postrouting chain, if anything is configured that needs one: it costs every connection's first packet.
pub(super) fn translation(ruleset: &mut Ruleset, layout: &Layout, model: &Model, node: &Node) {
    let mut rules = Vec::new();
    if layout.has(SOURCES) {
        full_nat(ruleset, model, node);
        let sources = Statement::Vmap { key: vec![Selector::MetaMark], map: SOURCES.to_owned() };
        rules.push(commented(vec![Statement::Match(Match::CtStatusDnat), sources], "full NAT"));
    }
    rules.extend(masquerade(model, node));
    rules.extend(hairpin(model, node));
    if !rules.is_empty() {
        base_chain(ruleset, "postrouting", (ChainKind::Nat, Hook::Postrouting, 100), rules);
    }
}

/// Services whose connections come to the servers from the director: from the gateway's address, which moves with
/// the VIPs, or from that of the interface where the private side has no gateway.
fn full_nat(ruleset: &mut Ruleset, model: &Model, node: &Node) {
    let gateway = |address: &IpAddr| {
        commented(
            vec![output_interface(&node.private.interface), Statement::Snat(*address)],
            "from the gateway's address",
        )
    };
    let mut rules: Vec<Rule> = model.gateways.iter().map(gateway).collect();
    rules.push(commented(vec![Statement::Masquerade], "from the interface's address"));
    chain(ruleset, FULL_NAT, rules);
    for service in model.services.values().filter(|service| service.full_nat) {
        let verdict = Verdict::Goto(FULL_NAT.to_owned());
        let element =
            Element { data: Some(ElementData::Verdict(verdict)), comment: Some(service.name.clone()) };
        insert(ruleset, SOURCES, Key::of([Datum::Mark(service.mark.get())]), element);
    }
}

fn masquerade<'a>(model: &'a Model, node: &'a Node) -> impl Iterator<Item = Rule> + 'a {
    model.outbound.masquerade.iter().map(|network| {
        let (selector, address) = match network.network() {
            IpAddr::V4(v4) => (Selector::Ip4Saddr { prefix: 32 }, Datum::Ipv4(v4)),
            IpAddr::V6(v6) => (Selector::Ip6Saddr { prefix: 128 }, Datum::Ipv6(v6)),
        };
        let length = network.length();
        commented(
            vec![
                // The interface first: it turns away the connections of clients at once.
                output_interface(&node.public.interface),
                Statement::Match(Match::Prefix { selector, negate: false, address, length }),
                Statement::Masquerade,
            ],
            "real servers' way out",
        )
    })
}

fn hairpin<'a>(model: &Model, node: &'a Node) -> impl Iterator<Item = Rule> + use<'a> {
    let entrances =
        if model.outbound.hairpin { model.entrances(node, Side::Private) } else { BTreeSet::new() };
    entrances.into_iter().map(|name| {
        let statements = vec![
            Statement::Match(Match::InputInterface { negate: false, name }),
            output_interface(&node.private.interface),
            Statement::Match(Match::CtStatusDnat),
            Statement::Masquerade,
        ];
        commented(statements, "hairpin: a real server calls a VIP")
    })
}
