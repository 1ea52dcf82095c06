//! Words of HTTP.

use crate::config::decode::{Decode, Definitions, Spanned, choice, expected};
use crate::config::report::{Diagnostics, Span, quoted};
use crate::config::values::Text;
use crate::config::yaml::{Content, Node};
use serde_json::{Value, json};
use std::ops::RangeInclusive;

choice! {
    /// Methods of HTTP.
    Method {
        Get = "GET",
        Head = "HEAD",
        Options = "OPTIONS",
        Post = "POST",
    }
}

/// A version of HTTP, with or without quotes.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct HttpVersion(pub(in crate::config) health::kind::HttpVersion);

impl Decode for HttpVersion {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        match node.number_or_text() {
            Some("1.0") => Some(Self(health::kind::HttpVersion::Http10)),
            Some("1.1") => Some(Self(health::kind::HttpVersion::Http11)),
            _ => {
                let message = format!("expected version 1.0 or 1.1, found {}", node.describe());
                let hint = "1.1 is right for nearly all servers; every server of HTTP/2 or 3 speaks it too";
                errors.error_hint(node.place(), message, hint);
                None
            }
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "enum": ["1.0", "1.1", 1.0, 1.1] })
    }
}

/// Headers of a request, in the file's order: names and values that HTTP allows.
#[derive(Debug)]
pub(in crate::config) struct Headers(pub(in crate::config) Vec<Header>);

/// A header of a request.
#[derive(Debug)]
pub(in crate::config) struct Header {
    pub(in crate::config) name: String,
    /// Where the name stands.
    pub(in crate::config) span: Span,
    pub(in crate::config) value: String,
}

impl Decode for Headers {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let Content::Mapping(entries) = &node.content else {
            return expected(node, "a mapping from header names to texts", errors);
        };
        let headers = entries.iter().filter_map(|(key, value)| {
            if !is_token(&key.text) {
                let message = format!("{} cannot be the name of a header", quoted(&key.text));
                let hint = "a header's name has letters, digits, and of signs mostly `-`";
                errors.error_hint(key.span, message, hint);
            }
            let value: Spanned<Text> = Spanned::decode(value, errors)?;
            if value.0.bytes().any(|byte| byte != b'\t' && !(b' '..=b'~').contains(&byte)) {
                let message = format!("{} cannot be the value of a header", quoted(&value.0));
                errors.error_hint(value.span, message, "a value has ASCII characters and no line break");
            }
            Some(Header { name: key.text.to_string(), span: key.span, value: value.0.clone() })
        });
        Some(Self(headers.collect()))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({
            "type": "object",
            "propertyNames": { "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" },
            "additionalProperties": Text::schema(definitions),
        })
    }
}

/// True if it is a token (RFC 9110, section 5.6.2).
fn is_token(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=256).contains(&text.len()) && text.bytes().all(token)
}

/// An HTTP status code, or a closed range of them.
#[derive(Debug)]
pub(in crate::config) struct StatusSpan(pub(in crate::config) RangeInclusive<u16>);

impl Decode for StatusSpan {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let what = "a status code or a range of them, as 200 or 200-299";
        let Some(text) = node.number_or_text() else {
            return expected(node, what, errors);
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let code = |text: &str| text.parse::<u16>().ok().filter(|code| (100..=599).contains(code));
        match (code(first), code(last)) {
            (Some(first), Some(last)) if first <= last => Some(Self(first..=last)),
            _ => expected(node, what, errors),
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": "^[1-5][0-9]{2}-[1-5][0-9]{2}$" },
        ] })
    }
}
