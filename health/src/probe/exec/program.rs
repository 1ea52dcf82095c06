//! A program and everything that it starts: begun, waited for, killed.

use crate::excerpt::line;
use crate::{Failure, Fault};
use nix::errno::Errno;
use nix::sys::prctl::set_no_new_privs;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, User, geteuid};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// So many bytes of a file tell what it is.
const HEAD: usize = 256;

/// What is to be run.
#[derive(Debug)]
pub(super) struct Plan {
    /// The program's path, and its arguments.
    pub(super) command: Vec<String>,
    /// Name of the user that it runs as.
    pub(super) user: String,
    /// All of its environment.
    pub(super) environment: [(&'static str, String); 5],
}

/// A program that runs until it ends, or this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    killed_by_drop: KilledByDrop,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// A program and all that it started, as far as they stayed in its process group.
#[derive(Debug)]
pub(super) struct Group(Mutex<Option<Pid>>);

#[derive(Debug)]
struct KilledByDrop(Arc<Group>);

/// Runs a program to its end: blocks. `tell` gets what it takes to listen to it and to kill it.
///
/// # Errors
/// It cannot be run; why, in words.
pub(super) fn run(plan: Plan, tell: oneshot::Sender<Running>) -> Result<ExitStatus, Failure> {
    let local = |reason: String| Failure::new(Fault::Local, reason);
    let (mut child, program) = spawn(plan)?;
    let pid = i32::try_from(child.id()).map_err(|error| local(error.to_string()))?;
    let group = Arc::new(Group(Mutex::new(Some(Pid::from_raw(pid)))));
    let killed_by_drop = KilledByDrop(Arc::clone(&group));
    if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
        // Nobody there: the attempt was given up, and what comes back is dropped.
        drop(tell.send(Running { killed_by_drop, stdout: stdout.into(), stderr: stderr.into() }));
    }
    group.reap(&mut child).map_err(|error| local(format!("cannot learn how {program} ended: {error}")))
}

impl Running {
    pub(super) fn group(&self) -> &Arc<Group> {
        &self.killed_by_drop.0
    }
}

impl Group {
    /// Kills all that is left of it.
    pub(super) fn kill(&self) -> Result<(), Errno> {
        kill(*self.leader())
    }

    /// Waits until the leader ends, kills what it left behind, and lets the kernel forget it. Only in this order:
    /// once it is forgotten, its number may be another's.
    fn reap(&self, child: &mut Child) -> io::Result<ExitStatus> {
        // Not for the whole wait: whoever kills the group needs it too.
        let leader = *self.leader();
        if let Some(pid) = leader {
            let ended = || waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
            while ended() == Err(Errno::EINTR) {}
        }
        let mut leader = self.leader();
        // Without the right to kill, this was said when the time was over.
        let _ = kill(leader.take());
        child.wait()
    }

    fn leader(&self) -> MutexGuard<'_, Option<Pid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KilledByDrop {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = self.0.kill();
    }
}

fn kill(group: Option<Pid>) -> Result<(), Errno> {
    match group.map(|leader| killpg(leader, Signal::SIGKILL)) {
        Some(Err(error)) if error != Errno::ESRCH => Err(error),
        _ => Ok(()),
    }
}

/// The program, started, and its path.
fn spawn(plan: Plan) -> Result<(Child, String), Failure> {
    let local = |reason: String| Failure::new(Fault::Local, reason);
    let Plan { command, user, environment } = plan;
    let Some((program, arguments)) = command.split_first() else {
        return Err(local("there is no program to run".to_owned()));
    };
    let found = User::from_name(&user)
        .map_err(|error| local(format!("cannot look up user {user:?}: {error}")))?
        .ok_or_else(|| local(format!("this machine has no user {user:?} to run {program} as")))?;
    if found.uid.is_root() {
        return Err(local(format!("{program} would run as root: give the probe an unprivileged user")));
    }
    if !Path::new(program).is_absolute() {
        return Err(local(format!("cannot run {program:?}: write the program with its whole path")));
    }
    // The C library would hand such a file to a shell.
    if head(Path::new(program)).is_ok_and(|head| !head.starts_with(b"\x7fELF") && !head.starts_with(b"#!")) {
        return Err(local(no_program(program)));
    }
    // Of this thread, and of what it starts: no set-user-id program gives a probe more rights than its user's.
    set_no_new_privs().map_err(|error| local(format!("cannot limit the rights of {program}: {error}")))?;
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        // Drops all other groups too.
        .gid(found.gid.as_raw())
        .uid(found.uid.as_raw())
        .spawn();
    match child {
        Ok(child) => Ok((child, program.clone())),
        Err(error) => Err(local(not_started(program, &found, &error))),
    }
}

/// Why a program was not started, in words.
fn not_started(program: &str, user: &User, error: &io::Error) -> String {
    let name = &user.name;
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => match interpreter(Path::new(program)) {
            Ok(Some(interpreter)) => {
                format!("{program} cannot be run: it is a script for {interpreter:?}, which does not exist")
            }
            Ok(None) => format!("{program} cannot be run: a loader or library that it needs does not exist"),
            Err(_) => format!("there is no program {program}"),
        },
        Some(Errno::EACCES) => {
            format!("user {name} may not run {program}: is it executable, and may {name} enter its folder?")
        }
        Some(Errno::ENOEXEC) => no_program(program),
        Some(Errno::EPERM) if user.uid != geteuid() => format!(
            "the director may not run programs as user {name}: it lacks CAP_SETUID or CAP_SETGID, so it can run them \
             as its own user only"
        ),
        Some(Errno::EAGAIN | Errno::ENOMEM) => format!(
            "{program} cannot be run: no room for another process ({error}); see TasksMax of the director's unit"
        ),
        _ => format!("{program} cannot be run: {error}"),
    }
}

fn no_program(program: &str) -> String {
    format!(
        "{program} is neither a program for this machine nor a script: a script begins with #! and its interpreter"
    )
}

/// The interpreter of a script; `None` if it is none.
fn interpreter(program: &Path) -> io::Result<Option<String>> {
    let head = head(program)?;
    let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let interpreter = first.strip_prefix(b"#!").map(|words| line(words, HEAD));
    Ok(interpreter.and_then(|words| words.split_whitespace().next().map(str::to_owned)))
}

/// How a file begins.
fn head(path: &Path) -> io::Result<Vec<u8>> {
    // Opening anything else might wait forever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut head = Vec::new();
    File::open(path)?.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}
