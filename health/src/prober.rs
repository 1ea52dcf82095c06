//! Probes targets for as long as somebody wants to know.
//!
//! Level-triggered at both ends: the set of targets may change at any time, and whoever looks at the verdicts
//! finds the newest ones. A change of what targets are used for is published at once, or in a moment if much
//! changes; counters and reasons once a second. Only verdicts on targets that were probed since are made anew.
//!
//! A server that starts to refuse connections is down no later than `interval`, `fall - 1` times `retry` and one round
//! trip after; one that falls silent, a timeout later (and `fall` of them if they are longer than `retry`).

use crate::probe::trace::Trace;
use crate::probe::{self, Resources};
use crate::schedule::Schedule;
use crate::{Failure, Fault, Monitor, Outcome, Pace, Target, TargetId, Targets, Verdict};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// The newest verdict on each target.
pub type Verdicts = Arc<BTreeMap<TargetId, Arc<Verdict>>>;

/// Bounds of a prober.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attempts under way at a time: each takes a file descriptor. Targets beyond wait their turn.
    pub concurrency: usize,
    /// Draws the moment at which each target is first probed; let each director have its own.
    pub seed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrency: 4096, seed: 0 }
    }
}

/// Probing that goes on until this is dropped, which waits until the programs of exec probes are dead.
#[derive(Debug)]
pub struct Probing {
    goes_on: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Probes `targets` until [`Probing`] is dropped, or their sender or every receiver of the verdicts is gone.
///
/// A thread of its own does it: passing each attempt from thread to thread would cost as much as the probe itself,
/// and nobody else's work delays one.
///
/// # Errors
/// No thread can be started, or it gets no means to wait for sockets.
pub fn spawn(
    targets: watch::Receiver<Targets>,
    limits: Limits,
) -> io::Result<(watch::Receiver<Verdicts>, Probing)> {
    let resources = Arc::new(Resources::default());
    let (mut prober, verdicts) = Prober::new(limits, move |target: Target| {
        let resources = Arc::clone(&resources);
        async move { probe::attempt(&target, &resources, &Trace::quiet()).await }
    });
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let thread = thread::Builder::new().name("probes".to_owned());
    let (goes_on, ended) = oneshot::channel();
    let all = async move {
        tokio::select! {
            () = prober.run(targets) => {}
            _ = ended => {}
        }
        prober.under_way.shutdown().await;
    };
    let thread = thread.spawn(move || {
        // As a task among the attempts: to wake the future that a runtime was entered with takes a system call each
        // time. If it panics, that was reported as such.
        let _ = runtime.block_on(async { tokio::spawn(all).await });
        // What waits for programs that were killed returns.
        runtime.shutdown_timeout(LAST_WAIT);
    })?;
    Ok((verdicts, Probing { goes_on: Some(goes_on), thread: Some(thread) }))
}

impl Drop for Probing {
    fn drop(&mut self) {
        drop(self.goes_on.take());
        // A panic there was reported as such.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A program that was killed is gone by then, unless a broken disk holds it.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Attempts start at most so late, together with others that are due: to wake up costs as much as some attempts.
const GRAIN: Duration = Duration::from_millis(5);

/// From one publication to the next: copying the map takes about a tenth of it if there are 20,000 targets.
const GAP: Duration = Duration::from_millis(10);

/// An attempt that ended, or broke off.
type Ended = Result<(Id, (TargetId, Outcome)), JoinError>;

struct Prober<Attempt> {
    attempt: Attempt,
    targets: Targets,
    watched: BTreeMap<TargetId, Watched>,
    schedule: Schedule,
    under_way: JoinSet<(TargetId, Outcome)>,
    published: watch::Sender<Verdicts>,
    /// Nothing is published before.
    quiet_until: Instant,
    /// Something is to be published as soon as that is over.
    urgent: bool,
    /// Targets whose verdicts that are published are old, or that are gone.
    stale: Vec<TargetId>,
}

struct Watched {
    monitor: Monitor,
    attempt: Option<AbortHandle>,
    /// It is among `stale`.
    stale: bool,
}

impl<Attempt, Ends> Prober<Attempt>
where
    Attempt: Fn(Target) -> Ends,
    Ends: Future<Output = Outcome> + Send + 'static,
{
    fn new(limits: Limits, attempt: Attempt) -> (Self, watch::Receiver<Verdicts>) {
        let (published, verdicts) = watch::channel(Verdicts::default());
        let prober = Self {
            attempt,
            targets: Targets::default(),
            watched: BTreeMap::new(),
            schedule: Schedule::new(limits.seed, limits.concurrency),
            under_way: JoinSet::new(),
            published,
            quiet_until: Instant::now(),
            urgent: false,
            stale: Vec::new(),
        };
        (prober, verdicts)
    }

    async fn run(&mut self, mut targets: watch::Receiver<Targets>) {
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        targets.mark_changed();
        let began = Instant::now();
        loop {
            let now = Instant::now();
            while let Some(id) = self.schedule.start(now.into_std()) {
                self.start(id);
            }
            if self.urgent && self.quiet_until <= now {
                self.publish(now);
            }
            let due = self.schedule.wakeup().map(Instant::from_std);
            let wakeup = due.into_iter().chain(self.urgent.then_some(self.quiet_until)).min();
            let wakeup = wakeup.map(|wakeup| on_the_grain(wakeup, began));
            tokio::select! {
                changed = targets.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let wanted = targets.borrow_and_update().clone();
                    self.change(wanted);
                    self.urgent = true;
                }
                Some(ended) = self.under_way.join_next_with_id() => self.take_in(ended),
                () = sleep_until(wakeup.unwrap_or(now)), if wakeup.is_some() => {}
                now = second.tick() => self.publish(now),
                () = self.published.closed() => return,
            }
        }
    }

    fn start(&mut self, id: TargetId) {
        let (Some(target), Some(watched)) = (self.targets.get(&id), self.watched.get_mut(&id)) else {
            return;
        };
        let attempt = (self.attempt)(target.clone());
        watched.attempt = Some(self.under_way.spawn(async move { (id, attempt.await) }));
    }

    /// Takes in an outcome and all others that are there, so that a hundred servers that die together make one
    /// change.
    fn take_in(&mut self, ended: Ended) {
        self.observe(ended);
        while let Some(ended) = self.under_way.try_join_next_with_id() {
            self.observe(ended);
        }
    }

    fn observe(&mut self, ended: Ended) {
        let (task, id, outcome) = match ended {
            Ok((task, (id, outcome))) => (task, id, outcome),
            Err(error) if error.is_cancelled() => return,
            Err(error) => {
                let task = error.id();
                let Some(id) = self.attempted_by(task) else { return };
                let result = Err(Failure::new(Fault::Local, "the probe itself failed"));
                (task, id, Outcome { result, latency: Duration::ZERO })
            }
        };
        let Some(watched) = self.watched.get_mut(&id) else { return };
        // An attempt on what the target was before it changed says nothing about what it is now.
        if watched.attempt.as_ref().map(AbortHandle::id) != Some(task) {
            return;
        }
        watched.attempt = None;
        let passed = outcome.result.is_ok();
        self.urgent |= watched.monitor.observe(outcome, Instant::now().into_std());
        self.schedule.finish(&id, passed && watched.monitor.is_up());
        if !watched.stale {
            watched.stale = true;
            self.stale.push(id);
        }
    }

    fn attempted_by(&self, task: Id) -> Option<TargetId> {
        let mut all = self.watched.iter();
        all.find(|(_, watched)| watched.attempt.as_ref().map(AbortHandle::id) == Some(task))
            .map(|(id, _)| id.clone())
    }

    /// Makes `wanted` the targets; those that stay as they are notice nothing.
    fn change(&mut self, wanted: Targets) {
        let now = Instant::now().into_std();
        let before = std::mem::replace(&mut self.targets, wanted);
        for id in before.keys().filter(|id| !self.targets.contains_key(id)) {
            self.schedule.remove(id);
            if let Some(attempt) = self.watched.remove(id).and_then(|watched| watched.attempt) {
                attempt.abort();
            }
            self.stale.push(id.clone());
        }
        for (id, target) in self.targets.iter() {
            let old = before.get(id);
            if old == Some(target) {
                continue;
            }
            let watched = self.watched.entry(id.clone()).or_insert_with(|| Watched::new(target, now));
            watched.monitor.set_policy(target.policy);
            match old.filter(|old| is_tried_alike(old, target)) {
                Some(old) if old.timeout <= target.timeout || watched.attempt.is_none() => {
                    self.schedule.set_pace(id, target.pace, now);
                }
                // What is under way could take longer than is wanted now.
                Some(_) => {
                    watched.give_up();
                    let jitter = target.pace.jitter.min(target.pace.interval);
                    self.schedule.insert(id.clone(), Pace { jitter, ..target.pace }, now);
                }
                None => {
                    watched.monitor.restart();
                    watched.give_up();
                    self.schedule.insert(id.clone(), target.pace, now);
                }
            }
            if !watched.stale {
                watched.stale = true;
                self.stale.push(id.clone());
            }
        }
    }

    /// Publishes what changed since the last time.
    fn publish(&mut self, now: Instant) {
        self.urgent = false;
        self.quiet_until = now + GAP;
        if self.stale.is_empty() {
            return;
        }
        let mut verdicts = BTreeMap::clone(&self.published.borrow());
        for id in self.stale.drain(..) {
            if let Some(watched) = self.watched.get_mut(&id) {
                watched.stale = false;
                verdicts.insert(id, Arc::new(watched.monitor.verdict()));
            } else {
                verdicts.remove(&id);
            }
        }
        self.published.send_replace(Arc::new(verdicts));
    }
}

impl Watched {
    fn new(target: &Target, now: std::time::Instant) -> Self {
        Self { monitor: Monitor::new(target.policy, now), attempt: None, stale: false }
    }

    /// Breaks off the attempt under way.
    fn give_up(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            attempt.abort();
        }
    }
}

/// The next moment that is a whole number of grains from `began`.
fn on_the_grain(moment: Instant, began: Instant) -> Instant {
    let grain = GRAIN.as_nanos();
    let late = moment.saturating_duration_since(began).as_nanos() % grain;
    let wait = if late == 0 { 0 } else { grain - late };
    moment + Duration::from_nanos(u64::try_from(wait).unwrap_or(0))
}

/// True if an attempt on one says as much about the other.
fn is_tried_alike(one: &Target, other: &Target) -> bool {
    one.kind == other.kind && one.address == other.address && one.origin == other.origin
}

#[cfg(test)]
mod tests;
