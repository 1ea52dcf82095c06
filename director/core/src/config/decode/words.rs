//! Scalars, and what is said of values that are something else.

use crate::config::report::Diagnostics;
use crate::config::yaml::{Content, Node};

/// Reports that `node` is not `what`.
pub(in crate::config) fn expected<T>(node: &Node<'_>, what: &str, errors: &mut Diagnostics) -> Option<T> {
    let message = format!("expected {what}, found {}", node.describe());
    match hint(node, what) {
        Some(hint) => errors.error_hint(node.place(), message, hint),
        None => errors.error(node.place(), message),
    }
    None
}

/// The text of `node`, which should be `what`.
pub(in crate::config) fn text<'n>(
    node: &'n Node<'_>,
    what: &str,
    errors: &mut Diagnostics,
) -> Option<&'n str> {
    node.text().or_else(|| expected(node, what, errors))
}

fn hint(node: &Node<'_>, what: &str) -> Option<&'static str> {
    match &node.content {
        Content::Null => Some("give it a value or take the key out; {} is an empty mapping"),
        Content::Text(text) if what.starts_with("true") => {
            matches!(text.to_lowercase().as_str(), "yes" | "no" | "on" | "off" | "true" | "false")
                .then_some("write true or false, without quotes")
        }
        Content::Text(text) if what.contains("number") && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some("take the quotes away")
        }
        Content::Text(_) | Content::Number(_) if what == "a list" => Some("write it in brackets, as [a, b]"),
        Content::Number(_) | Content::Bool(_)
            if ["a text", "a name", "the name"].iter().any(|it| what.starts_with(it)) =>
        {
            Some("put it in quotes")
        }
        Content::Text(_) | Content::Number(_) | Content::Bool(_) | Content::List(_) | Content::Mapping(_) => {
            None
        }
    }
}
