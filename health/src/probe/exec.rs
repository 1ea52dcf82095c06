//! A program says whether the target works.
//!
//! It runs as an unprivileged user; [`crate::program`] says how. When its time is over, or the attempt is given up, it
//! is killed.
//!
//! Its environment is `PATH`, `LANG=C`, `DIRECTOR_PROBE_ADDRESS`, `DIRECTOR_PROBE_PORT` (0: none) and
//! `DIRECTOR_PROBE_TIMEOUT` (seconds, as `1` or `0.25`), nothing else.

#[cfg(test)]
mod tests;

use super::trace::Trace;
use crate::kind::{Exec, ExitMeaning};
use crate::program::{PATH, Plan, Program, name, signal};
use crate::{Failure, Fault, Passed, Target};
use nix::errno::Errno;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// Programs that run at once. Further ones wait.
const AT_ONCE: usize = 64;

/// Leave to run programs.
#[derive(Debug)]
pub(crate) struct Programs(Arc<Semaphore>);

impl Default for Programs {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// Runs the program, no longer than the target's timeout; the wait for its turn counts.
///
/// # Errors
/// It says that the target does not work, says nothing in time, or cannot be run.
pub(crate) async fn probe(
    target: &Target,
    settings: &Exec,
    programs: &Programs,
    trace: &Trace,
) -> Result<Passed, Failure> {
    let command = command(target, settings);
    let mut attempt = Attempt { name: name(&command), waited: None, program: None };
    let result = match timeout(target.timeout, attempt.run(command, target, settings, programs, trace)).await
    {
        Ok(Ok((status, said))) => judge(&attempt.name, settings.exit, status, said),
        Ok(Err(failure)) => Err(failure),
        Err(_) => Err(attempt.timed_out(target)),
    };
    if let Some(program) = &attempt.program {
        program.output().record(trace);
    }
    result
}

/// What is known of a program so far.
struct Attempt {
    name: String,
    /// How long others had their turn first; `None` while they have it.
    waited: Option<Duration>,
    /// `None` while the system looks the user and the program up.
    program: Option<Program>,
}

impl Attempt {
    /// How it ended, and the first line that it said.
    async fn run(
        &mut self,
        command: Vec<String>,
        target: &Target,
        settings: &Exec,
        programs: &Programs,
        trace: &Trace,
    ) -> Result<(ExitStatus, Option<String>), Failure> {
        let begin = Instant::now();
        let permit = Arc::clone(&programs.0).acquire_owned().await;
        self.waited = Some(begin.elapsed());
        let permit = permit.map_err(|_| Failure::new(Fault::Local, "the director is stopping"))?;
        trace.note(|| format!("runs {command:?} as {}", settings.user));
        let environment = vec![
            ("PATH", PATH.to_owned()),
            ("LANG", "C".to_owned()),
            ("DIRECTOR_PROBE_ADDRESS", target.address.ip().to_string()),
            ("DIRECTOR_PROBE_PORT", target.address.port().to_string()),
            ("DIRECTOR_PROBE_TIMEOUT", target.timeout.as_secs_f64().to_string()),
        ];
        let plan = Plan { command, user: Some(settings.user.clone()), environment };
        let program = self.program.insert(Program::start(plan, permit).await?);
        let status = program.ended().await?;
        Ok((status, program.output().said()))
    }

    fn timed_out(&mut self, target: &Target) -> Failure {
        let (name, timeout) = (&self.name, target.timeout);
        let Some(waited) = self.waited else {
            return Failure::new(
                Fault::Local,
                format!(
                    "{name} did not get its turn within {timeout:?}: the director runs {AT_ONCE} programs already, \
                     and no more at once; have them run less often, or end sooner"
                ),
            );
        };
        let turn = turn(waited, timeout);
        let Some(program) = &mut self.program else {
            let reason = format!(
                "{name} could not be started within {timeout:?}{turn}: is its disk, or the directory of users, slow?"
            );
            return Failure::new(Fault::Local, reason);
        };
        let killed = match program.kill() {
            Ok(()) => "was killed".to_owned(),
            Err(Errno::EPERM) => "still runs: the director lacks the right to kill it (CAP_KILL)".to_owned(),
            Err(error) => format!("still runs, it cannot be killed: {error}"),
        };
        let said = program.output().said().map(|said| format!("; it said: {said}")).unwrap_or_default();
        Failure::new(
            Fault::TimedOut,
            format!("{name} did not end within {timeout:?}{turn} and {killed}{said}"),
        )
    }
}

/// What of the time went by before its turn came, if that matters.
fn turn(waited: Duration, timeout: Duration) -> String {
    if waited < timeout / 4 {
        return String::new();
    }
    format!(
        " ({waited:.1?} of it waiting for its turn: the director runs at most {AT_ONCE} programs at once)"
    )
}

/// What an exit status means.
fn judge(
    name: &str,
    meaning: ExitMeaning,
    status: ExitStatus,
    said: Option<String>,
) -> Result<Passed, Failure> {
    let said = said.map(|said| match meaning {
        // Figures for machines stand behind a bar.
        ExitMeaning::Nagios => said.split(" | ").next().unwrap_or_default().to_owned(),
        ExitMeaning::Weight | ExitMeaning::Plain => said,
    });
    let said = said.unwrap_or_else(|| "it said nothing".to_owned());
    let Some(code) = status.code() else {
        return Err(Failure::new(Fault::Answer, format!("{name} was killed by {}: {said}", signal(status))));
    };
    let failed = |meaning: &str| {
        Err(Failure::new(Fault::Answer, format!("{name} exited with status {code}{meaning}: {said}")))
    };
    match (meaning, code) {
        (_, 0) => Ok(Passed::default()),
        (ExitMeaning::Weight, 2..=255) => {
            Ok(Passed { note: Some(said.into()), weight: u8::try_from(code - 2).ok() })
        }
        (ExitMeaning::Weight | ExitMeaning::Plain, _) => failed(""),
        (ExitMeaning::Nagios, 1) => Ok(Passed::with_note(said)),
        (ExitMeaning::Nagios, 2) => failed(" (critical)"),
        (ExitMeaning::Nagios, 3) => failed(" (unknown)"),
        (ExitMeaning::Nagios, _) => failed(""),
    }
}

/// The command, with the target's address and port in their places. A `%` before anything else stays.
fn command(target: &Target, settings: &Exec) -> Vec<String> {
    let expand = |word: &String| {
        let mut text = String::new();
        let mut rest = word.as_str();
        while let Some((before, after)) = rest.split_once('%') {
            text.push_str(before);
            let (with, length) = match after.chars().next() {
                Some('h') => (target.address.ip().to_string(), 1),
                Some('p') => (target.address.port().to_string(), 1),
                Some('%') => ("%".to_owned(), 1),
                _ => ("%".to_owned(), 0),
            };
            text.push_str(&with);
            rest = after.get(length..).unwrap_or_default();
        }
        text + rest
    };
    settings.command.iter().map(expand).collect()
}
