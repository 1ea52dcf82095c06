//! Parser events to the tree, within limits.

use super::{Content, Key, Node, scalar};
use crate::config::report::{Diagnostics, Span, quoted};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span as YamlSpan, StrInput, Tag};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Longest text, in bytes: 16,384 services fit several times.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most values in a file, those that aliases repeat included.
const MAX_NODES: usize = 2_000_000;
/// Deepest nesting.
const MAX_DEPTH: usize = 32;

/// Reads the one document of `text`. `None`: it is not YAML, or beyond a limit, and an error says so.
pub(in crate::config) fn read<'a>(text: &'a str, errors: &mut Diagnostics) -> Option<Node<'a>> {
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes; at most {MAX_BYTES} are read", text.len());
        errors.error(Span::START, message);
        return None;
    }
    if let Some(place) = control_character(text) {
        errors.error_hint(place, "a control character", "only tabs and line ends are allowed in the file");
        return None;
    }
    let parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut reader = Reader { parser, anchors: BTreeMap::new(), nodes: 0, errors };
    match reader.document() {
        Ok(root) => Some(root),
        Err(Stop { span, message, hint }) => {
            match hint {
                Some(hint) => errors.error_hint(span, message, hint),
                None => errors.error(span, message),
            }
            None
        }
    }
}

/// Reading cannot go on.
struct Stop {
    span: Span,
    message: String,
    hint: Option<&'static str>,
}

impl Stop {
    fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None }
    }
}

fn empty() -> Stop {
    Stop { hint: Some("begin it with `version: 1`"), ..Stop::new(Span::START, "the file is empty") }
}

struct Reader<'a, 'e> {
    parser: Parser<'a, StrInput<'a>>,
    /// What anchors name, by the parser's number.
    anchors: BTreeMap<usize, Node<'a>>,
    nodes: usize,
    errors: &'e mut Diagnostics,
}

impl<'a> Reader<'a, '_> {
    fn document(&mut self) -> Result<Node<'a>, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.event()?;
            match event {
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(_) if root.is_some() => {
                    let message = "a second document begins here";
                    return Err(Stop {
                        hint: Some("the file is one YAML document: take the `---` out"),
                        ..Stop::new(span, message)
                    });
                }
                Event::DocumentStart(_) => {
                    let (event, span) = self.event()?;
                    let node = self.node(event, span, Some(Span::START), 0)?;
                    if matches!(node.content, Content::Null) {
                        return Err(empty());
                    }
                    root = Some(node);
                }
                Event::StreamEnd => return root.ok_or_else(empty),
                Event::Alias(_)
                | Event::Scalar(..)
                | Event::SequenceStart(..)
                | Event::SequenceEnd
                | Event::MappingStart(..)
                | Event::MappingEnd => return Err(Stop::new(span, "not valid YAML")),
            }
        }
    }

    fn event(&mut self) -> Result<(Event<'a>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, convert(span))),
            Some(Err(error)) => Err(syntax(&error)),
            None => Ok((Event::StreamEnd, Span::START)),
        }
    }

    /// The value that begins with `event`.
    fn node(
        &mut self,
        event: Event<'a>,
        span: Span,
        key: Option<Span>,
        depth: usize,
    ) -> Result<Node<'a>, Stop> {
        if depth > MAX_DEPTH {
            return Err(Stop::new(span, format!("nested more than {MAX_DEPTH} deep")));
        }
        self.count(1, span)?;
        let (content, end, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, span, key),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span);
                let content =
                    if style == ScalarStyle::Plain { scalar::resolve(text) } else { Content::Text(text) };
                (content, span, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span);
                let (items, end) = self.list(depth)?;
                (Content::List(items), end, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span);
                let (entries, end) = self.mapping(depth)?;
                (Content::Mapping(entries), end, anchor)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(Stop::new(span, "not valid YAML: a value is missing")),
        };
        let span = Span { end_line: end.end_line, end_column: end.end_column, ..span };
        let node = Node { content, span, key: key.unwrap_or(span) };
        if anchor > 0 {
            self.count(size(&node), span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<(Vec<Node<'a>>, Span), Stop> {
        let mut items = Vec::new();
        loop {
            match self.event()? {
                (Event::SequenceEnd, end) => return Ok((items, end)),
                (event, span) => items.push(self.node(event, span, None, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<(Vec<(Key<'a>, Node<'a>)>, Span), Stop> {
        let mut entries = Vec::new();
        let mut places: BTreeMap<Cow<'a, str>, Span> = BTreeMap::new();
        loop {
            let (event, span) = match self.event()? {
                (Event::MappingEnd, end) => return Ok((entries, end)),
                next => next,
            };
            let Event::Scalar(text, _, 0, None) = event else {
                return Err(Stop {
                    hint: Some("keys are plain words: no lists, mappings, tags, anchors or aliases"),
                    ..Stop::new(span, "not a key")
                });
            };
            let (event, value_span) = self.event()?;
            let value = self.node(event, value_span, Some(span), depth + 1)?;
            if let Some(first) = places.get(&text) {
                let message = format!("the key {} is already there, in line {}", quoted(&text), first.line);
                self.errors.error_hint(span, message, "take one of them out");
            } else {
                places.insert(text.clone(), span);
                entries.push((Key { text, span }, value));
            }
        }
    }

    fn alias(&mut self, anchor: usize, span: Span, key: Option<Span>) -> Result<Node<'a>, Stop> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Stop::new(span, "this alias stands within what it names"));
        };
        let copies = size(node);
        let node = Node { key: key.unwrap_or(span), ..node.clone() };
        self.count(copies, span)?;
        Ok(node)
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(Stop::new(span, format!("the file has more than {MAX_NODES} values")));
        }
        Ok(())
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, span: Span) {
        if tag.is_some() {
            self.errors.error_hint(span, "tags have no meaning here", "take the tag before this value out");
        }
    }
}

/// Values in a tree.
fn size(node: &Node<'_>) -> usize {
    1 + match &node.content {
        Content::List(items) => items.iter().map(size).sum(),
        Content::Mapping(entries) => entries.iter().map(|(_, value)| size(value)).sum(),
        Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => 0,
    }
}

fn convert(span: YamlSpan) -> Span {
    let ((line, column), (end_line, end_column)) = (position(span.start), position(span.end));
    Span { line, column, end_line, end_column }
}

fn position(marker: Marker) -> (u32, u32) {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    (number(marker.line()), number(marker.col()).saturating_add(1))
}

/// What the parser says, in words that help.
fn syntax(error: &ScanError) -> Stop {
    let (line, column) = position(*error.marker());
    let hint = match error.info() {
        info if info.contains("tab") => "indent with blanks",
        info if info.contains("flow") => "a bracket or brace above is not closed",
        info if info.contains("anchor") => "put a text that begins with `*` or `&` in quotes",
        info if info.contains("indentation") || info.contains("block mapping") || info.contains("expect") => {
            "look at the indentation, at a missing `:` or blank after it, and at unclosed quotes or brackets"
        }
        info if info.contains("mapping values are not allowed") => {
            "put a text that contains `: ` or ends in `:` in quotes"
        }
        _ => "look at the indentation, and at unclosed quotes or brackets",
    };
    Stop {
        span: Span { line, column, end_line: line, end_column: column },
        message: format!("not valid YAML: {}", error.info()),
        hint: Some(hint),
    }
}

/// Where the first control character stands. The parser would take a NUL for the end of the file.
fn control_character(text: &str) -> Option<Span> {
    let offset = text.find(|c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}'))?;
    let before = text.get(..offset)?;
    let breaks = before.matches(['\n', '\r']).count() - before.matches("\r\n").count();
    let column = before.chars().rev().take_while(|c| !matches!(c, '\n' | '\r')).count() + 1;
    let (line, column) = (u32::try_from(breaks + 1).ok()?, u32::try_from(column).ok()?);
    Some(Span { line, column, end_line: line, end_column: column + 1 })
}
