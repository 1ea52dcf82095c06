use super::{Fake, Reason};
use crate::ir::{
    BaseChain, ChainKind, CtStates, DataType, Datum, Element, ElementData, Expression, Hook, Jhash, Key,
    KeyPart, MapData, MapSpec, MarkTarget, Match, Rate, RateUnit, Reject, Rule, Selector, Statement,
    Synproxy, TcpFlags, Verdict,
};
use crate::observed::Observed;
use crate::transaction::{Operation, Transaction};
use std::time::Duration;

fn chain(name: &str) -> Operation {
    Operation::AddChain { name: name.to_owned(), base: None }
}

fn base(name: &str, kind: ChainKind, hook: Hook, priority: i32) -> Operation {
    Operation::AddChain { name: name.to_owned(), base: Some(BaseChain { kind, hook, priority }) }
}

fn rule(chain: &str, statement: Statement) -> Operation {
    Operation::AddRule { chain: chain.to_owned(), rule: Rule { statements: vec![statement], comment: None } }
}

fn goto(chain: &str) -> Statement {
    Statement::Verdict(Verdict::Goto(chain.to_owned()))
}

fn vmap(map: &str) -> Statement {
    Statement::Vmap { key: vec![Selector::CtMark], map: map.to_owned() }
}

fn verdicts() -> MapSpec {
    MapSpec { key: vec![DataType::Mark], data: MapData::Verdict, size: Some(2), ..MapSpec::default() }
}

fn ranges() -> MapSpec {
    MapSpec { key: vec![DataType::Mark, DataType::InetService], interval: true, ..MapSpec::default() }
}

fn map(name: &str, spec: MapSpec) -> Operation {
    Operation::AddMap { name: name.to_owned(), spec }
}

fn mark(mark: u32) -> Key {
    Key::of([Datum::Mark(mark)])
}

fn leads(chain: &str) -> Element {
    Element { data: Some(ElementData::Verdict(Verdict::Goto(chain.to_owned()))), comment: None }
}

fn add(key: Key, element: Element) -> Operation {
    Operation::AddElements { map: "verdicts".to_owned(), spec: verdicts(), elements: vec![(key, element)] }
}

fn delete(key: Key) -> Operation {
    Operation::DeleteElements { map: "verdicts".to_owned(), spec: verdicts(), keys: vec![key] }
}

/// A set of buckets, and a rule that looks into it.
fn limited(spec: MapSpec, rate: Rate, timeout: Option<Duration>) -> Vec<Operation> {
    let key = vec![Selector::CtMark];
    let limit = Statement::Limit { map: "limit".to_owned(), key, timeout, rate };
    vec![map("limit", spec), rule("free", limit)]
}

fn buckets() -> MapSpec {
    MapSpec { key: vec![DataType::Mark], dynamic: true, timeout: true, size: Some(8), ..MapSpec::default() }
}

const RATE: Rate = Rate { count: 10, per: RateUnit::Second, burst: 20 };
const SYNPROXY: Synproxy = Synproxy { mss: 1460, wscale: 7, timestamp: true, sack_perm: true };

fn tcp_flags(mask: TcpFlags, value: TcpFlags) -> Statement {
    Statement::Match(Match::TcpFlags { mask, value, negate: false })
}

fn range(first: u16, last: u16) -> Operation {
    let ports = KeyPart::Range(Datum::Port(first), Datum::Port(last));
    let key = Key(vec![KeyPart::Value(Datum::Mark(1)), ports]);
    let elements = vec![(key, Element::default())];
    Operation::AddElements { map: "ranges".to_owned(), spec: ranges(), elements }
}

/// The table with base chain `in`, which looks up `verdicts`: 1 leads to chain `target`.
fn kernel() -> Fake {
    let operations = vec![
        Operation::AddTable,
        map("verdicts", verdicts()),
        map("ranges", ranges()),
        chain("target"),
        chain("free"),
        base("in", ChainKind::Nat, Hook::Prerouting, -100),
        base("out", ChainKind::Nat, Hook::Postrouting, 100),
        add(mark(1), leads("target")),
        range(10, 20),
        rule("in", vmap("verdicts")),
    ];
    let mut fake = Fake::new();
    fake.apply(&Transaction { operations }).unwrap();
    fake
}

/// What the kernel of [`kernel`] says to the last of these operations, which it must refuse.
fn refusal(operations: Vec<Operation>) -> Reason {
    let mut fake = kernel();
    let last = operations.len() - 1;
    let error = fake.apply(&Transaction { operations }).unwrap_err();
    assert!(error.index == last || error.operation == "commit", "{error}");
    assert_eq!(fake.ruleset(), kernel().ruleset(), "nothing is changed by what fails");
    assert_eq!(fake.observe(), kernel().observe());
    error.reason
}

#[test]
fn refusals() {
    let set_meta = |value| Statement::SetMark { target: MarkTarget::Meta, value };
    let jhash = |key, modulus, offset| set_meta(Expression::Jhash(Jhash { key, modulus, seed: 1, offset }));
    let client = Selector::Ip4Saddr { prefix: 24 };
    let missing = |what: &str| Reason::Missing(what.to_owned());
    let exists = |what: &str| Reason::Exists(what.to_owned());
    let busy = |what: &str| Reason::Busy(what.to_owned());
    let cases = [
        (vec![chain("target")], exists("chain target")),
        (vec![map("verdicts", verdicts())], exists("map verdicts")),
        (vec![add(mark(1), leads("target"))], exists("element 0x00000001")),
        (vec![add(mark(1), leads("free"))], exists("element 0x00000001")),
        (vec![range(5, 10)], exists("a part of element 0x00000001 . 5-10")),
        (vec![Operation::DeleteChain { name: "nowhere".to_owned() }], missing("chain nowhere")),
        (vec![Operation::FlushChain { name: "nowhere".to_owned() }], missing("chain nowhere")),
        (vec![Operation::DeleteMap { name: "nowhere".to_owned() }], missing("map nowhere")),
        (vec![delete(mark(2))], missing("element 0x00000002")),
        (vec![rule("nowhere", Statement::Counter)], missing("chain nowhere")),
        (vec![rule("free", goto("nowhere"))], missing("chain nowhere")),
        (vec![rule("free", vmap("nowhere"))], missing("map nowhere")),
        (vec![add(mark(2), leads("nowhere"))], missing("chain nowhere")),
        (vec![Operation::DeleteTable, chain("late")], missing("table")),
        (vec![Operation::DeleteChain { name: "target".to_owned() }], busy("chain target")),
        (
            vec![rule("in", goto("free")), Operation::DeleteChain { name: "free".to_owned() }],
            busy("chain free"),
        ),
        (vec![Operation::DeleteMap { name: "verdicts".to_owned() }], busy("map verdicts")),
        (
            vec![add(mark(2), leads("free")), add(mark(3), leads("free"))],
            Reason::Full("map verdicts".to_owned()),
        ),
    ];
    for (operations, reason) in cases {
        assert_eq!(refusal(operations.clone()), reason, "{operations:?}");
    }
    let invalid = [
        vec![add(Key::of([Datum::Port(1)]), leads("free"))],
        vec![add(Key::of([Datum::Mark(2), Datum::Mark(3)]), leads("free"))],
        vec![add(Key(vec![KeyPart::Range(Datum::Mark(2), Datum::Mark(3))]), leads("free"))],
        vec![add(mark(2), Element { data: Some(ElementData::Values(vec![Datum::Mark(1)])), comment: None })],
        vec![add(mark(2), Element { comment: Some("x".repeat(129)), ..leads("free") })],
        vec![range(30, 25)],
        vec![rule("free", Statement::Vmap { key: vec![Selector::ThDport], map: "verdicts".to_owned() })],
        vec![rule(
            "free",
            set_meta(Expression::Map { key: vec![Selector::CtMark], map: "verdicts".to_owned() }),
        )],
        vec![rule("free", set_meta(Expression::Field(Selector::ThDport)))],
        vec![rule("free", jhash(vec![], 2, 0))],
        vec![rule("free", jhash(vec![client], 0, 0))],
        vec![rule("free", jhash(vec![client], 1, u32::MAX))],
        vec![rule("free", jhash(vec![client, Selector::Ip6Daddr], 2, 0))],
        vec![rule(
            "free",
            Statement::Delete { map: "verdicts".to_owned(), key: vec![Selector::CtMark], data: None },
        )],
        limited(MapSpec { dynamic: false, ..buckets() }, RATE, None),
        limited(MapSpec { key: vec![DataType::InetService], ..buckets() }, RATE, None),
        limited(MapSpec { data: MapData::Values(vec![DataType::Mark]), ..buckets() }, RATE, None),
        limited(MapSpec { timeout: false, ..buckets() }, RATE, Some(Duration::from_secs(1))),
        limited(buckets(), Rate { count: 0, ..RATE }, None),
        limited(buckets(), Rate { burst: 0, ..RATE }, None),
        limited(buckets(), Rate { count: u64::MAX, ..RATE }, None),
        limited(buckets(), Rate { count: 1, per: RateUnit::Week, burst: u32::MAX }, None),
        vec![rule("free", Statement::Match(Match::CtState(CtStates::default())))],
        vec![rule("free", tcp_flags(TcpFlags::default(), TcpFlags::default()))],
        vec![rule("free", tcp_flags(TcpFlags::SYN, TcpFlags::ACK))],
        vec![rule("free", Statement::Synproxy(Synproxy { wscale: 15, ..SYNPROXY }))],
        vec![map("bad", MapSpec { interval: true, ..verdicts() })],
        vec![map("bad", MapSpec { key: vec![], ..verdicts() })],
        vec![chain("")],
        vec![chain(&"x".repeat(256))],
    ];
    for operations in invalid {
        assert!(matches!(refusal(operations.clone()), Reason::Invalid(_)), "{operations:?}");
    }
    let unsupported = [
        vec![base("f", ChainKind::Nat, Hook::Forward, 0)],
        vec![base("f", ChainKind::Nat, Hook::Prerouting, -200)],
        vec![rule("free", goto("in"))],
        vec![add(mark(2), leads("in"))],
        vec![rule("in", Statement::Masquerade)],
        vec![rule("target", Statement::Masquerade)],
        vec![rule("in", Statement::Snat([10, 0, 1, 254].into()))],
        vec![rule("out", Statement::Synproxy(SYNPROXY))],
        vec![rule("in", Statement::Synproxy(SYNPROXY))],
        limited(MapSpec { counter: true, ..buckets() }, RATE, None),
    ];
    for operations in unsupported {
        assert!(matches!(refusal(operations.clone()), Reason::Unsupported(_)), "{operations:?}");
    }
    let circle = vec![rule("target", goto("free")), rule("free", goto("target"))];
    assert!(matches!(refusal(circle), Reason::TooDeep(_)));
}

#[test]
fn names_and_keys_may_go_and_come_back_in_one_transaction() {
    let mut fake = kernel();
    let operations = vec![
        delete(mark(1)),
        add(mark(1), leads("free")),
        Operation::DeleteChain { name: "target".to_owned() },
        base("target", ChainKind::Filter, Hook::Forward, 0),
    ];
    fake.apply(&Transaction { operations }).unwrap();
    let map = &fake.ruleset().maps["verdicts"];
    assert_eq!(map.elements[&mark(1)], leads("free"));
    assert!(fake.ruleset().chains["target"].base.is_some());
}

#[test]
fn a_statement_is_possible_wherever_no_hook_forbids_it() {
    let mut fake = kernel();
    let mut operations = vec![
        rule("out", goto("free")),
        rule("free", Statement::Masquerade),
        rule("out", Statement::Snat([10, 0, 1, 254].into())),
    ];
    for (name, hook) in [("input", Hook::Input), ("forward", Hook::Forward)] {
        let reset = Statement::Reject(Reject::TcpReset);
        operations.push(base(name, ChainKind::Filter, hook, 0));
        operations.extend([rule(name, Statement::Synproxy(SYNPROXY)), rule(name, reset)]);
    }
    operations.extend(limited(buckets(), RATE, Some(Duration::from_secs(1))));
    assert_eq!(fake.apply(&Transaction { operations }), Ok(()));
    let busy = vec![Operation::DeleteMap { name: "limit".to_owned() }];
    assert_eq!(
        fake.apply(&Transaction { operations: busy }).unwrap_err().reason,
        Reason::Busy("map limit".to_owned())
    );
}

#[test]
fn errors_name_the_operation() {
    let error = kernel().apply(&Transaction { operations: vec![Operation::AddTable, delete(mark(9))] });
    assert_eq!(
        error.unwrap_err().to_string(),
        "operation 1, delete element 0x00000009 from map verdicts: no such element 0x00000009"
    );
}

#[test]
fn the_table_goes_with_all_that_is_in_it() {
    let mut fake = kernel();
    fake.apply(&Transaction { operations: vec![Operation::DeleteTable] }).unwrap();
    assert_eq!(fake.observe(), Observed::default());
    let operations =
        vec![Operation::AddTable, chain("target"), Operation::DeleteChain { name: "target".to_owned() }];
    assert_eq!(fake.apply(&Transaction { operations }), Ok(()));
}
