mod protection;

use super::{Outcome, Packet, Trace, Tracer};
use crate::fake::Fake;
use crate::ir::{
    BaseChain, Chain, ChainKind, DataType, Datum, Dnat, Element, ElementData, Expression, Family, Hook,
    Jhash, Key, KeyPart, Map, MapData, MapSpec, MarkTarget, Match, Numgen, NumgenMode, Reject, Rule, Ruleset,
    Selector, Statement, Verdict,
};
use crate::observed::Observed;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const FIRST: u32 = 0x8000_1000;
const SECOND: u32 = 0x8000_1001;
const VIP: &str = "192.168.1.35";

fn rule(statements: impl IntoIterator<Item = Statement>) -> Rule {
    Rule { statements: statements.into_iter().collect(), comment: None }
}

fn chain(rules: impl IntoIterator<Item = Rule>) -> Chain {
    Chain { base: None, rules: rules.into_iter().collect() }
}

fn base(hook: Hook, priority: i32, rules: impl IntoIterator<Item = Rule>) -> Chain {
    Chain { base: Some(BaseChain { kind: ChainKind::Nat, hook, priority }), ..chain(rules) }
}

fn goto(chain: &str) -> Statement {
    Statement::Verdict(Verdict::Goto(chain.to_owned()))
}

fn is(selector: Selector, value: Datum) -> Statement {
    Statement::Match(Match::Value { selector, negate: false, value })
}

fn vmap(key: &[Selector], map: &str) -> Statement {
    Statement::Vmap { key: key.to_vec(), map: map.to_owned() }
}

fn set(target: MarkTarget, value: Expression) -> Statement {
    Statement::SetMark { target, value }
}

fn found(key: &[Selector], map: &str) -> Statement {
    set(MarkTarget::Ct, Expression::Map { key: key.to_vec(), map: map.to_owned() })
}

fn numgen(mode: NumgenMode, modulus: u32, offset: u32) -> Statement {
    set(MarkTarget::Ct, Expression::Numgen(Numgen { mode, modulus, offset }))
}

fn dnat(key: &[Selector], map: &str, port: bool) -> Statement {
    Statement::Dnat(Dnat { family: Family::V4, key: key.to_vec(), map: map.to_owned(), port })
}

fn map<const N: usize>(key: &[DataType], data: MapData, elements: [(Key, ElementData); N]) -> Map {
    let elements = elements.map(|(key, data)| (key, Element { data: Some(data), comment: None }));
    Map { spec: MapSpec { key: key.to_vec(), data, ..MapSpec::default() }, elements: elements.into() }
}

fn leads(chain: &str) -> ElementData {
    ElementData::Verdict(Verdict::Goto(chain.to_owned()))
}

fn values<const N: usize>(values: [Datum; N]) -> ElementData {
    ElementData::Values(values.into())
}

fn ip(text: &str) -> Datum {
    Datum::Ipv4(text.parse().unwrap())
}

fn mark(mark: u32) -> Key {
    Key::of([Datum::Mark(mark)])
}

/// A farm: a service with persistence on port 25, one with mapped ports on 80, one without servers on 443, a range
/// of ports, a management address, masquerade and hairpin.
fn farm() -> Ruleset {
    use DataType::{InetProto, InetService, Ipv4Addr as Address, Mark};
    use Selector::{CtMark, Ip4Daddr, Ip4Saddr, L4Proto, MetaMark, ThDport};
    let vip = |protocol, port| Key::of([ip(VIP), Datum::Proto(protocol), Datum::Port(port)]);
    let range = Key(vec![
        KeyPart::Value(ip(VIP)),
        KeyPart::Value(Datum::Proto(TCP)),
        KeyPart::Range(Datum::Port(1000), Datum::Port(1010)),
    ]);
    let client = || vec![Ip4Saddr { prefix: 24 }, MetaMark];
    let renew = Statement::Update {
        map: "persist4".to_owned(),
        key: client(),
        timeout: Some(Duration::from_secs(600)),
        data: Some(CtMark),
    };
    let forget = Statement::Delete { map: "persist4".to_owned(), key: client(), data: Some(CtMark) };
    let set_mark = |mark| set(MarkTarget::Meta, Expression::Value(Datum::Mark(mark)));
    let deliver = || dnat(&[CtMark], "dests4", false);
    let output =
        |name: &str| Statement::Match(Match::OutputInterface { negate: false, name: name.to_owned() });
    let private = || {
        let address = ip("10.0.1.0");
        Statement::Match(Match::Prefix {
            selector: Ip4Saddr { prefix: 32 },
            negate: false,
            address,
            length: 24,
        })
    };
    let chains = [
        (
            "prerouting",
            base(
                Hook::Prerouting,
                -100,
                [
                    rule([vmap(&[Ip4Daddr, L4Proto, ThDport], "vips4")]),
                    rule([vmap(&[Ip4Daddr, L4Proto, ThDport], "vips4-ranges")]),
                    rule([vmap(&[Ip4Daddr], "addresses4")]),
                ],
            ),
        ),
        (
            "svc-exchange-4",
            chain([
                rule([set_mark(80), Statement::Verdict(Verdict::Jump("return4".to_owned()))]),
                rule([numgen(NumgenMode::Increment, 3, 0x1_0000), goto("stick4")]),
            ]),
        ),
        ("return4", chain([rule([found(&client(), "persist4"), renew.clone(), deliver()]), rule([forget])])),
        (
            "stick4",
            chain([
                rule([found(&[CtMark], "slots")]),
                rule([renew]),
                rule([deliver()]),
                rule([goto("no-server")]),
            ]),
        ),
        (
            "svc-web-4",
            chain([
                rule([set_mark(81), numgen(NumgenMode::Increment, 1, 0x2_0000)]),
                rule([found(&[CtMark], "slots")]),
                rule([is(L4Proto, Datum::Proto(TCP)), dnat(&[CtMark, ThDport], "dests4-ports", true)]),
                rule([goto("no-server")]),
            ]),
        ),
        ("svc-empty-4", chain([rule([set_mark(82)]), rule([goto("no-server")])])),
        (
            "management-1",
            chain([rule([set(MarkTarget::Ct, Expression::Value(Datum::Mark(FIRST))), deliver()])]),
        ),
        (
            "no-server",
            chain([
                rule([is(L4Proto, Datum::Proto(TCP)), Statement::Reject(Reject::TcpReset)]),
                rule([Statement::Reject(Reject::PortUnreachable)]),
            ]),
        ),
        (
            "postrouting",
            base(
                Hook::Postrouting,
                100,
                [
                    rule([output("eth0"), private(), Statement::Masquerade]),
                    rule([
                        output("eth1"),
                        private(),
                        Statement::Match(Match::CtStatusDnat),
                        Statement::Masquerade,
                    ]),
                ],
            ),
        ),
    ];
    let persist = MapSpec {
        key: vec![Address, Mark],
        data: MapData::Values(vec![Mark]),
        dynamic: true,
        timeout: true,
        size: Some(2),
        ..MapSpec::default()
    };
    let mut ranges =
        map(&[Address, InetProto, InetService], MapData::Verdict, [(range, leads("svc-exchange-4"))]);
    ranges.spec.interval = true;
    let maps = [
        (
            "vips4",
            map(
                &[Address, InetProto, InetService],
                MapData::Verdict,
                [
                    (vip(TCP, 25), leads("svc-exchange-4")),
                    (vip(UDP, 25), leads("svc-exchange-4")),
                    (vip(TCP, 80), leads("svc-web-4")),
                    (vip(TCP, 443), leads("svc-empty-4")),
                ],
            ),
        ),
        ("vips4-ranges", ranges),
        (
            "addresses4",
            map(
                &[Address],
                MapData::Verdict,
                [
                    (Key::of([ip(VIP)]), leads("no-server")),
                    (Key::of([ip("192.168.1.36")]), leads("management-1")),
                ],
            ),
        ),
        (
            "slots",
            map(
                &[Mark],
                MapData::Values(vec![Mark]),
                [
                    (mark(0x1_0000), values([Datum::Mark(FIRST)])),
                    (mark(0x1_0001), values([Datum::Mark(SECOND)])),
                    (mark(0x1_0002), values([Datum::Mark(FIRST)])),
                    (mark(0x2_0000), values([Datum::Mark(SECOND)])),
                ],
            ),
        ),
        (
            "dests4",
            map(
                &[Mark],
                MapData::Values(vec![Address]),
                [(mark(FIRST), values([ip("10.0.1.1")])), (mark(SECOND), values([ip("10.0.1.2")]))],
            ),
        ),
        (
            "dests4-ports",
            map(
                &[Mark, InetService],
                MapData::Values(vec![Address, InetService]),
                [(
                    Key::of([Datum::Mark(SECOND), Datum::Port(80)]),
                    values([ip("10.0.1.2"), Datum::Port(8080)]),
                )],
            ),
        ),
        ("persist4", Map { spec: persist, elements: [].into() }),
    ];
    Ruleset {
        chains: chains.map(|(name, chain)| (name.to_owned(), chain)).into(),
        maps: maps.map(|(name, map)| (name.to_owned(), map)).into(),
    }
}

/// From a client outside to the VIP, by eth0 and out by eth1.
fn packet(source: &str, protocol: u8, port: u16) -> Packet {
    Packet {
        input: "eth0".to_owned(),
        output: "eth1".to_owned(),
        source: source.parse().unwrap(),
        destination: VIP.parse().unwrap(),
        protocol,
        source_port: 40_000,
        destination_port: port,
        mark: 0,
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn to(address: [u8; 4], port: Option<u16>) -> Option<(IpAddr, Option<u16>)> {
    Some((IpAddr::V4(Ipv4Addr::from(address)), port))
}

fn servers(tracer: &mut Tracer, clients: &[&str], port: u16, now: Duration) -> Vec<u32> {
    clients.iter().map(|client| tracer.send(&packet(client, TCP, port), now).ct_mark).collect()
}

#[test]
fn the_farm_is_one_the_kernel_would_take() {
    let transaction = crate::diff::diff(&Observed::default(), &farm());
    assert_eq!(Fake::new().apply(&transaction), Ok(()));
}

#[test]
fn a_new_client_is_marked_scheduled_and_translated() {
    let trace = Tracer::new(&farm()).send(&packet("203.0.113.7", TCP, 25), seconds(0));
    assert_eq!(
        trace,
        Trace {
            outcome: Outcome::Accepted,
            meta_mark: 80,
            ct_mark: FIRST,
            dnat: to([10, 0, 1, 1], None),
            snat: None,
            masquerade: false,
            events: None,
            path: [
                "prerouting/1",
                "svc-exchange-4/1",
                "return4/1",
                "return4/2",
                "svc-exchange-4/2",
                "stick4/1",
                "stick4/2",
                "stick4/3",
                "postrouting/1",
                "postrouting/2",
            ]
            .map(str::to_owned)
            .into(),
        }
    );
}

#[test]
fn generators_go_round() {
    let mut tracer = Tracer::new(&farm());
    let clients = ["198.51.100.1", "203.0.113.1"];
    assert_eq!(servers(&mut tracer, &clients, 25, seconds(0)), [FIRST, SECOND]);
    // The persistence map is full: from here on nobody sticks, but all are served.
    let clients = ["192.0.2.1"; 4];
    assert_eq!(servers(&mut tracer, &clients, 25, seconds(1)), [FIRST, FIRST, SECOND, FIRST]);
}

#[test]
fn a_client_network_sticks_on_all_ports_until_its_entry_ages_out() {
    let mut tracer = Tracer::new(&farm());
    let clients = ["203.0.113.1", "203.0.113.250", "198.51.100.1"];
    assert_eq!(servers(&mut tracer, &clients, 25, seconds(0)), [FIRST, FIRST, SECOND]);
    assert_eq!(tracer.send(&packet("203.0.113.9", UDP, 25), seconds(500)).ct_mark, FIRST);
    assert_eq!(servers(&mut tracer, &clients, 1010, seconds(1_099)), [FIRST, FIRST, FIRST]);
    assert_eq!(tracer.entries("persist4", seconds(1_698)).len(), 2);
    assert_eq!(tracer.entries("persist4", seconds(1_699)), []);
    assert_eq!(servers(&mut tracer, &clients, 25, seconds(1_699)), [FIRST, FIRST, SECOND]);
}

#[test]
fn a_client_moves_on_when_its_server_is_gone_and_generators_stay() {
    let mut ruleset = farm();
    let mut tracer = Tracer::new(&ruleset);
    assert_eq!(servers(&mut tracer, &["203.0.113.1"], 25, seconds(0)), [FIRST]);
    ruleset.maps.get_mut("dests4").unwrap().elements.remove(&mark(FIRST));
    tracer.replace(&ruleset);
    assert_eq!(servers(&mut tracer, &["203.0.113.1"; 2], 25, seconds(1)), [SECOND, SECOND]);
    let entries = tracer.entries("persist4", seconds(1));
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].1.data, Some(Datum::Mark(SECOND)));
    assert_eq!(entries[0].1.expires, Some(seconds(601)));
}

#[test]
fn ports_are_mapped_and_what_is_not_mapped_is_refused() {
    let mut tracer = Tracer::new(&farm());
    let trace = tracer.send(&packet("203.0.113.1", TCP, 80), seconds(0));
    assert_eq!(trace.dnat, to([10, 0, 1, 2], Some(8080)));
    let mut ruleset = farm();
    ruleset.maps.get_mut("dests4-ports").unwrap().elements.clear();
    let trace = Tracer::new(&ruleset).send(&packet("203.0.113.1", TCP, 80), seconds(0));
    assert_eq!((trace.outcome, trace.dnat), (Outcome::Rejected(Reject::TcpReset), None));
}

#[test]
fn outcomes() {
    let refused = Outcome::Rejected(Reject::TcpReset);
    let unreachable = Outcome::Rejected(Reject::PortUnreachable);
    let elsewhere = Packet { destination: "192.0.2.99".parse().unwrap(), ..packet("203.0.113.1", TCP, 25) };
    let management = Packet { destination: "192.168.1.36".parse().unwrap(), ..packet("203.0.113.1", TCP, 9) };
    let six = Packet {
        source: "2001:db8::1".parse().unwrap(),
        destination: "2001:db8::2".parse().unwrap(),
        ..packet("203.0.113.1", TCP, 25)
    };
    let cases = [
        ("a service without servers", packet("203.0.113.1", TCP, 443), refused, 82, 0),
        ("an undeclared tcp port", packet("203.0.113.1", TCP, 26), refused, 0, 0),
        ("an undeclared udp port", packet("203.0.113.1", UDP, 80), unreachable, 0, 0),
        ("the end of a range", packet("203.0.113.1", TCP, 1010), Outcome::Accepted, 80, FIRST),
        ("behind the end of a range", packet("203.0.113.1", TCP, 1011), refused, 0, 0),
        ("a protocol without ports", packet("203.0.113.1", ICMP, 0), unreachable, 0, 0),
        ("a management address", management, Outcome::Accepted, 0, FIRST),
        ("another destination", elsewhere, Outcome::Accepted, 0, 0),
        ("another family", six, Outcome::Accepted, 0, 0),
    ];
    for (what, packet, outcome, meta_mark, ct_mark) in cases {
        let trace = Tracer::new(&farm()).send(&packet, seconds(0));
        assert_eq!((trace.outcome, trace.meta_mark, trace.ct_mark), (outcome, meta_mark, ct_mark), "{what}");
    }
}

#[test]
fn real_servers_are_masqueraded_on_their_way_out_and_back_to_a_vip() {
    let out = Packet {
        input: "eth1".to_owned(),
        output: "eth0".to_owned(),
        destination: "192.0.2.99".parse().unwrap(),
        ..packet("10.0.1.2", TCP, 443)
    };
    let trace = Tracer::new(&farm()).send(&out, seconds(0));
    assert_eq!((trace.masquerade, trace.dnat), (true, None));

    let hairpin = Packet { input: "eth1".to_owned(), ..packet("10.0.1.2", TCP, 25) };
    let trace = Tracer::new(&farm()).send(&hairpin, seconds(0));
    assert_eq!((trace.masquerade, trace.dnat), (true, to([10, 0, 1, 1], None)));

    let inside = Packet { destination: "10.0.1.1".parse().unwrap(), ..hairpin };
    let trace = Tracer::new(&farm()).send(&inside, seconds(0));
    assert_eq!((trace.masquerade, trace.dnat), (false, None));
}

/// The marks that a chain of these rules leaves on a packet to `VIP`.
fn marks(rules: Vec<Rule>, more: Vec<(&str, Chain)>) -> (u32, u32) {
    let mut ruleset = farm();
    ruleset.chains.retain(|_, chain| chain.base.is_none());
    ruleset.chains.insert("prerouting".to_owned(), base(Hook::Prerouting, -100, rules));
    ruleset.chains.extend(more.into_iter().map(|(name, chain)| (name.to_owned(), chain)));
    let trace = Tracer::new(&ruleset).send(&packet("203.0.113.1", TCP, 25), seconds(0));
    (trace.meta_mark, trace.ct_mark)
}

#[test]
fn what_does_not_match_ends_the_rule_and_not_the_chain() {
    let meta = |mark| set(MarkTarget::Meta, Expression::Value(Datum::Mark(mark)));
    let ct = |mark| set(MarkTarget::Ct, Expression::Value(Datum::Mark(mark)));
    let negated = |selector, value| Statement::Match(Match::Value { selector, negate: true, value });
    let delete = Statement::Delete {
        map: "persist4".to_owned(),
        key: vec![Selector::Ip4Saddr { prefix: 24 }, Selector::MetaMark],
        data: Some(Selector::CtMark),
    };
    let misses = [
        is(Selector::ThDport, Datum::Port(26)),
        negated(Selector::ThDport, Datum::Port(25)),
        is(Selector::Nfproto, Datum::Proto(10)),
        negated(Selector::Ip6Daddr, Datum::Ipv6(1.into())),
        found(&[Selector::CtMark], "slots"),
        dnat(&[Selector::CtMark], "dests4", false),
        Statement::Match(Match::CtStatusDnat),
    ];
    for miss in misses {
        let rules = vec![rule([meta(1), miss.clone(), meta(2)]), rule([ct(3)])];
        assert_eq!(marks(rules, vec![]), (1, 3), "{miss:?}");
    }
    let unknown = vec![rule([vmap(&[Selector::CtMark], "vips4"), meta(2)])];
    assert_eq!(marks(unknown, vec![]), (2, 0), "a vmap without a hit goes on");
    assert_eq!(marks(vec![rule([delete, meta(2)])], vec![]), (2, 0), "and so does a deletion");
}

#[test]
fn jump_returns_and_goto_does_not() {
    let ct = |mark| set(MarkTarget::Ct, Expression::Value(Datum::Mark(mark)));
    let meta = |mark| set(MarkTarget::Meta, Expression::Value(Datum::Mark(mark)));
    let jump = |chain: &str| Statement::Verdict(Verdict::Jump(chain.to_owned()));
    let inner = || chain([rule([ct(1)])]);
    assert_eq!(marks(vec![rule([jump("inner")]), rule([meta(2)])], vec![("inner", inner())]), (2, 1));
    assert_eq!(marks(vec![rule([goto("inner")]), rule([meta(2)])], vec![("inner", inner())]), (0, 1));
    let outer = chain([rule([goto("inner")]), rule([ct(4)])]);
    let both = vec![rule([jump("outer")]), rule([meta(2)])];
    assert_eq!(marks(both, vec![("outer", outer), ("inner", inner())]), (2, 1));
    let accept = chain([rule([Statement::Verdict(Verdict::Accept)])]);
    assert_eq!(marks(vec![rule([jump("accept")]), rule([meta(2)])], vec![("accept", accept)]), (0, 0));
    let circle = chain([rule([jump("circle")])]);
    assert_eq!(marks(vec![rule([ct(5), jump("circle")])], vec![("circle", circle)]), (0, 5));
}

#[test]
fn chains_of_a_hook_run_by_priority_and_a_drop_ends_all() {
    let meta = |mark| set(MarkTarget::Meta, Expression::Value(Datum::Mark(mark)));
    let mut late = base(Hook::Prerouting, 10, [rule([meta(7), Statement::Verdict(Verdict::Drop)])]);
    if let Some(base) = &mut late.base {
        base.kind = ChainKind::Filter;
    }
    let mut ruleset = farm();
    ruleset.chains.insert("a-late".to_owned(), late);
    let trace = Tracer::new(&ruleset).send(&packet("203.0.113.1", TCP, 25), seconds(0));
    assert_eq!((trace.outcome, trace.meta_mark, trace.ct_mark), (Outcome::Dropped, 7, FIRST));
    assert_eq!(trace.path.last().map(String::as_str), Some("a-late/1"));
}

#[test]
fn random_numbers_stay_in_range_and_reach_all_of_it() {
    let mut ruleset = farm();
    let rules = [rule([numgen(NumgenMode::Random, 3, 5)])];
    ruleset.chains.insert("prerouting".to_owned(), base(Hook::Prerouting, -100, rules));
    let mut tracer = Tracer::new(&ruleset);
    let mut seen = servers(&mut tracer, &["203.0.113.1"; 100], 25, seconds(0));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [5, 6, 7]);
}

#[test]
fn a_hash_sends_a_client_the_same_way_each_time_and_others_elsewhere() {
    let by = |key: &[Selector], sources: &[(&str, u16)]| {
        let jhash = Jhash { key: key.to_vec(), modulus: 1000, seed: 7, offset: 5 };
        let rules = [rule([set(MarkTarget::Ct, Expression::Jhash(jhash))])];
        let mut ruleset = farm();
        ruleset.chains.insert("prerouting".to_owned(), base(Hook::Prerouting, -100, rules));
        let mut tracer = Tracer::new(&ruleset);
        let mut sent: Vec<u32> = Vec::new();
        for (source, source_port) in sources {
            let packet = Packet { source_port: *source_port, ..packet(source, TCP, 25) };
            sent.push(tracer.send(&packet, seconds(0)).ct_mark);
        }
        sent.dedup();
        sent
    };
    let ports = [("203.0.113.1", 1000), ("203.0.113.1", 1001)];
    let addresses = [("203.0.113.1", 1000), ("203.0.113.2", 1000)];
    let networks = [("203.0.113.1", 1000), ("203.0.112.1", 1000)];
    let client = |prefix| Selector::Ip4Saddr { prefix };
    assert_eq!(by(&[client(32)], &ports).len(), 1);
    assert_eq!(by(&[client(32)], &addresses).len(), 2);
    assert_eq!(by(&[client(24)], &addresses).len(), 1);
    assert_eq!(by(&[client(24)], &networks).len(), 2);
    assert_eq!(by(&[client(24), Selector::ThSport], &ports).len(), 2);
    assert_eq!(by(&[Selector::Ip4Daddr], &networks).len(), 1);
    assert_eq!(by(&[Selector::Ip6Daddr], &networks), [0], "no such field: the rule ends");
}
