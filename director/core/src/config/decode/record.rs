//! Records (mappings with known keys) and choices (a word out of a few). One declaration makes the type, its reading
//! and its schema; the doc comments become the schema's descriptions.

use super::{Decode, Spanned, expected};
use crate::config::report::{Diagnostics, Span, quoted};
use crate::config::suggest::closest;
use crate::config::yaml::{Content, Key, Node};
use serde_json::{Map, Value, json};

/// A key that a record knows.
pub(in crate::config) struct Field {
    pub(in crate::config) key: &'static str,
    /// Its doc comment.
    pub(in crate::config) doc: &'static str,
    pub(in crate::config) need: Need,
}

/// Whether a key must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Need {
    Optional,
    Required,
    /// Exactly one of the record's keys with this need.
    OneOf,
    /// One of the record's keys with this need and group, or none.
    AtMostOneOf(&'static str),
}

/// A mapping with known keys.
pub(in crate::config) trait Record {
    /// The keys that stand in the file, in the order of the declaration.
    fn given(&self) -> Vec<Given>;
}

/// A key that stands in the file, for checks over many keys of a record.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Given {
    pub(in crate::config) key: &'static str,
    pub(in crate::config) span: Span,
}

/// The mapping that a record is read from.
pub(in crate::config) struct Fields<'n, 'a> {
    entries: &'n [(Key<'a>, Node<'a>)],
    place: Span,
}

impl<'n, 'a> Fields<'n, 'a> {
    /// Reports keys that are not among `known`.
    pub(in crate::config) fn of(
        node: &'n Node<'a>,
        known: &[Field],
        errors: &mut Diagnostics,
    ) -> Option<Self> {
        let Content::Mapping(entries) = &node.content else {
            let keys: Vec<_> = known.iter().take(3).map(|field| field.key).collect();
            let more = if known.len() > keys.len() { ", ..." } else { "" };
            return expected(node, &format!("a mapping with {}{more}", keys.join(", ")), errors);
        };
        for (key, _) in entries {
            if !known.iter().any(|field| field.key == key.text) {
                unknown(key, known, errors);
            }
        }
        let fields = Self { entries, place: node.key };
        fields.check_group(Need::OneOf, known, errors);
        for group in groups(known) {
            fields.check_group(group, known, errors);
        }
        Some(fields)
    }

    fn check_group(&self, need: Need, known: &[Field], errors: &mut Diagnostics) {
        let group = || known.iter().filter(|field| field.need == need);
        let given: Vec<_> =
            self.entries.iter().filter(|(key, _)| group().any(|field| field.key == key.text)).collect();
        match given.as_slice() {
            [] if need == Need::OneOf => {
                if let Some(field) = group().next() {
                    missing(field, self.place, errors);
                }
            }
            [(first, _), (second, _), ..] => {
                let message = format!("{:?} and {:?} cannot stand together", first.text, second.text);
                errors.error_hint(
                    second.span,
                    message,
                    format!("the other one is in line {}", first.span.line),
                );
            }
            _ => {}
        }
    }

    /// The value of `field`; reports one that is required and missing.
    pub(in crate::config) fn get<T: Decode>(
        &self,
        field: &Field,
        errors: &mut Diagnostics,
    ) -> Option<Spanned<T>> {
        match self.entries.iter().find(|(key, _)| key.text == field.key) {
            Some((_, value)) => Spanned::decode(value, errors),
            None => {
                if field.need == Need::Required {
                    missing(field, self.place, errors);
                }
                None
            }
        }
    }
}

/// Each group of keys of which at most one may be there.
fn groups(fields: &[Field]) -> Vec<Need> {
    let mut groups: Vec<Need> = Vec::new();
    for field in fields.iter().filter(|field| matches!(field.need, Need::AtMostOneOf(_))) {
        if !groups.contains(&field.need) {
            groups.push(field.need);
        }
    }
    groups
}

fn missing(field: &Field, place: Span, errors: &mut Diagnostics) {
    let hint = format!("{}: {}", field.key, first_sentence(field.doc));
    errors.error_hint(place, format!("the key {:?} is missing", field.key), hint);
}

fn unknown(key: &Key<'_>, known: &[Field], errors: &mut Diagnostics) {
    let keys = || known.iter().map(|field| field.key);
    let hint = match closest(&key.text, keys()) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("known here: {}", keys().collect::<Vec<_>>().join(", ")),
    };
    errors.error_hint(key.span, format!("unknown key {}", quoted(&key.text)), hint);
}

fn first_sentence(doc: &str) -> String {
    let text = prose(doc);
    text.split_once(". ").map_or(text.as_str(), |(sentence, _)| sentence).trim_end_matches('.').to_owned()
}

/// A doc comment as one paragraph.
fn prose(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The schema of a record: `properties` are those of `fields`, in order.
pub(in crate::config) fn record_schema(doc: &str, fields: &[Field], properties: Vec<Value>) -> Value {
    let described = fields.iter().zip(properties).map(|(field, mut schema)| {
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".to_owned(), prose(field.doc).into());
        }
        (field.key.to_owned(), schema)
    });
    let keys = |need| fields.iter().filter(move |field| field.need == need).map(|field| field.key);
    let mut schema = json!({
        "type": "object",
        "description": prose(doc),
        "properties": described.collect::<Map<_, _>>(),
        "required": keys(Need::Required).collect::<Vec<_>>(),
        "additionalProperties": false,
    });
    let one_of: Vec<_> = keys(Need::OneOf).map(|key| json!({ "required": [key] })).collect();
    if !one_of.is_empty() {
        schema["oneOf"] = one_of.into();
    }
    let exclusive: Vec<_> = groups(fields)
        .into_iter()
        .flat_map(|group| {
            let group: Vec<_> = keys(group).collect();
            let pairs =
                group.iter().enumerate().flat_map(|(n, a)| group.iter().skip(n + 1).map(move |b| [*a, *b]));
            pairs.map(|pair| json!({ "not": { "required": pair } })).collect::<Vec<_>>()
        })
        .collect();
    if !exclusive.is_empty() {
        schema["allOf"] = exclusive.into();
    }
    schema
}

/// A choice of words.
pub(in crate::config) trait Words: Copy + PartialEq + 'static {
    /// Each word and what it means.
    const WORDS: &[(&str, Self)];

    /// The word for it.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, meaning)| *meaning == self).map_or("", |(word, _)| word)
    }
}

/// Reads one of the words of `T`.
pub(in crate::config) fn choose<T: Words>(node: &Node<'_>, errors: &mut Diagnostics) -> Option<T> {
    let known = || T::WORDS.iter().map(|(word, _)| *word);
    let what = format!("one of {}", known().collect::<Vec<_>>().join(", "));
    let Content::Text(text) = &node.content else {
        return expected(node, &what, errors);
    };
    let found = T::WORDS.iter().find(|(word, _)| word == text).map(|(_, meaning)| *meaning);
    if found.is_none() {
        let message = format!("expected {what}, found {}", quoted(text));
        match closest(text, known()) {
            Some(meant) => errors.error_hint(node.span, message, format!("did you mean {meant:?}?")),
            None => errors.error(node.span, message),
        }
    }
    found
}

/// Declares a record. Every field is an `Option`: `None` if the key is absent, or if its value was reported. After
/// the type may stand a [`Need`] (with the name of its group, if it has any), before the field its key in brackets where that is no Rust identifier.
macro_rules! record {
    (
        $(#[doc = $doc:literal])+
        $name:ident {
            $(
                $(#[doc = $field_doc:literal])+
                $([$key:literal])? $field:ident: $type:ty $(= $need:ident $(($group:literal))?)?,
            )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub(in crate::config) struct $name {
            $(
                $(#[doc = $field_doc])+
                pub(in crate::config) $field: Option<$crate::config::decode::Spanned<$type>>,
            )+
        }

        impl $name {
            const FIELDS: &[$crate::config::decode::Field] = &[
                $($crate::config::decode::Field {
                    key: $crate::config::decode::record!(@key $field $($key)?),
                    doc: concat!($($field_doc, "\n"),+),
                    need: $crate::config::decode::record!(@need $($need $(($group))?)?),
                },)+
            ];

        }

        impl $crate::config::decode::Record for $name {
            fn given(&self) -> Vec<$crate::config::decode::Given> {
                let places = [$(self.$field.as_ref().map(|field| field.key)),+];
                let given = Self::FIELDS.iter().zip(places).filter_map(|(field, place)| {
                    place.map(|span| $crate::config::decode::Given { key: field.key, span })
                });
                given.collect()
            }
        }

        impl $crate::config::decode::Decode for $name {
            fn decode(
                node: &$crate::config::yaml::Node<'_>,
                errors: &mut $crate::config::report::Diagnostics,
            ) -> Option<Self> {
                let fields = $crate::config::decode::Fields::of(node, Self::FIELDS, errors)?;
                let mut known = Self::FIELDS.iter();
                Some(Self {
                    $($field: known.next().and_then(|field| fields.get(field, errors)),)+
                })
            }

            fn schema(definitions: &mut $crate::config::decode::Definitions) -> serde_json::Value {
                definitions.refer(stringify!($name), |definitions| {
                    let properties = vec![
                        $(<$type as $crate::config::decode::Decode>::schema(definitions)),+
                    ];
                    let doc = concat!($($doc, "\n"),+);
                    $crate::config::decode::record_schema(doc, Self::FIELDS, properties)
                })
            }
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@need) => { $crate::config::decode::Need::Optional };
    (@need required) => { $crate::config::decode::Need::Required };
    (@need one_of) => { $crate::config::decode::Need::OneOf };
    (@need at_most_one_of ($group:literal)) => { $crate::config::decode::Need::AtMostOneOf($group) };
}

/// Declares a choice of words.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])+
        $name:ident { $($(#[doc = $word_doc:literal])* $variant:ident = $word:literal,)+ }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(in crate::config) enum $name { $($(#[doc = $word_doc])* $variant,)+ }

        impl $crate::config::decode::Words for $name {
            const WORDS: &[(&str, Self)] = &[$(($word, Self::$variant)),+];
        }

        impl $crate::config::decode::Decode for $name {
            fn decode(
                node: &$crate::config::yaml::Node<'_>,
                errors: &mut $crate::config::report::Diagnostics,
            ) -> Option<Self> {
                $crate::config::decode::choose(node, errors)
            }

            fn schema(_: &mut $crate::config::decode::Definitions) -> serde_json::Value {
                serde_json::json!({ "enum": [$($word),+] })
            }
        }
    };
}

pub(in crate::config) use {choice, record};
