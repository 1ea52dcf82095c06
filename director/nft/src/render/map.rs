//! Sets, maps and their elements.

use super::literal::{comment, duration};
use super::rule;
use crate::ir::{DataType, Datum, Element, ElementData, Key, KeyPart, Map, MapData, MapSpec};

/// The whole set or map, as an indented block.
pub(super) fn block(name: &str, map: &Map) -> String {
    let mut lines = attributes(&map.spec);
    if !map.elements.is_empty() {
        lines.push(format!("elements = {{ {} }}", elements(map)));
    }
    format!("\t{} {name} {{\n\t\t{}\n\t}}\n", noun(&map.spec), lines.join("\n\t\t"))
}

/// What nft calls it: a set or a map.
pub(super) fn noun(spec: &MapSpec) -> &'static str {
    if spec.data == MapData::None { "set" } else { "map" }
}

/// `type …`, `size …`, `flags …` in nft's order.
pub(super) fn attributes(spec: &MapSpec) -> Vec<String> {
    let data = match &spec.data {
        MapData::None => String::new(),
        MapData::Values(types) => format!(" : {}", self::types(types)),
        MapData::Verdict => " : verdict".to_owned(),
    };
    let mut lines = vec![format!("type {}{data}", types(&spec.key))];
    if let Some(size) = spec.size {
        lines.push(format!("size {size}"));
    }
    // A default time-out implies the flag, which nft then prints beside others only.
    if spec.dynamic || spec.interval || (spec.timeout && spec.default_timeout.is_none()) {
        let flags = [("dynamic", spec.dynamic), ("interval", spec.interval), ("timeout", spec.timeout)];
        let set: Vec<&str> = flags.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
        lines.push(format!("flags {}", set.join(",")));
    }
    if spec.counter {
        lines.push("counter".to_owned());
    }
    if let Some(timeout) = spec.default_timeout {
        lines.push(format!("timeout {}", duration(timeout)));
    }
    if let Some(interval) = spec.gc_interval {
        // nft 1.0.6 lists it for maps, but reads it for sets only.
        let hidden = if spec.data == MapData::None { "" } else { "# " };
        lines.push(format!("{hidden}gc-interval {}", duration(interval)));
    }
    lines
}

/// `192.168.1.35 . tcp . 25 comment "exchange" : goto svc-exchange-4`
pub(super) fn element(key: &Key, element: &Element, counter: bool) -> String {
    let counter = if counter { " counter packets 0 bytes 0" } else { "" };
    let data = match &element.data {
        None => String::new(),
        Some(ElementData::Values(values)) => {
            let values: Vec<String> = values.iter().map(|value| rule::datum(*value)).collect();
            format!(" : {}", values.join(" . "))
        }
        Some(ElementData::Verdict(verdict)) => format!(" : {}", rule::verdict(verdict)),
    };
    format!("{}{counter}{}{data}", self::key(key), comment(element.comment.as_deref()))
}

/// The key of an element: `192.168.1.35 . tcp . 1000-1010`
#[must_use]
pub fn key(key: &Key) -> String {
    let parts: Vec<String> = key.0.iter().map(|part| key_part(*part)).collect();
    parts.join(" . ")
}

fn types(types: &[DataType]) -> String {
    let names: Vec<&str> = types
        .iter()
        .map(|data_type| match data_type {
            DataType::Ipv4Addr => "ipv4_addr",
            DataType::Ipv6Addr => "ipv6_addr",
            DataType::InetProto => "inet_proto",
            DataType::InetService => "inet_service",
            DataType::Mark => "mark",
        })
        .collect();
    names.join(" . ")
}

fn elements(map: &Map) -> String {
    let mut elements: Vec<(&Key, &Element)> = map.elements.iter().collect();
    // Elements with ranges are listed as the kernel keeps them: in the order they came.
    if !map.spec.interval && map.spec.key.len() > 1 {
        elements.sort_by_cached_key(|(key, _)| listing_order(key));
    }
    let per_line = match map.spec.key.as_slice() {
        [DataType::InetProto | DataType::InetService | DataType::Mark] => 5,
        [DataType::Ipv4Addr] => 2,
        _ => 1,
    };
    let mut text = String::new();
    for (index, (key, element)) in elements.into_iter().enumerate() {
        match index {
            0 => {}
            _ if index % per_line == 0 => text.push_str(",\n\t\t\t     "),
            _ => text.push_str(", "),
        }
        text.push_str(&self::element(key, element, map.spec.counter));
    }
    text
}

/// nft sorts concatenations as if their bytes were one little-endian number.
fn listing_order(key: &Key) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in &key.0 {
        let (KeyPart::Value(datum) | KeyPart::Range(datum, _)) = part;
        match datum {
            Datum::Ipv4(address) => bytes.extend(address.octets()),
            Datum::Ipv6(address) => bytes.extend(address.octets()),
            Datum::Proto(number) => bytes.push(*number),
            Datum::Port(port) => bytes.extend(port.to_be_bytes()),
            Datum::Mark(mark) => bytes.extend(mark.to_le_bytes()),
        }
    }
    bytes.reverse();
    bytes
}

fn key_part(part: KeyPart) -> String {
    match part {
        KeyPart::Range(first, last) if first != last => match prefix(first, last) {
            Some(length) => format!("{}/{length}", rule::datum(first)),
            None => format!("{}-{}", number(first), number(last)),
        },
        KeyPart::Value(datum) | KeyPart::Range(datum, _) => rule::datum(datum),
    }
}

/// The ends of a range are told without names.
fn number(datum: Datum) -> String {
    match datum {
        Datum::Proto(number) => number.to_string(),
        Datum::Ipv4(_) | Datum::Ipv6(_) | Datum::Port(_) | Datum::Mark(_) => rule::datum(datum),
    }
}

/// The prefix length, if the range of addresses is a network.
fn prefix(first: Datum, last: Datum) -> Option<u32> {
    let (first, last, bits) = match (first, last) {
        (Datum::Ipv4(first), Datum::Ipv4(last)) => (first.to_bits().into(), last.to_bits().into(), 32),
        (Datum::Ipv6(first), Datum::Ipv6(last)) => (first.to_bits(), last.to_bits(), 128),
        _ => return None,
    };
    let host: u128 = first ^ last;
    let network = host & host.wrapping_add(1) == 0 && first & host == 0;
    network.then(|| bits - host.count_ones())
}
