use super::*;
use crate::{Kind, Origin, Passed, Policy, Start};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;

const SECOND: Duration = Duration::from_secs(1);
/// Timers of the runtime are this coarse, with a margin.
const COARSE: Duration = Duration::from_millis(10);

fn id(name: &str) -> TargetId {
    TargetId::new(name)
}

fn every(interval: Duration) -> Pace {
    Pace { interval, retry: interval, jitter: SECOND.min(interval) }
}

/// Probed every second; down after three failures, up after two successes.
fn target(port: u16) -> Target {
    Target {
        kind: Arc::new(Kind::Tcp),
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        origin: Origin::default(),
        pace: every(SECOND),
        timeout: SECOND / 2,
        policy: Policy { rise: 2, fall: 3, start: Start::Up, slow: None, damping: None },
    }
}

fn targets(list: impl IntoIterator<Item = (&'static str, Target)>) -> Targets {
    Arc::new(list.into_iter().map(|(name, target)| (id(name), target)).collect())
}

/// Ports whose targets fail; those that are silent as well fail by timeout only.
#[derive(Clone, Default)]
struct Farm {
    dead: Arc<Mutex<BTreeSet<u16>>>,
    silent: Arc<Mutex<BTreeSet<u16>>>,
}

impl Farm {
    fn kill(&self, port: u16) {
        self.dead.lock().unwrap().insert(port);
    }

    fn repair(&self, port: u16) {
        self.dead.lock().unwrap().remove(&port);
    }

    fn silence(&self, port: u16) {
        self.silent.lock().unwrap().insert(port);
        self.kill(port);
    }

    fn probe(&self, targets: watch::Receiver<Targets>) -> watch::Receiver<Verdicts> {
        let farm = self.clone();
        spawn_with(targets, Limits { concurrency: 10, seed: 1 }, move |target: Target| {
            let farm = farm.clone();
            async move {
                let port = target.address.port();
                let silent = farm.silent.lock().unwrap().contains(&port);
                let latency = if silent { target.timeout } else { Duration::from_millis(1) };
                tokio::time::sleep(latency).await;
                let dead = farm.dead.lock().unwrap().contains(&port);
                Outcome {
                    result: if dead {
                        Err(Failure::new(Fault::Refused, "dead"))
                    } else {
                        Ok(Passed::default())
                    },
                    latency,
                }
            }
        })
    }
}

fn spawn_with<Attempt, Ends>(
    targets: watch::Receiver<Targets>,
    limits: Limits,
    attempt: Attempt,
) -> watch::Receiver<Verdicts>
where
    Attempt: Fn(Target) -> Ends + Send + 'static,
    Ends: Future<Output = Outcome> + Send + 'static,
{
    let (mut prober, verdicts) = Prober::new(limits, attempt);
    tokio::spawn(async move { prober.run(targets).await });
    verdicts
}

async fn until(
    verdicts: &mut watch::Receiver<Verdicts>,
    name: &str,
    holds: impl Fn(&Verdict) -> bool,
) -> Arc<Verdict> {
    let all =
        verdicts.wait_for(|all| all.get(&id(name)).is_some_and(|verdict| holds(verdict))).await.unwrap();
    all[&id(name)].clone()
}

#[tokio::test(start_paused = true)]
async fn a_dead_server_is_down_within_fall_intervals_and_comes_back() {
    let farm = Farm::default();
    let (_sender, receiver) = watch::channel(targets([("a", target(1)), ("b", target(2))]));
    let mut verdicts = farm.probe(receiver);
    // At several moments of the interval.
    for tenth in 0..10 {
        until(&mut verdicts, "a", |verdict| &*verdict.reason == "passed").await;
        tokio::time::sleep(SECOND * tenth / 10).await;

        farm.kill(1);
        let killed = Instant::now();
        let verdict = until(&mut verdicts, "a", |verdict| !verdict.is_up()).await;
        assert!(killed.elapsed() <= SECOND * 3 + COARSE, "{:?}", killed.elapsed());
        assert_eq!(&*verdict.reason, "dead");
        assert_eq!(verdict.since, Instant::now().into_std());
        assert!(verdicts.borrow()[&id("b")].is_up());

        farm.repair(1);
        let repaired = Instant::now();
        until(&mut verdicts, "a", |verdict| verdict.is_up()).await;
        assert!(repaired.elapsed() <= SECOND * 2 + COARSE, "{:?}", repaired.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_down_a_timeout_later_and_delays_no_other() {
    let farm = Farm::default();
    let silent = Target { timeout: SECOND, ..target(1) };
    let (_sender, receiver) = watch::channel(targets([("silent", silent), ("a", target(2))]));
    let mut verdicts = farm.probe(receiver);
    until(&mut verdicts, "a", |verdict| verdict.attempts == 1).await;
    let start = Instant::now();
    farm.silence(1);
    until(&mut verdicts, "silent", |verdict| !verdict.is_up()).await;
    assert!(start.elapsed() <= SECOND * 4 + COARSE, "{:?}", start.elapsed());

    sleep_until(start + SECOND * 100 + SECOND / 2).await;
    let verdict = until(&mut verdicts, "a", |verdict| verdict.attempts >= 101).await;
    assert_eq!((verdict.attempts, verdict.failures), (101, 0));
    assert!(start.elapsed() < SECOND * 102);
}

#[tokio::test(start_paused = true)]
async fn counters_are_published_every_second() {
    let farm = Farm::default();
    let fast = Target { pace: every(SECOND / 10), timeout: SECOND / 10, ..target(1) };
    let (_sender, receiver) = watch::channel(targets([("a", fast)]));
    let mut verdicts = farm.probe(receiver);
    until(&mut verdicts, "a", |verdict| verdict.attempts > 5).await;
    for _ in 0..5 {
        let before = verdicts.borrow_and_update()[&id("a")].attempts;
        let start = Instant::now();
        verdicts.changed().await.unwrap();
        assert!(start.elapsed() <= SECOND + COARSE);
        let gained = verdicts.borrow()[&id("a")].attempts - before;
        assert!((9..=11).contains(&gained), "{gained}");
    }
}

#[tokio::test(start_paused = true)]
async fn targets_come_and_go_and_those_that_stay_notice_nothing() {
    let farm = Farm::default();
    farm.kill(1);
    farm.kill(2);
    let (sender, receiver) =
        watch::channel(targets([("stays", target(1)), ("changes", target(2)), ("goes", target(3))]));
    let mut verdicts = farm.probe(receiver);
    let stays = until(&mut verdicts, "stays", |verdict| !verdict.is_up()).await;
    let changes = until(&mut verdicts, "changes", |verdict| !verdict.is_up()).await;

    // The new address works, but has to show it twice.
    let moved = Target { pace: every(SECOND * 5), ..target(4) };
    sender.send(targets([("stays", target(1)), ("changes", moved), ("comes", target(5))])).unwrap();
    verdicts.wait_for(|all| all.contains_key(&id("comes"))).await.unwrap();
    let changed = Instant::now();
    {
        let all = verdicts.borrow();
        assert!(!all.contains_key(&id("goes")));
        assert_eq!(all[&id("stays")].since, stays.since);
        assert!(all[&id("stays")].attempts >= stays.attempts);
        assert!(!all[&id("changes")].is_up());
        assert_eq!(all[&id("changes")].since, changes.since);
        assert!(all[&id("comes")].is_up());
    }
    until(&mut verdicts, "changes", |verdict| verdict.is_up()).await;
    assert!(changed.elapsed() >= SECOND * 5);
    assert!(changed.elapsed() <= SECOND * 6 + COARSE);
}

#[tokio::test(start_paused = true)]
async fn what_came_of_the_old_address_does_not_count_for_the_new_one() {
    let farm = Farm::default();
    farm.silence(1);
    let sensitive = |port| Target {
        timeout: SECOND,
        policy: Policy { rise: 1, fall: 1, ..target(1).policy },
        ..target(port)
    };
    let (sender, receiver) = watch::channel(targets([("a", sensitive(1))]));
    let mut verdicts = farm.probe(receiver);
    tokio::time::sleep(SECOND).await;
    sender.send(targets([("a", sensitive(2))])).unwrap();
    let verdict = until(&mut verdicts, "a", |verdict| verdict.attempts == 3).await;
    assert_eq!(verdict.failures, 0);
}

#[tokio::test(start_paused = true)]
async fn another_pace_keeps_counts_and_comes_in_time() {
    let farm = Farm::default();
    farm.kill(1);
    let slow = Target { pace: every(SECOND * 60), ..target(1) };
    let (sender, receiver) = watch::channel(targets([("a", slow.clone())]));
    let mut verdicts = farm.probe(receiver);
    until(&mut verdicts, "a", |verdict| verdict.attempts == 2).await;
    tokio::time::sleep(SECOND * 20).await;

    // As when a Backup that probes seldom becomes Active: the third failure comes within the new interval.
    let changed = Instant::now();
    let start = Policy { start: Start::Down, ..slow.policy };
    sender.send(targets([("a", Target { pace: every(SECOND * 2), policy: start, ..slow })])).unwrap();
    let verdict = until(&mut verdicts, "a", |verdict| !verdict.is_up()).await;
    assert_eq!(verdict.attempts, 3);
    assert!(changed.elapsed() <= SECOND * 2 + COARSE, "{:?}", changed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_shorter_timeout_holds_for_the_attempt_under_way_too() {
    let farm = Farm::default();
    farm.silence(1);
    let endless = Target { pace: every(SECOND * 3600), timeout: SECOND * 3600, ..target(1) };
    let (sender, receiver) = watch::channel(targets([("a", endless)]));
    let mut verdicts = farm.probe(receiver);
    tokio::time::sleep(SECOND * 10).await;

    let changed = Instant::now();
    sender.send(targets([("a", target(1))])).unwrap();
    until(&mut verdicts, "a", |verdict| !verdict.is_up()).await;
    assert!(changed.elapsed() <= SECOND * 4, "{:?}", changed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_after_the_time_for_that() {
    let farm = Farm::default();
    farm.kill(1);
    let patient = Target { pace: Pace { retry: SECOND / 5, ..every(SECOND * 30) }, ..target(1) };
    let (_sender, receiver) = watch::channel(targets([("a", patient)]));
    let mut verdicts = farm.probe(receiver);
    let down = until(&mut verdicts, "a", |verdict| !verdict.is_up()).await;
    let ended: Vec<_> = down.history.iter().map(|attempt| attempt.at).collect();
    assert!(ended.windows(2).all(|pair| pair[1] - pair[0] <= SECOND / 5 + COARSE), "{ended:?}");

    farm.repair(1);
    let repaired = Instant::now();
    until(&mut verdicts, "a", |verdict| verdict.is_up()).await;
    assert!(repaired.elapsed() <= SECOND * 2 / 5 + COARSE, "{:?}", repaired.elapsed());
    let attempts = verdicts.borrow()[&id("a")].attempts;
    tokio::time::sleep(SECOND * 29).await;
    assert!(verdicts.borrow()[&id("a")].attempts <= attempts + 1);
}

#[tokio::test(start_paused = true)]
async fn only_verdicts_on_what_was_probed_are_made_anew() {
    let seldom = Target { pace: Pace { jitter: Duration::ZERO, ..every(SECOND * 3600) }, ..target(1) };
    let (_sender, receiver) = watch::channel(targets([("seldom", seldom), ("often", target(2))]));
    let mut verdicts = Farm::default().probe(receiver);
    let seldom = until(&mut verdicts, "seldom", |verdict| verdict.attempts == 1).await;
    until(&mut verdicts, "often", |verdict| verdict.attempts == 5).await;
    assert!(Arc::ptr_eq(&seldom, &verdicts.borrow()[&id("seldom")]));
}

#[tokio::test(start_paused = true)]
async fn much_that_changes_is_published_in_few_steps() {
    // Each attempt turns its verdict.
    let farm = Farm::default();
    let touchy = |port: u16| Target {
        pace: Pace { jitter: SECOND, ..every(Duration::from_millis(2)) },
        policy: Policy { rise: 1, fall: 1, ..target(port).policy },
        ..target(port)
    };
    let all = (1..50).map(|port| (id(&format!("{port}")), touchy(port))).collect();
    let (_sender, receiver) = watch::channel(Arc::new(all));
    let mut verdicts = farm.probe(receiver);
    let flapping = async {
        loop {
            (1..50).for_each(|port| farm.kill(port));
            tokio::time::sleep(Duration::from_millis(5)).await;
            (1..50).for_each(|port| farm.repair(port));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let mut published = 0;
    let counting = async {
        while verdicts.changed().await.is_ok() {
            published += 1;
        }
    };
    let both = async { tokio::join!(flapping, counting) };
    assert!(tokio::time::timeout(SECOND * 2, both).await.is_err());
    assert!((100..=220).contains(&published), "{published}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_breaks_is_a_failure() {
    let (_sender, receiver) = watch::channel(targets([("a", target(1))]));
    let broken = |_: Target| async { panic!("on purpose") };
    let mut verdicts = spawn_with(receiver, Limits::default(), broken);
    let verdict = until(&mut verdicts, "a", |verdict| !verdict.is_up()).await;
    assert_eq!((verdict.failures, &*verdict.reason), (3, "the probe itself failed"));
}

#[tokio::test(start_paused = true)]
async fn ends_with_its_targets() {
    let (sender, receiver) = watch::channel(targets([("a", target(1))]));
    let mut verdicts = Farm::default().probe(receiver);
    drop(sender);
    while verdicts.changed().await.is_ok() {}
}

#[tokio::test]
async fn sees_a_real_listener_go_and_come_back() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let fast = Target { pace: every(SECOND / 50), ..target(address.port()) };
    let (_sender, receiver) = watch::channel(targets([("a", fast)]));
    let (mut verdicts, _probing) = spawn(receiver, Limits::default()).unwrap();
    until(&mut verdicts, "a", |verdict| &*verdict.reason == "passed").await;
    drop(listener);
    let verdict = until(&mut verdicts, "a", |verdict| !verdict.is_up()).await;
    assert_eq!(*verdict.reason, *format!("connection refused: nothing listens on {address}"));
    let _listener = tokio::net::TcpListener::bind(address).await.unwrap();
    until(&mut verdicts, "a", |verdict| verdict.is_up()).await;
}

#[tokio::test]
async fn its_programs_die_with_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let path = folder.path().join("number");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", path.display());
    let kind = Arc::new(probe::sample::shell(&script));
    let exec = Target { kind, timeout: 60 * SECOND, pace: every(SECOND / 50), ..target(0) };
    let (_sender, receiver) = watch::channel(targets([("a", exec)]));
    let (_verdicts, probing) = spawn(receiver, Limits::default()).unwrap();
    while !path.exists() {
        tokio::time::sleep(COARSE).await;
    }
    drop(probing);
    let program = tokio::fs::read_to_string(&path).await.unwrap();
    assert!(!std::fs::exists(format!("/proc/{}", program.trim())).unwrap());
}

/// Its outcome waits to be taken in while the target becomes another one.
#[tokio::test]
async fn an_attempt_that_ended_before_its_target_changed_says_nothing_about_it() {
    let passes = |_: Target| async { Outcome { result: Ok(Passed::default()), latency: Duration::ZERO } };
    let (mut prober, _verdicts) = Prober::new(Limits::default(), passes);
    prober.change(targets([("a", target(1))]));
    let due = prober.schedule.start((Instant::now() + SECOND).into_std());
    prober.start(due.unwrap());
    tokio::task::yield_now().await;
    prober.change(targets([("a", target(2))]));
    let ended = prober.under_way.join_next_with_id().await.unwrap();
    assert!(ended.is_ok(), "it ended, nobody broke it off");
    prober.take_in(ended);
    assert_eq!(prober.watched[&id("a")].monitor.verdict().attempts, 0);
}
