//! A verdict in words.

use super::{Attempt, Damping, Failure, Monitor, State};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// What most verdicts say, once for all.
static PASSED: LazyLock<Arc<str>> = LazyLock::new(|| "passed".into());
static NOT_PROBED: LazyLock<Arc<str>> = LazyLock::new(|| "not probed yet".into());

impl Monitor {
    /// Why the verdict is as it is.
    pub(super) fn reason(&self) -> Arc<str> {
        let Some(last) = self.history.last() else { return Arc::clone(&NOT_PROBED) };
        let (against, needed) = (self.against, self.needed());
        match (&last.outcome.result, self.state) {
            (Ok(_), State::Up) => self.pace_of(last),
            (Ok(_), State::Down | State::Unknown) => match self.hold(last.at) {
                Some((damping, remaining)) => format!(
                    "passed, but {}: must pass for another {} without a failure to come up",
                    self.falls_within(damping),
                    whole(remaining)
                )
                .into(),
                None => format!("passed {against} of the {needed} times that bring it up").into(),
            },
            (Err(Failure { reason, .. }), State::Up) => {
                format!("failed {against} of the {needed} times that take it down: {reason}").into()
            }
            (Err(failure), State::Down | State::Unknown) => match self.hold(last.at) {
                Some((damping, _)) => format!(
                    "{}; {}: must pass for {:?} without a failure to come up",
                    failure.reason,
                    self.falls_within(damping),
                    damping.hold
                )
                .into(),
                None => Arc::clone(&failure.reason),
            },
        }
    }

    /// What is to say of a success of a target that is up: slow or not.
    fn pace_of(&self, last: &Attempt) -> Arc<str> {
        let Some(limit) = self.policy.slow else { return Arc::clone(&PASSED) };
        let slowness = self.slowness;
        let (against, needed) = (slowness.against(), slowness.needed(self.policy.rise, self.policy.fall));
        let took = rounded(last.outcome.latency);
        match (slowness.is_slow(), against) {
            (false, 0) => Arc::clone(&PASSED),
            (false, _) => format!(
                "passed, but took {took}, over {limit:?}: {against} of the {needed} times that make it slow"
            )
            .into(),
            (true, 0) => format!("passed, but is slow: took {took}, over {limit:?}").into(),
            (true, _) => format!(
                "passed, but was slow: took {took}, {against} of the {needed} times within {limit:?} that make it \
                 quick again"
            )
            .into(),
        }
    }

    /// What keeps it down though it may pass, and for how long.
    fn hold(&self, now: Instant) -> Option<(Damping, Duration)> {
        let damping = self.policy.damping?;
        let remaining = self.falls.remaining(damping, now);
        (!remaining.is_zero()).then_some((damping, remaining))
    }

    fn falls_within(&self, damping: Damping) -> String {
        match self.falls.count() {
            1 => format!("went down within {:?}", damping.within),
            count => format!("went down {count} times within {:?}", damping.within),
        }
    }
}

/// Rounded up, so that what is over a limit reads so too: without digits that say nothing.
fn rounded(time: Duration) -> String {
    let unit = match time.as_micros() {
        0..1_000 => 1,
        1_000..1_000_000 => 100,
        _ => 1_000,
    };
    format!("{:?}", up_to(time, unit))
}

/// In whole seconds if there are any.
fn whole(remaining: Duration) -> String {
    let unit = if remaining > Duration::from_secs(1) { 1_000_000 } else { 1_000 };
    format!("{:?}", up_to(remaining, unit))
}

fn up_to(time: Duration, unit: u64) -> Duration {
    let micros = u64::try_from(time.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX);
    Duration::from_micros(micros.div_ceil(unit).saturating_mul(unit))
}
