//! What can go wrong in the lab itself.

use std::time::Duration;

/// The lab could not do what was asked. What the system under test does wrong is not an error but an observation:
/// see [`crate::Failure`] and [`crate::Tally`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that the lab calls is not installed.
    #[error("{program} is missing: apt-get install {package}")]
    MissingProgram {
        /// What is called.
        program: &'static str,
        /// Debian's package that has it.
        package: &'static str,
    },
    /// Only root can run it.
    #[error("{0} needs several users, which only root has: run as root")]
    NotRoot(&'static str),
    /// There is no director to test.
    #[error("there is no director binary at {0}\n  hint: build it first: cargo build")]
    MissingDirector(String),
    /// This user may not make namespaces.
    #[error(
        "this user may not make network namespaces: {0}\n  hint: run as root, or allow user namespaces \
         (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)"
    )]
    Namespaces(String),
    /// A command failed.
    #[error("on {host}: {command}\n  {outcome}\n{output}")]
    Command {
        /// Where it ran.
        host: String,
        /// The command line.
        command: String,
        /// Exit status or time limit.
        outcome: String,
        /// Its standard output and error.
        output: String,
    },
    /// A system call failed.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// What was waited for did not happen.
    #[error("not within {limit:?}: {what}")]
    Late {
        /// The limit that passed.
        limit: Duration,
        /// What was waited for.
        what: String,
    },
    /// An answer could not be understood.
    #[error("unexpected answer to {question}: {answer}")]
    Answer {
        /// What was asked.
        question: String,
        /// What came back.
        answer: String,
    },
}

/// Adds what was being done to a system call's error.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl Into<String>) -> Result<T, Error>;
}

impl<T, E: Into<std::io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T, Error> {
        self.map_err(|error| Error::System { doing: what.into(), source: error.into() })
    }
}
