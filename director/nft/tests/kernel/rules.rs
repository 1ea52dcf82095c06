//! Every statement, as nft reads it back.

use crate::namespace::{in_namespace, listed, loaded};
use director_nft::diff::diff;
use director_nft::ir::{
    BaseChain, Chain, ChainKind, CtStates, DataType, Datum, Dnat, EventMask, Expression, Family, Hook, Jhash,
    Map, MapData, MapSpec, MarkTarget, Match, Numgen, NumgenMode, Rate, RateUnit, Reject, Rule, Ruleset,
    Selector, Statement, Synproxy, TcpFlags, Verdict,
};
use director_nft::observed::Observed;
use std::time::Duration;

const IP4: Selector = Selector::Ip4Saddr { prefix: 24 };
const IP6: Selector = Selector::Ip6Saddr { prefix: 64 };

fn spec(key: &[DataType], data: MapData) -> MapSpec {
    MapSpec { key: key.to_vec(), data, ..MapSpec::default() }
}

fn maps(ruleset: &mut Ruleset) {
    use DataType::{InetProto, InetService, Ipv4Addr, Ipv6Addr, Mark};
    let values = |types: &[DataType]| MapData::Values(types.to_vec());
    let dynamic = |address| MapSpec {
        dynamic: true,
        timeout: true,
        size: Some(65536),
        gc_interval: Some(Duration::from_secs(60)),
        ..spec(&[address, Mark], values(&[Mark]))
    };
    let specs = [
        ("addresses4", spec(&[Ipv4Addr], MapData::Verdict)),
        ("dests4", spec(&[Mark], values(&[Ipv4Addr]))),
        ("dests6", spec(&[Mark], values(&[Ipv6Addr]))),
        ("ports4", spec(&[Mark], values(&[Ipv4Addr, InetService]))),
        ("ports6", spec(&[Mark], values(&[Ipv6Addr, InetService]))),
        ("persist4", MapSpec { default_timeout: Some(Duration::from_secs(600)), ..dynamic(Ipv4Addr) }),
        ("persist6", dynamic(Ipv6Addr)),
        ("slots", MapSpec { size: Some(512), counter: true, ..spec(&[Mark], values(&[Mark])) }),
        ("seen", MapSpec { dynamic: true, timeout: true, size: Some(9), ..spec(&[Ipv4Addr], MapData::None) }),
        (
            "limit4",
            MapSpec {
                dynamic: true,
                timeout: true,
                size: Some(65536),
                default_timeout: Some(Duration::from_secs(20)),
                ..spec(&[Ipv4Addr, Mark], MapData::None)
            },
        ),
        (
            "limit6",
            MapSpec { dynamic: true, timeout: true, size: Some(9), ..spec(&[Ipv6Addr, Mark], MapData::None) },
        ),
        ("delivery", MapSpec { counter: true, ..spec(&[Mark], MapData::Verdict) }),
        ("vips4", MapSpec { size: Some(64), ..spec(&[Ipv4Addr, InetProto, InetService], MapData::Verdict) }),
        ("vips6", spec(&[Ipv6Addr, InetProto, InetService], MapData::Verdict)),
        (
            "vips4-ranges",
            MapSpec { interval: true, ..spec(&[Ipv4Addr, InetProto, InetService], MapData::Verdict) },
        ),
    ];
    for (name, spec) in specs {
        ruleset.maps.insert(name.to_owned(), Map { spec, elements: [].into() });
    }
}

fn equals(selector: Selector, value: Datum) -> Statement {
    Statement::Match(Match::Value { selector, negate: false, value })
}

fn prefix(selector: Selector, negate: bool, address: &str, length: u8) -> Statement {
    let address = match address.parse().unwrap() {
        std::net::IpAddr::V4(address) => Datum::Ipv4(address),
        std::net::IpAddr::V6(address) => Datum::Ipv6(address),
    };
    Statement::Match(Match::Prefix { selector, negate, address, length })
}

fn set(target: MarkTarget, value: Expression) -> Statement {
    Statement::SetMark { target, value }
}

fn lookup(key: &[Selector], map: &str) -> Expression {
    Expression::Map { key: key.to_vec(), map: map.to_owned() }
}

fn update(key: &[Selector], map: &str, timeout: Option<u64>) -> Statement {
    Statement::Update {
        map: map.to_owned(),
        key: key.to_vec(),
        timeout: timeout.map(Duration::from_secs),
        data: Some(Selector::CtMark),
    }
}

fn delete(key: &[Selector], map: &str) -> Statement {
    Statement::Delete { map: map.to_owned(), key: key.to_vec(), data: Some(Selector::CtMark) }
}

fn limit(
    key: &[Selector],
    map: &str,
    timeout: Option<u64>,
    count: u64,
    per: RateUnit,
    burst: u32,
) -> Statement {
    Statement::Limit {
        map: map.to_owned(),
        key: key.to_vec(),
        timeout: timeout.map(Duration::from_secs),
        rate: Rate { count, per, burst },
    }
}

fn tcp_flags(value: TcpFlags, mask: TcpFlags, negate: bool) -> Statement {
    Statement::Match(Match::TcpFlags { mask, value, negate })
}

fn state(states: CtStates) -> Statement {
    Statement::Match(Match::CtState(states))
}

fn synproxy(timestamp: bool, sack_perm: bool) -> Statement {
    Statement::Synproxy(Synproxy { mss: 1460, wscale: 7, timestamp, sack_perm })
}

fn dnat(family: Family, map: &str, port: bool) -> Statement {
    Statement::Dnat(Dnat { family, key: vec![Selector::CtMark], map: map.to_owned(), port })
}

fn vmap(key: &[Selector], map: &str) -> Statement {
    Statement::Vmap { key: key.to_vec(), map: map.to_owned() }
}

fn numgen(mode: NumgenMode, modulus: u32, offset: u32) -> Expression {
    Expression::Numgen(Numgen { mode, modulus, offset })
}

fn jhash(key: &[Selector], modulus: u32, seed: u32, offset: u32) -> Expression {
    Expression::Jhash(Jhash { key: key.to_vec(), modulus, seed, offset })
}

/// Statements, and what `nft list` makes of them.
fn table() -> Vec<(Vec<Statement>, &'static str)> {
    use MarkTarget::{Ct, Meta};
    use Selector::{CtMark, Ip4Daddr, Ip6Daddr, L4Proto, MetaMark, Nfproto, ThDport, ThSport};
    let goto = || Statement::Verdict(Verdict::Goto("end".to_owned()));
    let drop = || Statement::Verdict(Verdict::Drop);
    let all4 = Selector::Ip4Saddr { prefix: 32 };
    let tcp = || equals(L4Proto, Datum::Proto(6));
    vec![
        (vec![equals(Nfproto, Datum::Proto(2)), drop()], "meta nfproto ipv4 drop"),
        (vec![equals(Nfproto, Datum::Proto(10)), goto()], "meta nfproto ipv6 goto end"),
        (
            vec![equals(L4Proto, Datum::Proto(17)), Statement::Counter, drop()],
            "meta l4proto udp counter packets 0 bytes 0 drop",
        ),
        (vec![equals(MetaMark, Datum::Mark(80)), goto()], "meta mark 0x00000050 goto end"),
        (vec![equals(CtMark, Datum::Mark(0x8000_1001)), goto()], "ct mark 0x80001001 goto end"),
        (
            vec![
                Statement::Match(Match::Value { selector: CtMark, negate: true, value: Datum::Mark(1) }),
                drop(),
            ],
            "ct mark != 0x00000001 drop",
        ),
        (vec![equals(Ip4Daddr, Datum::Ipv4([10, 0, 0, 1].into())), drop()], "ip daddr 10.0.0.1 drop"),
        (vec![equals(Ip6Daddr, Datum::Ipv6(1.into())), drop()], "ip6 daddr ::1 drop"),
        (vec![equals(ThDport, Datum::Port(443)), drop()], "th dport 443 drop"),
        (vec![prefix(all4, false, "10.0.1.0", 24), drop()], "ip saddr 10.0.1.0/24 drop"),
        (vec![prefix(all4, true, "10.0.2.0", 23), drop()], "ip saddr != 10.0.2.0/23 drop"),
        (vec![prefix(Ip4Daddr, false, "10.0.1.1", 32), drop()], "ip daddr 10.0.1.1 drop"),
        (vec![prefix(Ip6Daddr, false, "fd00::", 64), drop()], "ip6 daddr fd00::/64 drop"),
        (vec![prefix(Ip6Daddr, true, "fd00::", 57), drop()], "ip6 daddr != fd00::/57 drop"),
        (
            vec![
                prefix(all4, false, "10.0.1.0", 24),
                prefix(Ip4Daddr, true, "10.0.1.0", 24),
                Statement::Match(Match::OutputInterface { negate: false, name: "eth0".to_owned() }),
                Statement::Match(Match::InputInterface { negate: true, name: "fifteen-bytes-0".to_owned() }),
                Statement::Match(Match::CtStatusDnat),
                Statement::Masquerade,
            ],
            "ip saddr 10.0.1.0/24 ip daddr != 10.0.1.0/24 oifname \"eth0\" iifname != \"fifteen-bytes-0\" ct status dnat masquerade",
        ),
        (
            vec![vmap(&[Ip4Daddr, L4Proto, ThDport], "vips4")],
            "ip daddr . meta l4proto . th dport vmap @vips4",
        ),
        (
            vec![vmap(&[Ip4Daddr, L4Proto, ThDport], "vips4-ranges")],
            "ip daddr . meta l4proto . th dport vmap @vips4-ranges",
        ),
        (
            vec![vmap(&[Ip6Daddr, L4Proto, ThDport], "vips6")],
            "ip6 daddr . meta l4proto . th dport vmap @vips6",
        ),
        (vec![vmap(&[Ip4Daddr], "addresses4")], "ip daddr vmap @addresses4"),
        (
            vec![
                set(Meta, Expression::Value(Datum::Mark(80))),
                set(Ct, numgen(NumgenMode::Increment, 4, 65536)),
                goto(),
            ],
            "meta mark set 0x00000050 ct mark set numgen inc mod 4 offset 65536 goto end",
        ),
        (vec![set(Meta, numgen(NumgenMode::Random, 3, 0))], "meta mark set numgen random mod 3"),
        (
            vec![
                set(Meta, Expression::Value(Datum::Mark(80))),
                set(Ct, jhash(&[IP4], 251, 0x1234_5678, 65536)),
                goto(),
            ],
            "meta mark set 0x00000050 ct mark set jhash ip saddr & 255.255.255.0 mod 251 seed 0x12345678 offset 65536 goto end",
        ),
        (
            vec![set(Ct, jhash(&[all4, ThSport], 8, 1, 9))],
            "ct mark set jhash ip saddr . th sport mod 8 seed 0x1 offset 9",
        ),
        (
            vec![tcp(), set(Ct, jhash(&[all4, ThSport], 8, 1, 0))],
            "ct mark set jhash ip saddr . tcp sport mod 8 seed 0x1",
        ),
        (
            vec![set(Ct, jhash(&[IP6, ThSport], 1, 0, 9))],
            "ct mark set jhash ip6 saddr & ffff:ffff:ffff:ffff:: . th sport mod 1 seed 0x0 offset 9",
        ),
        (
            vec![set(Ct, jhash(&[Ip4Daddr], 2, u32::MAX, 0))],
            "ct mark set jhash ip daddr mod 2 seed 0xffffffff",
        ),
        (vec![set(Meta, jhash(&[Ip6Daddr], 2, 2, 0))], "meta mark set jhash ip6 daddr mod 2 seed 0x2"),
        (vec![set(Ct, Expression::Field(MetaMark))], "ct mark set meta mark"),
        (vec![set(Meta, Expression::Field(CtMark))], "meta mark set ct mark"),
        (
            vec![set(Ct, lookup(&[CtMark], "slots")), dnat(Family::V4, "dests4", false)],
            "ct mark set ct mark map @slots dnat ip to ct mark map @dests4",
        ),
        (vec![dnat(Family::V6, "dests6", false)], "dnat ip6 to ct mark map @dests6"),
        (vec![tcp(), dnat(Family::V4, "ports4", true)], "meta l4proto tcp dnat ip to ct mark map @ports4"),
        (vec![tcp(), dnat(Family::V6, "ports6", true)], "meta l4proto tcp dnat ip6 to ct mark map @ports6"),
        (
            vec![
                set(Ct, lookup(&[IP4, MetaMark], "persist4")),
                update(&[IP4, MetaMark], "persist4", Some(600)),
                dnat(Family::V4, "dests4", false),
            ],
            "ct mark set ip saddr & 255.255.255.0 . meta mark map @persist4 update @persist4 { ip saddr & 255.255.255.0 . meta mark timeout 10m : ct mark } dnat ip to ct mark map @dests4",
        ),
        (
            vec![update(&[all4, MetaMark], "persist4", None)],
            "update @persist4 { ip saddr . meta mark : ct mark }",
        ),
        (
            vec![delete(&[IP4, MetaMark], "persist4")],
            "delete @persist4 { ip saddr & 255.255.255.0 . meta mark : ct mark }",
        ),
        (
            vec![set(Ct, lookup(&[IP6, MetaMark], "persist6"))],
            "ct mark set ip6 saddr & ffff:ffff:ffff:ffff:: . meta mark map @persist6",
        ),
        (
            vec![update(&[IP6, MetaMark], "persist6", Some(90))],
            "update @persist6 { ip6 saddr & ffff:ffff:ffff:ffff:: . meta mark timeout 1m30s : ct mark }",
        ),
        (
            vec![delete(&[IP6, MetaMark], "persist6")],
            "delete @persist6 { ip6 saddr & ffff:ffff:ffff:ffff:: . meta mark : ct mark }",
        ),
        (
            vec![Statement::Update {
                map: "seen".to_owned(),
                key: vec![all4],
                timeout: Some(Duration::from_secs(1)),
                data: None,
            }],
            "update @seen { ip saddr timeout 1s }",
        ),
        (vec![tcp(), Statement::Reject(Reject::TcpReset)], "meta l4proto tcp reject with tcp reset"),
        (vec![Statement::Reject(Reject::PortUnreachable)], "reject"),
        (vec![Statement::Verdict(Verdict::Jump("end".to_owned()))], "jump end"),
        (vec![Statement::Verdict(Verdict::Accept)], "accept"),
    ]
}

/// The same for what limits, watches and protects.
fn more() -> Vec<(Vec<Statement>, &'static str)> {
    use RateUnit::{Day, Hour, Minute, Second, Week};
    use Selector::{Ip4Daddr, L4Proto, MetaMark, Nfproto, ThDport};
    let drop = || Statement::Verdict(Verdict::Drop);
    let reset = || Statement::Reject(Reject::TcpReset);
    let all4 = Selector::Ip4Saddr { prefix: 32 };
    let all6 = Selector::Ip6Saddr { prefix: 128 };
    let tcp = || equals(L4Proto, Datum::Proto(6));
    let service = || equals(MetaMark, Datum::Mark(80));
    let (syn, ack, fin, rst) = (TcpFlags::SYN, TcpFlags::ACK, TcpFlags::FIN, TcpFlags::RST);
    let none = TcpFlags::default();
    let snat = |address: &str| Statement::Snat(address.parse().unwrap());
    vec![
        (
            vec![Statement::SetEvents(EventMask::NEW | EventMask::DESTROY | EventMask::PROTOINFO)],
            "ct event set new,destroy,protoinfo",
        ),
        (
            vec![Statement::SetEvents(EventMask::ALL)],
            "ct event set new,related,destroy,reply,assured,protoinfo,helper,mark,seqadj,secmark,label",
        ),
        (vec![Statement::SetEvents(EventMask::default())], "ct event set 0x0"),
        (
            vec![
                Statement::SetEvents(EventMask::ASSURED | EventMask::DESTROY),
                vmap(&[MetaMark], "delivery"),
            ],
            "ct event set destroy,assured meta mark vmap @delivery",
        ),
        (
            vec![limit(&[all4, MetaMark], "limit4", None, 10, Second, 20), drop()],
            "update @limit4 { ip saddr . meta mark limit rate over 10/second burst 20 packets } drop",
        ),
        (
            vec![
                tcp(),
                limit(&[IP4, MetaMark], "limit4", Some(90), 1, Minute, 1),
                Statement::Counter,
                reset(),
            ],
            "meta l4proto tcp update @limit4 { ip saddr & 255.255.255.0 . meta mark timeout 1m30s limit rate over 1/minute burst 1 packets } counter packets 0 bytes 0 reject with tcp reset",
        ),
        (
            vec![service(), limit(&[all6, MetaMark], "limit6", Some(60), 10, Hour, 5), drop()],
            "meta mark 0x00000050 update @limit6 { ip6 saddr . meta mark timeout 1m limit rate over 10/hour } drop",
        ),
        (
            vec![limit(&[IP6, MetaMark], "limit6", None, 3, Day, 7)],
            "update @limit6 { ip6 saddr & ffff:ffff:ffff:ffff:: . meta mark limit rate over 3/day burst 7 packets }",
        ),
        (
            vec![limit(&[all4, MetaMark], "limit4", None, 1_000_000_000, Week, u32::MAX)],
            "update @limit4 { ip saddr . meta mark limit rate over 1000000000/week burst 4294967295 packets }",
        ),
        (vec![snat("10.0.1.254")], "snat ip to 10.0.1.254"),
        (vec![snat("fd00::fe")], "snat ip6 to fd00::fe"),
        (
            vec![equals(Nfproto, Datum::Proto(2)), service(), snat("10.0.1.254")],
            "meta nfproto ipv4 meta mark 0x00000050 snat ip to 10.0.1.254",
        ),
        (
            vec![service(), prefix(all4, false, "10.0.0.0", 8), snat("10.0.1.254")],
            "meta mark 0x00000050 ip saddr 10.0.0.0/8 snat ip to 10.0.1.254",
        ),
        (vec![state(CtStates::INVALID | CtStates::NEW), drop()], "ct state invalid,new drop"),
        (vec![state(CtStates::INVALID), drop()], "ct state invalid drop"),
        (vec![state(CtStates::NEW), drop()], "ct state new drop"),
        (vec![state(CtStates::ALL), drop()], "ct state invalid,established,related,new drop"),
        (vec![tcp_flags(syn, fin | syn | rst | ack, false)], "tcp flags syn / fin,syn,rst,ack"),
        (vec![tcp_flags(syn, fin | syn | rst | ack, true)], "tcp flags != syn / fin,syn,rst,ack"),
        (vec![tcp_flags(syn | ack, syn | ack, false)], "tcp flags syn,ack / syn,ack"),
        (vec![tcp_flags(syn | ack, syn | ack, true)], "tcp flags != syn,ack / syn,ack"),
        (vec![tcp_flags(none, syn | rst, false)], "tcp flags ! syn,rst"),
        (vec![tcp_flags(none, syn | rst, true)], "tcp flags syn,rst"),
        (vec![tcp_flags(none, syn, false)], "tcp flags ! syn"),
        (vec![tcp_flags(none, syn, true)], "tcp flags syn"),
        (vec![tcp_flags(syn, syn, false)], "tcp flags & syn == syn"),
        (vec![tcp_flags(syn, syn, true)], "tcp flags & syn != syn"),
        (vec![tcp_flags(syn, TcpFlags::ALL, false)], "tcp flags == syn"),
        (vec![tcp_flags(syn, TcpFlags::ALL, true)], "tcp flags != syn"),
        (vec![tcp_flags(syn | ack, TcpFlags::ALL, false)], "tcp flags == 0x12"),
        (vec![tcp_flags(none, TcpFlags::ALL, false)], "tcp flags == 0x0"),
        (vec![tcp_flags(none, TcpFlags::ALL, true)], "tcp flags != 0x0"),
        (
            vec![tcp_flags(
                TcpFlags::PSH | TcpFlags::CWR,
                TcpFlags::PSH | TcpFlags::URG | TcpFlags::ECN | TcpFlags::CWR,
                false,
            )],
            "tcp flags psh,cwr / psh,urg,ecn,cwr",
        ),
        (
            vec![
                state(CtStates::INVALID),
                tcp(),
                tcp_flags(none, syn | rst, false),
                Statement::Counter,
                reset(),
            ],
            "ct state invalid tcp flags ! syn,rst counter packets 0 bytes 0 reject with tcp reset",
        ),
        (
            vec![state(CtStates::NEW), tcp_flags(syn, fin | syn | rst | ack, true), reset()],
            "ct state new tcp flags != syn / fin,syn,rst,ack reject with tcp reset",
        ),
        (
            vec![tcp_flags(syn, fin | syn | rst | ack, false), vmap(&[Ip4Daddr, L4Proto, ThDport], "vips4")],
            "tcp flags syn / fin,syn,rst,ack ip daddr . meta l4proto . tcp dport vmap @vips4",
        ),
        (
            vec![
                Statement::Match(Match::InputInterface { negate: false, name: "eth0".to_owned() }),
                equals(ThDport, Datum::Port(80)),
                tcp_flags(none, syn, true),
                Statement::Counter,
            ],
            "iifname \"eth0\" th dport 80 tcp flags syn counter packets 0 bytes 0",
        ),
        (
            vec![state(CtStates::INVALID | CtStates::NEW), synproxy(true, true)],
            "ct state invalid,new synproxy mss 1460 wscale 7 timestamp sack-perm",
        ),
        (vec![synproxy(false, true)], "synproxy mss 1460 wscale 7 sack-perm"),
        (vec![synproxy(true, false)], "synproxy mss 1460 wscale 7 timestamp"),
        (
            vec![Statement::Synproxy(Synproxy { mss: 536, wscale: 0, timestamp: false, sack_perm: false })],
            "synproxy mss 536 wscale 0",
        ),
        (
            vec![
                Statement::Match(Match::CtStatusDnat),
                tcp_flags(TcpFlags::ACK, TcpFlags::SYN | TcpFlags::RST | TcpFlags::ACK, false),
                Statement::StripTimestamp,
            ],
            "ct status dnat tcp flags ack / syn,rst,ack reset tcp option timestamp",
        ),
    ]
}

fn all() -> Vec<(Vec<Statement>, &'static str)> {
    let mut all = table();
    all.extend(more());
    all
}

#[test]
fn nft_lists_every_statement_as_it_is_meant() {
    in_namespace(|| {
        for (statements, expected) in all() {
            let mut ruleset = Ruleset::default();
            maps(&mut ruleset);
            let rule = Rule { statements, comment: Some("words of ours".to_owned()) };
            ruleset.chains.insert("end".to_owned(), Chain::default());
            ruleset.chains.insert("x".to_owned(), Chain { base: None, rules: vec![rule] });
            let mut nft = loaded(&ruleset);
            let text = crate::namespace::run("nft", &["list", "chain", "inet", "director", "x"]);
            let expected = format!("{expected} comment \"words of ours\"");
            assert_eq!(director_nft::render::rule(&ruleset.chains["x"].rules[0]), expected);
            assert!(text.lines().any(|line| line.trim() == expected), "{expected}\n{text}");
            let observed = nft.observe().unwrap();
            assert_eq!(observed, Observed::from(&ruleset), "{expected}");
            assert!(diff(&observed, &ruleset).is_empty(), "{expected}");
            crate::namespace::run("nft", &["delete", "table", "inet", "director"]);
        }
    });
}

#[test]
fn nft_lists_a_table_as_it_is_rendered() {
    in_namespace(|| {
        let mut ruleset = Ruleset::default();
        maps(&mut ruleset);
        // nft lists the interval, but could not load it, so the rendering has it in a comment.
        ruleset.maps.values_mut().for_each(|map| map.spec.gc_interval = None);
        ruleset.chains.insert("end".to_owned(), Chain::default());
        let rules = all().into_iter().map(|(statements, _)| Rule { statements, comment: None }).collect();
        let base = Some(BaseChain { kind: ChainKind::Nat, hook: Hook::Prerouting, priority: -100 });
        ruleset.chains.insert("begin".to_owned(), Chain { base, rules });
        // These belong to other hooks.
        let elsewhere = |statement: &Statement| {
            matches!(statement, Statement::Masquerade | Statement::Snat(_) | Statement::Synproxy(_))
        };
        ruleset.chains.values_mut().for_each(|chain| {
            chain.rules.retain(|rule| !rule.statements.iter().any(elsewhere));
        });
        loaded(&ruleset);
        let (listed, rendered) = (listed(), director_nft::render::ruleset(&ruleset));
        let sorted = |text: &str| {
            let mut blocks: Vec<String> = text.split("\n\n").map(|block| block.trim().to_owned()).collect();
            blocks.sort_unstable();
            blocks
        };
        assert_eq!(sorted(&listed), sorted(&rendered), "{listed}\n{rendered}");
    });
}

#[test]
fn base_chains_come_back_with_their_hooks() {
    in_namespace(|| {
        let mut ruleset = Ruleset::default();
        let hooks = [Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Output, Hook::Postrouting];
        for (kind, priority) in [(ChainKind::Nat, -100), (ChainKind::Filter, 17)] {
            for hook in hooks {
                if kind == ChainKind::Nat && hook == Hook::Forward {
                    continue;
                }
                let base = Some(BaseChain { kind, hook, priority });
                ruleset.chains.insert(format!("{kind:?}-{hook:?}"), Chain { base, rules: Vec::new() });
            }
        }
        let mut nft = loaded(&ruleset);
        assert_eq!(nft.observe().unwrap(), Observed::from(&ruleset));
        assert!(listed().contains("type nat hook prerouting priority dstnat; policy accept;"));
    });
}
