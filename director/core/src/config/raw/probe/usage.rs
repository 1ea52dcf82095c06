//! What names probes: services and servers.

use super::Probe;
use crate::config::decode::{Decode, Definitions, expected, record};
use crate::config::report::Diagnostics;
use crate::config::values::{Name, Number, decimal};
use crate::config::yaml::{Content, Node};
use serde_json::{Value, json};

/// A probe that servers must pass: the name of one, or one that is defined in place.
#[derive(Debug)]
pub(in crate::config) enum ProbeUse {
    Named(Name),
    Inline {
        probe: Box<Probe>,
        /// No key of it was reported.
        complete: bool,
    },
}

impl Decode for ProbeUse {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        match node.content {
            Content::Mapping(_) => {
                let before = errors.count();
                let probe = Box::new(Probe::decode(node, errors)?);
                Some(Self::Inline { probe, complete: errors.count() == before })
            }
            Content::List(_) => {
                let message = "expected the name of a probe or a mapping with its keys, found a list";
                errors.error_hint(node.span, message, "several stand under `probes`");
                None
            }
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => {
                Name::decode(node, errors).map(Self::Named)
            }
        }
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "anyOf": [Name::schema(definitions), Probe::schema(definitions)] })
    }
}

/// How many of its probes a server must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Combination {
    All,
    Any,
    AtLeast(u32),
}

record! {
    /// A number of probes.
    AtLeast {
        /// So many probes must pass, or more.
        ["at-least"] number: Number<1, 64> = required,
    }
}

impl Decode for Combination {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        if let Content::Mapping(_) = node.content {
            return Some(Self::AtLeast(AtLeast::decode(node, errors)?.number?.0));
        }
        let combination = match node.text() {
            Some("all") => Some(Self::All),
            Some("any") => Some(Self::Any),
            _ => {
                node.number().and_then(decimal).filter(|number| (1..=64).contains(number)).map(Self::AtLeast)
            }
        };
        combination.or_else(|| expected(node, "all, any, or a number from 1 to 64", errors))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "anyOf": [
            { "enum": ["all", "any"] },
            { "type": "integer", "minimum": 1, "maximum": 64 },
            AtLeast::schema(definitions),
        ] })
    }
}
