//! Numbers in a range, and marks.

use crate::config::decode::{Decode, Definitions, expected};
use crate::config::report::Diagnostics;
use crate::config::yaml::Node;
use crate::model::Mark;
use serde_json::{Value, json};

/// A whole number from `MIN` to `MAX`, in decimal.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Number<const MIN: u32, const MAX: u32>(pub(in crate::config) u32);

impl<const MIN: u32, const MAX: u32> Decode for Number<MIN, MAX> {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let value = node.number().and_then(decimal).filter(|value| (MIN..=MAX).contains(value));
        value.map(Self).or_else(|| expected(node, &format!("a number from {MIN} to {MAX}"), errors))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// Digits only, none of them a leading zero: YAML versions disagree on what `010` is.
pub(in crate::config) fn decimal(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

impl Decode for Mark {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let mark = node.number_or_text().and_then(|text| text.parse().ok());
        mark.or_else(|| expected(node, "a mark from 1 to 0x7fffffff, as 80 or 0x50", errors))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": Self::MAX },
            { "type": "string", "pattern": "^(0[xX][0-9A-Fa-f]+|[0-9]+)$" },
        ] })
    }
}
