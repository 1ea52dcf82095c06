//! Where results and errors go.

use super::{Failure, Output};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Prints results in the form that was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printer(Output);

/// Whoever reads what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Goes on.
    Reads,
    /// Has seen enough, as `head`.
    Gone,
}

impl Printer {
    pub(super) fn new(output: Output) -> Self {
        Self(output)
    }

    /// One result, in one form or the other. A text ends its own last line.
    pub(super) fn print(self, json: &impl Serialize, text: &impl Display) -> Result<(), Failure> {
        match self.0 {
            Output::Json => self.json(json),
            Output::Text => write(text.to_string().as_bytes()).map(drop),
        }
    }

    /// JSON in either form.
    pub(super) fn json(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Output(error.into()))?;
        write(format!("{text}\n").as_bytes()).map(drop)
    }

    /// A result that JSON tells otherwise.
    pub(super) fn text(self, text: &impl Display) -> Result<(), Failure> {
        if self.0 == Output::Text { write(text.to_string().as_bytes()).map(drop) } else { Ok(()) }
    }

    /// A result that text tells otherwise.
    pub(super) fn json_only(self, value: &impl Serialize) -> Result<(), Failure> {
        if self.0 == Output::Json { self.json(value) } else { Ok(()) }
    }

    /// True if results are JSON.
    pub(super) fn is_json(self) -> bool {
        self.0 == Output::Json
    }

    /// A part of a long result, in the form that was asked for.
    pub(super) fn piece(self, text: &[u8]) -> Result<Reader, Failure> {
        write(text)
    }

    /// What is done for people only.
    pub(super) fn text_only(self, act: impl FnOnce()) {
        if self.0 == Output::Text {
            act();
        }
    }
}

/// To standard error; there is nobody left to tell if that fails.
pub(super) fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn write(text: &[u8]) -> Result<Reader, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::Output(error)),
    }
}
