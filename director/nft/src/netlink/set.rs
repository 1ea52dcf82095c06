//! Specifications of sets and maps as netlink attributes.

use super::attribute::{Attributes, Writer};
use super::constants::{expression, set as attr};
use super::{datum, lower, userdata};
use crate::ir::{MapData, MapSpec, TABLE};
use nftnl::nftnl_sys::libc;
use std::time::Duration;

/// `NFT_DATA_VERDICT`: the data type of a verdict map.
const VERDICT_TYPE: u32 = 0xffff_ff00;
/// `NFT_SET_CONCAT`
const CONCATENATED: u32 = 0x80;
/// `NFTA_SET_KEY_LEN` and what else only writing needs.
const KEY_LENGTH: u16 = 5;
const DATA_LENGTH: u16 = 7;
const ID: u16 = 10;
const USERDATA: u16 = 13;
const DESC_CONCAT: u16 = 2;
const LIST_ITEM: u16 = 1;
const FIELD_LENGTH: u16 = 1;

const INTERVAL: u32 = libc::NFT_SET_INTERVAL.cast_unsigned();
const MAP: u32 = libc::NFT_SET_MAP.cast_unsigned();
const TIMEOUT: u32 = libc::NFT_SET_TIMEOUT.cast_unsigned();
const DYNAMIC: u32 = libc::NFT_SET_EVAL.cast_unsigned();

/// Adds the attributes of a new set. `id` tells it apart from others of the same transaction.
pub(super) fn write(out: &mut Writer, name: &str, spec: &MapSpec, id: u32) -> Result<(), String> {
    lower::name(name)?;
    let key_type = datum::type_id(&spec.key).ok_or("a map's key has no fields or too many")?;
    if spec.interval && spec.key.len() < 2 {
        return Err("only concatenated keys can hold ranges".to_owned());
    }
    out.text(attr::TABLE, TABLE)
        .text(attr::NAME, name)
        .u32(attr::FLAGS, flags(spec))
        .u32(attr::KEY_TYPE, key_type)
        .u32(KEY_LENGTH, datum::total_length(&spec.key));
    match &spec.data {
        MapData::None => {}
        MapData::Values(types) => {
            let data_type = datum::type_id(types).ok_or("a map's data has no fields or too many")?;
            out.u32(attr::DATA_TYPE, data_type).u32(DATA_LENGTH, datum::total_length(types));
        }
        MapData::Verdict => {
            out.u32(attr::DATA_TYPE, VERDICT_TYPE).u32(DATA_LENGTH, 0);
        }
    }
    out.u32(ID, id).nest(attr::DESC, |description| {
        if let Some(size) = spec.size {
            description.u32(attr::DESC_SIZE, size);
        }
        if spec.interval {
            description.nest(DESC_CONCAT, |fields| {
                for field in &spec.key {
                    fields.nest(LIST_ITEM, |inner| {
                        inner.u32(FIELD_LENGTH, field.length());
                    });
                }
            });
        }
    });
    if let Some(timeout) = spec.default_timeout {
        let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        out.bytes(attr::TIMEOUT, &milliseconds.to_be_bytes());
    }
    if let Some(interval) = spec.gc_interval {
        out.u32(attr::GC_INTERVAL, u32::try_from(interval.as_millis()).unwrap_or(u32::MAX));
    }
    out.bytes(USERDATA, &userdata::of_set(spec));
    if spec.counter {
        out.nest(attr::EXPRESSION, |counter| {
            counter.text(expression::NAME, "counter").nest(expression::DATA, |_| {});
        });
    }
    Ok(())
}

/// Name and specification; no specification if the set is of a kind that the director never makes.
pub(super) fn read(attributes: Attributes<'_>) -> Option<(String, Option<MapSpec>)> {
    let name = attributes.get(attr::NAME)?.text()?;
    Some((name, specification(attributes)))
}

fn specification(attributes: Attributes<'_>) -> Option<MapSpec> {
    let number = |kind| attributes.get(kind).and_then(|value| value.u32());
    // The kernel leaves out flags that are all clear.
    let set_flags = number(attr::FLAGS).unwrap_or(0);
    let data = match (set_flags & MAP != 0, number(attr::DATA_TYPE)) {
        (false, None) => MapData::None,
        (true, Some(VERDICT_TYPE)) => MapData::Verdict,
        (true, Some(id)) => MapData::Values(datum::types_of(id)?),
        (true, None) | (false, Some(_)) => return None,
    };
    let spec = MapSpec {
        key: datum::types_of(number(attr::KEY_TYPE)?)?,
        data,
        interval: set_flags & INTERVAL != 0,
        dynamic: set_flags & DYNAMIC != 0,
        timeout: set_flags & TIMEOUT != 0,
        default_timeout: attributes
            .get(attr::TIMEOUT)
            .and_then(|timeout| timeout.u64())
            .map(Duration::from_millis),
        gc_interval: number(attr::GC_INTERVAL).map(|interval| Duration::from_millis(interval.into())),
        size: attributes
            .get(attr::DESC)
            .and_then(|description| description.nested().get(attr::DESC_SIZE))
            .and_then(|size| size.u32()),
        counter: counts(attributes)?,
    };
    let ours = flags(&spec) == set_flags && attributes.get(attr::OBJECT_TYPE).is_none();
    ours.then_some(spec)
}

/// True with a counter, false without expressions, `None` with others.
fn counts(attributes: Attributes<'_>) -> Option<bool> {
    if attributes.get(attr::EXPRESSIONS).is_some() {
        return None;
    }
    let Some(expression) = attributes.get(attr::EXPRESSION) else { return Some(false) };
    (expression.nested().get(expression::NAME)?.text()? == "counter").then_some(true)
}

fn flags(spec: &MapSpec) -> u32 {
    let map = spec.data != MapData::None;
    [(spec.interval, INTERVAL | CONCATENATED), (map, MAP), (spec.timeout, TIMEOUT), (spec.dynamic, DYNAMIC)]
        .into_iter()
        .filter_map(|(set, flag)| set.then_some(flag))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::datum::tests::any_type;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn specifications_survive_the_wire(
            key in proptest::collection::vec(any_type(), 2..=4),
            data in proptest::collection::vec(any_type(), 0..=2),
            flags: [bool; 5],
            size: Option<u32>,
            timeout: Option<u32>,
        ) {
            let [interval, dynamic, expires, counter, verdict] = flags;
            let data = match data.len() {
                0 if verdict => MapData::Verdict,
                0 => MapData::None,
                _ => MapData::Values(data),
            };
            let timeout = timeout.map(|seconds| Duration::from_secs(seconds.into()));
            let spec = MapSpec {
                key, data, interval, dynamic, timeout: expires, default_timeout: timeout,
                gc_interval: timeout.map(|timeout| timeout / 1024), size, counter,
            };
            let mut spec_rounded = spec.clone();
            spec_rounded.gc_interval = spec.gc_interval
                .and_then(|interval| u64::try_from(interval.as_millis()).ok())
                .map(Duration::from_millis);
            let mut out = Writer::default();
            write(&mut out, "vips4", &spec, 3).unwrap();
            prop_assert_eq!(read(Attributes(out.written())), Some(("vips4".to_owned(), Some(spec_rounded))));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read(Attributes(&bytes));
        }
    }

    #[test]
    fn a_single_field_has_no_ranges() {
        let spec = MapSpec { key: vec![crate::ir::DataType::Mark], interval: true, ..MapSpec::default() };
        assert!(write(&mut Writer::default(), "x", &spec, 1).is_err());
    }
}
