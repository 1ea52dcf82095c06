//! A director whose process is started without anything around it, so that its start can be timed.

use crate::Outcome;
use lab::{Api, Host, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longest time of one step.
const LIMIT: Duration = Duration::from_secs(60);

/// Time between two looks for its socket.
const STEP: Duration = Duration::from_micros(200);

/// A running director.
pub(crate) struct Daemon {
    host: Host,
    binary: PathBuf,
    directory: PathBuf,
    process: Child,
    api: Api,
}

impl Daemon {
    /// Its socket, for the configuration.
    pub(crate) fn socket() -> PathBuf {
        Path::new(lab::sandbox::DIRECTORY).join("bench.sock")
    }

    /// Starts it as node `lb1` without any memory; returns once its control loop answers, and the time until then.
    pub(crate) fn start(host: &Host, configuration: &str) -> Outcome<(Self, Duration)> {
        let (binary, directory) = (lab::director::binary()?, host.directory()?);
        let file = directory.join("bench.yaml");
        fs::write(&file, configuration)?;
        let log = File::create(directory.join("bench.log"))?;
        let mut command = Command::new(&binary);
        command
            .args(["run", "--node", "lb1", "--config"])
            .arg(file)
            .arg("--state-dir")
            .arg(state(&directory));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let begin = Instant::now();
        let process = host.spawn(&mut command)?;
        let (host, api) = (host.clone(), Api::new(Self::socket()));
        let mut daemon = Self { host, binary, directory, process, api };
        daemon.wait_until_ready(begin)?;
        Ok((daemon, begin.elapsed()))
    }

    /// The socket is there before the data plane, and whoever asks meanwhile is answered as soon as that works. A
    /// question about a server that does not exist goes to the control loop and costs it nothing.
    fn wait_until_ready(&mut self, begin: Instant) -> Outcome {
        loop {
            if let Ok(answer) = self.api.ask("PUT", &path(0, "nobody"), &weight(1)) {
                return if answer.status == 404 { Ok(()) } else { Err(answer.body.into()) };
            }
            if let Some(status) = self.process.try_wait()? {
                return Err(format!("the director has ended: {status}").into());
            }
            if begin.elapsed() > LIMIT {
                return Err("the director does not answer".into());
            }
            sleep(STEP);
        }
    }

    /// `director status --output json`.
    pub(crate) fn status(&self) -> Outcome<serde_json::Value> {
        Ok(self.api.demand("GET", "/v1/status", "")?)
    }

    /// Sets the weight of exchange1 in a service by the API.
    pub(crate) fn call(&self, service: usize, value: u16) -> Outcome {
        self.api.demand("PUT", &path(service, "exchange1"), &weight(value))?;
        Ok(())
    }

    /// The same by the command.
    pub(crate) fn command(&self, service: usize, value: u16) -> Outcome {
        let mut command = Command::new(&self.binary);
        command.arg("--socket").arg(Self::socket()).args(["weight", &name(service), "exchange1"]);
        let status = command.arg(value.to_string()).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(format!("director weight: {status}").into()) }
    }

    /// A figure of its memory in MiB: `VmRSS` now, `VmHWM` at most so far.
    pub(crate) fn memory(&self, figure: &str) -> Outcome<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
        let kibibytes: f64 =
            line.and_then(|line| line.split_whitespace().next()).unwrap_or_default().parse()?;
        Ok(kibibytes / 1024.0)
    }

    /// Ends it, and removes what it left.
    pub(crate) fn stop(mut self) -> Outcome {
        kill(Pid::from_raw(self.process.id().try_into()?), Signal::SIGTERM)?;
        eventually(LIMIT, "the director ends", || matches!(self.process.try_wait(), Ok(Some(_))))?;
        let (binary, state) = (self.binary.display(), state(&self.directory));
        let socket = Self::socket();
        let flush = format!("{binary} --socket {} flush --state-dir {}", socket.display(), state.display());
        self.host.run(&flush)?;
        Ok(fs::remove_dir_all(state)?)
    }
}

/// The name of the service with that number.
pub(crate) fn name(service: usize) -> String {
    format!("service-{service}")
}

fn path(service: usize, server: &str) -> String {
    format!("/v1/services/{}/servers/{server}/weight", name(service))
}

fn weight(value: u16) -> String {
    json!({ "weight": value }).to_string()
}

fn state(directory: &Path) -> PathBuf {
    directory.join("bench-state")
}
