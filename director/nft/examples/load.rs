//! How long the kernel takes: loading many services, then one change of each kind. Run as root in a network
//! namespace of its own:
//! `unshare -n cargo run --release -p director-nft --example load`.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "it measures and prints")]

use director_nft::diff::diff;
use director_nft::ir::{
    BaseChain, Chain, ChainKind, DataType, Datum, Dnat, Element, ElementData, Expression, Family, Hook, Key,
    Map, MapData, MapSpec, MarkTarget, Numgen, NumgenMode, Rule, Ruleset, Selector, Statement, Verdict,
};
use director_nft::netlink::Nft;
use director_nft::observed::Observed;
use director_nft::transaction::{Operation, Transaction};
use std::time::{Duration, Instant};

/// Changes of each kind, of which the median is printed.
const CHANGES: usize = 21;

fn main() {
    println!("services  difference  load        read back   one slot    one rule    remove");
    for services in [1, 100, 1000, 10_000] {
        let ruleset = farm(services);
        let mut nft = Nft::open().unwrap();
        let (transaction, difference) = timed(|| diff(&Observed::default(), &ruleset));
        let ((), load) = timed(|| nft.apply(&transaction).unwrap());
        let (observed, read) = timed(|| nft.observe().unwrap());
        assert_eq!(observed, Observed::from(&ruleset));
        let slot = median(|number| nft.apply(&one_slot(&ruleset, number)).unwrap());
        let rule = median(|number| nft.apply(&one_rule(services, number)).unwrap());
        let remove = Transaction { operations: vec![Operation::DeleteTable] };
        let ((), remove) = timed(|| nft.apply(&remove).unwrap());
        println!(
            "{services:<8}  {:<10}  {:<10}  {:<10}  {:<10}  {:<10}  {}",
            text(difference),
            text(load),
            text(read),
            text(slot),
            text(rule),
            text(remove)
        );
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn median(mut work: impl FnMut(u32)) -> Duration {
    let mut times: Vec<Duration> =
        (0..CHANGES).zip(0..).map(|(_, number)| timed(|| work(number)).1).collect();
    times.sort_unstable();
    times[CHANGES / 2]
}

fn text(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// The first service's first slot goes to one or the other server.
fn one_slot(ruleset: &Ruleset, number: u32) -> Transaction {
    let spec = ruleset.maps["slots"].spec.clone();
    let (key, element) = slot(1, 0, 1 + number % 2);
    let map = "slots".to_owned();
    Transaction {
        operations: vec![
            Operation::DeleteElements { map: map.clone(), spec: spec.clone(), keys: vec![key.clone()] },
            Operation::AddElements { map, spec, elements: vec![(key, element)] },
        ],
    }
}

/// A service in the middle gets another count of slots.
fn one_rule(services: u32, number: u32) -> Transaction {
    let service = services.div_ceil(2);
    let chain = format!("svc-{service}-4");
    Transaction {
        operations: vec![
            Operation::FlushChain { name: chain.clone() },
            Operation::AddRule { chain, rule: schedule(service, 1 + number % 2) },
        ],
    }
}

/// Services with two servers in two slots each.
fn farm(services: u32) -> Ruleset {
    let mut ruleset = Ruleset::default();
    let mut vips =
        map(vec![DataType::Ipv4Addr, DataType::InetProto, DataType::InetService], MapData::Verdict, services);
    let mark = || vec![DataType::Mark];
    let mut slots = map(mark(), MapData::Values(mark()), 2 * services);
    let mut dests = map(mark(), MapData::Values(vec![DataType::Ipv4Addr]), 2 * services);
    for service in 1..=services {
        let name = format!("svc-{service}-4");
        let key = [Datum::Ipv4((0x0a00_0000 | service).into()), Datum::Proto(6), Datum::Port(80)];
        let goto = Some(ElementData::Verdict(Verdict::Goto(name.clone())));
        let element = Element { data: goto, comment: Some(format!("service-{service}")) };
        vips.elements.insert(Key::of(key), element);
        for server in [1, 2] {
            slots.elements.extend([slot(service, server - 1, server)]);
            let data = Some(ElementData::Values(vec![Datum::Ipv4((0x0b00_0000 | service << 1).into())]));
            let comment = Some(format!("service-{service} server-{server}"));
            let id = Datum::Mark(destination(service, server));
            dests.elements.insert(Key::of([id]), Element { data, comment });
        }
        ruleset.chains.insert(name, Chain { base: None, rules: vec![schedule(service, 2)] });
    }
    ruleset.maps.extend([
        ("vips4".to_owned(), vips),
        ("slots".to_owned(), slots),
        ("dests4".to_owned(), dests),
    ]);
    let pick = vec![
        Statement::SetMark {
            target: MarkTarget::Ct,
            value: Expression::Map { key: vec![Selector::CtMark], map: "slots".to_owned() },
        },
        Statement::Dnat(Dnat {
            family: Family::V4,
            key: vec![Selector::CtMark],
            map: "dests4".to_owned(),
            port: false,
        }),
    ];
    let find = Statement::Vmap {
        key: vec![Selector::Ip4Daddr, Selector::L4Proto, Selector::ThDport],
        map: "vips4".to_owned(),
    };
    let base = BaseChain { kind: ChainKind::Nat, hook: Hook::Prerouting, priority: -100 };
    let chain = |base, statements| Chain { base, rules: vec![Rule { statements, comment: None }] };
    ruleset.chains.insert("pick4".to_owned(), chain(None, pick));
    ruleset.chains.insert("prerouting".to_owned(), chain(Some(base), vec![find]));
    ruleset
}

fn map(key: Vec<DataType>, data: MapData, size: u32) -> Map {
    let spec = MapSpec { key, data, size: Some(size.next_power_of_two().max(64)), ..MapSpec::default() };
    Map { spec, elements: [].into() }
}

fn slot(service: u32, number: u32, server: u32) -> (Key, Element) {
    let data = Some(ElementData::Values(vec![Datum::Mark(destination(service, server))]));
    (Key::of([Datum::Mark(service << 16 | number)]), Element { data, comment: None })
}

fn destination(service: u32, server: u32) -> u32 {
    0x8000_0000 | service << 12 | server
}

fn schedule(service: u32, modulus: u32) -> Rule {
    let numgen = Numgen { mode: NumgenMode::Increment, modulus, offset: service << 16 };
    Rule {
        statements: vec![
            Statement::SetMark { target: MarkTarget::Meta, value: Expression::Value(Datum::Mark(service)) },
            Statement::SetMark { target: MarkTarget::Ct, value: Expression::Numgen(numgen) },
            Statement::Verdict(Verdict::Goto("pick4".to_owned())),
        ],
        comment: Some(format!("service-{service}")),
    }
}
