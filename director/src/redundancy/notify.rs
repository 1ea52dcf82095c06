//! The program that is told of changes of role.
//!
//! It gets the new role as its last argument (`active`, `backup` or `initialize`), and more in its environment:
//! `DIRECTOR_ROLE`, `DIRECTOR_PREVIOUS_ROLE`, `DIRECTOR_NODE`, `DIRECTOR_VRID`, `DIRECTOR_PRIORITY` (at this moment) and
//! `DIRECTOR_WHY` (in words). It never runs twice at once; when it ends it hears of the newest change that it missed, and
//! of no other.

use super::{Ask, asking};
use crate::status::RoleStatus;
use health::program::{self, PATH, Plan, Program};
use std::time::Duration;
use sync::vrrp::machine::Role;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The program is killed after that.
const LIMIT: Duration = Duration::from_secs(60);

/// So many lines of what it says are logged.
const LINES: usize = 10;

/// A change of role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// Program and arguments; empty: nobody is to be told.
    pub(super) command: Vec<String>,
    pub(super) role: Role,
    pub(super) previous: Role,
    pub(super) node: String,
    pub(super) vrid: u8,
    pub(super) why: String,
    /// What the file says.
    pub(super) priority: Option<u8>,
}

/// Tells the program.
#[derive(Debug)]
pub(super) struct Notifier {
    changes: watch::Sender<Option<Change>>,
    worker: JoinHandle<()>,
}

impl Notifier {
    /// Never waits.
    pub(super) fn tell(&self, change: Change) {
        self.changes.send_replace(Some(change));
    }

    /// Waits until the program knows of the last change.
    pub(super) async fn finish(self) {
        drop(self.changes);
        // A panic there was reported as such.
        let _ = self.worker.await;
    }
}

/// A task that runs the program.
pub(super) fn spawn(asks: mpsc::Sender<Ask>) -> Notifier {
    let (changes, mut told) = watch::channel(None::<Change>);
    let worker = tokio::spawn(async move {
        while told.changed().await.is_ok() {
            let change = told.borrow_and_update().clone();
            if let Some(mut change) = change.filter(|change| !change.command.is_empty()) {
                if let Ok(Some(status)) = asking::status(&asks).await {
                    change.priority = Some(status.priority);
                }
                run(change, LIMIT).await;
            }
        }
    });
    Notifier { changes, worker }
}

async fn run(change: Change, limit: Duration) {
    let name = program::name(&change.command);
    let (mut program, role) = (None, RoleStatus::from(change.role).name());
    let ended = timeout(limit, async {
        let program = program.insert(Program::start(plan(change), ()).await?);
        program.ended().await
    });
    let trouble = match ended.await {
        Ok(Ok(status)) if status.success() => None,
        Ok(Ok(status)) => Some(match status.code() {
            Some(code) => format!("exited with status {code}"),
            None => format!("was killed by {}", program::signal(status)),
        }),
        Ok(Err(failure)) => Some(failure.to_string()),
        Err(_) => Some(match program.as_mut().map(Program::kill) {
            Some(Err(error)) => format!("did not end within {limit:?}, and cannot be killed: {error}"),
            Some(Ok(())) => format!("did not end within {limit:?} and was killed"),
            None => format!("could not be started within {limit:?}"),
        }),
    };
    for line in program.iter().flat_map(|program| program.output().lines()).take(LINES) {
        tracing::info!("notify: {name} {role}: {line}");
    }
    match trouble {
        None => tracing::debug!("notify: {name} {role} has ended"),
        Some(trouble) => tracing::warn!("notify: {name} {role}: {trouble}"),
    }
}

fn plan(change: Change) -> Plan {
    let Change { mut command, role, previous, node, vrid, why, priority } = change;
    let name = |role: Role| RoleStatus::from(role).name().to_owned();
    command.push(name(role));
    let priority = priority.map(|priority| priority.to_string()).unwrap_or_default();
    let environment = vec![
        ("PATH", PATH.to_owned()),
        ("LANG", "C".to_owned()),
        ("DIRECTOR_ROLE", name(role)),
        ("DIRECTOR_PREVIOUS_ROLE", name(previous)),
        ("DIRECTOR_NODE", node),
        ("DIRECTOR_VRID", vrid.to_string()),
        ("DIRECTOR_PRIORITY", priority),
        ("DIRECTOR_WHY", why),
    ];
    Plan { command, user: None, environment }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::status::RedundancyStatus;
    use std::fs;
    use std::path::Path;
    use tempfile::TempDir;

    /// `script` is run by a shell, its last argument is `$1`.
    fn change(script: &str, role: Role) -> Change {
        let command = ["/bin/sh", "-c", script, "notify"].map(str::to_owned).to_vec();
        let (node, why) = ("lb1".to_owned(), "no adverts on any link".to_owned());
        Change { command, role, previous: Role::Backup, node, vrid: 51, why, priority: Some(150) }
    }

    fn folder() -> (TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        (folder, path)
    }

    async fn appears(file: &Path) {
        for _ in 0..1_000 {
            if file.exists() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} does not appear", file.display());
    }

    #[tokio::test]
    async fn it_hears_what_changed_and_nothing_else() {
        let (folder, path) = folder();
        let script = format!("(echo \"$@\"; env; cat) > {path}/told");
        run(change(&script, Role::Active), LIMIT).await;
        let told = fs::read_to_string(folder.path().join("told")).unwrap();
        let mut lines: Vec<_> = told.lines().filter(|line| !line.starts_with("PWD=")).collect();
        lines[1..].sort_unstable();
        assert_eq!(
            lines,
            [
                "active",
                "DIRECTOR_NODE=lb1",
                "DIRECTOR_PREVIOUS_ROLE=backup",
                "DIRECTOR_PRIORITY=150",
                "DIRECTOR_ROLE=active",
                "DIRECTOR_VRID=51",
                "DIRECTOR_WHY=no adverts on any link",
                "LANG=C",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ]
        );
    }

    #[tokio::test]
    async fn while_it_runs_only_the_newest_change_is_kept() {
        let (folder, path) = folder();
        let (asks, _) = mpsc::channel(1);
        let notifier = spawn(asks);
        let script = format!(
            "echo begin $1 >> {path}/told; while ! [ -e {path}/go ]; do sleep 0.01; done; echo end >> {path}/told"
        );
        notifier.tell(change(&script, Role::Active));
        appears(&folder.path().join("told")).await;
        for role in [Role::Backup, Role::Active, Role::Backup, Role::Initialize] {
            notifier.tell(change(&script, role));
        }
        fs::write(folder.path().join("go"), "").unwrap();
        notifier.finish().await;
        let told = fs::read_to_string(folder.path().join("told")).unwrap();
        assert_eq!(told, "begin active\nend\nbegin initialize\nend\n");
    }

    #[tokio::test]
    async fn it_is_killed_with_its_group_when_its_time_is_over() {
        let (folder, path) = folder();
        let script = format!("(sleep 2; touch {path}/late) & echo $! > {path}/pid; sleep 1000");
        run(change(&script, Role::Active), Duration::from_millis(500)).await;
        let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        for _ in 0..100 {
            match fs::read_to_string(&stat) {
                Ok(stat) if !stat.contains(") Z ") => tokio::time::sleep(Duration::from_millis(10)).await,
                Ok(_) | Err(_) => return,
            }
        }
        panic!("what it started is alive: {stat}");
    }

    #[tokio::test]
    async fn the_priority_is_that_of_the_moment() {
        let (folder, path) = folder();
        let (asks, mut asked) = mpsc::channel(1);
        let notifier = spawn(asks);
        notifier.tell(change(&format!("echo $DIRECTOR_PRIORITY > {path}/told"), Role::Active));
        let Some(Ask::Status(reply)) = asked.recv().await else { panic!("it asks for the status") };
        reply.send(Some(RedundancyStatus { priority: 130, ..sample::redundancy() })).unwrap();
        notifier.finish().await;
        assert_eq!(fs::read_to_string(folder.path().join("told")).unwrap(), "130\n");
    }

    #[tokio::test]
    async fn without_a_program_nobody_is_told() {
        let (asks, mut asked) = mpsc::channel(1);
        let notifier = spawn(asks);
        notifier.tell(Change { command: vec![], ..change("", Role::Active) });
        notifier.finish().await;
        assert!(asked.try_recv().is_err());
    }
}
