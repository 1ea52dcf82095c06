use super::{operation, ruleset, transaction};
use crate::diff::{diff, removal};
use crate::ir::{
    BaseChain, Chain, ChainKind, CtStates, DataType, Datum, Dnat, Element, ElementData, EventMask,
    Expression, Family, Hook, Jhash, Key, KeyPart, Map, MapData, MapSpec, MarkTarget, Match, Numgen,
    NumgenMode, Rate, RateUnit, Reject, Rule, Ruleset, Selector, Statement, Synproxy, TcpFlags, Verdict,
};
use crate::namespace;
use crate::observed::Observed;
use crate::transaction::Operation;
use std::collections::BTreeMap;
use std::time::Duration;

fn ip(text: &str) -> Datum {
    text.parse().map(Datum::Ipv4).or_else(|_| text.parse().map(Datum::Ipv6)).unwrap()
}

fn goto(chain: &str) -> Statement {
    Statement::Verdict(Verdict::Goto(chain.to_owned()))
}

fn is(selector: Selector, value: Datum) -> Statement {
    Statement::Match(Match::Value { selector, negate: false, value })
}

fn is_not(selector: Selector, value: Datum) -> Statement {
    Statement::Match(Match::Value { selector, negate: true, value })
}

fn prefix(selector: Selector, negate: bool, address: &str, length: u8) -> Statement {
    Statement::Match(Match::Prefix { selector, negate, address: ip(address), length })
}

fn set(target: MarkTarget, value: Expression) -> Statement {
    Statement::SetMark { target, value }
}

fn mark(value: u32) -> Expression {
    Expression::Value(Datum::Mark(value))
}

fn dnat(family: Family, key: &[Selector], map: &str, port: bool) -> Statement {
    Statement::Dnat(Dnat { family, key: key.to_vec(), map: map.to_owned(), port })
}

fn rule(statements: impl IntoIterator<Item = Statement>) -> Rule {
    Rule { statements: statements.into_iter().collect(), comment: None }
}

fn commented(statements: impl IntoIterator<Item = Statement>, comment: &str) -> Rule {
    Rule { comment: Some(comment.to_owned()), ..rule(statements) }
}

fn base(kind: ChainKind, hook: Hook, priority: i32) -> Option<BaseChain> {
    Some(BaseChain { kind, hook, priority })
}

fn to_chain(chain: &str, comment: Option<&str>) -> Element {
    let verdict = Verdict::Goto(chain.to_owned());
    Element { data: Some(ElementData::Verdict(verdict)), comment: comment.map(str::to_owned) }
}

fn values(values: impl IntoIterator<Item = Datum>, comment: Option<&str>) -> Element {
    let data = Some(ElementData::Values(values.into_iter().collect()));
    Element { data, comment: comment.map(str::to_owned) }
}

const TCP: Datum = Datum::Proto(6);
const UDP: Datum = Datum::Proto(17);

fn maps() -> BTreeMap<String, Map> {
    use DataType::{InetProto, InetService, Ipv4Addr, Ipv6Addr, Mark};
    let map = |key: &[DataType], data: MapData, spec: MapSpec, elements: Vec<(Key, Element)>| Map {
        spec: MapSpec { key: key.to_vec(), data, ..spec },
        elements: elements.into_iter().collect(),
    };
    let plain = MapSpec::default;
    let sized = |size| MapSpec { size: Some(size), ..plain() };
    let dynamic = || MapSpec { dynamic: true, timeout: true, ..sized(1024) };
    let vip = |address, proto, port| Key::of([ip(address), proto, Datum::Port(port)]);
    let range = |address, proto, first, last| {
        let ports = KeyPart::Range(Datum::Port(first), Datum::Port(last));
        Key(vec![KeyPart::Value(ip(address)), KeyPart::Value(proto), ports])
    };
    let net = |first, last, proto: Datum| {
        Key(vec![
            KeyPart::Range(ip(first), ip(last)),
            KeyPart::Value(proto),
            KeyPart::Range(Datum::Port(0), Datum::Port(u16::MAX)),
        ])
    };
    let drop = || Element { data: Some(ElementData::Verdict(Verdict::Drop)), comment: None };
    let slots = (0..7).map(|slot| {
        let comment = (slot == 1).then_some("exchange: exchange2");
        (Key::of([Datum::Mark(0x1_0000 + slot)]), values([Datum::Mark(0x8000_1000 + slot % 2)], comment))
    });
    let plain_set = |key: &[DataType], spec: MapSpec, keys: Vec<Key>| {
        map(key, MapData::None, spec, keys.into_iter().map(|key| (key, Element::default())).collect())
    };
    let named = [
        (
            "addresses4",
            map(
                &[Ipv4Addr],
                MapData::Verdict,
                sized(8),
                vec![
                    (Key::of([ip("192.168.1.35")]), to_chain("undeclared", None)),
                    (Key::of([ip("192.168.1.36")]), to_chain("management-1", Some("exchange1"))),
                    (Key::of([ip("192.168.1.37")]), to_chain("undeclared", None)),
                ],
            ),
        ),
        (
            "addresses6",
            map(
                &[Ipv6Addr],
                MapData::Verdict,
                sized(8),
                vec![
                    (Key::of([ip("fd00::35")]), to_chain("undeclared", None)),
                    (Key::of([ip("fd00::36")]), to_chain("undeclared", Some("undeclared ports"))),
                ],
            ),
        ),
        (
            "dests4",
            map(
                &[Mark],
                MapData::Values(vec![Ipv4Addr]),
                MapSpec { counter: true, ..sized(8) },
                vec![
                    (
                        Key::of([Datum::Mark(0x8000_1000)]),
                        values([ip("10.0.1.1")], Some("exchange/exchange1")),
                    ),
                    (Key::of([Datum::Mark(0x8000_1001)]), values([ip("10.0.1.2")], None)),
                ],
            ),
        ),
        (
            "dests4-ports",
            map(
                &[Mark, InetService],
                MapData::Values(vec![Ipv4Addr, InetService]),
                sized(8),
                vec![
                    (
                        Key::of([Datum::Mark(0x8000_1001), Datum::Port(25)]),
                        values([ip("10.0.1.2"), Datum::Port(2525)], Some("smtp/a")),
                    ),
                    (
                        Key::of([Datum::Mark(0x8000_1000), Datum::Port(25)]),
                        values([ip("10.0.1.1"), Datum::Port(2525)], None),
                    ),
                ],
            ),
        ),
        (
            "dests6",
            map(
                &[Mark],
                MapData::Values(vec![Ipv6Addr]),
                sized(8),
                vec![(
                    Key::of([Datum::Mark(0x8000_1000)]),
                    values([ip("fd01::1")], Some("exchange/exchange1")),
                )],
            ),
        ),
        (
            "delivery",
            map(
                &[Mark],
                MapData::Verdict,
                MapSpec { counter: true, ..plain() },
                vec![
                    (Key::of([Datum::Mark(80)]), to_chain("pick4", None)),
                    (Key::of([Datum::Mark(81)]), to_chain("pick6", Some("smtp"))),
                ],
            ),
        ),
        ("limit4", plain_set(&[Ipv4Addr, Mark], dynamic(), vec![])),
        ("live", plain_set(&[Mark], plain(), (1..=11).map(|n| Key::of([Datum::Mark(n)])).collect())),
        ("persist4", map(&[Ipv4Addr, Mark], MapData::Values(vec![Mark]), dynamic(), vec![])),
        (
            "persist6",
            map(
                &[Ipv6Addr, Mark],
                MapData::Values(vec![Mark]),
                MapSpec { default_timeout: Some(Duration::from_secs(5_401)), ..dynamic() },
                vec![],
            ),
        ),
        (
            "ports",
            plain_set(&[InetService], sized(16), (20..30).map(|n| Key::of([Datum::Port(n)])).collect()),
        ),
        (
            "protocols",
            plain_set(
                &[InetProto],
                plain(),
                vec![
                    Key::of([TCP]),
                    Key::of([UDP]),
                    Key::of([Datum::Proto(1)]),
                    Key::of([Datum::Proto(58)]),
                    Key::of([Datum::Proto(253)]),
                ],
            ),
        ),
        (
            "recent",
            plain_set(
                &[Mark],
                MapSpec { timeout: true, gc_interval: Some(Duration::from_secs(90)), ..sized(7) },
                vec![],
            ),
        ),
        ("slots", map(&[Mark], MapData::Values(vec![Mark]), sized(64), slots.collect())),
        (
            "vips4",
            map(
                &[Ipv4Addr, InetProto, InetService],
                MapData::Verdict,
                sized(64),
                vec![
                    (vip("192.168.1.35", TCP, 25), to_chain("svc-exchange-4", Some("exchange"))),
                    (vip("192.168.1.35", TCP, 80), to_chain("svc-exchange-4", Some("exchange"))),
                    (vip("192.168.1.35", TCP, 443), to_chain("svc-exchange-4", Some("exchange"))),
                    (vip("192.168.1.35", UDP, 443), to_chain("svc-exchange-4", None)),
                    (
                        vip("192.168.1.3", UDP, 53),
                        Element { data: Some(ElementData::Verdict(Verdict::Accept)), comment: None },
                    ),
                ],
            ),
        ),
        (
            "vips4-ranges",
            map(
                &[Ipv4Addr, InetProto, InetService],
                MapData::Verdict,
                MapSpec { interval: true, ..plain() },
                vec![
                    (range("192.168.1.35", TCP, 1000, 1010), to_chain("svc-exchange-4", Some("exchange"))),
                    (range("192.168.1.35", UDP, 256, 511), drop()),
                    (net("10.0.0.0", "10.0.0.255", TCP), drop()),
                    (net("10.0.1.5", "10.0.1.9", UDP), drop()),
                ],
            ),
        ),
        (
            "vips6",
            map(
                &[Ipv6Addr, InetProto, InetService],
                MapData::Verdict,
                sized(64),
                vec![
                    (vip("fd00::35", TCP, 25), to_chain("svc-exchange-6", Some("exchange"))),
                    (vip("fd00::35", TCP, 443), to_chain("svc-exchange-6", None)),
                ],
            ),
        ),
        (
            "vips6-ranges",
            map(
                &[Ipv6Addr, InetProto, InetService],
                MapData::Verdict,
                MapSpec { interval: true, counter: true, ..plain() },
                vec![
                    (range("fd00::35", TCP, 1000, 1010), to_chain("svc-exchange-6", Some("exchange"))),
                    (net("fd00::", "fd00::ff", UDP), drop()),
                ],
            ),
        ),
    ];
    named.map(|(name, map)| (name.to_owned(), map)).into()
}

fn chains() -> BTreeMap<String, Chain> {
    use Selector::{
        CtMark, Ip4Daddr, Ip4Saddr, Ip6Daddr, Ip6Saddr, L4Proto, MetaMark, Nfproto, ThDport, ThSport,
    };
    let vmap = |key: &[Selector], map: &str| Statement::Vmap { key: key.to_vec(), map: map.to_owned() };
    let input =
        |negate, name: &str| Statement::Match(Match::InputInterface { negate, name: name.to_owned() });
    let output =
        |negate, name: &str| Statement::Match(Match::OutputInterface { negate, name: name.to_owned() });
    let client = || vec![Ip4Saddr { prefix: 24 }, MetaMark];
    let found = |key, map: &str| set(MarkTarget::Ct, Expression::Map { key, map: map.to_owned() });
    let renew = |seconds: Option<u64>| Statement::Update {
        map: "persist4".to_owned(),
        key: client(),
        timeout: seconds.map(Duration::from_secs),
        data: Some(CtMark),
    };
    let numgen =
        |mode, modulus, offset| set(MarkTarget::Ct, Expression::Numgen(Numgen { mode, modulus, offset }));
    let jhash = |key, modulus, seed, offset| {
        set(MarkTarget::Ct, Expression::Jhash(Jhash { key, modulus, seed, offset }))
    };
    let slot = || found(vec![CtMark], "slots");
    let reset = Statement::Reject(Reject::TcpReset);
    let unreachable = Statement::Reject(Reject::PortUnreachable);
    let chain = |base, rules: Vec<Rule>| Chain { base, rules };
    let named = [
        ("empty", chain(None, vec![])),
        (
            "forward",
            chain(
                base(ChainKind::Filter, Hook::Forward, 5),
                vec![
                    rule([
                        is(MetaMark, Datum::Mark(80)),
                        is_not(CtMark, Datum::Mark(0x8000_0000)),
                        Statement::Verdict(Verdict::Accept),
                    ]),
                    rule([
                        set(MarkTarget::Meta, Expression::Field(CtMark)),
                        Statement::Counter,
                        Statement::Verdict(Verdict::Drop),
                    ]),
                ],
            ),
        ),
        ("input", chain(base(ChainKind::Filter, Hook::Input, -157), vec![])),
        (
            "management-1",
            chain(
                None,
                vec![commented(
                    [
                        is(L4Proto, TCP),
                        set(MarkTarget::Meta, mark(1)),
                        set(MarkTarget::Ct, mark(0x8000_1001)),
                        goto("pick4"),
                    ],
                    "every port of 192.168.1.36 to exchange1",
                )],
            ),
        ),
        (
            "matches",
            chain(
                None,
                vec![
                    rule([is(Nfproto, Datum::Proto(2)), Statement::Counter]),
                    rule([
                        is(Nfproto, Datum::Proto(10)),
                        is(L4Proto, TCP),
                        is(ThDport, Datum::Port(25)),
                        Statement::Counter,
                    ]),
                    rule([
                        is(Nfproto, Datum::Proto(2)),
                        input(false, "eth0"),
                        is(Ip4Daddr, ip("10.0.0.1")),
                        Statement::Counter,
                    ]),
                    rule([
                        is(Nfproto, Datum::Proto(2)),
                        set(MarkTarget::Meta, mark(5)),
                        is(Ip4Daddr, ip("10.0.0.1")),
                    ]),
                    rule([
                        is(Nfproto, Datum::Proto(2)),
                        found(vec![Ip4Saddr { prefix: 32 }, MetaMark], "persist4"),
                    ]),
                    rule([is_not(Nfproto, Datum::Proto(2)), Statement::Counter]),
                    rule([
                        is(L4Proto, UDP),
                        is(MetaMark, Datum::Mark(5)),
                        is_not(ThDport, Datum::Port(53)),
                        Statement::Counter,
                    ]),
                    rule([is(L4Proto, UDP), Statement::Counter, is(ThDport, Datum::Port(53))]),
                    rule([is_not(L4Proto, UDP), is(ThDport, Datum::Port(53)), Statement::Counter]),
                    rule([is(L4Proto, Datum::Proto(1)), Statement::Counter]),
                    rule([is(ThDport, Datum::Port(53)), Statement::Counter]),
                    rule([
                        prefix(Ip4Saddr { prefix: 32 }, false, "10.0.1.0", 24),
                        prefix(Ip4Daddr, true, "10.0.0.0", 9),
                        Statement::Counter,
                    ]),
                    rule([prefix(Ip4Saddr { prefix: 32 }, false, "10.0.1.3", 32)]),
                    rule([prefix(Ip6Daddr, true, "fd00::", 63)]),
                    rule([
                        prefix(Ip6Saddr { prefix: 128 }, false, "fd00::", 64),
                        is_not(Ip6Daddr, ip("fd00::1")),
                        Statement::Counter,
                    ]),
                    rule([vmap(&[Ip4Saddr { prefix: 23 }], "addresses4")]),
                    rule([vmap(&[Ip6Saddr { prefix: 63 }], "addresses6")]),
                    rule([is(L4Proto, TCP), reset.clone()]),
                    rule([is(Nfproto, Datum::Proto(10)), is(L4Proto, TCP), reset.clone()]),
                    rule([
                        is(Nfproto, Datum::Proto(10)),
                        is(L4Proto, TCP),
                        Statement::Counter,
                        reset.clone(),
                    ]),
                    rule([numgen(NumgenMode::Random, 7, 0)]),
                    rule([jhash(vec![Ip4Saddr { prefix: 24 }], 251, 0x00c0_ffee, 0x1_0000)]),
                    rule([jhash(vec![Ip6Saddr { prefix: 128 }, ThSport], 2, 0, 0)]),
                    rule([is(L4Proto, TCP), jhash(vec![Ip4Daddr, ThSport], 2, 1, 0)]),
                    rule([Statement::Verdict(Verdict::Jump("empty".to_owned()))]),
                ],
            ),
        ),
        ("protection", chain(base(ChainKind::Filter, Hook::Input, 0), protection())),
        (
            "source",
            chain(
                base(ChainKind::Nat, Hook::Postrouting, 100),
                vec![
                    rule([is(Nfproto, Datum::Proto(2)), Statement::Snat([10, 0, 1, 254].into())]),
                    rule([Statement::Snat("fd00::fe".parse().unwrap())]),
                    rule([is(MetaMark, Datum::Mark(80)), Statement::Snat([10, 0, 1, 253].into())]),
                ],
            ),
        ),
        (
            "no-server",
            chain(
                None,
                vec![
                    commented([is(L4Proto, TCP), Statement::Counter, reset.clone()], "no server"),
                    commented([unreachable.clone()], "no server"),
                ],
            ),
        ),
        ("output", chain(base(ChainKind::Nat, Hook::Output, -100), vec![])),
        (
            "pick4",
            chain(
                None,
                vec![rule([slot(), dnat(Family::V4, &[CtMark], "dests4", false)]), rule([goto("no-server")])],
            ),
        ),
        (
            "pick4-ports",
            chain(
                None,
                vec![
                    rule([slot()]),
                    rule([is(L4Proto, TCP), dnat(Family::V4, &[CtMark, ThDport], "dests4-ports", true)]),
                    rule([
                        is(L4Proto, UDP),
                        renew(Some(600)),
                        dnat(Family::V4, &[CtMark, ThDport], "dests4-ports", true),
                    ]),
                ],
            ),
        ),
        ("pick6", chain(None, vec![rule([slot(), dnat(Family::V6, &[CtMark], "dests6", false)])])),
        (
            "postrouting",
            chain(
                base(ChainKind::Nat, Hook::Postrouting, 100),
                vec![
                    commented(
                        [
                            output(false, "eth0"),
                            prefix(Ip4Saddr { prefix: 32 }, false, "10.0.1.0", 24),
                            Statement::Masquerade,
                        ],
                        "way out",
                    ),
                    commented(
                        [
                            input(true, "eth1"),
                            output(true, "eth1"),
                            Statement::Match(Match::CtStatusDnat),
                            Statement::Masquerade,
                        ],
                        "hairpin",
                    ),
                ],
            ),
        ),
        (
            "prerouting",
            chain(
                base(ChainKind::Nat, Hook::Prerouting, -100),
                vec![
                    rule([vmap(&[Ip4Daddr, L4Proto, ThDport], "vips4")]),
                    rule([vmap(&[Ip4Daddr, L4Proto, ThDport], "vips4-ranges")]),
                    commented([is(Nfproto, Datum::Proto(2)), vmap(&[Ip4Daddr], "addresses4")], "named once"),
                    rule([vmap(&[Ip6Daddr, L4Proto, ThDport], "vips6")]),
                    rule([is(L4Proto, TCP), vmap(&[Ip6Daddr, L4Proto, ThDport], "vips6-ranges")]),
                    rule([vmap(&[Ip6Daddr], "addresses6")]),
                ],
            ),
        ),
        ("raw", chain(base(ChainKind::Filter, Hook::Prerouting, -299), vec![])),
        (
            "stick4",
            chain(
                None,
                vec![
                    commented(
                        [
                            found(client(), "persist4"),
                            renew(Some(93_784)),
                            dnat(Family::V4, &[CtMark], "dests4", false),
                        ],
                        "returning client",
                    ),
                    commented(
                        [Statement::Delete { map: "persist4".to_owned(), key: client(), data: Some(CtMark) }],
                        "its server is gone",
                    ),
                    rule([renew(None)]),
                ],
            ),
        ),
        (
            "svc-exchange-4",
            chain(
                None,
                vec![commented(
                    [
                        set(MarkTarget::Meta, mark(80)),
                        numgen(NumgenMode::Increment, 4, 0x1_0000),
                        goto("pick4"),
                    ],
                    "exchange wrr, 4 slots",
                )],
            ),
        ),
        (
            "svc-exchange-6",
            chain(
                None,
                vec![rule([
                    set(MarkTarget::Meta, mark(80)),
                    found(vec![Ip6Saddr { prefix: 128 }, MetaMark], "persist6"),
                    goto("pick6"),
                ])],
            ),
        ),
        (
            "undeclared",
            chain(
                None,
                vec![
                    commented([is(L4Proto, TCP), reset], "undeclared port"),
                    commented([is(L4Proto, UDP), unreachable], "undeclared port"),
                ],
            ),
        ),
    ];
    named.map(|(name, chain)| (name.to_owned(), chain)).into()
}

/// What limits, watches and protects, in a chain of input.
fn protection() -> Vec<Rule> {
    let tcp_flags = |value, mask, negate| Statement::Match(Match::TcpFlags { mask, value, negate });
    let limit = |timeout, per, burst| Statement::Limit {
        map: "limit4".to_owned(),
        key: vec![Selector::Ip4Saddr { prefix: 24 }, Selector::MetaMark],
        timeout,
        rate: Rate { count: 10, per, burst },
    };
    let synproxy =
        |timestamp| Statement::Synproxy(Synproxy { mss: 1440, wscale: 7, timestamp, sack_perm: !timestamp });
    let (syn, rst, ack) = (TcpFlags::SYN, TcpFlags::RST, TcpFlags::ACK);
    let state = |states| Statement::Match(Match::CtState(states));
    let events = |events| Statement::SetEvents(events);
    vec![
        rule([
            is(Selector::L4Proto, TCP),
            tcp_flags(syn, syn | rst | ack, false),
            events(EventMask::ASSURED),
        ]),
        rule([tcp_flags(syn, syn | rst, true), is(Selector::ThDport, Datum::Port(25))]),
        rule([tcp_flags(syn, syn, false), tcp_flags(syn, TcpFlags::ALL, true), events(EventMask::default())]),
        rule([
            is(Selector::L4Proto, TCP),
            events(EventMask::NEW | EventMask::DESTROY),
            tcp_flags(syn, syn | ack, false),
        ]),
        rule([limit(None, RateUnit::Second, 5), Statement::Verdict(Verdict::Drop)]),
        rule([limit(Some(Duration::from_secs(90)), RateUnit::Week, 9), Statement::Counter]),
        rule([state(CtStates::INVALID | CtStates::NEW), synproxy(true)]),
        rule([
            state(CtStates::INVALID),
            tcp_flags(TcpFlags::default(), syn | rst, false),
            Statement::Reject(Reject::TcpReset),
        ]),
        rule([synproxy(false)]),
        rule([tcp_flags(ack, syn | rst | ack, false), Statement::StripTimestamp]),
    ]
}

fn sample() -> Ruleset {
    Ruleset { chains: chains(), maps: maps() }
}

#[test]
fn nft_loads_the_text_and_lists_the_same() {
    let text = ruleset(&sample());
    let Some((success, listed)) = namespace::run("nft -f - && nft list table inet director", &text) else {
        return;
    };
    assert!(success, "{listed}\n{text}");
    for (ours, theirs) in text.lines().zip(listed.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(text, listed);
}

#[test]
fn nft_loads_the_commands_of_a_transaction() {
    let made = transaction(&diff(&Observed::default(), &sample()));
    let Some((success, listed)) = namespace::run("nft -f - && nft list table inet director", &made) else {
        return;
    };
    assert!(success, "{listed}\n{made}");
    assert_eq!(listed.lines().count(), ruleset(&sample()).lines().count());

    let emptied = transaction(&diff(&Observed::from(&sample()), &Ruleset::default()));
    let all = format!("{made}{emptied}");
    let (success, listed) = namespace::run("nft -f - && nft list table inet director", &all).unwrap();
    assert!(success, "{listed}\n{emptied}");
    assert_eq!(listed, "table inet director {\n}\n");

    let all = format!("{made}{}", transaction(&removal()));
    assert_eq!(namespace::run("nft -f - && nft list ruleset", &all), Some((true, String::new())));
}

#[test]
fn what_nft_lists_but_does_not_read() {
    let persist = Map {
        spec: MapSpec {
            key: vec![DataType::Ipv6Addr, DataType::Mark],
            data: MapData::Values(vec![DataType::Mark]),
            dynamic: true,
            timeout: true,
            default_timeout: Some(Duration::from_millis(90_061_001)),
            gc_interval: Some(Duration::from_secs(30)),
            size: Some(1024),
            counter: true,
            interval: false,
        },
        elements: BTreeMap::new(),
    };
    let renew = Statement::Update {
        map: "persist6".to_owned(),
        key: vec![Selector::Ip6Saddr { prefix: 64 }, Selector::MetaMark],
        timeout: Some(Duration::ZERO),
        data: Some(Selector::CtMark),
    };
    let part = Ruleset {
        chains: [("stick6".to_owned(), Chain { base: None, rules: vec![rule([renew])] })].into(),
        maps: [("persist6".to_owned(), persist)].into(),
    };
    let expected = "\
table inet director {
\tmap persist6 {
\t\ttype ipv6_addr . mark : mark
\t\tsize 1024
\t\tflags dynamic,timeout
\t\tcounter
\t\ttimeout 1d1h1m1s1ms
\t\t# gc-interval 30s
\t}

\tchain stick6 {
\t\tupdate @persist6 { ip6 saddr & ffff:ffff:ffff:ffff:: . meta mark timeout 0s : ct mark }
\t}
}
";
    assert_eq!(ruleset(&part), expected);
}

#[test]
fn text_from_outside_stays_within_its_quotes() {
    let hostile = commented([Statement::Verdict(Verdict::Accept)], "a\"\n flush ruleset");
    assert_eq!(super::rule(&hostile), "accept comment \"a?? flush ruleset\"");
}

#[test]
fn a_masked_field_is_compared_as_it_stands() {
    let odd = rule([is(Selector::Ip4Saddr { prefix: 24 }, ip("10.0.1.5"))]);
    assert_eq!(super::rule(&odd), "ip saddr & 255.255.255.0 == 10.0.1.5");
}

#[test]
fn operations_in_words() {
    let spec = MapSpec { key: vec![DataType::Mark], ..MapSpec::default() };
    let keys: Vec<Key> = (1..=2).map(|mark| Key::of([Datum::Mark(mark)])).collect();
    let table = [
        (Operation::AddTable, "add table inet director"),
        (Operation::AddChain { name: "c".to_owned(), base: None }, "add chain c"),
        (
            Operation::AddRule { chain: "svc-exchange-4".to_owned(), rule: Rule::default() },
            "add rule to chain svc-exchange-4",
        ),
        (
            Operation::DeleteElements {
                map: "live".to_owned(),
                spec: spec.clone(),
                keys: keys[..1].to_vec(),
            },
            "delete element 0x00000001 from set live",
        ),
        (Operation::DeleteElements { map: "live".to_owned(), spec, keys }, "delete 2 elements from set live"),
    ];
    for (it, words) in table {
        assert_eq!(operation(&it), words);
    }
}
