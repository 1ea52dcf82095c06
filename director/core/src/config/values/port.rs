//! Ports.

use super::number::decimal;
use crate::config::decode::{Decode, Definitions, Spanned, expected};
use crate::config::report::{Diagnostics, Span, quoted};
use crate::config::yaml::{Content, Node};
use serde_json::{Value, json};

/// A port, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) struct Port(pub(in crate::config) u16);

impl Decode for Port {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        match node.number() {
            Some(text) => port(text, node.span, errors).map(Self),
            None => expected(node, "a port number", errors),
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "integer", "minimum": 1, "maximum": u16::MAX })
    }
}

/// A port or a closed range of them: `25` or `"1000-1010"`.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct PortSpan {
    pub(in crate::config) first: u16,
    pub(in crate::config) last: u16,
}

impl Decode for PortSpan {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let Some(text) = node.number_or_text() else {
            return expected(node, "a port or a range of ports", errors);
        };
        let (first, last) = match text.split_once('-') {
            Some((first, last)) if !first.is_empty() => (first.trim(), last.trim()),
            _ => (text, text),
        };
        let (first, last) = (port(first, node.span, errors)?, port(last, node.span, errors)?);
        if first > last {
            let message = format!("the range {first}-{last} runs backwards");
            errors.error_hint(node.span, message, format!("write {last}-{first}"));
            return None;
        }
        Some(Self { first, last })
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "anyOf": [
            Port::schema(definitions),
            { "type": "string", "pattern": "^[0-9]+( *- *[0-9]+)?$" },
        ] })
    }
}

/// Which port becomes which.
#[derive(Debug)]
pub(in crate::config) struct PortTable(pub(in crate::config) Vec<(u16, Spanned<Port>)>);

impl Decode for PortTable {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let Content::Mapping(entries) = &node.content else {
            return expected(node, "a mapping of ports to ports", errors);
        };
        let entries = entries.iter().filter_map(|(key, value)| {
            let from = port(&key.text, key.span, errors);
            from.zip(Spanned::decode(value, errors))
        });
        Some(Self(entries.collect()))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({
            "type": "object",
            "propertyNames": { "pattern": "^[0-9]{1,5}$" },
            "additionalProperties": Port::schema(definitions),
        })
    }
}

fn port(text: &str, span: Span, errors: &mut Diagnostics) -> Option<u16> {
    let port = decimal(text).and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0);
    if port.is_none() {
        errors.error(
            span,
            format!("expected a port from 1 to 65535, found {}", quoted(text).trim_matches('"')),
        );
    }
    port
}
