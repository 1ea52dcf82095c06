//! Elements of sets and maps as netlink attributes.

use super::attribute::{Attribute, Attributes, Writer};
use super::constants::{element as attr, expression};
use super::lower::{name, verdict_code};
use super::{datum, userdata};
use crate::ir::{Element, ElementData, Key, KeyPart, MapData, MapSpec, Verdict};
use nftnl::nftnl_sys::libc;

/// An element as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadElement {
    pub(super) key: Key,
    pub(super) element: Element,
    /// Packets and bytes, of a map whose elements count.
    pub(super) counter: Option<(u64, u64)>,
    /// Milliseconds that the element lives, where that is not the map's default.
    pub(super) timeout: Option<u64>,
    /// Milliseconds until the element times out.
    pub(super) expires: Option<u64>,
}

/// Adds an element of a map of this specification to a list.
pub(super) fn write(out: &mut Writer, spec: &MapSpec, key: &Key, element: &Element) -> Result<(), String> {
    let inner = attributes(spec, key, element)?;
    out.nest(attr::LIST_ITEM, |item| {
        item.append(inner.written());
    });
    Ok(())
}

/// Adds an element that lives for `timeout` milliseconds, of which `expires` are left (as a rule all); 0 and 0 for
/// ever.
pub(super) fn write_living(
    out: &mut Writer,
    spec: &MapSpec,
    key: &Key,
    element: &Element,
    timeout: u64,
    expires: u64,
) -> Result<(), String> {
    let mut inner = attributes(spec, key, element)?;
    if spec.timeout {
        inner.bytes(attr::TIMEOUT, &timeout.to_be_bytes());
    } else if timeout != 0 {
        return Err(format!("the element {key:?} can't time out: the map has no timeouts"));
    }
    if timeout != 0 {
        inner.bytes(attr::EXPIRATION, &expires.to_be_bytes());
    }
    out.nest(attr::LIST_ITEM, |item| {
        item.append(inner.written());
    });
    Ok(())
}

/// Adds a key alone to a list, to delete its element.
pub(super) fn write_key(out: &mut Writer, spec: &MapSpec, key: &Key) -> Result<(), String> {
    let inner = key_attributes(spec, key)?;
    out.nest(attr::LIST_ITEM, |item| {
        item.append(inner.written());
    });
    Ok(())
}

/// Reads an item of a list; `None` if it is not of the map's types.
pub(super) fn read(spec: &MapSpec, item: Attribute<'_>) -> Option<ReadElement> {
    let attributes = item.nested();
    let first = value_of(attributes, attr::KEY)?;
    let first = datum::split(&spec.key, first)?;
    let last = match value_of(attributes, attr::KEY_END) {
        Some(end) => datum::split(&spec.key, end)?,
        None => first.clone(),
    };
    let parts = first
        .into_iter()
        .zip(last)
        .map(|(first, last)| if first == last { KeyPart::Value(first) } else { KeyPart::Range(first, last) });
    let data = match &spec.data {
        MapData::None => None,
        MapData::Values(types) => {
            Some(ElementData::Values(datum::split(types, value_of(attributes, attr::DATA)?)?))
        }
        MapData::Verdict => Some(ElementData::Verdict(read_verdict(attributes)?)),
    };
    let comment = attributes.get(attr::USERDATA).and_then(|data| userdata::element_comment(data.value));
    Some(ReadElement {
        key: Key(parts.collect()),
        element: Element { data, comment },
        counter: read_counter(attributes),
        timeout: attributes.get(attr::TIMEOUT).and_then(|life| life.u64()),
        expires: attributes.get(attr::EXPIRATION).and_then(|left| left.u64()),
    })
}

fn attributes(spec: &MapSpec, key: &Key, element: &Element) -> Result<Writer, String> {
    let mut inner = key_attributes(spec, key)?;
    match (&spec.data, &element.data) {
        (MapData::None, None) => {}
        (MapData::Values(types), Some(ElementData::Values(data))) => {
            let bytes = datum::join(types, data.iter().copied())
                .ok_or_else(|| format!("the data {data:?} is not of the map's types"))?;
            inner.nest(attr::DATA, |data| {
                data.bytes(attr::VALUE, &bytes);
            });
        }
        (MapData::Verdict, Some(ElementData::Verdict(verdict))) => write_verdict(&mut inner, verdict)?,
        (MapData::None | MapData::Values(_) | MapData::Verdict, _) => {
            return Err(format!("the data {:?} is not what the map carries", element.data));
        }
    }
    if let Some(comment) = &element.comment {
        inner.bytes(attr::USERDATA, &userdata::of_element(comment)?);
    }
    Ok(inner)
}

fn key_attributes(spec: &MapSpec, key: &Key) -> Result<Writer, String> {
    let bounds = |part: &KeyPart| match *part {
        KeyPart::Value(value) => (value, value),
        KeyPart::Range(first, last) => (first, last),
    };
    let ranges = key.0.iter().any(|part| matches!(part, KeyPart::Range(..)));
    if ranges && !spec.interval {
        return Err(format!("the key {key:?} holds a range, and the map has no intervals"));
    }
    let wrong = || format!("the key {key:?} is not of the map's types");
    let mut out = Writer::default();
    let first = datum::join(&spec.key, key.0.iter().map(|part| bounds(part).0)).ok_or_else(wrong)?;
    let last = datum::join(&spec.key, key.0.iter().map(|part| bounds(part).1)).ok_or_else(wrong)?;
    out.nest(attr::KEY, |value| {
        value.bytes(attr::VALUE, &first);
    });
    if spec.interval {
        out.nest(attr::KEY_END, |value| {
            value.bytes(attr::VALUE, &last);
        });
    }
    Ok(out)
}

fn write_verdict(out: &mut Writer, verdict: &Verdict) -> Result<(), String> {
    let (code, chain) = verdict_code(verdict);
    if let Some(chain) = chain {
        name(chain)?;
    }
    out.nest(attr::DATA, |data| {
        data.nest(attr::VERDICT, |inner| {
            inner.u32(attr::VERDICT_CODE, code.cast_unsigned());
            if let Some(chain) = chain {
                inner.text(attr::VERDICT_CHAIN, chain);
            }
        });
    });
    Ok(())
}

fn read_verdict(attributes: Attributes<'_>) -> Option<Verdict> {
    let verdict = attributes.get(attr::DATA)?.nested().get(attr::VERDICT)?.nested();
    let chain = || verdict.get(attr::VERDICT_CHAIN).and_then(|name| name.text());
    match verdict.get(attr::VERDICT_CODE)?.u32()?.cast_signed() {
        libc::NF_ACCEPT => Some(Verdict::Accept),
        libc::NF_DROP => Some(Verdict::Drop),
        libc::NFT_JUMP => chain().map(Verdict::Jump),
        libc::NFT_GOTO => chain().map(Verdict::Goto),
        _ => None,
    }
}

fn value_of(attributes: Attributes<'_>, kind: u16) -> Option<&[u8]> {
    Some(attributes.get(kind)?.nested().get(attr::VALUE)?.value)
}

/// The counter, alone or the first in a list of expressions.
fn read_counter(attributes: Attributes<'_>) -> Option<(u64, u64)> {
    let expressions = attributes
        .get(attr::EXPRESSION)
        .or_else(|| attributes.get(attr::EXPRESSIONS)?.nested().get(attr::LIST_ITEM))?
        .nested();
    if expressions.get(expression::NAME)?.text()? != "counter" {
        return None;
    }
    let data = expressions.get(expression::DATA)?.nested();
    Some((data.get(expression::COUNTER_PACKETS)?.u64()?, data.get(expression::COUNTER_BYTES)?.u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{DataType, Datum};
    use crate::netlink::datum::tests::{any_datum, any_type};
    use proptest::prelude::*;

    fn typed(interval: bool) -> impl Strategy<Value = (MapSpec, Key, Element)> {
        let key = proptest::collection::vec(any_type(), 1..=3);
        let data = proptest::collection::vec(any_type(), 1..=2);
        (key, data).prop_flat_map(move |(key, data)| {
            let first: Vec<_> = key.iter().map(|kind| any_datum(*kind)).collect();
            let last: Vec<_> = key.iter().map(|kind| any_datum(*kind)).collect();
            let values: Vec<_> = data.iter().map(|kind| any_datum(*kind)).collect();
            let comment = proptest::option::of("[a-z]{0,128}");
            (Just((key, data)), first, last, values, comment).prop_map(
                move |((key, data), first, last, values, comment)| {
                    let parts = first.into_iter().zip(last).map(|(first, last)| {
                        if interval && first != last {
                            KeyPart::Range(first, last)
                        } else {
                            KeyPart::Value(first)
                        }
                    });
                    let spec = MapSpec { key, data: MapData::Values(data), interval, ..MapSpec::default() };
                    let element = Element { data: Some(ElementData::Values(values)), comment };
                    (spec, Key(parts.collect()), element)
                },
            )
        })
    }

    fn back(spec: &MapSpec, key: &Key, element: &Element) -> ReadElement {
        let mut writer = Writer::default();
        write(&mut writer, spec, key, element).unwrap();
        read(spec, Attributes(writer.written()).into_iter().next().unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn elements_survive_the_wire((spec, key, element) in any::<bool>().prop_flat_map(typed)) {
            let read = back(&spec, &key, &element);
            prop_assert_eq!((read.key, read.element), (key, element));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let spec = MapSpec {
                key: vec![DataType::Ipv4Addr, DataType::Mark],
                data: MapData::Verdict,
                ..MapSpec::default()
            };
            read(&spec, Attribute { kind: 1, value: &bytes });
        }
    }

    #[test]
    fn verdicts_survive_the_wire() {
        let spec = MapSpec { key: vec![DataType::Mark], data: MapData::Verdict, ..MapSpec::default() };
        let key = Key::of([Datum::Mark(7)]);
        for verdict in
            [Verdict::Accept, Verdict::Drop, Verdict::Jump("a".into()), Verdict::Goto("x".repeat(255))]
        {
            let element = Element { data: Some(ElementData::Verdict(verdict)), comment: None };
            assert_eq!(back(&spec, &key, &element).element, element);
        }
    }

    #[test]
    fn what_does_not_fit_the_map_is_refused() {
        let spec = MapSpec { key: vec![DataType::Mark], ..MapSpec::default() };
        let mut out = Writer::default();
        let key = Key::of([Datum::Mark(7)]);
        let data = |data| Element { data: Some(data), comment: None };
        assert!(write(&mut out, &spec, &Key::of([Datum::Port(7)]), &Element::default()).is_err());
        assert!(write(&mut out, &spec, &key, &data(ElementData::Verdict(Verdict::Drop))).is_err());
        let range = Key(vec![KeyPart::Range(Datum::Mark(1), Datum::Mark(2))]);
        assert!(write(&mut out, &spec, &range, &Element::default()).is_err());
        let long =
            Element { data: Some(ElementData::Verdict(Verdict::Goto("x".repeat(256)))), comment: None };
        let verdicts = MapSpec { data: MapData::Verdict, ..spec };
        assert!(write(&mut out, &verdicts, &key, &long).is_err());
        assert!(out.written().is_empty());
    }
}
