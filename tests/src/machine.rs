//! A machine that systemd runs, as process 1 of namespaces of its own: what starts a daemon there is its unit.

use crate::error::Doing;
use crate::sandbox::only_child;
use crate::wait::eventually;
use crate::{Error, Host, Result};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Longest time until systemd runs.
const LIMIT: Duration = Duration::from_secs(20);

/// Makes its root and becomes systemd.
const BOOT: &str = include_str!("machine/boot.sh");

/// A machine. It is off when this is dropped.
#[derive(Debug)]
pub struct Machine {
    name: String,
    /// `unshare`: when it ends, so does systemd, and everything with it.
    outer: Child,
    systemd: u32,
    /// Goes last.
    _group: Group,
    /// Where the journal is left, for whoever wants to know what went wrong.
    journal: PathBuf,
}

impl Machine {
    /// Why there can be none here, if so: systemd is not installed, or this user may not make control groups. One is
    /// started to find out.
    #[must_use]
    pub fn impossible() -> Option<String> {
        if !Path::new("/lib/systemd/systemd").exists() {
            return Some("systemd is not installed".to_owned());
        }
        if !nix::unistd::geteuid().is_root() {
            return Some("only root can make control groups".to_owned());
        }
        let folder = match TempDir::new() {
            Ok(folder) => folder,
            Err(error) => return Some(format!("there is no room for files of its own: {error}")),
        };
        let files = folder.path().join("files");
        let tried = fs::create_dir(&files)
            .doing("making a directory")
            .and_then(|()| Self::boot(None, folder.path(), &files, Path::new("")).map(drop));
        let log = fs::read_to_string(folder.path().join("systemd.log")).unwrap_or_default();
        tried.err().map(|error| format!("systemd does not run as process 1 of a namespace: {error}\n{log}"))
    }

    /// Starts one with the network of `host`. What lies in `files` is below `/` there; `director` is `/opt/director`.
    ///
    /// # Errors
    /// It does not come up in time.
    pub fn start(host: &Host, files: &Path, director: &Path) -> Result<Self> {
        Self::boot(Some(host), &host.directory()?, files, director)
    }

    fn boot(host: Option<&Host>, folder: &Path, files: &Path, director: &Path) -> Result<Self> {
        let group = Group::new()?;
        let log = File::create(folder.join("systemd.log")).doing("making a log")?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(
            "echo $$ > \"$0/cgroup.procs\" && exec unshare --fork --kill-child --pid --mount --uts --ipc --cgroup \"$@\"",
        );
        command.arg(&group.0);
        if host.is_none() {
            command.arg("--net");
        }
        command.args(["--", "sh", "-c", BOOT]).arg("boot.sh").arg(folder.join("root")).arg(files);
        command.arg(director);
        command.stdin(Stdio::null()).stderr(log.try_clone().doing("copying a file")?).stdout(log);
        let outer = match host {
            Some(host) => host.spawn(&mut command)?,
            None => command.spawn().doing("starting unshare")?,
        };
        let name = host.map_or_else(String::new, |host| host.name().to_owned());
        let mut machine =
            Self { name, systemd: 0, outer, _group: group, journal: folder.join("journal.log") };
        machine.systemd = only_child(machine.outer.id())
            .ok_or_else(|| Error::Late { limit: LIMIT, what: "systemd is process 1".to_owned() })?;
        let up = || machine.run(&["systemctl", "is-active", "lab.target"]).is_ok();
        eventually(LIMIT, "systemd runs", up)?;
        Ok(machine)
    }

    /// Runs a command there; returns its standard output.
    ///
    /// # Errors
    /// It failed; the error shows all it printed.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let output = self.output(words)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let texts = [output.stdout, output.stderr];
        Err(Error::Command {
            host: self.name.clone(),
            command: words.join(" "),
            outcome: output.status.to_string(),
            output: texts.map(|text| String::from_utf8_lossy(&text).into_owned()).concat(),
        })
    }

    /// Runs a command there; whatever it returns is fine.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn output(&self, words: &[&str]) -> Result<Output> {
        let target = self.systemd.to_string();
        let mut command = Command::new("timeout");
        command.args(["--kill-after=1", "60", "nsenter", "--target", &target, "--all", "--"]).args(words);
        command.stdin(Stdio::null()).output().doing(format!("starting {command:?}"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // There is nobody to tell if one of these fails.
        if let Ok(journal) = self.output(&["journalctl", "--no-pager", "--output=cat"]) {
            let _ = fs::write(&self.journal, journal.stdout);
        }
        let _ = self.outer.kill();
        let _ = self.outer.wait();
    }
}

/// A control group of its own in the unified hierarchy, which goes with those below it.
#[derive(Debug)]
struct Group(PathBuf);

impl Group {
    /// Many processes have our number, each in another namespace.
    fn new() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").doing("reading the mounts")?;
        let unified = mounts.lines().map(|line| line.split(' ')).find_map(|mut words| {
            let path = words.nth(1)?;
            (words.next() == Some("cgroup2")).then(|| PathBuf::from(path))
        });
        let missing =
            || std::io::Error::new(ErrorKind::NotFound, "no control groups of version 2 are mounted");
        let group = unified.ok_or_else(missing).doing("looking for control groups")?;
        let own = fs::read_link("/proc/self/ns/pid").doing("looking for our namespace")?;
        let digits = own.to_string_lossy().replace(|it: char| !it.is_ascii_digit(), "");
        let group = group.join(format!("director-lab-{digits}-{}", std::process::id()));
        fs::create_dir_all(&group).doing(format!("making {}", group.display()))?;
        Ok(Self(group))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel takes a moment to end all processes.
        let _ = eventually(LIMIT, "its control groups are empty", || remove(&self.0));
    }
}

/// Removes a control group with all below it; false if somebody is still in one.
fn remove(group: &Path) -> bool {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let left = folders.filter(|folder| !remove(&folder.path())).count();
    left == 0 && fs::remove_dir(group).is_ok()
}
