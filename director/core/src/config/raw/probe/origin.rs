//! How probes leave.

use crate::config::decode::{Decode, Definitions, expected};
use crate::config::report::Diagnostics;
use crate::config::values::decimal;
use crate::config::yaml::Node;
use crate::model::ProbeSource;
use serde_json::{Value, json};
use std::net::IpAddr;

/// Where probes leave from.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Source(pub(in crate::config) ProbeSource);

impl Decode for Source {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        match node.text() {
            Some("private") => Some(Self(ProbeSource::Private)),
            Some(text) if text.parse::<IpAddr>().is_ok() => {
                IpAddr::decode(node, errors).map(|address| Self(ProbeSource::Address(address)))
            }
            _ => expected(node, "`private` or an address", errors),
        }
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "anyOf": [{ "const": "private" }, IpAddr::schema(definitions)] })
    }
}

/// A mark of packets: any but 0, in decimal or hexadecimal.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct PacketMark(pub(in crate::config) u32);

impl Decode for PacketMark {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let hexadecimal = |text: &str| {
            let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
            let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            if plain { u32::from_str_radix(digits, 16).ok() } else { None }
        };
        let mark = node.number_or_text().and_then(|text| decimal(text).or_else(|| hexadecimal(text)));
        mark.filter(|mark| *mark > 0)
            .map(Self)
            .or_else(|| expected(node, "a mark from 1 to 0xffffffff, as 80 or 0x50", errors))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": u32::MAX },
            { "type": "string", "pattern": "^(0[xX][0-9A-Fa-f]+|[1-9][0-9]*)$" },
        ] })
    }
}
