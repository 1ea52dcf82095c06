//! A program says whether the target works.
//!
//! It runs as an unprivileged user, in a process group of its own, without a shell, in the folder `/`, with nothing
//! on its standard input. When it ends, or its time is over, or the attempt is given up, the whole group is killed:
//! what it left in the background dies with it.
//!
//! Its environment is `PATH`, `LANG=C`, `DIRECTOR_PROBE_ADDRESS`, `DIRECTOR_PROBE_PORT` (0: none) and
//! `DIRECTOR_PROBE_TIMEOUT` (seconds, as `1` or `0.25`), nothing else.

mod output;
mod program;
#[cfg(test)]
mod tests;

use super::trace::Trace;
use crate::excerpt::line;
use crate::kind::{Exec, ExitMeaning};
use crate::{Failure, Fault, Passed, Target};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use output::{Output, SHOWN};
use program::{Group, Plan};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout};

/// Programs that run at once. Further ones wait.
const AT_ONCE: usize = 64;

/// Where programs look for others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
    let mut attempt = Attempt {
        name: name(&command),
        stage: Stage::Waits,
        waited: Duration::ZERO,
        output: Output::default(),
    };
    let result = match timeout(target.timeout, attempt.run(command, target, settings, programs, trace)).await
    {
        Ok(ended) => ended.and_then(|status| judge(&attempt.name, settings.exit, status, &attempt.output)),
        Err(_) => Err(attempt.timed_out(target)),
    };
    attempt.output.record(trace);
    result
}

/// What is known of a program so far.
struct Attempt {
    name: String,
    stage: Stage,
    /// How long others had their turn first.
    waited: Duration,
    output: Output,
}

/// How far it came.
enum Stage {
    /// Others have to end first.
    Waits,
    /// The system looks the user and the program up.
    Starts,
    /// It runs.
    Runs(Arc<Group>),
}

impl Attempt {
    async fn run(
        &mut self,
        command: Vec<String>,
        target: &Target,
        settings: &Exec,
        programs: &Programs,
        trace: &Trace,
    ) -> Result<ExitStatus, Failure> {
        let begin = Instant::now();
        let permit = Arc::clone(&programs.0).acquire_owned().await;
        self.waited = begin.elapsed();
        let permit = permit.map_err(|_| Failure::new(Fault::Local, "the director is stopping"))?;
        self.stage = Stage::Starts;
        trace.note(|| format!("runs {command:?} as {}", settings.user));
        let environment = [
            ("PATH", PATH.to_owned()),
            ("LANG", "C".to_owned()),
            ("DIRECTOR_PROBE_ADDRESS", target.address.ip().to_string()),
            ("DIRECTOR_PROBE_PORT", target.address.port().to_string()),
            ("DIRECTOR_PROBE_TIMEOUT", target.timeout.as_secs_f64().to_string()),
        ];
        let plan = Plan { command, user: settings.user.clone(), environment };
        let (tell, started) = oneshot::channel();
        // A thread of its own: looking up a user and starting a program may wait for a disk or a directory service.
        let mut ended = spawn_blocking(move || {
            let _until_it_is_gone = permit;
            program::run(plan, tell)
        });
        let Ok(running) = started.await else { return outcome(&mut ended).await };
        self.stage = Stage::Runs(Arc::clone(running.group()));
        self.output.listen(running.stdout, running.stderr).map_err(|error| {
            Failure::new(Fault::Local, format!("{} cannot be listened to: {error}", self.name))
        })?;
        let status = tokio::select! {
            status = outcome(&mut ended) => status,
            never = self.output.collect() => match never {},
        };
        self.output.collect_rest();
        status
    }

    /// What of the time went by before its turn came, if that matters.
    fn turn(&self, timeout: Duration) -> String {
        if self.waited < timeout / 4 {
            return String::new();
        }
        format!(
            " ({:.1?} of it waiting for its turn: the director runs at most {AT_ONCE} programs at once)",
            self.waited
        )
    }

    fn timed_out(&mut self, target: &Target) -> Failure {
        let (name, timeout) = (&self.name, target.timeout);
        match &self.stage {
            Stage::Waits => Failure::new(
                Fault::Local,
                format!(
                    "{name} did not get its turn within {timeout:?}: the director runs {AT_ONCE} programs already, \
                     and no more at once; have them run less often, or end sooner"
                ),
            ),
            Stage::Starts => {
                let reason = format!(
                    "{name} could not be started within {timeout:?}{}: is its disk, or the directory of users, slow?",
                    self.turn(timeout)
                );
                Failure::new(Fault::Local, reason)
            }
            Stage::Runs(group) => {
                let killed = match group.kill() {
                    Ok(()) => "was killed".to_owned(),
                    Err(Errno::EPERM) => {
                        "still runs: the director lacks the right to kill it (CAP_KILL)".to_owned()
                    }
                    Err(error) => format!("still runs, it cannot be killed: {error}"),
                };
                self.output.collect_rest();
                let said = self.output.said().map(|said| format!("; it said: {said}")).unwrap_or_default();
                Failure::new(
                    Fault::TimedOut,
                    format!("{name} did not end within {timeout:?}{} and {killed}{said}", self.turn(timeout)),
                )
            }
        }
    }
}

async fn outcome(ended: &mut JoinHandle<Result<ExitStatus, Failure>>) -> Result<ExitStatus, Failure> {
    ended.await.unwrap_or_else(|_| Err(Failure::new(Fault::Local, "the probe itself failed")))
}

/// What an exit status means.
fn judge(name: &str, meaning: ExitMeaning, status: ExitStatus, output: &Output) -> Result<Passed, Failure> {
    let said = output.said().map(|said| match meaning {
        // Figures for machines stand behind a bar.
        ExitMeaning::Nagios => said.split(" | ").next().unwrap_or_default().to_owned(),
        ExitMeaning::Weight => said,
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
        (ExitMeaning::Weight, _) => failed(""),
        (ExitMeaning::Nagios, 1) => Ok(Passed::with_note(said)),
        (ExitMeaning::Nagios, 2) => failed(" (critical)"),
        (ExitMeaning::Nagios, 3) => failed(" (unknown)"),
        (ExitMeaning::Nagios, _) => failed(""),
    }
}

fn signal(status: ExitStatus) -> String {
    match status.signal().map(|number| (number, Signal::try_from(number))) {
        Some((_, Ok(Signal::SIGKILL))) => "SIGKILL (by an operator, or because memory ran out)".to_owned(),
        Some((_, Ok(signal))) => signal.as_str().to_owned(),
        Some((number, Err(_))) => format!("signal {number}"),
        None => "an unknown signal".to_owned(),
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

/// The program's name for people: the last part of its path.
fn name(command: &[String]) -> String {
    let path = Path::new(command.first().map_or("", String::as_str));
    let name = path.file_name().unwrap_or(path.as_os_str());
    line(name.as_encoded_bytes(), SHOWN)
}
