//! What goes on in an attempt.
//!
//! Always: what the probe waits for and how much of it has come, so that a timeout can say where it struck. On
//! request also the whole dialogue, for people to read.

use crate::{Failure, Fault, Passed};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What goes on in an attempt.
#[derive(Debug)]
pub struct Trace(Mutex<State>);

/// A step of a dialogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Since the attempt began.
    pub at: Duration,
    /// What happened.
    pub event: Event,
}

/// What happened in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something worth saying, in words.
    Note(String),
    /// The probe sent this.
    Sent(Vec<u8>),
    /// The server sent this.
    Received(Vec<u8>),
}

/// A dialogue is recorded up to so many bytes; what is beyond is left out, and said to be.
const DIALOGUE_LIMIT: usize = 64 * 1024;

#[derive(Debug)]
struct State {
    start: Instant,
    /// What the probe waits for; `None`: the connection itself.
    awaited: Option<&'static str>,
    /// Bytes that have come since it began to wait for that.
    received: usize,
    /// What is known of why nothing fitting has come.
    explanation: Option<&'static str>,
    /// Nothing need come.
    silence_passes: bool,
    /// The outcome is known since then.
    decided: Option<Instant>,
    dialogue: Option<Dialogue>,
}

#[derive(Debug, Default)]
struct Dialogue {
    steps: Vec<Step>,
    size: usize,
}

impl Trace {
    /// Keeps no dialogue.
    #[must_use]
    pub fn quiet() -> Self {
        Self::new(None)
    }

    /// Keeps the dialogue, up to 64 KiB of it.
    #[must_use]
    pub fn recording() -> Self {
        Self::new(Some(Dialogue::default()))
    }

    fn new(dialogue: Option<Dialogue>) -> Self {
        Self(Mutex::new(State {
            start: Instant::now(),
            awaited: None,
            received: 0,
            explanation: None,
            silence_passes: false,
            decided: None,
            dialogue,
        }))
    }

    /// The dialogue so far; empty if it is not kept.
    #[must_use]
    pub fn into_dialogue(self) -> Vec<Step> {
        let state = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.dialogue.map(|dialogue| dialogue.steps).unwrap_or_default()
    }

    /// From now on the probe waits for `what`, as in `the greeting`.
    pub(crate) fn awaits(&self, what: &'static str) {
        let mut state = self.state();
        state.awaited = Some(what);
        state.received = 0;
        state.explanation = None;
    }

    /// If nothing fitting comes, this is why, as in `what came is the answer to another question`.
    pub(crate) fn explains_silence(&self, why: &'static str) {
        self.state().explanation = Some(why);
    }

    /// From now on the attempt passes if nothing comes until its timeout.
    pub(crate) fn silence_passes(&self) {
        self.state().silence_passes = true;
    }

    /// The outcome is known: what the probe does from now on is not part of the attempt's latency. How long it took.
    pub(crate) fn decided(&self) -> Duration {
        let mut state = self.state();
        state.decided = Some(Instant::now());
        state.start.elapsed()
    }

    /// When the outcome was known, if the probe went on after that.
    pub(crate) fn decision(&self) -> Option<Instant> {
        self.state().decided
    }

    /// Records something worth saying.
    pub(crate) fn note(&self, text: impl FnOnce() -> String) {
        self.state().record(|| (Event::Note(text()), 0));
    }

    /// Records what the probe sent.
    pub(crate) fn sent(&self, bytes: &[u8]) {
        self.state().record(|| (Event::Sent(bytes.to_vec()), bytes.len()));
    }

    /// Counts what the server sent, and records it.
    pub(crate) fn received(&self, bytes: &[u8]) {
        self.arrived(bytes.len());
        self.state().record(|| (Event::Received(bytes.to_vec()), bytes.len()));
    }

    /// Counts what the server sent where the bytes mean nothing to people, as in a TLS handshake.
    pub(crate) fn arrived(&self, count: usize) {
        let mut state = self.state();
        state.received = state.received.saturating_add(count);
    }

    /// Time ran out.
    ///
    /// # Errors
    /// Something should have come.
    pub(crate) fn timed_out(&self, address: SocketAddr, timeout: Duration) -> Result<Passed, Failure> {
        if self.state().silence_passes {
            self.note(|| format!("nothing came back within {timeout:?}, and nothing need come"));
            return Ok(Passed::default());
        }
        let state = self.state();
        let reason = match (state.awaited, state.received) {
            (None, _) => {
                let address = place(address);
                let why = state.explanation.unwrap_or("it is off or overloaded, or a firewall drops packets");
                format!("no answer from {address} within {timeout:?}: {why}")
            }
            (Some(what), 0) => {
                let why = state.explanation.map(|why| format!(" ({why})")).unwrap_or_default();
                format!(
                    "{address} took the connection but was silent: {what} did not come within {timeout:?}{why}"
                )
            }
            (Some(what), received) => {
                format!("{address} is too slow: {what} was incomplete after {timeout:?}, {}", bytes(received))
            }
        };
        Err(Failure::new(Fault::TimedOut, reason))
    }

    /// The server closed the connection while the probe waited.
    pub(crate) fn closed(&self, address: SocketAddr) -> Failure {
        let state = self.state();
        let what = state.awaited.unwrap_or("anything else");
        let reason = match state.received {
            0 => format!("{address} closed the connection before {what}"),
            received => format!("{address} closed the connection within {what}, after {}", bytes(received)),
        };
        Failure::new(Fault::Closed, reason)
    }

    /// Reading or writing failed once the connection was there.
    pub(crate) fn broken(&self, address: SocketAddr, error: &io::Error) -> Failure {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the list of kinds is open")]
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                let state = self.state();
                let what = state.awaited.unwrap_or("anything else");
                let reason = match state.received {
                    0 => format!("{address} reset the connection before {what}"),
                    received => {
                        format!("{address} reset the connection within {what}, after {}", bytes(received))
                    }
                };
                Failure::new(Fault::Reset, reason)
            }
            ErrorKind::UnexpectedEof => self.closed(address),
            ErrorKind::TimedOut => {
                Failure::new(Fault::TimedOut, format!("the connection to {address} broke off: no answer"))
            }
            _ => Failure::new(Fault::Local, format!("the connection to {address} failed: {error}")),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn record(&mut self, event: impl FnOnce() -> (Event, usize)) {
        let at = self.start.elapsed();
        let Some(dialogue) = &mut self.dialogue else { return };
        if dialogue.size >= DIALOGUE_LIMIT {
            return;
        }
        let (event, size) = event();
        dialogue.size = dialogue.size.saturating_add(size.max(32));
        dialogue.steps.push(Step { at, event });
        if dialogue.size >= DIALOGUE_LIMIT {
            let event = Event::Note("the rest is left out".to_owned());
            dialogue.steps.push(Step { at, event });
        }
    }
}

/// The address, with its port if it has one.
pub(crate) fn place(address: SocketAddr) -> String {
    if address.port() == 0 { address.ip().to_string() } else { address.to_string() }
}

fn bytes(count: usize) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> SocketAddr {
        SocketAddr::from(([10, 0, 1, 1], 25))
    }

    #[test]
    fn a_timeout_says_where_it_struck() {
        let trace = Trace::quiet();
        let words =
            |trace: &Trace| trace.timed_out(address(), Duration::from_secs(1)).unwrap_err().to_string();
        assert_eq!(
            words(&trace),
            "no answer from 10.0.1.1:25 within 1s: it is off or overloaded, or a firewall drops packets"
        );
        trace.awaits("the greeting");
        assert_eq!(
            words(&trace),
            "10.0.1.1:25 took the connection but was silent: the greeting did not come within 1s"
        );
        trace.explains_silence("it may wait for TLS");
        assert_eq!(
            words(&trace),
            "10.0.1.1:25 took the connection but was silent: the greeting did not come within 1s (it may wait for TLS)"
        );
        trace.received(b"2");
        assert_eq!(words(&trace), "10.0.1.1:25 is too slow: the greeting was incomplete after 1s, 1 byte");
    }

    #[test]
    fn an_early_end_says_what_was_missing() {
        let trace = Trace::quiet();
        trace.awaits("the greeting");
        assert_eq!(
            trace.closed(address()).to_string(),
            "10.0.1.1:25 closed the connection before the greeting"
        );
        trace.received(b"220");
        let failure = trace.broken(address(), &ErrorKind::ConnectionReset.into());
        assert_eq!(failure.fault, Fault::Reset);
        assert_eq!(
            failure.to_string(),
            "10.0.1.1:25 reset the connection within the greeting, after 3 bytes"
        );
    }

    #[test]
    fn a_dialogue_is_kept_on_request_and_within_bounds() {
        let quiet = Trace::quiet();
        quiet.sent(b"EHLO");
        assert_eq!(quiet.into_dialogue(), []);

        let trace = Trace::recording();
        for _ in 0..1_000 {
            trace.received(&[0; 1024]);
        }
        let dialogue = trace.into_dialogue();
        assert_eq!(dialogue.len(), 65);
        assert_eq!(dialogue[64].event, Event::Note("the rest is left out".to_owned()));
    }
}
