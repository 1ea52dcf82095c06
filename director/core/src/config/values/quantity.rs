//! Sizes, shares and bytes.

use super::number::decimal;
use crate::config::decode::{Decode, Definitions, expected};
use crate::config::report::Diagnostics;
use crate::config::yaml::Node;
use serde_json::{Value, json};

/// A number of bytes from 1 to `MAX`: `4096`, `64KiB` or `1MiB`.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Size<const MAX: u32>(pub(in crate::config) u32);

impl<const MAX: u32> Decode for Size<MAX> {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let with_unit = |text: &str| {
            let (number, unit) = match text.strip_suffix("KiB") {
                Some(number) => (number, 1 << 10),
                None => (text.strip_suffix("MiB")?, 1 << 20),
            };
            decimal(number)?.checked_mul(unit)
        };
        let size = node.number().and_then(decimal).or_else(|| node.text().and_then(with_unit));
        size.filter(|size| (1..=MAX).contains(size)).map(Self).or_else(|| {
            expected(node, &format!("a number of bytes from 1 to {MAX}, as 4096 or 64KiB"), errors)
        })
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": MAX },
            { "type": "string", "pattern": "^[0-9]+(KiB|MiB)$" },
        ] })
    }
}

/// A share from `1%` to `100%`.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Percent(pub(in crate::config) u8);

impl Decode for Percent {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let share = node.text().and_then(|text| text.strip_suffix('%')).and_then(decimal);
        let share =
            share.and_then(|share| u8::try_from(share).ok()).filter(|share| (1..=100).contains(share));
        share.map(Self).or_else(|| expected(node, "a share from 1% to 100%, as 50%", errors))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^([1-9][0-9]?|100)%$" })
    }
}

/// At most 1,024 bytes in hexadecimal, blanks between them if you like.
#[derive(Debug, Clone)]
pub(in crate::config) struct Hex(pub(in crate::config) Vec<u8>);

impl Decode for Hex {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        const LONGEST: usize = 1024;
        let what = "bytes in hexadecimal, as \"0a ff\"";
        let Some(text) = node.number_or_text() else {
            return expected(node, what, errors);
        };
        let digits: Option<Vec<u8>> = text
            .chars()
            .filter(|c| *c != ' ')
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let Some(digits) = digits.filter(|digits| !digits.is_empty()) else {
            return expected(node, what, errors);
        };
        if !digits.len().is_multiple_of(2) {
            let message = format!("{} hexadecimal digits are not whole bytes", digits.len());
            errors.error_hint(node.span, message, "a byte has two digits: write 0a for a");
            return None;
        }
        if digits.len() > 2 * LONGEST {
            let message = format!("{} bytes are too many: at most {LONGEST}", digits.len() / 2);
            errors.error(node.span, message);
            return None;
        }
        Some(Self(
            digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect(),
        ))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "anyOf": [
            { "type": "string", "pattern": "^ *([0-9A-Fa-f] *[0-9A-Fa-f] *)+$" },
            { "type": "integer", "minimum": 0 },
        ] })
    }
}
