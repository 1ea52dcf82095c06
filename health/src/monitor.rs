//! From outcomes to a verdict.
//!
//! ```text
//!            fall failures in a row
//!      Up  -------------------------->  Down
//!          <--------------------------
//!            rise successes in a row
//! ```
//! A monitor starts in the state its policy names. One that starts [`Start::Down`] comes up with the first
//! success, unless `fall` failures came before.

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
}

/// What a target is before its first verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Up until `fall` failures.
    Up,
    /// Down until the first success.
    Down,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The reason of a failure in words.
    pub result: Result<(), String>,
    /// From the attempt's start to its end.
    pub latency: Duration,
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
    /// It may get connections.
    pub up: bool,
    /// Why, in words.
    pub reason: String,
    /// Duration of the last attempt; `None` before the first.
    pub latency: Option<Duration>,
    /// Attempts so far.
    pub attempts: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// When `up` took its present value.
    pub since: Instant,
}

/// The state of one target.
#[derive(Debug, Clone)]
pub struct Monitor {
    policy: Policy,
    up: bool,
    since: Instant,
    /// False as long as `up` is but the start state.
    decided: bool,
    /// Outcomes in a row that speak against `up`.
    against: u32,
    last: Option<Outcome>,
    attempts: u64,
    failures: u64,
}

impl Monitor {
    /// A monitor without any outcome yet.
    #[must_use]
    pub fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            up: policy.start == Start::Up,
            since: now,
            decided: false,
            against: 0,
            last: None,
            attempts: 0,
            failures: 0,
        }
    }

    /// The same target under another policy, or probed otherwise: the verdict and the totals stay, counting
    /// towards the next verdict starts anew.
    #[must_use]
    pub fn restarted(self, policy: Policy) -> Self {
        if self.last.is_none() {
            return Self::new(policy, self.since);
        }
        Self { policy, against: 0, ..self }
    }

    /// Takes in the outcome of an attempt; says if the verdict changed by it.
    pub fn observe(&mut self, outcome: Outcome, now: Instant) -> Option<Transition> {
        let passed = outcome.result.is_ok();
        self.attempts = self.attempts.saturating_add(1);
        self.failures = self.failures.saturating_add(u64::from(!passed));
        self.last = Some(outcome);
        self.against = if passed == self.up { 0 } else { self.against.saturating_add(1) };

        if passed == self.up {
            self.decided |= self.up || self.failures >= u64::from(self.policy.fall.max(1));
            return None;
        }
        if self.against < self.needed() {
            return None;
        }
        self.up = passed;
        self.since = now;
        self.decided = true;
        self.against = 0;
        Some(if passed { Transition::Up } else { Transition::Down })
    }

    /// What is known now.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict {
            up: self.up,
            reason: self.reason(),
            latency: self.last.as_ref().map(|outcome| outcome.latency),
            attempts: self.attempts,
            failures: self.failures,
            since: self.since,
        }
    }

    fn reason(&self) -> String {
        let Some(last) = &self.last else { return "not probed yet".to_owned() };
        let (against, needed) = (self.against, self.needed());
        match &last.result {
            Ok(()) if self.up => "passed".to_owned(),
            Ok(()) => format!("passed {against} of the {needed} times that bring it up"),
            Err(reason) if self.up => {
                format!("failed {against} of the {needed} times that take it down: {reason}")
            }
            Err(reason) => reason.clone(),
        }
    }

    /// Outcomes against the verdict that turn it.
    fn needed(&self) -> u32 {
        match (self.up, self.decided) {
            (true, _) => self.policy.fall.max(1),
            (false, true) => self.policy.rise.max(1),
            (false, false) => 1,
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any moment will do to start from")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome(passed: bool) -> Outcome {
        Outcome {
            result: if passed { Ok(()) } else { Err("connection refused".to_owned()) },
            latency: Duration::from_micros(7),
        }
    }

    /// A policy, and outcomes in order.
    fn runs() -> impl Strategy<Value = (Policy, Vec<bool>)> {
        let start = prop_oneof![Just(Start::Up), Just(Start::Down)];
        let policy = (0..5_u32, 0..5_u32, start).prop_map(|(rise, fall, start)| Policy { rise, fall, start });
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
                prop_assert_eq!(verdict.up, up);
                prop_assert_eq!(verdict.attempts, count as u64);
                prop_assert_eq!(verdict.failures, seen.iter().filter(|passed| !**passed).count() as u64);
                if turned {
                    prop_assert_eq!(verdict.since, at);
                }
                if !up && !passed {
                    prop_assert_eq!(verdict.reason, "connection refused");
                }
            }
        }
    }

    #[test]
    fn tells_how_far_it_is_in_words() {
        let policy = Policy { rise: 2, fall: 3, start: Start::Up };
        let now = Instant::now();
        let mut monitor = Monitor::new(policy, now);
        let mut reason_after = |passed| {
            monitor.observe(outcome(passed), now);
            monitor.verdict().reason
        };
        assert_eq!(reason_after(true), "passed");
        assert_eq!(reason_after(false), "failed 1 of the 3 times that take it down: connection refused");
        reason_after(false);
        assert_eq!(reason_after(false), "connection refused");
        assert_eq!(reason_after(true), "passed 1 of the 2 times that bring it up");
        assert_eq!(reason_after(true), "passed");
        assert_eq!(Monitor::new(policy, now).verdict().reason, "not probed yet");
    }

    #[test]
    fn counters_stop_at_their_ends() {
        let now = Instant::now();
        let policy = Policy { rise: 1, fall: u32::MAX, start: Start::Up };
        let mut monitor = Monitor::new(policy, now);
        (monitor.attempts, monitor.failures, monitor.against) = (u64::MAX, u64::MAX, u32::MAX - 1);
        assert_eq!(monitor.observe(outcome(false), now), Some(Transition::Down));
        assert_eq!((monitor.verdict().attempts, monitor.verdict().failures), (u64::MAX, u64::MAX));
    }

    #[test]
    fn a_restarted_monitor_keeps_its_verdict_and_totals() {
        let now = Instant::now();
        let mut monitor = Monitor::new(Policy { rise: 2, fall: 1, start: Start::Up }, now);
        monitor.observe(outcome(false), now);
        let mut monitor = monitor.restarted(Policy { rise: 2, fall: 5, start: Start::Up });
        assert!(!monitor.verdict().up);
        assert_eq!(monitor.verdict().attempts, 1);
        assert_eq!(monitor.observe(outcome(true), now), None);
        assert_eq!(monitor.observe(outcome(true), now), Some(Transition::Up));
    }
}
