//! Lists, mappings whose keys are names, and what remembers that something in it was wrong.

use super::{Decode, Definitions, Spanned, expected};
use crate::config::report::{Diagnostics, Span, quoted};
use crate::config::yaml::{Content, Node};
use serde_json::{Value, json};

/// A list of at least one. Items that were reported are left out.
#[derive(Debug)]
pub(in crate::config) struct List<T>(pub(in crate::config) Vec<Spanned<T>>);

impl<T: Decode> Decode for List<T> {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let Content::List(items) = &node.content else {
            return expected(node, "a list", errors);
        };
        if items.is_empty() {
            errors.error_hint(node.span, "the list is empty", "list at least one, or take the key out");
        }
        Some(Self(items.iter().filter_map(|item| Spanned::decode(item, errors)).collect()))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "type": "array", "minItems": 1, "items": T::schema(definitions) })
    }
}

/// A single value, or a list of at least one. Values that were reported are left out.
#[derive(Debug)]
pub(in crate::config) struct OneOrMany<T>(pub(in crate::config) Vec<Spanned<T>>);

impl<T: Decode> Decode for OneOrMany<T> {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        if let Content::List(_) = node.content {
            List::decode(node, errors).map(|List(items)| Self(items))
        } else {
            Some(Self(Spanned::decode(node, errors).into_iter().collect()))
        }
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "anyOf": [T::schema(definitions), List::<T>::schema(definitions)] })
    }
}

/// A mapping from names to values, in the file's order.
#[derive(Debug)]
pub(in crate::config) struct Named<T>(pub(in crate::config) Vec<Entry<T>>);

/// A named value.
#[derive(Debug)]
pub(in crate::config) struct Entry<T> {
    pub(in crate::config) name: String,
    /// Where the name stands.
    pub(in crate::config) span: Span,
    /// `None`: it was reported. The name is known all the same.
    pub(in crate::config) value: Option<Spanned<T>>,
    /// Something in it was reported.
    pub(in crate::config) broken: bool,
}

/// A value, and whether it is all that the file says.
#[derive(Debug)]
pub(in crate::config) struct Checked<T> {
    /// `None`: it was reported.
    pub(in crate::config) value: Option<T>,
    /// Something in it was reported.
    pub(in crate::config) broken: bool,
}

impl<T: Decode> Decode for Checked<T> {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let before = errors.count();
        let value = T::decode(node, errors);
        Some(Self { value, broken: errors.count() > before })
    }

    fn schema(definitions: &mut Definitions) -> Value {
        T::schema(definitions)
    }
}

/// What names may look like, as a regular expression.
pub(in crate::config) const NAME_PATTERN: &str = "^[A-Za-z0-9_.-]{1,64}$";
/// The same in words.
pub(in crate::config) const NAME_RULE: &str = "1 to 64 letters, digits, `-`, `_` and `.`";

/// True if `text` matches [`NAME_PATTERN`].
pub(in crate::config) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

impl<T: Decode> Decode for Named<T> {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let Content::Mapping(entries) = &node.content else {
            return expected(node, "a mapping from names to what they stand for", errors);
        };
        let entries = entries.iter().map(|(key, value)| {
            if !is_name(&key.text) {
                let message = format!("{} cannot be a name", quoted(&key.text));
                errors.error_hint(key.span, message, format!("a name has {NAME_RULE}"));
            }
            let before = errors.count();
            let value = Spanned::decode(value, errors);
            Entry { name: key.text.to_string(), span: key.span, value, broken: errors.count() > before }
        });
        Some(Self(entries.collect()))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({
            "type": "object",
            "propertyNames": { "pattern": NAME_PATTERN },
            "additionalProperties": T::schema(definitions),
        })
    }
}
