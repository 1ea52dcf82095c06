//! A director whose process is started without anything around it, so that its start can be timed.

use crate::{Outcome, processor};
use lab::{Api, Host, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
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

    /// Replaces the file and has it loaded; the time from the request to the answer.
    pub(crate) fn reload(&self, configuration: &str) -> Outcome<Duration> {
        fs::write(self.directory.join("bench.yaml"), configuration)?;
        let begin = Instant::now();
        self.api.demand("POST", "/v1/reload", "")?;
        Ok(begin.elapsed())
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

    /// Lists all connections by the API; how many there are.
    pub(crate) fn connections(&self) -> Outcome<usize> {
        let answer = self.api.ask("GET", "/v1/connections", "")?;
        Ok(answer.body.lines().filter(|line| line.starts_with('{')).count())
    }

    /// Lists all connections by the command: lines, and its peak memory in MiB.
    pub(crate) fn list(&self, output: &str) -> Outcome<(usize, f64)> {
        let mut command = Command::new(&self.binary);
        command.arg("--socket").arg(Self::socket()).args(["connections", "--output", output]);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let (mut lines, mut peak) = (0, 0.0);
        for _ in BufReader::new(process.stdout.take().ok_or("no output")?).lines() {
            lines += 1;
            if lines % 1000 == 0 {
                peak = memory(process.id(), "VmHWM").unwrap_or(peak);
            }
        }
        let status = process.wait()?;
        if status.success() {
            Ok((lines, peak))
        } else {
            Err(format!("director connections: {status}").into())
        }
    }

    /// Ends all connections; how many there were.
    pub(crate) fn end_connections(&self) -> Outcome<usize> {
        let answer = self.api.demand("DELETE", "/v1/connections?all=true", "")?;
        Ok(answer["ended"].as_u64().ok_or("no number")?.try_into()?)
    }

    /// A figure of its memory in MiB: `VmRSS` now, `VmHWM` at most so far.
    pub(crate) fn memory(&self, figure: &str) -> Outcome<f64> {
        memory(self.process.id(), figure)
    }

    /// Time that it has kept a processor busy.
    pub(crate) fn processor(&self) -> Outcome<Duration> {
        processor::of_process(self.process.id())
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

/// A figure of a process's memory in MiB.
fn memory(process: u32, figure: &str) -> Outcome<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
    let kibibytes: f64 = line.and_then(|line| line.split_whitespace().next()).unwrap_or_default().parse()?;
    Ok(kibibytes / 1024.0)
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
