//! Durations.

use super::number::decimal;
use crate::config::decode::{Decode, Definitions, expected};
use crate::config::report::Diagnostics;
use crate::config::yaml::Node;
use crate::model::RateUnit;
use serde_json::{Value, json};
use std::time::Duration;
use sync::vrrp::timing::Interval;

/// A duration from `MIN` to `MAX` milliseconds: `500ms`, `10s`, `10m`, `1h`, `7d`, or a number of seconds.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Period<const MIN: u64, const MAX: u64>(pub(in crate::config) Duration);

/// Units, longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl<const MIN: u64, const MAX: u64> Decode for Period<MIN, MAX> {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let millis = millis(node).filter(|millis| (MIN..=MAX).contains(millis));
        millis.map(Duration::from_millis).map(Self).or_else(|| {
            let (min, max) = (words(Duration::from_millis(MIN)), words(Duration::from_millis(MAX)));
            expected(node, &format!("a duration from {min} to {max}, as 500ms, 10s or 5m"), errors)
        })
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": MIN.div_ceil(1000), "maximum": MAX / 1000 },
            { "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" },
        ] })
    }
}

impl Decode for Interval {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let interval = millis(node).and_then(|millis| Self::try_from(Duration::from_millis(millis)).ok());
        if interval.is_none() {
            let message = format!("expected an interval from 10ms to 40950ms, found {}", node.describe());
            let hint = "in steps of 10ms, as 1s, 100ms or 20ms: adverts have no room for others";
            errors.error_hint(node.place(), message, hint);
        }
        interval
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": 40 },
            { "type": "string", "pattern": "^([0-9]+s|[0-9]+0ms)$" },
        ] })
    }
}

/// Units of rates, in a word or as a duration.
const RATES: [(&str, &str, RateUnit); 4] = [
    ("second", "1s", RateUnit::Second),
    ("minute", "1m", RateUnit::Minute),
    ("hour", "1h", RateUnit::Hour),
    ("day", "1d", RateUnit::Day),
];

impl Decode for RateUnit {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let found = node
            .text()
            .and_then(|text| RATES.iter().find(|(word, period, _)| [*word, *period].contains(&text)));
        if found.is_none() {
            let message = format!("expected second, minute, hour or day, found {}", node.describe());
            let hint = "the kernel counts by these: write 20 in 10s as 120 in a minute";
            errors.error_hint(node.place(), message, hint);
        }
        found.map(|(_, _, unit)| *unit)
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "enum": RATES.map(|(word, ..)| word).into_iter().chain(RATES.map(|(_, period, _)| period)).collect::<Vec<_>>() })
    }
}

/// The milliseconds of a duration as it is written: in seconds, or with a unit.
fn millis(node: &Node<'_>) -> Option<u64> {
    let seconds = node.number().and_then(decimal).map(|seconds| u64::from(seconds) * 1000);
    seconds.or_else(|| node.text().and_then(parse))
}

fn parse(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(split)?;
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
    u64::from(decimal(number)?).checked_mul(*millis)
}

/// A duration as it is written in the file.
pub(in crate::config) fn words(duration: Duration) -> String {
    let millis = duration.as_millis();
    let (name, unit) = UNITS
        .into_iter()
        .find(|(_, unit)| millis >= u128::from(*unit) && millis.is_multiple_of(u128::from(*unit)))
        .unwrap_or(("s", 1000));
    format!("{}{name}", millis / u128::from(unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_shown_reads_the_same(millis in 1..u64::from(u32::MAX)) {
            let shown = words(Duration::from_millis(millis));
            prop_assert_eq!(parse(&shown), Some(millis), "{}", shown);
        }
    }

    #[test]
    fn the_largest_unit_that_fits_is_shown() {
        assert_eq!(words(Duration::from_secs(600)), "10m");
        assert_eq!(words(Duration::from_secs(86_400)), "1d");
        assert_eq!(words(Duration::from_millis(1500)), "1500ms");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "s", "10", "10 s", "-1s", "1.5s", "10min", "1h30m", "4294967296s", "010s", "10ß"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
