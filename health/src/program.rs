//! A program and everything that it starts: begun, listened to, waited for, killed.
//!
//! It runs in a process group of its own, without a shell, in the folder `/`, with nothing on its standard input and no
//! other descriptors. When it ends, is killed or nobody wants it any more, the whole group is killed: what it left in
//! the background dies with it.

mod output;

pub use output::Output;
use output::SHOWN;

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
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

/// Where programs look for others.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// So many bytes of a file tell what it is.
const HEAD: usize = 256;

/// What is to be run.
#[derive(Debug)]
pub struct Plan {
    /// The program's path, and its arguments.
    pub command: Vec<String>,
    /// Name of the user that it runs as, without a way to more rights than that one's; `None`: who runs this one.
    pub user: Option<String>,
    /// All of its environment.
    pub environment: Vec<(&'static str, String)>,
}

/// A program that runs until it ends, or this is dropped.
#[derive(Debug)]
pub struct Program {
    group: KilledByDrop,
    output: Output,
    ended: JoinHandle<Result<ExitStatus, Failure>>,
}

impl Program {
    /// Starts it. `held` is dropped once it is gone.
    ///
    /// # Errors
    /// It cannot be run; why, in words.
    pub async fn start(plan: Plan, held: impl Send + 'static) -> Result<Self, Failure> {
        let name = name(&plan.command);
        let (tell, started) = oneshot::channel();
        // A thread of its own: looking up a user and starting a program may wait for a disk or a directory service.
        let mut ended = spawn_blocking(move || {
            let _until_it_is_gone = held;
            run(plan, tell)
        });
        let Ok(Running { killed_by_drop, stdout, stderr }) = started.await else {
            let failed = || Failure::new(Fault::Local, format!("{name} was not started"));
            return Err(outcome(&mut ended).await.err().unwrap_or_else(failed));
        };
        let output = Output::listen(stdout, stderr)
            .map_err(|error| Failure::new(Fault::Local, format!("{name} cannot be listened to: {error}")))?;
        Ok(Self { group: killed_by_drop, output, ended })
    }

    /// Waits until it has ended, which it tells once. Cancel safe.
    ///
    /// # Errors
    /// Nobody knows how it ended.
    pub async fn ended(&mut self) -> Result<ExitStatus, Failure> {
        let status = tokio::select! {
            status = outcome(&mut self.ended) => status,
            never = self.output.collect() => match never {},
        };
        self.output.collect_rest();
        status
    }

    /// Kills it and all that it started.
    ///
    /// # Errors
    /// It may not be killed.
    pub fn kill(&mut self) -> Result<(), Errno> {
        let killed = self.group.0.kill();
        self.output.collect_rest();
        killed
    }

    /// What it has said so far.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.output
    }
}

/// A program's name for people: the last part of its path.
#[must_use]
pub fn name(command: &[String]) -> String {
    let path = Path::new(command.first().map_or("", String::as_str));
    let name = path.file_name().unwrap_or(path.as_os_str());
    line(name.as_encoded_bytes(), SHOWN)
}

/// How a program was killed, in words.
#[must_use]
pub fn signal(status: ExitStatus) -> String {
    match status.signal().map(|number| (number, Signal::try_from(number))) {
        Some((_, Ok(Signal::SIGKILL))) => "SIGKILL (by an operator, or because memory ran out)".to_owned(),
        Some((_, Ok(signal))) => signal.as_str().to_owned(),
        Some((number, Err(_))) => format!("signal {number}"),
        None => "an unknown signal".to_owned(),
    }
}

async fn outcome(ended: &mut JoinHandle<Result<ExitStatus, Failure>>) -> Result<ExitStatus, Failure> {
    ended.await.unwrap_or_else(|_| Err(Failure::new(Fault::Local, "what waits for it broke off")))
}

/// What it takes to listen to a program and to kill it.
struct Running {
    killed_by_drop: KilledByDrop,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// A program and all that it started, as far as they stayed in its process group.
#[derive(Debug)]
struct Group(Mutex<Option<Pid>>);

#[derive(Debug)]
struct KilledByDrop(Arc<Group>);

/// Runs a program to its end: blocks.
///
/// # Errors
/// It cannot be run; why, in words.
fn run(plan: Plan, tell: oneshot::Sender<Running>) -> Result<ExitStatus, Failure> {
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

impl Group {
    /// Kills all that is left of it.
    fn kill(&self) -> Result<(), Errno> {
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
    let user = user.map(|user| unprivileged(&user, program)).transpose()?;
    if !Path::new(program).is_absolute() {
        return Err(local(format!("cannot run {program:?}: write the program with its whole path")));
    }
    // The C library would hand such a file to a shell.
    if head(Path::new(program)).is_ok_and(|head| !head.starts_with(b"\x7fELF") && !head.starts_with(b"#!")) {
        return Err(local(no_program(program)));
    }
    let mut command = Command::new(program);
    if let Some(user) = &user {
        // Of this thread, and of what it starts: no set-user-id program gives it more rights than its user's.
        set_no_new_privs()
            .map_err(|error| local(format!("cannot limit the rights of {program}: {error}")))?;
        // Drops all other groups too.
        command.gid(user.gid.as_raw()).uid(user.uid.as_raw());
    }
    let child = command
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    match child {
        Ok(child) => Ok((child, program.clone())),
        Err(error) => Err(local(not_started(program, user.as_ref(), &error))),
    }
}

/// The user that a program shall run as.
fn unprivileged(user: &str, program: &str) -> Result<User, Failure> {
    let local = |reason: String| Failure::new(Fault::Local, reason);
    let found = User::from_name(user)
        .map_err(|error| local(format!("cannot look up user {user:?}: {error}")))?
        .ok_or_else(|| local(format!("this machine has no user {user:?} to run {program} as")))?;
    if found.uid.is_root() {
        return Err(local(format!("{program} would run as root: give the probe an unprivileged user")));
    }
    Ok(found)
}

/// Why a program was not started, in words.
fn not_started(program: &str, user: Option<&User>, error: &io::Error) -> String {
    let name = user.map_or("the director's", |user| user.name.as_str());
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
        Some(Errno::EPERM) if user.is_some_and(|user| user.uid != geteuid()) => format!(
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
