//! Why a command failed, and how that is told.

use super::output::complain;
use super::{Output, ServerArgs};
use crate::api::Problem;
use crate::client;
use crate::command::error::CommandError;
use crate::configuration::LoadError;
use crate::control::offline::OfflineError;
use crate::daemon::DaemonError;
use crate::telemetry;
use director_core::config::Report;
use serde_json::{Value, json};
use std::error::Error;
use std::io;
use std::path::PathBuf;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The running director could not be asked, or refused.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The configuration.
    #[error(transparent)]
    Configuration(#[from] LoadError),
    /// The daemon did not run.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// Without a running director.
    #[error(transparent)]
    Offline(#[from] OfflineError),
    /// Files do not hold. What is wrong with them has been told.
    #[error("{bad} of {all} files cannot be used")]
    Check {
        /// Files with errors.
        bad: usize,
        /// All files.
        all: usize,
    },
    /// A name that the file does not have.
    #[error(transparent)]
    Name(CommandError),
    /// Too few of a server's probes pass. What they said has been told.
    #[error("{service}/{server} would be down")]
    Down {
        /// The service.
        service: String,
        /// The server.
        server: String,
    },
    /// Probes fail. Which ones, and why, has been told.
    #[error("{failed} of {all} targets fail")]
    Targets {
        /// Those that fail.
        failed: usize,
        /// All that were tried.
        all: usize,
    },
    /// A running director would put everything back at once.
    #[error("a director is running: it answers on {}. Stop it first: it would put everything back", .0.display())]
    Running(PathBuf),
    /// Somebody ended the drain that was waited for.
    #[error("{}/{} is no longer drained: somebody enabled or reset it, or took it out of the configuration", .0.service, .0.server)]
    DrainEnded(ServerArgs),
    /// Nobody took over.
    #[error(
        "this director is Active again: nobody else took over. See 'director events' here and on the others"
    )]
    NobodyElse,
    /// Nobody is heard.
    #[error("no Active is heard after {seconds} s: see 'director status' here and on the others")]
    NoActive {
        /// So long was waited.
        seconds: u64,
    },
    /// Threads, or the means to wait for sockets.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
    /// The result could not be written.
    #[error("cannot write the result")]
    Output(#[source] io::Error),
    /// `RUST_LOG` cannot be understood.
    #[error("RUST_LOG is wrong")]
    Log(#[from] tracing_subscriber::filter::ParseError),
}

impl Failure {
    /// Tells it on standard error.
    pub fn report(&self, output: Output) {
        match output {
            Output::Text => complain(&telemetry::as_error(self.text())),
            Output::Json => complain(&format!("{}\n", self.json())),
        }
    }

    fn text(&self) -> String {
        match (self.invalid(), self.problem()) {
            // A report has its own form: a paragraph an error.
            (Some(report), _) => report.to_string(),
            (None, Some(problem)) => problem_text(problem),
            (None, None) => format!("error: {}\n", chain(self)),
        }
    }

    fn json(&self) -> Value {
        match (self.invalid(), self.problem()) {
            (Some(report), _) => json!(report),
            (None, Some(problem)) => json!(problem),
            (None, None) => json!({ "detail": chain(self) }),
        }
    }

    fn problem(&self) -> Option<&Problem> {
        if let Self::Client(client::Error::Refused(problem)) = self { Some(problem) } else { None }
    }

    fn invalid(&self) -> Option<&Report> {
        if let Self::Configuration(error) | Self::Daemon(DaemonError::Configuration(error)) = self
            && let LoadError::Invalid(report) = error
        {
            Some(report)
        } else {
            None
        }
    }
}

fn problem_text(problem: &Problem) -> String {
    let Problem { title, detail, hint, .. } = problem;
    let hint = hint.as_deref().unwrap_or_default();
    match (detail.contains('\n'), hint) {
        (true, "") => format!("error: {title}\n\n{}\n", detail.trim_end()),
        (true, hint) => format!("error: {title}: {hint}\n\n{}\n", detail.trim_end()),
        (false, "") => format!("error: {detail}\n"),
        (false, hint) => format!("error: {detail}\n  hint: {hint}\n"),
    }
}

/// The error and its causes, those left out that it names itself.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Kind;

    fn refused() -> Failure {
        let problem = Problem::new(Kind::UnknownService, "there is no service named \"exchagne\"");
        client::Error::Refused(problem.hint("did you mean \"exchange\"?")).into()
    }

    #[test]
    fn a_refusal_is_told_with_its_hint() {
        let text = "error: there is no service named \"exchagne\"\n  hint: did you mean \"exchange\"?\n";
        assert_eq!(refused().text(), text);
        assert_eq!(refused().json()["type"], "urn:director:unknown-service");
    }

    #[test]
    fn a_refused_reload_shows_the_whole_report() {
        let report = "d.yaml:1:1: error: unknown key \"foo\"\n    1 | foo: 1\n      | ^^^\n";
        let error = CommandError::Configuration(report.into());
        let failure = Failure::from(client::Error::Refused(error.into()));
        assert_eq!(
            failure.text(),
            format!(
                "error: configuration refused: the one in force stays; correct the file and reload\n\n{report}"
            )
        );
    }

    #[test]
    fn causes_are_told_once() {
        let cause = || io::Error::other("no space left on device");
        assert_eq!(
            Failure::Output(cause()).text(),
            "error: cannot write the result: no space left on device\n"
        );
        let error = LoadError::Read { path: "/a.yaml".into(), source: cause() };
        assert_eq!(Failure::from(error).text(), "error: /a.yaml: no space left on device\n");
        assert_eq!(
            Failure::Output(cause()).json()["detail"],
            "cannot write the result: no space left on device"
        );
    }
}
