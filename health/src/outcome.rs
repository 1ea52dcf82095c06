//! What came of one attempt.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Passed, or failed and why.
    pub result: Result<Passed, Failure>,
    /// From the attempt's start to its end.
    pub latency: Duration,
}

/// A success, and what is worth knowing beside it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passed {
    /// Something to look at, in words: a certificate that ends soon, a refused negotiation.
    pub note: Option<Arc<str>>,
    /// The weight that the server asks for: 0 to 253.
    pub weight: Option<u8>,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In one word.
    pub fault: Fault,
    /// In words that tell what to do.
    pub reason: Arc<str>,
}

/// Kinds of failures, for machines to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The connection or datagram was refused.
    Refused,
    /// Time ran out.
    TimedOut,
    /// The connection was reset.
    Reset,
    /// The connection was closed too early.
    Closed,
    /// No way leads there, or a filter forbids it.
    Unreachable,
    /// No TLS connection: the handshake or the certificate.
    Tls,
    /// An answer that is none in the protocol.
    Protocol,
    /// An answer that says no, or not what it should.
    Answer,
    /// The director itself lacks something: the probe could not be made.
    Local,
}

impl Passed {
    /// A success with something to look at.
    #[must_use]
    pub fn with_note(note: impl Into<Arc<str>>) -> Self {
        Self { note: Some(note.into()), weight: None }
    }
}

impl Failure {
    /// A failure with its reason.
    #[must_use]
    pub fn new(fault: Fault, reason: impl Into<Arc<str>>) -> Self {
        Self { fault, reason: reason.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Fault {
    /// As it is written for machines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::TimedOut => "timed-out",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::Answer => "answer",
            Self::Local => "local",
        }
    }
}
