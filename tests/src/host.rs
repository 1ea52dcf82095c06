//! A machine of the lab: a network namespace with a name.

use crate::error::Doing;
use crate::{Error, Result};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Longest time a command may take, in seconds.
const COMMAND_LIMIT: &str = "30";

/// A machine of the lab. Copies name the same machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: String,
    /// The namespace's file.
    namespace: PathBuf,
}

impl Host {
    /// The machine with that name; `ip netns` knows it.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), namespace: Path::new("/run/netns").join(name) }
    }

    /// The sandbox itself, in which there is no network.
    pub(crate) fn sandbox() -> Self {
        Self { name: "the sandbox".to_owned(), namespace: "/proc/1/ns/net".into() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A directory for this host's files, made if need be. Files that end in `.log` are shown when a test fails.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn directory(&self) -> Result<PathBuf> {
        let path = PathBuf::from(crate::sandbox::DIRECTORY).join(&self.name);
        std::fs::create_dir_all(&path).doing(format!("making {}", path.display()))?;
        Ok(path)
    }

    /// Does `work` on this host, in a thread of its own: sockets it makes, processes and threads it starts belong
    /// to this host for good.
    ///
    /// # Errors
    /// The host is gone.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let namespace = File::open(&self.namespace).doing(format!("opening {}", self.namespace.display()))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&namespace, CloneFlags::CLONE_NEWNET).doing(format!("entering {}", self.name))?;
                Ok(work())
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a command, given as words separated by spaces, for at most 30 seconds; returns its standard output.
    ///
    /// # Errors
    /// It failed; the error shows the command and all it printed.
    pub fn run(&self, command: &str) -> Result<String> {
        self.feed(command, "")
    }

    /// As [`Self::run`], with `input` as its standard input.
    ///
    /// # Errors
    /// It failed; the error shows the command and all it printed.
    pub fn feed(&self, command: &str, input: &str) -> Result<String> {
        let output = self.output(command.split_whitespace(), input)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Command {
            host: self.name.clone(),
            command: command.to_owned(),
            outcome: match output.status.code() {
                Some(124) => format!("took longer than {COMMAND_LIMIT} s"),
                Some(code) => format!("exit status {code}"),
                None => output.status.to_string(),
            },
            output: [output.stdout, output.stderr]
                .map(|text| String::from_utf8_lossy(&text).into_owned())
                .concat(),
        })
    }

    /// Runs a command for at most 30 seconds (exit status 124 then); whatever it returns is fine.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn output<W: AsRef<std::ffi::OsStr>>(
        &self,
        words: impl IntoIterator<Item = W>,
        input: &str,
    ) -> Result<Output> {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=1", COMMAND_LIMIT]).args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn(&mut command)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its input ends without it.
            let _ = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output().doing(format!("waiting for {command:?}"))
    }

    /// Starts a process here. It ends with the sandbox at the latest.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        self.enter(|| command.spawn().doing(format!("starting {command:?}")))?
    }

    /// Sets a kernel setting, named as for sysctl.
    ///
    /// # Errors
    /// The kernel has no such setting, or refuses the value.
    pub fn set(&self, setting: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{}", setting.replace('.', "/"));
        self.enter(|| std::fs::write(&path, value).doing(format!("writing {value} to {path}")))?
    }

    /// True if one of its interfaces has that address.
    ///
    /// # Errors
    /// A command failed.
    pub fn has_address(&self, address: IpAddr) -> Result<bool> {
        let family = if address.is_ipv4() { "-4" } else { "-6" };
        Ok(!self.run(&format!("ip -oneline {family} address show to {address}"))?.is_empty())
    }

    /// The Ethernet address of one of its interfaces, as `ip` writes it.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn mac(&self, interface: &str) -> Result<String> {
        let answer = self.run(&format!("ip -brief link show dev {interface}"))?;
        let mac = answer.split_whitespace().nth(2).map(str::to_owned);
        mac.ok_or_else(|| Error::Answer { question: format!("the address of {interface}"), answer })
    }

    /// True if it knows that address, and to be there.
    ///
    /// # Errors
    /// A command failed.
    pub fn knows(&self, address: IpAddr, mac: &str) -> Result<bool> {
        Ok(self.run(&format!("ip neighbour show {address}"))?.contains(mac))
    }

    /// True if the kernel has that setting here.
    pub(crate) fn has(&self, setting: &str) -> Result<bool> {
        let path = format!("/proc/sys/{}", setting.replace('.', "/"));
        self.enter(|| Path::new(&path).exists())
    }
}

/// True if a process with this command line, its words separated by spaces, runs anywhere in the sandbox.
#[must_use]
pub fn runs(command: &str) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    // Each word ends with a zero byte.
    lines.any(|line| {
        line.strip_suffix(b"\0")
            .is_some_and(|line| line.split(|byte| *byte == 0).eq(command.split(' ').map(str::as_bytes)))
    })
}
