//! YAML text to a tree whose every node knows its place. Scalars are resolved as in YAML's core schema.

mod reader;
mod scalar;

#[cfg(test)]
mod tests;

pub(super) use reader::read;

use super::report::{Span, quoted};
use std::borrow::Cow;

/// A value in the file.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    pub(super) content: Content<'a>,
    pub(super) span: Span,
    /// The key it stands under, or its own place if it stands under none.
    pub(super) key: Span,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Content<'a> {
    Null,
    Bool(bool),
    /// Any number, as written.
    Number(Cow<'a, str>),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    /// In the file's order; no key comes twice.
    Mapping(Vec<(Key<'a>, Node<'a>)>),
}

/// A key of a mapping.
#[derive(Debug, Clone)]
pub(super) struct Key<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) span: Span,
}

impl Node<'_> {
    /// A number, as written.
    pub(super) fn number(&self) -> Option<&str> {
        if let Content::Number(text) = &self.content { Some(text) } else { None }
    }

    /// A text.
    pub(super) fn text(&self) -> Option<&str> {
        if let Content::Text(text) = &self.content { Some(text) } else { None }
    }

    /// A number or a text, as written.
    pub(super) fn number_or_text(&self) -> Option<&str> {
        self.number().or_else(|| self.text())
    }

    /// What it is, in words for a message.
    pub(super) fn describe(&self) -> String {
        match &self.content {
            Content::Null => "nothing".to_owned(),
            Content::Bool(value) => value.to_string(),
            Content::Number(text) => text.chars().take(64).collect(),
            Content::Text(text) => quoted(text),
            Content::List(_) => "a list".to_owned(),
            Content::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// Where to point: a value that is not there has no extent, so at its key.
    pub(super) fn place(&self) -> Span {
        if matches!(self.content, Content::Null) { self.key } else { self.span }
    }
}
