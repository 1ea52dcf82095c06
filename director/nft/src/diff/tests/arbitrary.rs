//! Random valid rulesets over few names, so that two of them have much in common.

use crate::ir::{
    BaseChain, Chain, ChainKind, CtStates, DataType, Datum, Dnat, Element, ElementData, EventMask,
    Expression, Family, Hook, Jhash, Key, KeyPart, Map, MapData, MapSpec, MarkTarget, Match, Numgen,
    NumgenMode, Rate, RateUnit, Reject, Rule, Ruleset, Selector, Statement, TcpFlags, Verdict,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::net::Ipv4Addr;
use std::time::Duration;

const MAPS: usize = 5;
const CHAINS: usize = 7;
/// Chains from here on lead nowhere and have no hook: verdict maps may lead to them.
const LEAVES: usize = 5;

#[derive(Debug, Clone)]
struct RawMap {
    kind: u8,
    elements: Vec<(u8, u8, Option<u8>)>,
}

#[derive(Debug, Clone)]
struct RawChain {
    base: Option<u8>,
    /// A rule is some numbers that are made into statements which are possible there, and a comment.
    rules: Vec<(Vec<u8>, Option<u8>)>,
}

pub(super) fn ruleset() -> impl Strategy<Value = Ruleset> {
    let element = (0..6_u8, 0..3_u8, option::weighted(0.3, 0..2_u8));
    let map = (0..9_u8, vec(element, 0..6)).prop_map(|(kind, elements)| RawMap { kind, elements });
    let rule = (vec(any::<u8>(), 1..4), option::weighted(0.3, 0..2_u8));
    let chain =
        (option::weighted(0.4, 0..4_u8), vec(rule, 0..4)).prop_map(|(base, rules)| RawChain { base, rules });
    let maps = vec(option::weighted(0.8, map), MAPS);
    let chains = vec(option::weighted(0.8, chain), CHAINS);
    (maps, chains).prop_map(|(maps, chains)| build(&maps, &chains))
}

fn build(maps: &[Option<RawMap>], chains: &[Option<RawChain>]) -> Ruleset {
    let leaves: Vec<usize> = (LEAVES..CHAINS).filter(|index| chains[*index].is_some()).collect();
    let mut ruleset = Ruleset::default();
    for (index, raw) in maps.iter().enumerate() {
        if let Some(raw) = raw {
            ruleset.maps.insert(format!("m{index}"), map(raw, &leaves));
        }
    }
    let bases: Vec<Option<BaseChain>> = chains
        .iter()
        .enumerate()
        .map(|(index, raw)| raw.as_ref().filter(|_| index < LEAVES).and_then(|raw| raw.base).map(base))
        .collect();
    for (index, raw) in chains.iter().enumerate() {
        let Some(raw) = raw else { continue };
        let targets: Vec<usize> = (index + 1..CHAINS)
            .filter(|target| chains[*target].is_some() && bases[*target].is_none())
            .collect();
        let targets = if index < LEAVES { targets } else { Vec::new() };
        let rules = raw.rules.iter().map(|(numbers, comment)| Rule {
            statements: statements(numbers, &ruleset, index, &targets),
            comment: comment.map(|comment| format!("comment {comment}")),
        });
        let chain = Chain { base: bases[index], rules: rules.collect() };
        ruleset.chains.insert(format!("c{index}"), chain);
    }
    ruleset
}

fn base(number: u8) -> BaseChain {
    let (hook, priority) =
        [(Hook::Prerouting, -100), (Hook::Prerouting, -90), (Hook::Output, -100), (Hook::Output, 0)]
            [usize::from(number)];
    BaseChain { kind: ChainKind::Nat, hook, priority }
}

fn map(raw: &RawMap, leaves: &[usize]) -> Map {
    use DataType::{InetProto, InetService, Ipv4Addr as Address, Mark};
    let spec = match raw.kind {
        0 => MapSpec { key: vec![Mark], data: MapData::Verdict, size: Some(64), ..MapSpec::default() },
        1 | 2 => MapSpec {
            key: vec![Mark],
            data: MapData::Values(vec![Mark]),
            size: Some(32 << raw.kind),
            ..MapSpec::default()
        },
        3 | 4 => MapSpec {
            key: vec![Address, InetProto, InetService],
            data: MapData::Verdict,
            interval: raw.kind == 3,
            ..MapSpec::default()
        },
        5 => MapSpec {
            key: vec![Address, Mark],
            data: MapData::Values(vec![Mark]),
            dynamic: true,
            timeout: true,
            size: Some(64),
            ..MapSpec::default()
        },
        8 => MapSpec {
            key: vec![Address, Mark],
            dynamic: true,
            timeout: true,
            size: Some(64),
            ..MapSpec::default()
        },
        6 => MapSpec { key: vec![Mark], counter: true, ..MapSpec::default() },
        _ => MapSpec { key: vec![Mark], data: MapData::Values(vec![Address]), ..MapSpec::default() },
    };
    let elements = raw.elements.iter().filter(|_| !spec.dynamic).map(|(key, data, comment)| {
        let datum = |data_type: DataType| match data_type {
            Address => Datum::Ipv4(Ipv4Addr::new(10, 0, 0, *key)),
            DataType::Ipv6Addr => Datum::Ipv6(u128::from(*key).into()),
            InetProto => Datum::Proto(6),
            InetService => Datum::Port(u16::from(*key)),
            Mark => Datum::Mark((*key).into()),
        };
        let mut parts: Vec<KeyPart> = spec.key.iter().map(|it| KeyPart::Value(datum(*it))).collect();
        if spec.interval {
            let first = 100 * u16::from(*key);
            // Ranges start where the key says and end within its hundred: they never overlap.
            parts[2] = KeyPart::Range(Datum::Port(first), Datum::Port(first + u16::from(*key % 2) * 99));
        }
        let data = match &spec.data {
            MapData::None => None,
            MapData::Verdict => Some(ElementData::Verdict(match leaves.get(usize::from(*data)) {
                Some(leaf) => Verdict::Goto(format!("c{leaf}")),
                None => Verdict::Drop,
            })),
            MapData::Values(types) if types == &[Address] => {
                Some(ElementData::Values(vec![Datum::Ipv4(Ipv4Addr::new(10, 0, 1, *data))]))
            }
            MapData::Values(_) => Some(ElementData::Values(vec![Datum::Mark((*data).into())])),
        };
        (Key(parts), Element { data, comment: comment.map(|comment| format!("comment {comment}")) })
    });
    Map { elements: elements.collect(), spec }
}

/// Up to the first one that ends the rule: nft wants none behind it.
fn statements(numbers: &[u8], ruleset: &Ruleset, index: usize, targets: &[usize]) -> Vec<Statement> {
    let mut statements: Vec<Statement> =
        numbers.iter().map(|number| statement(*number, ruleset, index, targets)).collect();
    let last = statements.iter().position(|statement| {
        matches!(
            statement,
            Statement::Vmap { .. } | Statement::Verdict(_) | Statement::Dnat(_) | Statement::Reject(_)
        )
    });
    statements.truncate(last.map_or(statements.len(), |last| last + 1));
    statements
}

/// A statement for chain `index`: of the kind that `number` says, if such a one is possible there.
fn statement(number: u8, ruleset: &Ruleset, index: usize, targets: &[usize]) -> Statement {
    let choice = usize::from(number / 16);
    let mark = Statement::SetMark {
        target: MarkTarget::Meta,
        value: Expression::Value(Datum::Mark(u32::from(number / 64))),
    };
    let find = |key: &[DataType], data: &MapData| {
        let mut fitting =
            ruleset.maps.iter().filter(|(_, map)| map.spec.key == key && map.spec.data == *data);
        let count = fitting.clone().count().max(1);
        fitting.nth(choice % count).map(|(name, _)| name.clone())
    };
    let key = vec![Selector::CtMark];
    match number % 15 {
        0 | 1 if !targets.is_empty() => {
            let target = format!("c{}", targets[choice % targets.len()]);
            Statement::Verdict(if number.is_multiple_of(15) {
                Verdict::Goto(target)
            } else {
                Verdict::Jump(target)
            })
        }
        2 if index < LEAVES => match find(&[DataType::Mark], &MapData::Verdict) {
            Some(map) => Statement::Vmap { key, map },
            None => mark,
        },
        3 | 4 => match find(&[DataType::Mark], &MapData::Values(vec![DataType::Mark])) {
            Some(map) => Statement::SetMark { target: MarkTarget::Ct, value: Expression::Map { key, map } },
            None => mark,
        },
        5 => match find(&[DataType::Mark], &MapData::Values(vec![DataType::Ipv4Addr])) {
            Some(map) => Statement::Dnat(Dnat { family: Family::V4, key, map, port: false }),
            None => mark,
        },
        6 => {
            let value = Expression::Numgen(Numgen {
                mode: NumgenMode::Increment,
                modulus: 1 + u32::from(number / 100),
                offset: 16,
            });
            Statement::SetMark { target: MarkTarget::Ct, value }
        }
        7 => {
            let values = MapData::Values(vec![DataType::Mark]);
            match find(&[DataType::Ipv4Addr, DataType::Mark], &values) {
                Some(map) => Statement::Update {
                    map,
                    key: vec![Selector::Ip4Saddr { prefix: 24 }, Selector::MetaMark],
                    timeout: Some(Duration::from_secs(60)),
                    data: Some(Selector::CtMark),
                },
                None => mark,
            }
        }
        8 => Statement::Reject(Reject::PortUnreachable),
        9 => {
            let key = vec![Selector::Ip4Saddr { prefix: 24 }];
            let value = Expression::Jhash(Jhash { key, modulus: 251, seed: u32::from(number), offset: 16 });
            Statement::SetMark { target: MarkTarget::Ct, value }
        }
        10 => Statement::Match(Match::CtState(CtStates::NEW | CtStates::INVALID)),
        11 => {
            let (mask, value) = (TcpFlags::SYN | TcpFlags::RST, TcpFlags::SYN);
            Statement::Match(Match::TcpFlags { mask, value, negate: number > 100 })
        }
        12 => Statement::SetEvents(if number > 100 { EventMask::DESTROY } else { EventMask::default() }),
        13 => match find(&[DataType::Ipv4Addr, DataType::Mark], &MapData::None) {
            Some(map) => Statement::Limit {
                map,
                key: vec![Selector::Ip4Saddr { prefix: 32 }, Selector::MetaMark],
                timeout: None,
                rate: Rate { count: 10, per: RateUnit::Minute, burst: 1 + u32::from(number) },
            },
            None => mark,
        },
        14 => Statement::Counter,
        _ => mark,
    }
}
