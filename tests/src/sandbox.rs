//! Namespaces of our own around a whole process: nothing of the lab is visible outside, and nothing of it outlives
//! the process that asked for it.
//!
//! The process starts itself a second time through `unshare`, as root of a new user namespace if it is not root
//! already. The inner process is number 1 of its process namespace: when it ends, the kernel ends all others there,
//! and the network namespaces go with the last of them. It ends itself as soon as its standard input closes, which
//! happens even when the outer process is killed.

use crate::error::Doing;
use crate::wait::eventually_some;
use crate::{Error, Result};
use std::any::type_name;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

/// Set in the inner process: the directory of the lab's own files.
const INSIDE: &str = "DIRECTOR_LAB_INSIDE";

/// Set in the inner process if the outer one is not root's.
const BY_ORDINARY_USER: &str = "DIRECTOR_LAB_USER";

/// With this set to 1, tests whose tools or rights are missing pass, saying so on standard error.
const ALLOW_SKIP: &str = "ALLOW_SKIP";

/// No test takes longer.
const TEST_LIMIT: Duration = Duration::from_secs(180);

/// No program run by [`main`] takes longer, unless `KEEP` is set: then it stays for people.
const PROGRAM_LIMIT: Duration = Duration::from_secs(1800);

/// Where Debian keeps the tools; an ordinary user's search path may lack the system ones.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the lab calls, and Debian's packages that have it.
const PROGRAMS: [(&str, &str); 7] = [
    ("unshare", "util-linux"),
    ("mount", "mount"),
    ("timeout", "coreutils"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("ping", "iputils-ping"),
];

/// Lines of a ruleset or connection table that are shown when a test fails.
const SHOWN_LINES: usize = 200;

/// Directory of the lab's files in the sandbox: configurations, state, sockets and logs. In memory.
pub const DIRECTORY: &str = "/run/lab";

/// Runs the body of a `#[test]` in a sandbox of its own.
///
/// The test's binary is started again for this one test, which it finds by the name of the function around `body`:
/// call it directly in the test function.
///
/// # Panics
/// If the body fails or panics, takes longer than three minutes, or the sandbox cannot be made and `ALLOW_SKIP` is
/// not 1. What the lab knows by then (logs, rulesets) is part of the output.
pub fn test<F: FnOnce() -> std::result::Result<(), Box<dyn std::error::Error>>>(body: F) {
    test_with(&[], body);
}

/// What a test needs beyond what the lab itself does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// This program, which is in that package of Debian's.
    Program(&'static str, &'static str),
    /// This program, which is in that package and gives its processes to users of their own.
    Users(&'static str, &'static str),
}

/// As [`test()`], for a test that needs more than the others.
///
/// # Panics
/// As [`test()`].
#[expect(clippy::panic, reason = "that is how a test fails")]
pub fn test_with<F: FnOnce() -> std::result::Result<(), Box<dyn std::error::Error>>>(
    needs: &[Need],
    body: F,
) {
    if inside() {
        if let Err(error) = guarded(TEST_LIMIT, || body().map_err(|error| error.to_string())) {
            panic!("{error}");
        }
        return;
    }
    let name = test_name(type_name::<F>());
    let arguments = [name, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"];
    match check().and_then(|()| check_needs(needs)).and_then(|()| run_inside(&arguments, Output::Collect)) {
        // The harness is content with no test at all.
        Ok((0, output)) if !output.contains("1 passed") => panic!("no test of this binary is named {name}"),
        Ok((0, _)) => {}
        Ok((code, output)) => panic!("{name} ended with status {code}\n{output}"),
        Err(error) if may_skip(&error) => {
            // Straight to the stream: the harness keeps what a passing test prints.
            let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {error}");
        }
        Err(error) => panic!("{name} did not run: {error}\n  hint: ALLOW_SKIP=1 lets such tests pass"),
    }
}

/// Runs the body of a program's `main` in a sandbox of its own, with the program's arguments and output.
/// The exit status is that of `body`; 2 if the sandbox cannot be made.
pub fn main(body: impl FnOnce() -> std::result::Result<(), Box<dyn std::error::Error>>) -> ExitCode {
    main_within(PROGRAM_LIMIT, body)
}

/// As [`main`], for a program that may take so long.
#[expect(clippy::print_stderr, reason = "this is the end of a program")]
pub fn main_within(
    limit: Duration,
    body: impl FnOnce() -> std::result::Result<(), Box<dyn std::error::Error>>,
) -> ExitCode {
    if inside() {
        return match guarded(limit, || body().map_err(|error| error.to_string())) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match check().and_then(|()| run_inside(&arguments, Output::PassOn)) {
        Ok((code, _)) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Finds out whether this machine and user can run a sandbox.
///
/// # Errors
/// A program is missing, or namespaces are not allowed.
pub fn check() -> Result<()> {
    for (program, package) in PROGRAMS {
        check_program(program, package)?;
    }
    let output = unshare().args(["ip", "link", "show"]).output().doing("starting unshare")?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Namespaces(reason));
    }
    Ok(())
}

fn check_needs(needs: &[Need]) -> Result<()> {
    needs.iter().try_for_each(|need| match *need {
        Need::Program(program, package) => check_program(program, package),
        Need::Users(program, _) if !nix::unistd::geteuid().is_root() => Err(Error::NotRoot(program)),
        Need::Users(program, package) => check_program(program, package),
    })
}

fn check_program(program: &'static str, package: &'static str) -> Result<()> {
    if SEARCH_PATH.split(':').any(|directory| Path::new(directory).join(program).exists()) {
        return Ok(());
    }
    Err(Error::MissingProgram { program, package })
}

/// True in the inner process.
#[must_use]
pub fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

fn may_skip(error: &Error) -> bool {
    matches!(error, Error::MissingProgram { .. } | Error::NotRoot(_) | Error::Namespaces(_))
        && std::env::var(ALLOW_SKIP).is_ok_and(|value| value == "1")
}

/// The test's name for the harness, from the type name of a closure in it: `crate::name::{{closure}}`.
fn test_name(closure: &str) -> &str {
    let name = closure.split_once("::").map_or(closure, |(_crate, name)| name);
    name.trim_end_matches("::{{closure}}")
}

/// `unshare` with all the namespaces; the command to run there is still to be added.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]).env(BY_ORDINARY_USER, "1");
    }
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    command.env("PATH", SEARCH_PATH);
    command
}

/// What becomes of the inner process's output.
enum Output {
    Collect,
    PassOn,
}

/// Starts this program inside, and waits for it: its exit status and, if collected, its output.
fn run_inside(arguments: &[&str], output: Output) -> Result<(i32, String)> {
    let program = std::env::current_exe().doing("looking for this program")?;
    let mut command = unshare();
    command.arg(program).args(arguments).env(INSIDE, DIRECTORY).stdin(Stdio::piped());
    let mut reader = None;
    if let Output::Collect = output {
        let (read, write) = std::io::pipe().doing("making a pipe")?;
        command.stdout(write.try_clone().doing("copying a pipe")?).stderr(write);
        reader = Some(read);
    }
    let mut child = command.spawn().doing("starting unshare")?;
    // Ours until we end: its end tells the inner process.
    let mut lifeline = child.stdin.take();
    if let Output::PassOn = output
        && let (Some(pid), Some(lifeline)) = (only_child(child.id()), &mut lifeline)
    {
        // One that has ended already needs to know nothing.
        let _ = writeln!(lifeline, "{pid}");
    }
    // The command holds the pipe's writing end; reading would never end.
    drop(command);
    let mut text = Vec::new();
    if let Some(mut reader) = reader {
        reader.read_to_end(&mut text).doing("reading the inner process's output")?;
    }
    let status = child.wait().doing("waiting for the inner process")?;
    Ok((status.code().unwrap_or(1), String::from_utf8_lossy(&text).into_owned()))
}

/// Prepares the sandbox from within, runs `body`, and shows what is known if it fails.
fn guarded(
    limit: Duration,
    body: impl FnOnce() -> std::result::Result<(), String>,
) -> std::result::Result<(), String> {
    watch_lifeline();
    let _limit = limit_time(limit);
    prepare().map_err(|error| error.to_string())?;
    let outcome = catch_unwind(AssertUnwindSafe(body));
    if !matches!(outcome, Ok(Ok(()))) {
        show_what_is_known();
    }
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

/// The only child of a process, as soon as it has one.
pub(crate) fn only_child(parent: u32) -> Option<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    eventually_some(Duration::from_secs(5), "a child", || {
        std::fs::read_to_string(&path).ok()?.trim().parse().ok()
    })
    .ok()
}

/// Process number of the inner process as seen from outside: what `nsenter --target` wants.
static OUTER_PID: Mutex<Option<u32>> = Mutex::new(None);

/// How to get a shell in the sandbox from outside, for programs run by [`main`].
#[must_use]
pub fn how_to_enter() -> Option<String> {
    let look = || *OUTER_PID.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = eventually_some(Duration::from_secs(5), "our process number", look).ok()?;
    let user =
        if std::env::var_os(BY_ORDINARY_USER).is_some() { "--user --preserve-credentials " } else { "" };
    Some(format!("nsenter --target {pid} {user}--mount --net --pid"))
}

/// Ends this process when the outer one has ended; until then, that one may tell our number.
fn watch_lifeline() {
    std::thread::spawn(|| {
        let mut line = String::new();
        while std::io::stdin().read_line(&mut line).is_ok_and(|length| length > 0) {
            *OUTER_PID.lock().unwrap_or_else(PoisonError::into_inner) = line.trim().parse().ok();
            line.clear();
        }
        std::process::exit(1);
    });
}

/// Ends this process after that time, unless what is returned is dropped before.
fn limit_time(limit: Duration) -> mpsc::Sender<()> {
    let (sender, receiver) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let keep = std::env::var_os("KEEP").is_some();
        if receiver.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) && !keep {
            let _ = writeln!(std::io::stderr(), "took longer than {limit:?}");
            show_what_is_known();
            std::process::exit(124);
        }
    });
    sender
}

/// `/run` of our own, for `ip netns` and for sockets of daemons.
fn prepare() -> Result<()> {
    use nix::mount::{MsFlags, mount};
    mount(Some("lab"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .doing("mounting a file system in memory on /run")?;
    std::fs::create_dir_all(DIRECTORY).doing(format!("making {DIRECTORY}"))
}

/// Logs and rulesets, on standard error.
fn show_what_is_known() {
    let mut stderr = std::io::stderr();
    for log in
        list(DIRECTORY).iter().flat_map(list).filter(|file| file.extension().is_some_and(|end| end == "log"))
    {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let _ = writeln!(stderr, "--- {}\n{text}", log.display());
    }
    for namespace in list("/run/netns") {
        let Some(name) = namespace.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            continue;
        };
        for command in ["nft list ruleset", "conntrack -L"] {
            let output = Command::new("ip")
                .args(["netns", "exec", &name, "timeout", "5"])
                .args(command.split(' '))
                .output()
                .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
                .unwrap_or_default();
            // Most machines have nothing to show; one that has carried load has far too much.
            if !output.is_empty() {
                let output: Vec<&str> = output.lines().take(SHOWN_LINES).collect();
                let _ = writeln!(stderr, "--- {name}: {command}\n{}", output.join("\n"));
            }
        }
    }
}

fn list(directory: impl AsRef<Path>) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_name_of_the_test_around_a_closure() {
        assert_eq!(test_name("drain::no_new_ones::{{closure}}"), "no_new_ones");
        assert_eq!(test_name("drain::v6::no_new_ones::{{closure}}"), "v6::no_new_ones");
    }
}
