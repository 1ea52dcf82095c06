//! From outcomes to a verdict.
//!
//! ```text
//!            fall failures in a row
//!      Up  -------------------------->  Down
//!          <--------------------------
//!            rise successes in a row
//! ```
//! A monitor starts in the state its policy names. One that starts [`Start::Down`] comes up with the first
//! success, unless `fall` failures came before. One that starts [`Start::Unknown`] is decided by its first attempt.

use crate::{Failure, Fault, Outcome, Passed};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many of the last attempts are kept.
pub const HISTORY: usize = 20;

/// How outcomes make a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// So many successes in a row bring a target up; 0 counts as 1.
    pub rise: u32,
    /// So many failures in a row take it down; 0 counts as 1.
    pub fall: u32,
    /// What it is before its first verdict.
    pub start: Start,
    /// A success that takes longer is slow; `None`: none is.
    pub slow: Option<Duration>,
    /// What is done about a target that goes up and down; `None`: nothing.
    pub damping: Option<Damping>,
}

/// A target that went down too often stays down until it has proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damping {
    /// So many times down ...
    pub changes: u32,
    /// ... within this time are too often;
    pub within: Duration,
    /// then it must pass without a failure for so long to come up.
    pub hold: Duration,
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

/// A change of the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// It works again.
    Up,
    /// It no longer works.
    Down,
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
    /// Something to look at though it passes, in words.
    pub note: Option<Arc<str>>,
    /// The weight that the target asks for.
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
    /// When `state` took its present value.
    pub since: Instant,
    /// The last [`HISTORY`] attempts, oldest first.
    pub history: Arc<[Attempt]>,
}

/// An attempt of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it ended.
    pub at: Instant,
    /// What came of it.
    pub outcome: Outcome,
}

impl Verdict {
    /// True if the target may be used.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state == State::Up
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
    history: VecDeque<Attempt>,
    attempts: u64,
    failures: u64,
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
            history: VecDeque::new(),
            attempts: 0,
            failures: 0,
        }
    }

    /// The same target under another policy, or probed otherwise: the verdict and the totals stay, counting
    /// towards the next verdict starts anew.
    #[must_use]
    pub fn restarted(self, policy: Policy) -> Self {
        if self.history.is_empty() {
            return Self::new(policy, self.since);
        }
        Self { policy, against: 0, ..self }
    }

    /// Takes in the outcome of an attempt; says if the verdict changed by it.
    pub fn observe(&mut self, outcome: Outcome, now: Instant) -> Option<Transition> {
        let passed = outcome.result.is_ok();
        self.attempts = self.attempts.saturating_add(1);
        self.failures = self.failures.saturating_add(u64::from(!passed));
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Attempt { at: now, outcome });

        let confirmed = match self.state {
            State::Up => passed,
            State::Down => !passed,
            State::Unknown => false,
        };
        self.against = if confirmed { 0 } else { self.against.saturating_add(1) };
        if confirmed {
            self.decided |= passed || self.failures >= u64::from(self.policy.fall.max(1));
            return None;
        }
        if self.against < self.needed() {
            return None;
        }
        self.state = if passed { State::Up } else { State::Down };
        self.since = now;
        self.decided = true;
        self.against = 0;
        Some(if passed { Transition::Up } else { Transition::Down })
    }

    /// What is known now.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let last = self.last();
        let passed = last.and_then(|last| last.result.as_ref().ok());
        Verdict {
            state: self.state,
            reason: self.reason(),
            fault: last.and_then(|last| last.result.as_ref().err()).map(|failure| failure.fault),
            note: passed.and_then(|passed| passed.note.clone()),
            weight: passed.and_then(|passed| passed.weight),
            slow: false,
            damped: false,
            latency: last.map(|last| last.latency),
            attempts: self.attempts,
            failures: self.failures,
            since: self.since,
            history: self.history.iter().cloned().collect(),
        }
    }

    fn last(&self) -> Option<&Outcome> {
        self.history.back().map(|attempt| &attempt.outcome)
    }

    fn reason(&self) -> Arc<str> {
        let Some(last) = self.last() else { return "not probed yet".into() };
        let (against, needed) = (self.against, self.needed());
        match (&last.result, self.state) {
            (Ok(Passed { .. }), State::Up) => "passed".into(),
            (Ok(Passed { .. }), State::Down | State::Unknown) => {
                format!("passed {against} of the {needed} times that bring it up").into()
            }
            (Err(Failure { reason, .. }), State::Up) => {
                format!("failed {against} of the {needed} times that take it down: {reason}").into()
            }
            (Err(failure), State::Down | State::Unknown) => Arc::clone(&failure.reason),
        }
    }

    /// Outcomes against the verdict that turn it.
    fn needed(&self) -> u32 {
        match (self.state, self.decided) {
            (State::Up, _) => self.policy.fall.max(1),
            (State::Down, true) => self.policy.rise.max(1),
            (State::Down, false) | (State::Unknown, _) => 1,
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any moment will do to start from")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy(rise: u32, fall: u32, start: Start) -> Policy {
        Policy { rise, fall, start, slow: None, damping: None }
    }

    fn outcome(passed: bool) -> Outcome {
        Outcome {
            result: if passed {
                Ok(Passed::default())
            } else {
                Err(Failure::new(Fault::Refused, "connection refused"))
            },
            latency: Duration::from_micros(7),
        }
    }

    /// A policy, and outcomes in order.
    fn runs() -> impl Strategy<Value = (Policy, Vec<bool>)> {
        let start = prop_oneof![Just(Start::Up), Just(Start::Down)];
        let policy = (0..5_u32, 0..5_u32, start).prop_map(|(rise, fall, start)| policy(rise, fall, start));
        (policy, prop::collection::vec(prop::bool::weighted(0.5), 0..60))
    }

    /// The last `count` outcomes are all `wanted`.
    fn ends_with(outcomes: &[bool], count: u32, wanted: bool) -> bool {
        let count = count.max(1) as usize;
        outcomes.len() >= count && outcomes[outcomes.len() - count..].iter().all(|&passed| passed == wanted)
    }

    proptest! {
        #[test]
        fn goes_down_after_fall_failures_and_up_after_rise_successes((policy, outcomes) in runs()) {
            let now = Instant::now();
            let mut monitor = Monitor::new(policy, now);
            let mut up = policy.start == Start::Up;
            let mut decided = false;
            for count in 1..=outcomes.len() {
                let seen = &outcomes[..count];
                let passed = seen[count - 1];
                let at = now + Duration::from_secs(count as u64);
                let transition = monitor.observe(outcome(passed), at);

                let rise = if decided { policy.rise } else { 1 };
                let turned = if up { ends_with(seen, policy.fall, false) } else { ends_with(seen, rise, true) };
                decided |= turned || up || ends_with(seen, policy.fall, false);
                up ^= turned;
                prop_assert_eq!(transition, turned.then_some(if up { Transition::Up } else { Transition::Down }));

                let verdict = monitor.verdict();
                prop_assert_eq!(verdict.is_up(), up);
                prop_assert_eq!(verdict.attempts, count as u64);
                prop_assert_eq!(verdict.failures, seen.iter().filter(|passed| !**passed).count() as u64);
                if turned {
                    prop_assert_eq!(verdict.since, at);
                }
                if !up && !passed {
                    prop_assert_eq!(&*verdict.reason, "connection refused");
                }
            }
        }
    }

    #[test]
    fn tells_how_far_it_is_in_words() {
        let policy = policy(2, 3, Start::Up);
        let now = Instant::now();
        let mut monitor = Monitor::new(policy, now);
        let mut reason_after = |passed| {
            monitor.observe(outcome(passed), now);
            monitor.verdict().reason.to_string()
        };
        assert_eq!(reason_after(true), "passed");
        assert_eq!(reason_after(false), "failed 1 of the 3 times that take it down: connection refused");
        reason_after(false);
        assert_eq!(reason_after(false), "connection refused");
        assert_eq!(reason_after(true), "passed 1 of the 2 times that bring it up");
        assert_eq!(reason_after(true), "passed");
        assert_eq!(&*Monitor::new(policy, now).verdict().reason, "not probed yet");
    }

    #[test]
    fn counters_stop_at_their_ends() {
        let now = Instant::now();
        let policy = policy(1, u32::MAX, Start::Up);
        let mut monitor = Monitor::new(policy, now);
        (monitor.attempts, monitor.failures, monitor.against) = (u64::MAX, u64::MAX, u32::MAX - 1);
        assert_eq!(monitor.observe(outcome(false), now), Some(Transition::Down));
        assert_eq!((monitor.verdict().attempts, monitor.verdict().failures), (u64::MAX, u64::MAX));
    }

    #[test]
    fn a_restarted_monitor_keeps_its_verdict_and_totals() {
        let now = Instant::now();
        let mut monitor = Monitor::new(policy(2, 1, Start::Up), now);
        monitor.observe(outcome(false), now);
        let mut monitor = monitor.restarted(policy(2, 5, Start::Up));
        assert!(!monitor.verdict().is_up());
        assert_eq!(monitor.verdict().attempts, 1);
        assert_eq!(monitor.observe(outcome(true), now), None);
        assert_eq!(monitor.observe(outcome(true), now), Some(Transition::Up));
    }
}
