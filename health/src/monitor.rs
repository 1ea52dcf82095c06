//! From outcomes to a verdict.
//!
//! ```text
//!            fall failures in a row
//!      Up  -------------------------->  Down
//!          <--------------------------
//!            rise successes in a row, and its time if it is damped
//! ```
//! A monitor starts in the state its policy names. One that starts [`Start::Down`] comes up with the first
//! success, unless `fall` failures came before. One that starts [`Start::Unknown`] is decided by its first attempt.
//!
//! Beside the state, [`slow`](Verdict::slow) turns by the same counts, and a target that goes down too often is
//! [damped](Damping).

mod damping;
mod history;
mod reason;
mod slowness;
#[cfg(test)]
mod tests;

pub use damping::{Damping, MOST_CHANGES};
pub use history::{Attempt, HISTORY, Latencies};

use crate::{Failure, Fault, Outcome, Passed};
use damping::Falls;
use slowness::Slowness;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How outcomes make a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// So many successes in a row bring a target up; 0 counts as 1.
    pub rise: u32,
    /// So many failures in a row take it down; 0 counts as 1.
    pub fall: u32,
    /// What it is before its first verdict.
    pub start: Start,
    /// A success that takes longer is slow; `None`: none is. `fall` slow ones in a row make the target slow, `rise`
    /// quick ones no longer.
    pub slow: Option<Duration>,
    /// What is done about a target that goes up and down; `None`: nothing.
    pub damping: Option<Damping>,
}

/// What a target is before its first verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Up until `fall` failures.
    Up,
    /// Down until the first success.
    Down,
    /// Unknown until the first attempt ends, which decides alone.
    Unknown,
}

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It works.
    Up,
    /// It does not.
    Down,
    /// No attempt has ended yet: it is not used.
    Unknown,
}

/// What is known of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What it is.
    pub state: State,
    /// Why, in words.
    pub reason: Arc<str>,
    /// What failed last; `None`: the last attempt passed, or there was none.
    pub fault: Option<Fault>,
    /// Something to look at though it passes, in words: of the last attempt that passed since it was down.
    pub note: Option<Arc<str>>,
    /// The weight that the target asks for: with the last attempt that passed since it was down.
    pub weight: Option<u8>,
    /// It passes, but slowly.
    pub slow: bool,
    /// It would be up, or soon, but went down too often.
    pub damped: bool,
    /// Duration of the last attempt; `None` before the first.
    pub latency: Option<Duration>,
    /// Attempts so far.
    pub attempts: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// The same by what failed; only what did.
    pub faults: BTreeMap<Fault, u64>,
    /// When `state` took its present value.
    pub since: Instant,
    /// The last [`HISTORY`] attempts, oldest first.
    pub history: Arc<[Attempt]>,
}

impl Verdict {
    /// True if the target may be used.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// How long attempts take; `None` if none of the history passed.
    #[must_use]
    pub fn latencies(&self) -> Option<Latencies> {
        Latencies::of(&self.history)
    }
}

/// The state of one target.
#[derive(Debug, Clone)]
pub struct Monitor {
    policy: Policy,
    state: State,
    since: Instant,
    /// False as long as `state` is but the start state.
    decided: bool,
    /// Outcomes in a row that speak against `state`.
    against: u32,
    /// Of the last success since the target was down: one failure does not make it forgotten.
    passed: Option<Passed>,
    slowness: Slowness,
    falls: Falls,
    history: Arc<[Attempt]>,
    attempts: u64,
    failures: u64,
    faults: BTreeMap<Fault, u64>,
}

impl Monitor {
    /// A monitor without any outcome yet.
    #[must_use]
    pub fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            state: match policy.start {
                Start::Up => State::Up,
                Start::Down => State::Down,
                Start::Unknown => State::Unknown,
            },
            since: now,
            decided: false,
            against: 0,
            passed: None,
            slowness: Slowness::default(),
            falls: Falls::default(),
            history: Arc::default(),
            attempts: 0,
            failures: 0,
            faults: BTreeMap::new(),
        }
    }

    /// From now on another policy holds. What has been counted so far counts by it too, the verdict turns with the
    /// next outcome at the earliest.
    pub fn set_policy(&mut self, policy: Policy) {
        if self.attempts == 0 {
            *self = Self::new(policy, self.since);
            return;
        }
        self.policy = policy;
        if policy.slow.is_none() {
            self.slowness = Slowness::default();
        }
        if policy.damping.is_none() {
            self.falls = Falls::default();
        }
    }

    /// The target is probed otherwise from now on: the verdict and the totals stay, counting towards the next
    /// verdict starts anew.
    pub fn restart(&mut self) {
        self.against = 0;
        self.falls.not_passing();
        self.slowness.restart();
    }

    /// Takes in the outcome of an attempt; true if the target is to be used otherwise for it: its state, its slowness or
    /// the weight that it asks for changed.
    pub fn observe(&mut self, mut outcome: Outcome, now: Instant) -> bool {
        let before = (self.state, self.slowness.is_slow(), self.weight());
        history::share_words(&mut outcome, &self.history);
        self.attempts = self.attempts.saturating_add(1);
        match &outcome.result {
            Ok(passed) => {
                self.passed = Some(passed.clone());
                self.falls.passing(now);
                if let Some(limit) = self.policy.slow {
                    self.slowness.observe(outcome.latency > limit, self.policy.rise, self.policy.fall);
                }
            }
            Err(failure) => {
                self.failures = self.failures.saturating_add(1);
                let count = self.faults.entry(failure.fault).or_default();
                *count = count.saturating_add(1);
                self.falls.not_passing();
            }
        }
        self.turn(outcome.result.is_ok(), now);
        if self.state != State::Up && outcome.result.is_err() {
            self.passed = None;
        }
        history::push(&mut self.history, Attempt { at: now, outcome });
        before != (self.state, self.slowness.is_slow(), self.weight())
    }

    /// What is known now.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let last = self.history.last().map(|attempt| &attempt.outcome);
        Verdict {
            state: self.state,
            reason: self.reason(),
            fault: last.and_then(|last| last.result.as_ref().err()).map(|failure| failure.fault),
            note: self.passed.as_ref().and_then(|passed| passed.note.clone()),
            weight: self.weight(),
            slow: self.is_up() && self.slowness.is_slow(),
            damped: !self.is_up() && self.falls.are_too_many(),
            latency: last.map(|last| last.latency),
            attempts: self.attempts,
            failures: self.failures,
            faults: self.faults.clone(),
            since: self.since,
            history: Arc::clone(&self.history),
        }
    }

    /// True if the target may be used.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    fn weight(&self) -> Option<u8> {
        self.passed.as_ref().and_then(|passed| passed.weight)
    }

    fn turn(&mut self, passed: bool, now: Instant) {
        let confirmed = match self.state {
            State::Up => passed,
            State::Down => !passed,
            State::Unknown => false,
        };
        if confirmed {
            self.against = 0;
            self.decided |= passed || self.failures >= u64::from(self.policy.fall.max(1));
            return;
        }
        self.against = self.against.saturating_add(1);
        if self.against < self.needed() || (passed && !self.remaining(now).is_zero()) {
            return;
        }
        match (self.state, self.policy.damping) {
            (State::Up, Some(damping)) => self.falls.fell(damping, now),
            _ => self.falls.forgive(),
        }
        self.state = if passed { State::Up } else { State::Down };
        self.since = now;
        self.decided = true;
        self.against = 0;
    }

    /// Outcomes against the verdict that turn it.
    fn needed(&self) -> u32 {
        match (self.state, self.decided) {
            (State::Up, _) => self.policy.fall.max(1),
            (State::Down, true) => self.policy.rise.max(1),
            (State::Down, false) | (State::Unknown, _) => 1,
        }
    }

    /// For so long it must still pass because it is damped.
    fn remaining(&self, now: Instant) -> Duration {
        self.policy.damping.map_or(Duration::ZERO, |damping| self.falls.remaining(damping, now))
    }
}
