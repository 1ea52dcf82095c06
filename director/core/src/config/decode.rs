//! From the tree to typed values, every error reported with its place. Each type says in one place how it is read
//! and what its JSON Schema is.

mod collections;
mod words;

mod record;

pub(super) use collections::{Checked, Entry, List, NAME_PATTERN, NAME_RULE, Named, OneOrMany, is_name};
pub(super) use record::{Field, Fields, Given, Need, Record, Words, choice, choose, record, record_schema};
pub(super) use words::{expected, text};

use super::report::{Diagnostics, Span};
use super::yaml::{Content, Node};
use serde_json::{Map, Value, json};
use std::ops::Deref;

/// A value of the file.
pub(super) trait Decode: Sized {
    /// Reads it; `None` if an error was reported instead.
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self>;

    /// Its JSON Schema: all that [`Self::decode`] takes.
    fn schema(definitions: &mut Definitions) -> Value;
}

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    pub(super) span: Span,
    /// Its key, or its own place if it stands under none.
    pub(super) key: Span,
}

impl<T: Decode> Spanned<T> {
    pub(super) fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        T::decode(node, errors).map(|value| Self { value, span: node.place(), key: node.key })
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Schemas of the records, by name.
#[derive(Default)]
pub(super) struct Definitions(Map<String, Value>);

impl Definitions {
    /// A reference to the schema `name`, made by `schema` unless it is already there.
    pub(super) fn refer(&mut self, name: &str, schema: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.0.contains_key(name) {
            let schema = schema(self);
            self.0.insert(name.to_owned(), schema);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }
}

/// The schema of a whole file.
pub(super) fn document<T: Decode>(title: &str) -> Value {
    let mut definitions = Definitions::default();
    let root = T::schema(&mut definitions);
    let mut document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "$defs": definitions.0,
    });
    if let (Some(document), Value::Object(root)) = (document.as_object_mut(), root) {
        document.extend(root);
    }
    document
}

impl Decode for bool {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        if let Content::Bool(value) = node.content {
            Some(value)
        } else {
            expected(node, "true or false", errors)
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "boolean" })
    }
}
