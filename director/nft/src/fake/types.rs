//! Do the types of a rule, a map or an element go together?

use super::{Reason, check_target, missing_map};
use crate::ir::{
    DataType, Datum, Dnat, Element, ElementData, Expression, Family, Jhash, Key, KeyPart, Map, MapData,
    MapSpec, Match, Rule, Ruleset, Selector, Statement, Synproxy,
};
use crate::render;
use std::collections::BTreeSet;

/// `NFT_USERDATA_MAXLEN` and what nft lets through.
const COMMENT_MAX: usize = 128;

pub(super) fn spec(spec: &MapSpec) -> Result<(), Reason> {
    let faults = [
        (spec.key.is_empty(), "a map without a key"),
        (matches!(&spec.data, MapData::Values(types) if types.is_empty()), "a map to nothing"),
        (spec.interval && spec.key.len() < 2, "ranges in a key of one field"),
        (spec.interval && spec.dynamic, "ranges in a dynamic map"),
        (spec.default_timeout.is_some() && !spec.timeout, "a default time-out without the flag"),
        (spec.gc_interval.is_some() && !spec.timeout, "a gc interval without time-outs"),
        (spec.size == Some(0), "room for no element"),
    ];
    faults
        .iter()
        .find(|(fault, _)| *fault)
        .map_or(Ok(()), |(_, text)| Err(Reason::Invalid((*text).to_owned())))
}

pub(super) fn element(spec: &MapSpec, key: &Key, element: &Element) -> Result<(), Reason> {
    let key_fits = key.0.len() == spec.key.len()
        && key.0.iter().zip(&spec.key).all(|(part, data_type)| match part {
            KeyPart::Value(datum) => datum.data_type() == *data_type,
            KeyPart::Range(first, last) => {
                let types = (first.data_type(), last.data_type());
                spec.interval && types == (*data_type, *data_type) && first <= last
            }
        });
    let data_fits = match (&spec.data, &element.data) {
        (MapData::None, None) | (MapData::Verdict, Some(ElementData::Verdict(_))) => true,
        (MapData::Values(types), Some(ElementData::Values(values))) => {
            values.iter().map(|value| value.data_type()).eq(types.iter().copied())
        }
        _ => false,
    };
    if !key_fits || !data_fits {
        return Err(Reason::Invalid(format!("types of element {}", render::key(key))));
    }
    check_comment(element.comment.as_deref())
}

/// Also checks that everything the rule names is there.
pub(super) fn rule(ruleset: &Ruleset, rule: &Rule) -> Result<(), Reason> {
    check_comment(rule.comment.as_deref())?;
    rule.statements.iter().try_for_each(|statement| self::statement(ruleset, statement))
}

fn statement(ruleset: &Ruleset, statement: &Statement) -> Result<(), Reason> {
    match statement {
        Statement::Match(condition) => self::condition(condition),
        Statement::Vmap { key, map } => {
            let map = lookup(ruleset, key, map)?;
            check(map.spec.data == MapData::Verdict, "vmap needs a verdict map")
        }
        Statement::SetMark { target: _, value } => match value {
            Expression::Value(value) => check(value.data_type() == DataType::Mark, "this value is no mark"),
            Expression::Field(selector) => {
                check(selector.data_type() == DataType::Mark, "this field is no mark")
            }
            Expression::Map { key, map } => {
                let map = lookup(ruleset, key, map)?;
                check(
                    map.spec.data == MapData::Values(vec![DataType::Mark]),
                    "this map does not lead to a mark",
                )
            }
            Expression::Numgen(numgen) => {
                check(fits(numgen.modulus, numgen.offset), "modulus and offset of numgen")
            }
            Expression::Jhash(Jhash { key, modulus, seed: _, offset }) => {
                check(!key.is_empty(), "jhash of nothing")?;
                let families: BTreeSet<Family> =
                    key.iter().filter_map(|selector| selector.family()).collect();
                check(families.len() <= 1, "jhash of fields that no packet has together")?;
                check(fits(*modulus, *offset), "modulus and offset of jhash")
            }
        },
        Statement::Update { map, key, timeout, data } => {
            let map = dynamic(ruleset, key, map, *data)?;
            check(timeout.is_none() || map.spec.timeout, "a time-out in a map without them")
        }
        Statement::Delete { map, key, data } => dynamic(ruleset, key, map, *data).map(|_| ()),
        Statement::Dnat(Dnat { family, key, map, port }) => {
            let address = match family {
                Family::V4 => DataType::Ipv4Addr,
                Family::V6 => DataType::Ipv6Addr,
            };
            let data = if *port { vec![address, DataType::InetService] } else { vec![address] };
            let map = lookup(ruleset, key, map)?;
            check(map.spec.data == MapData::Values(data), "this map does not lead to such a destination")
        }
        Statement::Verdict(verdict) => {
            verdict.target().map_or(Ok(()), |target| check_target(ruleset, target))
        }
        Statement::Limit { map, key, timeout, rate } => {
            let map = dynamic(ruleset, key, map, None)?;
            check(timeout.is_none() || map.spec.timeout, "a time-out in a set without them")?;
            check(rate.nanoseconds().is_some(), "a rate that the kernel can't count")?;
            if map.spec.counter {
                return Err(Reason::Unsupported("a limit in elements that have counters".to_owned()));
            }
            Ok(())
        }
        Statement::Synproxy(Synproxy { wscale, .. }) => {
            check(*wscale <= 14, "windows scaled by more than 14 bits")
        }
        Statement::Snat(_)
        | Statement::Masquerade
        | Statement::Reject(_)
        | Statement::Counter
        | Statement::SetEvents(_)
        | Statement::StripTimestamp => Ok(()),
    }
}

/// True if the numbers below `modulus` are some, and stay within 32 bits with `offset` added.
fn fits(modulus: u32, offset: u32) -> bool {
    modulus > 0 && modulus.checked_add(offset).is_some()
}

fn condition(condition: &Match) -> Result<(), Reason> {
    match condition {
        Match::Value { selector, value, .. } => {
            check(selector.data_type() == value.data_type(), "a comparison of different types")
        }
        Match::Prefix { selector, address, length, .. } => {
            let bits = match address {
                Datum::Ipv4(_) => 32,
                Datum::Ipv6(_) => 128,
                Datum::Proto(_) | Datum::Port(_) | Datum::Mark(_) => 0,
            };
            let fits = selector.data_type() == address.data_type() && bits > 0 && *length <= bits;
            check(fits, "a prefix of another type")
        }
        Match::InputInterface { name, .. } | Match::OutputInterface { name, .. } => {
            check((1..16).contains(&name.len()), "the length of an interface's name")
        }
        Match::CtStatusDnat => Ok(()),
        Match::CtState(states) => check(!states.is_empty(), "none of the states"),
        Match::TcpFlags { mask, value, negate: _ } => {
            check(!mask.is_empty() && mask.contains(*value), "flags that are not looked at")
        }
    }
}

/// The map, if the fields make up its key.
fn lookup<'a>(ruleset: &'a Ruleset, key: &[Selector], name: &str) -> Result<&'a Map, Reason> {
    let map = ruleset.maps.get(name).ok_or_else(|| missing_map(name))?;
    let fits = key.iter().map(|selector| selector.data_type()).eq(map.spec.key.iter().copied());
    check(fits, &format!("this is no key of map {name}"))?;
    Ok(map)
}

fn dynamic<'a>(
    ruleset: &'a Ruleset,
    key: &[Selector],
    name: &str,
    data: Option<Selector>,
) -> Result<&'a Map, Reason> {
    let map = lookup(ruleset, key, name)?;
    check(map.spec.dynamic, &format!("map {name} is not dynamic"))?;
    let fits = match (&map.spec.data, data) {
        (MapData::None, None) => true,
        (MapData::Values(types), Some(selector)) => *types == [selector.data_type()],
        _ => false,
    };
    check(fits, &format!("this is no data of map {name}"))?;
    Ok(map)
}

fn check_comment(comment: Option<&str>) -> Result<(), Reason> {
    check(comment.is_none_or(|text| text.len() <= COMMENT_MAX), "a comment of more than 128 bytes")
}

fn check(well: bool, fault: &str) -> Result<(), Reason> {
    if well { Ok(()) } else { Err(Reason::Invalid(fault.to_owned())) }
}
