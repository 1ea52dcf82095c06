//! Errors and warnings about a configuration file, with their places in it.

mod excerpt;

use excerpt::{Lines, excerpt};
use serde::Serialize;
use std::fmt;

/// Everything that is wrong with a configuration file, by position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Name of the file.
    pub file: String,
    /// The errors, at least one.
    pub errors: Vec<Diagnostic>,
    /// Further errors that are only counted: a report holds 1,000.
    pub omitted: usize,
}

/// What is strange in a configuration file that holds, by position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warnings {
    /// Name of the file.
    pub file: String,
    /// None, mostly.
    pub warnings: Vec<Diagnostic>,
}

/// One error or warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong, or strange.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line itself; of a very long one, the part around it.
    pub source: String,
    /// Blanks and carets that mark it when printed under `source`.
    pub marker: String,
}

impl fmt::Display for Report {
    /// A paragraph an error: `file:line:column: error: message`, the line, carets, the hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            error.paragraph(f, index, &self.file, "error")?;
        }
        match self.omitted {
            0 => Ok(()),
            omitted => writeln!(f, "\nand {omitted} more errors"),
        }
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Warnings {
    /// As a report's errors are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = self.warnings.iter().enumerate();
        all.try_for_each(|(index, warning)| warning.paragraph(f, index, &self.file, "warning"))
    }
}

impl Diagnostic {
    fn paragraph(&self, f: &mut fmt::Formatter<'_>, index: usize, file: &str, what: &str) -> fmt::Result {
        let blank = if index == 0 { "" } else { "\n" };
        let Self { line, column, message, hint, source, marker } = self;
        writeln!(f, "{blank}{file}:{line}:{column}: {what}: {message}")?;
        writeln!(f, "{line:>5} | {source}")?;
        writeln!(f, "      | {marker}")?;
        hint.iter().try_for_each(|hint| writeln!(f, "  hint: {hint}"))
    }
}

/// A stretch of the file. Lines and columns (in characters) count from 1; the end is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) end_line: u32,
    pub(super) end_column: u32,
}

impl Span {
    /// Where the file begins.
    pub(super) const START: Self = Self { line: 1, column: 1, end_line: 1, end_column: 1 };
}

/// Collects errors, and warnings.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    found: Vec<Found>,
    omitted: usize,
    warnings: Vec<Found>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    span: Span,
    message: String,
    hint: Option<String>,
}

impl Diagnostics {
    const MAX: usize = 1000;

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Errors so far.
    pub(super) fn count(&self) -> usize {
        self.found.len() + self.omitted
    }

    pub(super) fn error(&mut self, span: Span, message: impl Into<String>) {
        self.add(span, message.into(), None);
    }

    pub(super) fn error_hint(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.add(span, message.into(), Some(hint.into()));
    }

    /// Something that may be meant.
    pub(super) fn warn(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.warnings.push(Found { span, message: message.into(), hint: Some(hint.into()) });
    }

    fn add(&mut self, span: Span, message: String, hint: Option<String>) {
        if self.found.len() < Self::MAX {
            self.found.push(Found { span, message, hint });
        } else {
            self.omitted += 1;
        }
    }

    /// The report on `text`, which must be what the spans refer to.
    pub(super) fn into_report(self, text: &str, file: &str) -> Report {
        Report { file: file.to_owned(), errors: shown(self.found, text), omitted: self.omitted }
    }

    /// The warnings about `text`, which must be what the spans refer to.
    pub(super) fn into_warnings(self, text: &str, file: &str) -> Warnings {
        Warnings { file: file.to_owned(), warnings: shown(self.warnings, text) }
    }
}

fn shown(mut found: Vec<Found>, text: &str) -> Vec<Diagnostic> {
    found.sort();
    let mut lines = Lines::new(text);
    let show = |Found { span, message, hint }| {
        let (source, marker) = excerpt(lines.get(span.line), span);
        Diagnostic { line: span.line, column: span.column, message, hint, source, marker }
    };
    found.into_iter().map(show).collect()
}

/// `text` in quotes, fit for a message: control characters escaped, cut after 64 characters.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 64;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}
