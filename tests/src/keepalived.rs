//! keepalived, to talk to and to compare with: `apt-get install keepalived`.

use crate::error::Doing;
use crate::{Host, Need, Result, eventually};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// For tests with it: [`crate::test_with`].
pub const NEED: Need = Need::Program("keepalived", "keepalived");

/// Longest time to stop.
const LIMIT: Duration = Duration::from_secs(10);

/// keepalived on a host: its configuration and, while it runs, its processes. It is killed when dropped.
#[derive(Debug)]
pub struct Keepalived {
    host: Host,
    directory: PathBuf,
    process: Option<Child>,
}

impl Keepalived {
    /// One that does not run yet, with a configuration as keepalived.conf(5) describes.
    ///
    /// # Errors
    /// The configuration cannot be written.
    pub fn new(host: Host, configuration: &str) -> Result<Self> {
        let directory = host.directory()?;
        let keepalived = Self { host, directory, process: None };
        keepalived.configure(configuration)?;
        Ok(keepalived)
    }

    /// Its host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Starts it, VRRP alone. It works a little later.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log_path()).doing("opening a log")?;
        let file = |name: &str| self.directory.join(name);
        for left in ["keepalived.pid", "vrrp.pid"] {
            // One that was killed leaves them, and its orphan keeps its number as long as nobody asks how it ended.
            let _ = fs::remove_file(file(left));
        }
        let mut command = Command::new("keepalived");
        command.args(["--vrrp", "--dont-fork", "--log-console", "--log-detail", "--use-file"]);
        command.arg(file("keepalived.conf"));
        command.arg("--pid").arg(file("keepalived.pid")).arg("--vrrp_pid").arg(file("vrrp.pid"));
        command.stdin(Stdio::null()).stdout(log.try_clone().doing("copying a file")?).stderr(log);
        // The process that does the work is a child of the one that is started.
        command.process_group(0);
        self.process = Some(self.host.spawn(&mut command)?);
        Ok(())
    }

    /// Replaces the configuration file; nothing happens before a reload or start.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn configure(&self, configuration: &str) -> Result<()> {
        fs::write(self.directory.join("keepalived.conf"), configuration).doing("writing a configuration")
    }

    /// Replaces the configuration file and has it loaded, which takes a moment.
    ///
    /// # Errors
    /// It cannot be written, or keepalived has ended.
    pub fn reload(&self, configuration: &str) -> Result<()> {
        self.configure(configuration)?;
        self.signal(Signal::SIGHUP)
    }

    /// Ends it as an operator would, and waits until it is gone.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn stop(&mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let Some(mut process) = self.process.take() else { return Ok(()) };
        eventually(LIMIT, "keepalived ends", || matches!(process.try_wait(), Ok(Some(_))))
    }

    /// Ends all its processes at once with SIGKILL.
    ///
    /// # Errors
    /// It could not be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.signal_all(Signal::SIGKILL)?;
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.wait().map(drop).doing("waiting for keepalived")
    }

    /// Sends all its processes a signal, as to freeze them.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal_all(&self, signal: Signal) -> Result<()> {
        let Some(group) = self.pid() else { return Ok(()) };
        killpg(group, signal).doing(format!("sending {signal}"))
    }

    /// All it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        nix::sys::signal::kill(pid, signal).doing(format!("sending {signal}"))
    }

    fn pid(&self) -> Option<Pid> {
        self.process.as_ref().and_then(|process| i32::try_from(process.id()).ok()).map(Pid::from_raw)
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("keepalived.log")
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.kill();
    }
}
