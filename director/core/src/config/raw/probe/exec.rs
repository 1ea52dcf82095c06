//! Programs.

use crate::config::decode::{Decode, Definitions, choice, expected};
use crate::config::report::Diagnostics;
use crate::config::yaml::Node;
use serde_json::{Value, json};

/// A program or an argument of it: a text, or a number as it is written, of at most 1,024 bytes.
#[derive(Debug)]
pub(in crate::config) struct Argument(pub(in crate::config) String);

impl Decode for Argument {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let text = node.number_or_text().filter(|text| text.len() <= 1024 && !text.contains('\0'));
        text.map(|text| Self(text.to_owned()))
            .or_else(|| expected(node, "a text of at most 1024 bytes", errors))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "anyOf": [{ "type": "string", "maxLength": 1024 }, { "type": "number" }] })
    }
}

choice! {
    /// What an exit status means.
    Exit {
        Weight = "weight",
        Nagios = "nagios",
    }
}
