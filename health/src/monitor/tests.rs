#![expect(clippy::disallowed_methods, reason = "any moment will do to start from")]

use super::*;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_millis(500);

fn policy(rise: u32, fall: u32, start: Start) -> Policy {
    Policy { rise, fall, start, slow: None, damping: None }
}

fn taking(passed: bool, latency: Duration) -> Outcome {
    let result =
        if passed { Ok(Passed::default()) } else { Err(Failure::new(Fault::Refused, "connection refused")) };
    Outcome { result, latency }
}

fn outcome(passed: bool) -> Outcome {
    taking(passed, Duration::from_micros(7))
}

fn asking_for(weight: u8) -> Outcome {
    let passed = Passed { weight: Some(weight), note: Some(format!("load asks for {weight}").into()) };
    Outcome { result: Ok(passed), latency: LIMIT }
}

/// Feeds outcomes a second apart; gives the reason after each.
struct Fed {
    monitor: Monitor,
    now: Instant,
}

impl Fed {
    fn new(policy: Policy) -> Self {
        let now = Instant::now();
        Self { monitor: Monitor::new(policy, now), now }
    }

    fn after(&mut self, outcome: Outcome) -> String {
        self.now += SECOND;
        self.monitor.observe(outcome, self.now);
        self.monitor.verdict().reason.to_string()
    }
}

/// An attempt as the plain model sees it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    passed: bool,
    slow: bool,
    at: Duration,
}

/// A policy, and attempts in order.
fn runs() -> impl Strategy<Value = (Policy, Vec<Seen>)> {
    let start = prop_oneof![Just(Start::Up), Just(Start::Down), Just(Start::Unknown)];
    let damping = (0..4_u32, 1..60_u64, 0..20_u64).prop_map(|(changes, within, hold)| Damping {
        changes,
        within: SECOND * u32::try_from(within).unwrap(),
        hold: SECOND * u32::try_from(hold).unwrap(),
    });
    let policy = (0..5_u32, 0..5_u32, start, any::<bool>(), prop::option::of(damping)).prop_map(
        |(rise, fall, start, slow, damping)| Policy {
            slow: slow.then_some(LIMIT),
            damping,
            ..policy(rise, fall, start)
        },
    );
    // Outcomes come in runs, so that all thresholds are met.
    let run = (any::<bool>(), any::<bool>(), 1..5_u64, 1..8_usize);
    let attempts = prop::collection::vec(run, 0..25).prop_map(|runs| {
        let mut at = Duration::ZERO;
        let mut all = Vec::new();
        for (passed, slow, gap, length) in runs {
            for _ in 0..length {
                at += Duration::from_secs(gap);
                all.push(Seen { passed, slow, at });
            }
        }
        all
    });
    (policy, attempts)
}

/// The last `count` attempts are all so.
fn ends_with(attempts: &[Seen], count: u32, holds: impl Fn(&Seen) -> bool) -> bool {
    let count = count.max(1) as usize;
    attempts.len() >= count && attempts[attempts.len() - count..].iter().all(holds)
}

/// The rules, written down from the whole past instead of counting along.
struct Model {
    policy: Policy,
    state: State,
    decided: bool,
    falls: Vec<Duration>,
    damped: bool,
    slow: bool,
}

impl Model {
    fn see(&mut self, all: &[Seen]) {
        let now = *all.last().unwrap();
        let Policy { rise, fall, damping, .. } = self.policy;
        match self.state {
            State::Unknown => self.state = if now.passed { State::Up } else { State::Down },
            State::Up if ends_with(all, fall, |it| !it.passed) => {
                self.state = State::Down;
                self.falls.push(now.at);
                self.damped = damping.is_some_and(|damping| {
                    let recent = self.falls.iter().filter(|fell| now.at - **fell <= damping.within);
                    recent.count() >= damping.changes.max(1) as usize
                });
            }
            State::Down => {
                let rise = if self.decided { rise } else { 1 };
                let first_of_run = all.iter().rev().take_while(|it| it.passed).last();
                let held = |hold| first_of_run.is_some_and(|first| now.at - first.at >= hold);
                let proved = !self.damped || damping.is_none_or(|damping| held(damping.hold));
                if ends_with(all, rise, |it| it.passed) && proved {
                    self.state = State::Up;
                    self.damped = false;
                }
            }
            State::Up => {}
        }
        self.decided |= self.state == State::Up || ends_with(all, fall, |it| !it.passed);
        if self.policy.slow.is_some() {
            let passed: Vec<Seen> = all.iter().copied().filter(|it| it.passed).collect();
            let count = if self.slow { rise } else { fall };
            self.slow ^= now.passed && ends_with(&passed, count, |it| it.slow != self.slow);
        }
    }
}

proptest! {
    #[test]
    fn verdicts_follow_the_rules((policy, attempts) in runs()) {
        let start = Instant::now();
        let mut monitor = Monitor::new(policy, start);
        let state = monitor.verdict().state;
        let decided = policy.start != Start::Down;
        let mut model = Model { policy, state, decided, falls: Vec::new(), damped: false, slow: false };
        for count in 1..=attempts.len() {
            let seen = &attempts[..count];
            let last = seen[count - 1];
            let latency = if last.slow { LIMIT * 2 } else { LIMIT };
            let before = monitor.verdict();
            let useful = monitor.observe(taking(last.passed, latency), start + last.at);
            model.see(seen);

            let verdict = monitor.verdict();
            prop_assert_eq!(verdict.state, model.state);
            prop_assert_eq!(verdict.damped, model.damped);
            prop_assert_eq!(verdict.slow, model.slow && model.state == State::Up);
            prop_assert_eq!(verdict.attempts, count as u64);
            prop_assert_eq!(verdict.failures, seen.iter().filter(|it| !it.passed).count() as u64);
            let turned = verdict.state != before.state;
            prop_assert_eq!(verdict.since, if turned { start + last.at } else { before.since });
            prop_assert!(useful || (!turned && verdict.slow == before.slow));
            prop_assert_eq!(verdict.history.len(), count.min(HISTORY));
            let kept = &seen[count - verdict.history.len()..];
            let alike = |(attempt, seen): (&Attempt, &Seen)| {
                attempt.at == start + seen.at && attempt.outcome.result.is_ok() == seen.passed
            };
            prop_assert!(verdict.history.iter().zip(kept).all(alike));
            prop_assert_eq!(verdict.fault, (!last.passed).then_some(Fault::Refused));
            if !last.passed {
                prop_assert!(verdict.reason.contains("connection refused"));
            }
        }
    }
}

#[test]
fn tells_how_far_it_is_in_words() {
    let mut fed = Fed::new(policy(2, 3, Start::Up));
    assert_eq!(&*fed.monitor.verdict().reason, "not probed yet");
    assert_eq!(fed.after(outcome(true)), "passed");
    assert_eq!(fed.after(outcome(false)), "failed 1 of the 3 times that take it down: connection refused");
    fed.after(outcome(false));
    assert_eq!(fed.after(outcome(false)), "connection refused");
    assert_eq!(fed.after(outcome(true)), "passed 1 of the 2 times that bring it up");
    assert_eq!(fed.after(outcome(true)), "passed");
}

#[test]
fn tells_how_slow_it_is_in_words() {
    let mut fed = Fed::new(Policy { slow: Some(LIMIT), ..policy(2, 2, Start::Unknown) });
    let slow = || taking(true, Duration::from_nanos(812_345_678));
    let quick = || taking(true, Duration::from_nanos(7_010_001));
    assert_eq!(fed.after(quick()), "passed");
    let reason = fed.after(slow());
    assert_eq!(reason, "passed, but took 812.4ms, over 500ms: 1 of the 2 times that make it slow");
    assert!(!fed.monitor.verdict().slow);
    // A failure says nothing about it.
    fed.after(outcome(false));
    assert_eq!(fed.after(slow()), "passed, but is slow: took 812.4ms, over 500ms");
    assert!(fed.monitor.verdict().slow);
    let reason = fed.after(quick());
    assert_eq!(
        reason,
        "passed, but was slow: took 7.1ms, 1 of the 2 times within 500ms that make it quick again"
    );
    assert_eq!(fed.after(quick()), "passed");
    assert_eq!(fed.after(taking(true, LIMIT)), "passed");
}

#[test]
fn tells_in_words_why_it_stays_down_though_it_passes() {
    let damping = Damping { changes: 2, within: SECOND * 300, hold: SECOND * 3 };
    let mut fed = Fed::new(Policy { damping: Some(damping), ..policy(1, 1, Start::Up) });
    assert_eq!(fed.after(outcome(false)), "connection refused");
    assert_eq!(fed.after(outcome(true)), "passed");
    assert_eq!(
        fed.after(outcome(false)),
        "connection refused; went down 2 times within 300s: must pass for 3s without a failure to come up"
    );
    for left in [3, 2] {
        assert_eq!(
            fed.after(outcome(true)),
            format!(
                "passed, but went down 2 times within 300s: must pass for another {left}s without a failure \
                 to come up"
            )
        );
    }
    fed.after(outcome(false));
    (0..3).for_each(|_| assert!(fed.after(outcome(true)).starts_with("passed, but went down")));
    assert!(fed.monitor.verdict().damped);
    assert_eq!(fed.after(outcome(true)), "passed");
    assert!(!fed.monitor.verdict().damped);
}

#[test]
fn falls_that_are_kept_in_mind_are_bounded() {
    let damping = Damping { changes: u32::MAX, within: Duration::MAX, hold: SECOND };
    let mut fed = Fed::new(Policy { damping: Some(damping), ..policy(1, 1, Start::Up) });
    while !fed.monitor.verdict().damped {
        fed.after(outcome(false));
        fed.after(outcome(true));
    }
    assert_eq!(fed.monitor.falls.count(), 100);
}

#[test]
fn a_weight_outlives_a_failure_but_not_the_server() {
    let mut fed = Fed::new(policy(1, 2, Start::Up));
    assert!(fed.monitor.observe(asking_for(40), fed.now));
    assert!(!fed.monitor.observe(asking_for(40), fed.now));
    fed.after(outcome(false));
    let verdict = fed.monitor.verdict();
    assert_eq!((verdict.weight, verdict.note.as_deref()), (Some(40), Some("load asks for 40")));
    fed.after(outcome(false));
    let verdict = fed.monitor.verdict();
    assert_eq!((verdict.weight, verdict.note), (None, None));
    assert!(fed.monitor.observe(asking_for(20), fed.now));
    assert!(fed.monitor.observe(asking_for(10), fed.now));
    assert_eq!(fed.monitor.verdict().weight, Some(10));
}

#[test]
fn equal_words_are_kept_once() {
    let mut fed = Fed::new(policy(1, 1, Start::Up));
    for _ in 0..3 {
        fed.after(outcome(false));
    }
    fed.after(asking_for(1));
    fed.after(asking_for(1));
    let verdict = fed.monitor.verdict();
    let words: Vec<*const u8> = verdict
        .history
        .iter()
        .map(|attempt| match &attempt.outcome.result {
            Ok(passed) => passed.note.as_ref().unwrap().as_ptr(),
            Err(failure) => failure.reason.as_ptr(),
        })
        .collect();
    assert!(words[0] == words[1] && words[1] == words[2] && words[2] != words[3] && words[3] == words[4]);
}

#[test]
fn latencies_are_those_of_attempts_that_passed() {
    let mut fed = Fed::new(policy(1, 1, Start::Up));
    assert_eq!(fed.monitor.verdict().latencies(), None);
    fed.after(taking(false, SECOND * 9));
    assert_eq!(fed.monitor.verdict().latencies(), None);
    for seconds in 1..=3 {
        fed.after(taking(true, SECOND * seconds * seconds));
    }
    let wanted = Latencies { least: SECOND, mean: SECOND * 14 / 3, greatest: SECOND * 9 };
    assert_eq!(fed.monitor.verdict().latencies(), Some(wanted));
}

#[test]
fn counters_stop_at_their_ends() {
    let mut fed = Fed::new(policy(1, u32::MAX, Start::Up));
    let monitor = &mut fed.monitor;
    (monitor.attempts, monitor.failures, monitor.against) = (u64::MAX, u64::MAX, u32::MAX - 1);
    assert!(monitor.observe(outcome(false), fed.now));
    assert_eq!((monitor.verdict().attempts, monitor.verdict().failures), (u64::MAX, u64::MAX));
    assert!(!monitor.is_up());
}

#[test]
fn another_policy_goes_on_from_the_counts() {
    let mut fed = Fed::new(policy(1, 5, Start::Up));
    (0..3).for_each(|_| drop(fed.after(outcome(false))));
    // As a reload says that finds it up.
    fed.monitor.set_policy(policy(2, 4, Start::Down));
    assert!(fed.monitor.is_up());
    fed.after(outcome(false));
    assert!(!fed.monitor.is_up());
    fed.after(outcome(true));
    assert!(!fed.monitor.is_up());
    fed.after(outcome(true));
    assert!(fed.monitor.is_up());
    assert_eq!((fed.monitor.verdict().attempts, fed.monitor.verdict().failures), (6, 4));
}

#[test]
fn another_policy_decides_how_a_target_starts_that_was_never_probed() {
    let mut fed = Fed::new(policy(1, 1, Start::Up));
    fed.monitor.set_policy(policy(1, 1, Start::Down));
    assert!(!fed.monitor.is_up());
}

#[test]
fn a_target_that_is_probed_otherwise_keeps_its_verdict_but_proves_itself_anew() {
    let mut fed = Fed::new(policy(3, 1, Start::Up));
    for passed in [false, true, true] {
        fed.after(outcome(passed));
    }
    fed.monitor.restart();
    for _ in 0..3 {
        assert!(!fed.monitor.is_up());
        fed.after(outcome(true));
    }
    assert!(fed.monitor.is_up());
    assert_eq!(fed.monitor.verdict().attempts, 6);
}

#[test]
fn failures_are_counted_by_what_failed() {
    let mut monitor = Monitor::new(policy(1, 1, Start::Up), Instant::now());
    for fault in [Fault::Refused, Fault::TimedOut, Fault::Refused] {
        let result = Err(Failure::new(fault, "no"));
        monitor.observe(Outcome { result, latency: SECOND }, Instant::now());
        monitor.observe(outcome(true), Instant::now());
    }
    assert_eq!(monitor.verdict().faults, BTreeMap::from([(Fault::Refused, 2), (Fault::TimedOut, 1)]));
    monitor.restart();
    assert_eq!(monitor.verdict().faults.len(), 2, "totals stay");
}
