//! The director under test: the real binary on a host of the lab.

use crate::error::Doing;
use crate::wait::eventually_some;
use crate::{Error, Host, Result, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Names the binary to test; without it, the one that cargo built beside this program.
const BINARY: &str = "DIRECTOR_BIN";

/// Where a director puts its socket unless told otherwise.
const RUN: &str = "/run/director";

/// Longest time to start or to stop.
const LIMIT: Duration = Duration::from_secs(10);

/// Longest time until probes have found out how a server is.
const VERDICT: Duration = Duration::from_secs(20);

/// A director on a host: its configuration, its state and, while it runs, its process.
#[derive(Debug)]
pub struct Director {
    host: Host,
    binary: PathBuf,
    directory: PathBuf,
    process: Option<Child>,
}

impl Director {
    /// A director that does not run yet.
    ///
    /// # Errors
    /// There is no binary, or the configuration cannot be written.
    pub fn new(host: Host, configuration: &str) -> Result<Self> {
        let (binary, directory) = (binary()?, host.directory()?);
        let director = Self { host, binary, directory, process: None };
        director.configure(configuration)?;
        Ok(director)
    }

    /// Its host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// It ends at once, or does not answer in time; the error has its log.
    pub fn start(&mut self) -> Result<()> {
        self.start_with(&[])
    }

    /// As [`Self::start`], with further arguments.
    ///
    /// # Errors
    /// It ends at once, or does not answer in time; the error has its log.
    pub fn start_with(&mut self, arguments: &[&str]) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log_path()).doing("opening a log")?;
        // A machine has a /run of its own; here all share one, so each director gets its part of it.
        let own_run = self.directory.join("run");
        fs::create_dir_all(&own_run).doing("making a directory")?;
        fs::create_dir_all(RUN).doing("making a directory")?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c"]).arg(format!("mount --bind \"$0\" {RUN} && exec \"$@\""));
        command.arg(own_run).arg(&self.binary).args(["run", "--config"]).arg(self.configuration_path());
        command.args(["--node", self.host.name(), "--state-dir"]).arg(self.directory.join("state"));
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(log.try_clone().doing("copying a file")?)
            .stdout(log);
        self.process = Some(self.host.spawn(&mut command)?);
        self.wait_until_ready()
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// It has ended, or does not answer in time; the error has its log.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let outcome = eventually_some(LIMIT, "the director answers", || {
            if let Some(Ok(Some(status))) = self.process.as_mut().map(Child::try_wait) {
                return Some(Err(format!("it ended: {status}")));
            }
            self.status().ok().map(|_| Ok(()))
        });
        let outcome = match outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(outcome)) => outcome,
            Err(late) => late.to_string(),
        };
        let (host, output) = (self.host.name().to_owned(), self.log());
        Err(Error::Command { host, command: "director run".to_owned(), outcome, output })
    }

    /// Runs another command of the director against this one; returns its standard output.
    ///
    /// # Errors
    /// It failed; the error shows all it printed.
    pub fn cli(&self, arguments: &[&str]) -> Result<String> {
        let output = self.try_cli(arguments)?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        Err(Error::Command {
            host: self.host.name().to_owned(),
            command: format!("director {}", arguments.join(" ")),
            outcome: output.status.to_string(),
            output: stdout + &String::from_utf8_lossy(&output.stderr),
        })
    }

    /// As [`Self::cli`], for commands that may fail.
    ///
    /// # Errors
    /// It could not be started.
    pub fn try_cli(&self, arguments: &[&str]) -> Result<Output> {
        let (binary, socket) = (self.binary.display().to_string(), self.socket().display().to_string());
        let words = [binary.as_str(), "--socket", &socket];
        self.host.output(words.iter().chain(arguments), "")
    }

    /// A command of the director against this one, as people would type it inside the sandbox.
    #[must_use]
    pub fn command_line(&self, arguments: &str) -> String {
        format!(
            "ip netns exec {} {} --socket {} {arguments}",
            self.host.name(),
            self.binary.display(),
            self.socket().display()
        )
    }

    /// `director status --output json`.
    ///
    /// # Errors
    /// It does not answer.
    pub fn status(&self) -> Result<Value> {
        let answer = self.cli(&["status", "--output", "json"])?;
        serde_json::from_str(&answer).map_err(|_| Error::Answer { question: "status".to_owned(), answer })
    }

    /// The entry of a server in [`Self::status`].
    ///
    /// # Errors
    /// It does not answer, or knows no such service or server.
    pub fn server(&self, service: &str, server: &str) -> Result<Value> {
        let status = self.status()?;
        let find = |list: &Value, name: &str| {
            list.as_array().into_iter().flatten().find(|entry| entry["name"] == name).cloned()
        };
        find(&status["services"], service).and_then(|service| find(&service["servers"], server)).ok_or_else(
            || Error::Answer { question: format!("{service}/{server}"), answer: status.to_string() },
        )
    }

    /// Waits until a server of a service is up.
    ///
    /// # Errors
    /// It is not in time; the error says how it is.
    pub fn comes_up(&self, service: &str, server: &str) -> Result<()> {
        self.becomes(service, server, "up", "")
    }

    /// Waits until a server of a service is down for a reason with these words.
    ///
    /// # Errors
    /// It is not in time; the error says how it is.
    pub fn goes_down(&self, service: &str, server: &str, words: &str) -> Result<()> {
        self.becomes(service, server, "down", words)
    }

    fn becomes(&self, service: &str, server: &str, state: &str, words: &str) -> Result<()> {
        let mut last = String::new();
        let outcome = eventually(VERDICT, "", || {
            let found = self.server(service, server).unwrap_or_default();
            let reason = found["reason"].as_str().unwrap_or_default();
            last = format!("{}: {reason}", found["state"]);
            found["state"] == state && reason.contains(words)
        });
        let late = || format!("{service}/{server} is {state}: {words}; it is {last}");
        outcome.map_err(|_| Error::Late { limit: VERDICT, what: late() })
    }

    /// The configuration file's text.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn configuration(&self) -> Result<String> {
        fs::read_to_string(self.configuration_path()).doing("reading a configuration")
    }

    /// Replaces the configuration file; nothing happens before a reload or restart.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn configure(&self, configuration: &str) -> Result<()> {
        fs::write(self.configuration_path(), configuration).doing("writing a configuration")
    }

    /// Replaces the configuration file and has it loaded.
    ///
    /// # Errors
    /// The director refuses it.
    pub fn reload(&self, configuration: &str) -> Result<()> {
        self.configure(configuration)?;
        self.cli(&["reload"]).map(drop)
    }

    /// Ends it as an operator would, and waits until it is gone.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn stop(&mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let Some(mut process) = self.process.take() else { return Ok(()) };
        eventually(LIMIT, "the director ends", || matches!(process.try_wait(), Ok(Some(_))))
    }

    /// Ends it with SIGKILL.
    ///
    /// # Errors
    /// It could not be waited for.
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill().doing("killing the director")?;
        process.wait().map(drop).doing("waiting for the director")
    }

    /// `director flush`: removes what a stopped director has left in the kernel.
    ///
    /// # Errors
    /// It fails.
    pub fn flush(&self) -> Result<()> {
        let state = self.directory.join("state").display().to_string();
        self.cli(&["flush", "--state-dir", &state]).map(drop)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = self.pid().and_then(|pid| i32::try_from(pid).ok()) else { return Ok(()) };
        kill(Pid::from_raw(pid), signal).doing(format!("sending {signal}"))
    }

    /// True while its process runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// All it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Path of its configuration file.
    #[must_use]
    pub fn configuration_path(&self) -> PathBuf {
        self.directory.join("director.yaml")
    }

    /// Path of its socket. The director itself sees it in its default place.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.join("run/director.sock")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("director.log")
    }
}

/// The binary to test: what the environment names, or what lies beside this program or its parent directory
/// (cargo puts tests into `target/debug/deps`).
///
/// # Errors
/// There is none.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(BINARY) {
        let path = PathBuf::from(path);
        return if path.exists() {
            Ok(path)
        } else {
            Err(Error::MissingDirector(path.display().to_string()))
        };
    }
    let program = std::env::current_exe().doing("looking for this program")?;
    let candidates: Vec<PathBuf> =
        program.ancestors().skip(1).take(2).map(|directory: &Path| directory.join("director")).collect();
    let missing = || {
        Error::MissingDirector(
            candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" or "),
        )
    };
    candidates.iter().find(|path| path.is_file()).cloned().ok_or_else(missing)
}
