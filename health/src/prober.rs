//! Probes targets for as long as somebody wants to know.
//!
//! Level-triggered at both ends: the set of targets may change at any time, and whoever looks at the verdicts
//! finds the newest ones. A change of a verdict is published at once; counters and reasons once a second.
//!
//! A server that starts to refuse connections is down no later than `fall` intervals and one round trip after; one
//! that falls silent, `fall` intervals and one timeout after.

use crate::probe::trace::Trace;
use crate::probe::{self, Resources};
use crate::schedule::Schedule;
use crate::{Failure, Fault, Monitor, Outcome, Target, TargetId, Targets, Verdict};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// The newest verdict on each target.
pub type Verdicts = Arc<BTreeMap<TargetId, Arc<Verdict>>>;

/// Bounds of a prober.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attempts under way at a time: each takes a file descriptor. Targets beyond wait their turn.
    pub concurrency: usize,
    /// Where in its interval each target is first probed; let each director have its own.
    pub seed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrency: 4096, seed: 0 }
    }
}

/// Probes `targets` until its sender or every receiver of the verdicts is gone.
///
/// A thread of its own does it: passing each attempt from thread to thread would cost as much as the probe itself,
/// and nobody else's work delays one.
///
/// # Errors
/// No thread can be started, or it gets no means to wait for sockets.
pub fn spawn(targets: watch::Receiver<Targets>, limits: Limits) -> io::Result<watch::Receiver<Verdicts>> {
    let resources = Arc::new(Resources::default());
    let (prober, verdicts) = Prober::new(limits, move |target: Target| {
        let resources = Arc::clone(&resources);
        async move { probe::attempt(&target, &resources, &Trace::quiet()).await }
    });
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let thread = thread::Builder::new().name("probes".to_owned());
    thread.spawn(move || runtime.block_on(prober.run(targets)))?;
    Ok(verdicts)
}

struct Prober<Attempt> {
    attempt: Attempt,
    targets: Targets,
    watched: BTreeMap<TargetId, Watched>,
    schedule: Schedule,
    under_way: JoinSet<(TargetId, Outcome)>,
    published: watch::Sender<Verdicts>,
}

struct Watched {
    monitor: Monitor,
    attempt: Option<AbortHandle>,
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
        };
        (prober, verdicts)
    }

    async fn run(mut self, mut targets: watch::Receiver<Targets>) {
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        targets.mark_changed();
        loop {
            let now = Instant::now();
            while let Some(id) = self.schedule.start(now.into_std()) {
                self.start(id);
            }
            let wakeup = self.schedule.wakeup().map(Instant::from_std);
            tokio::select! {
                changed = targets.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let wanted = targets.borrow_and_update().clone();
                    self.change(wanted);
                    self.publish();
                }
                Some(ended) = self.under_way.join_next_with_id() => self.take_in(ended),
                () = sleep_until(wakeup.unwrap_or(now)), if wakeup.is_some() => {}
                _ = second.tick() => self.publish(),
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
    fn take_in(&mut self, ended: Result<(Id, (TargetId, Outcome)), JoinError>) {
        let mut changed = self.observe(ended);
        while let Some(ended) = self.under_way.try_join_next_with_id() {
            changed |= self.observe(ended);
        }
        if changed {
            self.publish();
        }
    }

    /// True if the verdict on a target changed.
    fn observe(&mut self, ended: Result<(Id, (TargetId, Outcome)), JoinError>) -> bool {
        let (task, id, outcome) = match ended {
            Ok((task, (id, outcome))) => (task, id, outcome),
            Err(error) => {
                let task = error.id();
                let Some(id) = self.attempted_by(task) else { return false };
                let result = Err(Failure::new(Fault::Local, "the probe itself failed"));
                (task, id, Outcome { result, latency: Duration::ZERO })
            }
        };
        let Some(watched) = self.watched.get_mut(&id) else { return false };
        // An attempt on what the target was before it changed says nothing about what it is now.
        if watched.attempt.as_ref().map(AbortHandle::id) != Some(task) {
            return false;
        }
        watched.attempt = None;
        self.schedule.finish(&id);
        watched.monitor.observe(outcome, Instant::now().into_std()).is_some()
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
        }
        for (id, target) in self.targets.iter().filter(|(id, target)| before.get(id) != Some(target)) {
            let monitor = match self.watched.remove(id) {
                Some(Watched { monitor, attempt }) => {
                    if let Some(attempt) = attempt {
                        attempt.abort();
                    }
                    monitor.restarted(target.policy)
                }
                None => Monitor::new(target.policy, now),
            };
            self.watched.insert(id.clone(), Watched { monitor, attempt: None });
            self.schedule.insert(id.clone(), target.pace.interval, now);
        }
    }

    fn publish(&self) {
        let verdicts: BTreeMap<TargetId, Arc<Verdict>> = self
            .watched
            .iter()
            .map(|(id, watched)| (id.clone(), Arc::new(watched.monitor.verdict())))
            .collect();
        self.published.send_if_modified(|published| {
            let modified = **published != verdicts;
            if modified {
                *published = Arc::new(verdicts);
            }
            modified
        });
    }
}

#[cfg(test)]
mod tests;
