use super::*;
use crate::probe::sample::{self, attempt, dialogue, failure, target, user};
use crate::probe::{Resources, attempt as make};
use crate::{Kind, Outcome};
use nix::unistd::{User, geteuid};
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

const ADDRESS: &str = "10.0.1.1:3389";

fn settings(command: &[&str], exit: ExitMeaning) -> Exec {
    Exec { command: command.iter().map(|word| (*word).to_owned()).collect(), user: user(), exit }
}

fn program(command: &[&str]) -> Target {
    target(Kind::Exec(settings(command, ExitMeaning::Weight)), ADDRESS.parse().unwrap())
}

fn shell(script: &str) -> Target {
    target(sample::shell(script), ADDRESS.parse().unwrap())
}

fn within(timeout: Duration, target: Target) -> Target {
    Target { timeout, ..target }
}

fn nagios(command: &[&str]) -> Target {
    target(Kind::Exec(settings(command, ExitMeaning::Nagios)), ADDRESS.parse().unwrap())
}

/// A folder that everybody may enter.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

fn file(folder: &TempDir, text: &str, mode: u32) -> String {
    let path = folder.path().join("check");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The number at the end of a text: a process.
fn process(text: &str) -> u32 {
    text.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Waits until a process no longer runs; whoever took it over may still have to notice.
async fn ends(process: u32) {
    let runs = async || {
        let stat = tokio::fs::read_to_string(format!("/proc/{process}/stat")).await.unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['R', 'S', 'D', 'T']))
    };
    let start = Instant::now();
    while runs().await {
        assert!(start.elapsed() < Duration::from_secs(10), "process {process} still runs");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a process of our own is gone, its remains too.
async fn is_reaped(process: u32) {
    let start = Instant::now();
    while fs::exists(format!("/proc/{process}")).unwrap() {
        assert!(start.elapsed() < Duration::from_secs(10), "process {process} is a zombie");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_exit_status_is_the_answer() {
    let passed = |target| async move { attempt(&target).await.unwrap() };
    assert_eq!(passed(program(&["/bin/true"])).await, Passed::default());
    assert_eq!(passed(shell("echo fine")).await, Passed::default());
    for (code, weight) in [(2, 0), (3, 1), (52, 50), (255, 253)] {
        let passed = passed(shell(&format!("echo load $(({code} * 2)); exit {code}"))).await;
        assert_eq!(passed.weight, Some(weight));
        assert_eq!(passed.note.as_deref(), Some(format!("load {}", code * 2).as_str()));
    }
    assert_eq!(failure(&program(&["/bin/false"])).await, "false exited with status 1: it said nothing");
    assert_eq!(failure(&shell("echo; echo no mail; exit 1")).await, "sh exited with status 1: no mail");
    assert_eq!(failure(&shell("echo broken >&2; exit 1")).await, "sh exited with status 1: broken");
    assert_eq!(failure(&shell("echo hm; kill -SEGV $$")).await, "sh was killed by SIGSEGV: hm");
    assert_eq!(
        failure(&shell("kill -KILL $$")).await,
        "sh was killed by SIGKILL (by an operator, or because memory ran out): it said nothing"
    );
}

#[tokio::test]
async fn a_nagios_plugin_says_ok_warning_critical_or_unknown() {
    let folder = folder();
    // Takes what check_x224 takes, and answers by the port.
    let plugin = file(
        &folder,
        "#!/bin/sh\n\
         [ \"$1 $2 $3\" = '-H 10.0.1.1 -p' ] || { echo 'x224 UNKNOWN - usage'; exit 3; }\n\
         case $4 in\n\
         3389) echo 'x224 OK. Connection setup time: 0.03 sec. |time=0.03'; exit 0;;\n\
         3390) echo 'x224 WARNING - Connection setup time: 4 sec. | time=4'; exit 1;;\n\
         3391) echo 'x224 CRITICAL - no answer | time=50'; exit 2;;\n\
         esac\n\
         exit 127\n",
        0o755,
    );
    let at = |port: u16| {
        let address = SocketAddr::from(([10, 0, 1, 1], port));
        Target { address, ..nagios(&[&plugin, "-H", "%h", "-p", "%p"]) }
    };
    assert_eq!(attempt(&at(3389)).await, Ok(Passed::default()));
    let warning = attempt(&at(3390)).await.unwrap();
    assert_eq!(warning, Passed::with_note("x224 WARNING - Connection setup time: 4 sec."));
    assert_eq!(failure(&at(3391)).await, "check exited with status 2 (critical): x224 CRITICAL - no answer");
    assert_eq!(failure(&at(9)).await, "check exited with status 127: it said nothing");
    assert_eq!(
        failure(&nagios(&[&plugin])).await,
        "check exited with status 3 (unknown): x224 UNKNOWN - usage"
    );
}

#[tokio::test]
async fn a_plain_program_works_with_status_0_alone() {
    let exits = |status: &str| {
        let script = format!("exit {status}");
        let exec = settings(&["/bin/sh", "-c", &script], ExitMeaning::Plain);
        target(Kind::Exec(exec), ADDRESS.parse().unwrap())
    };
    assert_eq!(attempt(&exits("0")).await, Ok(Passed::default()));
    assert_eq!(failure(&exits("1")).await, "sh exited with status 1: it said nothing");
    assert_eq!(failure(&exits("2")).await, "sh exited with status 2: it said nothing");
}

#[tokio::test]
async fn arguments_reach_the_program_as_they_are() {
    let words = ["/bin/sh", "-c", "echo \"$# $0 $*\"; exit 1", "%h:%p", "100%%", "%x", "$(id);", "50%", "%"];
    assert_eq!(
        failure(&program(&words)).await,
        "sh exited with status 1: 5 10.0.1.1:3389 100% %x $(id); 50% %"
    );
    let six = Target { address: "[2001:db8::1]:0".parse().unwrap(), ..program(&words) };
    assert!(failure(&six).await.contains("2001:db8::1:0"));
}

#[tokio::test]
async fn its_surroundings_are_bare() {
    let show = "env -u PWD -u _ -u SHLVL -u OLDPWD | sort | tr '\\n' ' '; exit 1";
    assert_eq!(
        failure(&within(Duration::from_millis(12_500), shell(show))).await,
        "sh exited with status 1: DIRECTOR_PROBE_ADDRESS=10.0.1.1 DIRECTOR_PROBE_PORT=3389 \
         DIRECTOR_PROBE_TIMEOUT=12.5 LANG=C \
         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    );
    let show = "echo $(cat) $(readlink /proc/self/fd/0) $(readlink /proc/self/cwd); exit 1";
    assert_eq!(failure(&shell(show)).await, "sh exited with status 1: /dev/null /");
    let show = "grep NoNewPrivs /proc/self/status | tr '\\t' ' '; exit 1";
    assert_eq!(failure(&shell(show)).await, "sh exited with status 1: NoNewPrivs: 1");
    let show = "cut -d' ' -f5 /proc/$$/stat | sed \"s/$$/its own/\"; exit 1";
    assert_eq!(failure(&shell(show)).await, "sh exited with status 1: its own");
}

#[tokio::test]
async fn it_runs_as_its_user_and_nobody_else() {
    let identity =
        "echo $(id -un) $(id -u) $(id -G) $(grep -h Cap[IPEA] /proc/self/status | cut -f2 | sort -u); exit 1";
    let text = failure(&shell(identity)).await;
    if geteuid().is_root() {
        let nobody = User::from_name("nobody").unwrap().unwrap();
        let (uid, gid) = (nobody.uid, nobody.gid);
        assert_eq!(text, format!("sh exited with status 1: nobody {uid} {gid} 0000000000000000"));
        // No way back.
        let text = failure(&shell("cat /etc/shadow")).await;
        assert!(text.contains("ermission denied"), "{text}");
    } else {
        assert!(text.contains(&format!("{} {}", user(), geteuid())), "{text}");
    }
    let unknown = Exec { user: "nobody-at-all".into(), ..settings(&["/bin/true"], ExitMeaning::Weight) };
    assert_eq!(
        failure(&Target { kind: Arc::new(Kind::Exec(unknown)), ..shell("") }).await,
        "this machine has no user \"nobody-at-all\" to run /bin/true as"
    );
    let root = Exec { user: "root".into(), ..settings(&["/bin/true"], ExitMeaning::Weight) };
    assert_eq!(
        failure(&Target { kind: Arc::new(Kind::Exec(root)), ..shell("") }).await,
        "/bin/true would run as root: give the probe an unprivileged user"
    );
}

/// Without the right to change users, which root's tests cannot give up.
#[tokio::test]
async fn without_the_right_to_change_users_it_says_so() {
    let nobody = User::from_name("nobody").unwrap().unwrap();
    if geteuid().is_root() || geteuid() == nobody.uid {
        return;
    }
    let other = Exec { user: "nobody".into(), ..settings(&["/bin/true"], ExitMeaning::Weight) };
    let text = failure(&Target { kind: Arc::new(Kind::Exec(other)), ..shell("") }).await;
    assert!(
        text.starts_with("the director may not run programs as user nobody: it lacks CAP_SETUID"),
        "{text}"
    );
}

#[tokio::test]
async fn programs_that_cannot_be_run_say_why() {
    let folder = folder();
    let missing = folder.path().join("missing");
    let missing = missing.to_str().unwrap();
    assert_eq!(failure(&program(&[missing])).await, format!("there is no program {missing}"));
    let plain = file(&folder, "#!/bin/sh\n", 0o644);
    let name = user();
    let denied =
        format!("user {name} may not run {plain}: is it executable, and may {name} enter its folder?");
    assert_eq!(failure(&program(&[&plain])).await, denied);
    let orphan = file(&folder, "#! /opt/perl -w\n", 0o755);
    assert_eq!(
        failure(&program(&[&orphan])).await,
        format!("{orphan} cannot be run: it is a script for \"/opt/perl\", which does not exist")
    );
    for text in ["echo this must not run in a shell; exit 0\n", "", "\u{0}\u{1}"] {
        let bare = file(&folder, text, 0o755);
        assert_eq!(
            failure(&program(&[&bare])).await,
            format!(
                "{bare} is neither a program for this machine nor a script: a script begins with #! and its \
                 interpreter"
            )
        );
    }
    assert_eq!(
        failure(&program(&["true"])).await,
        "cannot run \"true\": write the program with its whole path"
    );
    assert_eq!(failure(&program(&[])).await, "there is no program to run");
    let folder = folder.path().to_str().unwrap();
    assert!(failure(&program(&[folder])).await.starts_with(&format!("user {name} may not run {folder}")));
    assert!(failure(&program(&["/bin/echo", "\0"])).await.starts_with("/bin/echo cannot be run: "));
    fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn its_whole_group_dies_when_time_is_over() {
    // Both ignore what asks them to end, and the child holds the output.
    let script = "trap '' TERM HUP; sh -c 'trap \"\" TERM; while :; do sleep 1000; done' & echo $$ $!; wait";
    let outcome =
        make(&within(Duration::from_millis(300), shell(script)), &Resources::default(), &Trace::quiet())
            .await;
    let failure = outcome.result.unwrap_err();
    assert_eq!(failure.fault, Fault::TimedOut);
    let text = failure.to_string();
    let (words, numbers) = text.split_once("; it said: ").unwrap();
    assert_eq!(words, "sh did not end within 300ms and was killed");
    assert!(outcome.latency < Duration::from_secs(10));
    let (program, child) = numbers.split_once(' ').unwrap();
    is_reaped(process(program)).await;
    ends(process(child)).await;
}

#[tokio::test]
async fn it_dies_with_its_attempt() {
    let folder = folder();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let path = folder.path().join("number");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", path.display());
    let task = tokio::spawn(async move { attempt(&shell(&script)).await });
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < Duration::from_secs(10) && !task.is_finished());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    task.abort();
    is_reaped(process(tokio::fs::read_to_string(&path).await.unwrap().trim())).await;
}

#[test]
fn it_dies_with_its_runtime() {
    let folder = folder();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let path = folder.path().join("number");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", path.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let program = runtime.block_on(async {
        tokio::spawn(async move { attempt(&shell(&script)).await });
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::fs::read_to_string(&path).await.unwrap()
    });
    // Waits for the thread that waits for the program.
    drop(runtime);
    assert!(!fs::exists(format!("/proc/{}", program.trim())).unwrap());
}

#[tokio::test]
async fn what_it_leaves_in_the_background_neither_delays_nor_stays() {
    let script = "sleep 1000 & echo left $!; exit 1";
    let start = Instant::now();
    let text = failure(&shell(script)).await;
    assert!(start.elapsed() < Duration::from_secs(15), "it waited for the child");
    ends(process(&text)).await;
    // One that left the group holds the output still.
    let script = "setsid sleep 1000 & echo left $!; exit 1";
    let text = failure(&shell(script)).await;
    let escaped = process(&text);
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(escaped.try_into().unwrap()),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
}

#[tokio::test]
async fn it_may_talk_without_end() {
    let much = "echo first; head -c 10000000 /dev/zero | tr '\\0' x; exit 1";
    assert_eq!(failure(&shell(much)).await, "sh exited with status 1: first");
    let both = "head -c 1000000 /dev/zero >&2; head -c 1000000 /dev/zero; echo >&2; exit 3";
    assert_eq!(attempt(&shell(both)).await.unwrap().weight, Some(1));
    let endless = within(Duration::from_millis(300), program(&["/usr/bin/yes", "no"]));
    assert_eq!(failure(&endless).await, "yes did not end within 300ms and was killed; it said: no");

    let (result, lines) = dialogue(&shell("echo first; head -c 10000000 /dev/zero; exit 1")).await;
    assert!(result.is_err());
    assert!(lines[0].contains("runs [\"/bin/sh\", \"-c\", "), "{}", lines[0]);
    assert_eq!(lines[1], "* standard output:");
    assert!(lines[2].starts_with("< first\\n\\x00") && lines[2].len() < 5 * 4096);
    assert!(lines[3].ends_with(" further bytes are left out"), "{}", lines[3]);
}

#[tokio::test]
async fn it_may_close_its_output() {
    let script = "echo gone; exec >&- 2>&-; sleep 0.2; exit 1";
    assert_eq!(failure(&shell(script)).await, "sh exited with status 1: gone");
}

#[tokio::test]
async fn what_it_says_can_be_shown() {
    let script = |text: &str| shell(&format!("printf '{text}'; exit 1"));
    let cases = [
        (r"\377\376 caf\303\251", "\\xff\\xfe caf\u{e9}"),
        (r"\033[31mred\007\tx\r\nmore", "\\x1b[31mred\\x07 x"),
        (r"  \n \n\342\200\256evil", "\\u{202e}evil"),
        ("It\\047s \"so\"", "It's \"so\""),
    ];
    for (text, expected) in cases {
        assert_eq!(failure(&script(text)).await, format!("sh exited with status 1: {expected}"));
    }
    let long = format!("sh exited with status 1: {}…", "x".repeat(200));
    assert_eq!(failure(&script(&"x".repeat(201))).await, long);
}

#[tokio::test]
async fn only_so_many_run_at_once() {
    let resources = Arc::new(Resources::default());
    let gate = resources.programs.0.clone().acquire_many_owned(64).await.unwrap();
    let late = within(Duration::from_millis(100), program(&["/bin/true"]));
    let Outcome { result, .. } = make(&late, &resources, &Trace::quiet()).await;
    assert_eq!(
        result.unwrap_err().to_string(),
        "true did not get its turn within 100ms: the director runs 64 programs already, and no more at once; have \
         them run less often, or end sooner"
    );
    drop(gate);
    assert!(make(&program(&["/bin/true"]), &resources, &Trace::quiet()).await.result.is_ok());
    // All leave is given back, once the programs are reaped.
    let _all = resources.programs.0.clone().acquire_many_owned(64).await.unwrap();
}

#[tokio::test]
async fn a_program_that_had_to_wait_is_not_blamed_for_it() {
    let resources = Arc::new(Resources::default());
    let _others = resources.programs.0.clone().acquire_many_owned(63).await.unwrap();
    let first = within(Duration::from_millis(500), shell("sleep 60"));
    let second = within(Duration::from_millis(1500), shell("sleep 60"));
    let (trace, other) = (Trace::quiet(), Trace::quiet());
    let (_, second) = tokio::join!(make(&first, &resources, &trace), make(&second, &resources, &other));
    let failure = second.result.unwrap_err();
    assert!(failure.reason.starts_with("sh did not end within 1.5s ("), "{failure}");
    assert!(failure.reason.contains("ms of it waiting for its turn: "), "{failure}");
}

#[tokio::test]
async fn a_program_has_its_turn_until_it_is_gone() {
    let resources = Arc::new(Resources::default());
    let _others = resources.programs.0.clone().acquire_many_owned(63).await.unwrap();
    let long = within(Duration::from_millis(500), shell("sleep 60"));
    let late = within(Duration::from_millis(200), program(&["/bin/true"]));
    let (trace, other) = (Trace::quiet(), Trace::quiet());
    let (long, late) = tokio::join!(make(&long, &resources, &trace), make(&late, &resources, &other));
    assert_eq!(long.result.unwrap_err().fault, Fault::TimedOut);
    let failure = late.result.unwrap_err();
    assert!(failure.reason.starts_with("true did not get its turn within 200ms"), "{failure}");
}
