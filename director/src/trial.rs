//! Probes tried once, now, for people to look at. No monitor hears of it: nothing changes.

mod text;

use crate::command::error::CommandError;
use crate::targets;
use crate::words::micros;
use director_core::config::closest;
use director_core::model::{Model, Node, ProbeSpec};
use futures_util::future::join_all;
use health::probe::trace::{Event, Step, Trace};
use health::probe::{Resources, attempt};
use health::{Outcome, Target};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::time::Duration;

/// Longest time of an attempt, whatever its probe's timeout is: somebody waits for it.
pub const LONGEST: Duration = Duration::from_secs(120);

/// What is to be tried on a server.
#[derive(Debug, Clone)]
pub struct Plan {
    service: String,
    server: String,
    attempts: Vec<(String, Target)>,
    required: usize,
}

/// What came of trying the probes of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The service.
    pub service: String,
    /// The server.
    pub server: String,
    /// Enough of what was tried has passed.
    pub up: bool,
    /// So many must pass; 0: there is none, and the server counts as up.
    pub required: usize,
    /// What was tried, in the order of the configuration.
    pub probes: Vec<Tried>,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The probe's name.
    pub probe: String,
    /// Where it went, as `10.0.1.1:25`, or `10.0.1.1` if it needs no port; `-` for a program that goes nowhere.
    pub target: String,
    /// It passed.
    pub passed: bool,
    /// What is wrong, in one word.
    pub fault: Option<String>,
    /// Why it failed, in words.
    pub reason: Option<String>,
    /// Something to look at though it passed.
    pub note: Option<String>,
    /// The weight that it asks for.
    pub weight: Option<u8>,
    /// Duration in microseconds.
    pub latency_micros: u64,
    /// What was sent and received, up to 64 KiB.
    pub dialogue: Vec<Line>,
}

/// A step of a dialogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Since the attempt began, in microseconds.
    pub at_micros: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened in a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Something worth saying, in words.
    Note(String),
    /// The director sent this.
    Sent(Content),
    /// The server sent this.
    Received(Content),
}

/// Bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Text that people can read.
    Text(String),
    /// Anything else, two hexadecimal digits a byte.
    Hex(String),
}

impl Plan {
    /// All probes of a server, or the one that is named. Whether the server is drained or disabled does not matter.
    ///
    /// # Errors
    /// There is no such service, server, or probe of that server.
    pub fn new(
        model: &Model,
        node: &Node,
        (service, server): (&str, &str),
        probe: Option<&str>,
    ) -> Result<Self, CommandError> {
        let found = model.services.get(service).ok_or_else(|| {
            let suggestion = closest(service, model.services.keys().map(String::as_str)).map(str::to_owned);
            CommandError::UnknownService { name: service.to_owned(), suggestion }
        })?;
        let real = found.servers.get(server).ok_or_else(|| {
            let suggestion = closest(server, found.servers.keys().map(String::as_str)).map(str::to_owned);
            CommandError::UnknownServer { service: service.to_owned(), name: server.to_owned(), suggestion }
        })?;
        let wanted = |spec: &ProbeSpec| probe.is_none_or(|name| name == spec.name);
        let attempts = targets::targets_of(model, node, found, real);
        let attempts =
            attempts.filter(|(spec, _)| wanted(spec)).map(|(spec, target)| (spec.name.clone(), target));
        let attempts: Vec<_> = attempts.collect();
        match probe {
            Some(name) if attempts.is_empty() => Err(CommandError::UnknownProbe {
                service: service.to_owned(),
                server: server.to_owned(),
                name: name.to_owned(),
                known: real.checks.probes.clone(),
            }),
            _ => Ok(Self {
                service: service.to_owned(),
                server: server.to_owned(),
                required: if probe.is_some() { 1 } else { real.checks.required },
                attempts,
            }),
        }
    }

    /// Makes the attempts, all at once, each within its timeout and [`LONGEST`]. Ends them if it is dropped.
    pub async fn run(self, resources: &Resources) -> Trial {
        let Self { service, server, attempts, required } = self;
        let attempts = attempts
            .into_iter()
            .map(async |(probe, target)| Tried::now(probe, target, resources, Trace::recording()).await);
        let probes = join_all(attempts).await;
        let up = probes.iter().filter(|tried| tried.passed).count() >= required;
        Trial { service, server, up, required, probes }
    }
}

impl Tried {
    /// Makes an attempt, within the target's timeout and [`LONGEST`], and keeps what the trace keeps of it.
    pub async fn now(probe: String, target: Target, resources: &Resources, trace: Trace) -> Self {
        let target = Target { timeout: target.timeout.min(LONGEST), ..target };
        let outcome = attempt(&target, resources, &trace).await;
        Self::new(probe, &target, outcome, trace.into_dialogue())
    }

    /// What came of an attempt on `target`.
    fn new(probe: String, target: &Target, outcome: Outcome, dialogue: Vec<Step>) -> Self {
        let (passed, failure) = match outcome.result {
            Ok(passed) => (Some(passed), None),
            Err(failure) => (None, Some(failure)),
        };
        Self {
            probe,
            target: match target.address.port() {
                0 if target.address.ip().is_unspecified() => "-".to_owned(),
                0 => target.address.ip().to_string(),
                _ => target.address.to_string(),
            },
            passed: failure.is_none(),
            fault: failure.as_ref().map(|failure| failure.fault.as_str().to_owned()),
            reason: failure.map(|failure| failure.reason.to_string()),
            note: passed.as_ref().and_then(|passed| passed.note.as_deref().map(str::to_owned)),
            weight: passed.and_then(|passed| passed.weight),
            latency_micros: micros(outcome.latency),
            dialogue: dialogue.into_iter().map(Line::from).collect(),
        }
    }
}

impl From<Step> for Line {
    fn from(step: Step) -> Self {
        let what = match step.event {
            Event::Note(text) => What::Note(text),
            Event::Sent(bytes) => What::Sent(bytes.into()),
            Event::Received(bytes) => What::Received(bytes.into()),
        };
        Self { at_micros: micros(step.at), what }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        let readable = |text: &str| text.chars().all(|c| !c.is_control() || matches!(c, '\r' | '\n' | '\t'));
        match String::from_utf8(bytes) {
            Ok(text) if readable(&text) => Self::Text(text),
            Ok(text) => Self::Hex(hex(text.as_bytes())),
            Err(error) => Self::Hex(hex(error.as_bytes())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
