//! Targets, attempts and servers for tests.

pub(crate) mod server;

use super::trace::{Event, Trace};
use super::{Resources, attempt as make};
use crate::kind::{Exec, ExitMeaning};
use crate::{Failure, Kind, Origin, Pace, Passed, Policy, Start, Target};
use nix::unistd::{User, geteuid};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A target with time enough on a busy machine.
pub(crate) fn target(kind: Kind, address: SocketAddr) -> Target {
    let second = Duration::from_secs(1);
    Target {
        kind: Arc::new(kind),
        address,
        origin: Origin::default(),
        pace: Pace { interval: second, retry: second, jitter: second },
        timeout: 20 * second,
        policy: Policy { rise: 2, fall: 3, start: Start::Up, slow: None, damping: None },
    }
}

/// One attempt.
pub(crate) async fn attempt(target: &Target) -> Result<Passed, Failure> {
    make(target, &Resources::default(), &Trace::quiet()).await.result
}

/// The reason of an attempt that fails.
pub(crate) async fn failure(target: &Target) -> String {
    attempt(target).await.unwrap_err().to_string()
}

/// One attempt, with the dialogue as text: `> ` sent, `< ` received, `* ` notes.
pub(crate) async fn dialogue(target: &Target) -> (Result<Passed, Failure>, Vec<String>) {
    let trace = Trace::recording();
    let outcome = make(target, &Resources::default(), &trace).await;
    let lines = trace.into_dialogue().into_iter().map(|step| match step.event {
        Event::Note(text) => format!("* {text}"),
        Event::Sent(bytes) => format!("> {}", bytes.escape_ascii()),
        Event::Received(bytes) => format!("< {}", bytes.escape_ascii()),
    });
    (outcome.result, lines.collect())
}

/// Whom tests may run programs as: root anybody, others themselves.
pub(crate) fn user() -> String {
    if geteuid().is_root() {
        return "nobody".to_owned();
    }
    User::from_uid(geteuid()).unwrap().unwrap().name
}

/// A shell that runs `script`.
pub(crate) fn shell(script: &str) -> Kind {
    let command = vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
    Kind::Exec(Exec { command, user: user(), exit: ExitMeaning::Weight })
}
