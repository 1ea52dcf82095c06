//! When a probe runs, and how its outcomes make a verdict.

use crate::config::raw;
use crate::config::report::{Diagnostics, Span};
use crate::config::values::words;
use health::Policy;
use health::monitor::Damping;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);
const LATEST_FIRST: Duration = Duration::from_secs(1);
/// Successes in a row that bring up what is probed.
pub(in crate::config::build) const RISE: u32 = 2;
/// Failures in a row that take it down.
pub(in crate::config::build) const FALL: u32 = 3;
/// Flapping: down three times in ten minutes; five minutes without a failure end it.
const DAMPING: Damping =
    Damping { changes: 3, within: Duration::from_secs(600), hold: Duration::from_secs(300) };

/// When a probe runs.
pub(super) struct Timing {
    pub(super) interval: Duration,
    pub(super) retry: Duration,
    pub(super) backup_interval: Duration,
    pub(super) jitter: Duration,
    pub(super) timeout: Duration,
}

pub(super) fn timing(raw: &raw::Probe, errors: &mut Diagnostics) -> Timing {
    let interval = raw.interval.as_ref().map_or(INTERVAL, |it| it.0);
    let retry = raw.retry.as_ref().map_or(interval, |it| it.0);
    let backup_interval = raw.backup_interval.as_ref().map_or(interval, |it| it.0);
    let (shortest, name) =
        [(interval, "interval"), (retry, "retry interval"), (backup_interval, "backup interval")]
            .into_iter()
            .min_by_key(|(interval, _)| *interval)
            .unwrap_or((interval, "interval"));
    let timeout = raw.timeout.as_ref().map_or(TIMEOUT.min(shortest), |timeout| timeout.0);
    if let Some(place) = &raw.timeout {
        check_timeout(timeout, place.span, shortest, name, errors);
    }
    if let Some(slow) = raw.slow.as_ref().filter(|slow| slow.0 > timeout) {
        let message = format!("slow begins at {}, after the timeout of {}", words(slow.0), words(timeout));
        errors.error_hint(slow.span, message, "a probe that takes longer than the timeout has failed");
    }
    let jitter = raw.jitter.as_ref().map_or(interval.min(LATEST_FIRST), |it| it.0);
    Timing { interval, retry, backup_interval, jitter, timeout }
}

/// Reports a timeout, written at `span`, that is longer than the shortest interval, whose name is `name`.
pub(in crate::config::build) fn check_timeout(
    timeout: Duration,
    span: Span,
    shortest: Duration,
    name: &str,
    errors: &mut Diagnostics,
) {
    if timeout > shortest {
        let message =
            format!("the timeout of {} is longer than the {name} of {}", words(timeout), words(shortest));
        errors.error_hint(span, message, "a probe must have ended when the next one starts");
    }
}

pub(super) fn policy(raw: &raw::Probe) -> Policy {
    Policy {
        rise: raw.rise.as_ref().map_or(RISE, |rise| rise.0),
        fall: raw.fall.as_ref().map_or(FALL, |fall| fall.0),
        start: match raw.start.as_ref().map(|start| start.value) {
            None | Some(raw::Start::Up) => health::Start::Up,
            Some(raw::Start::Down) => health::Start::Down,
            Some(raw::Start::Unknown) => health::Start::Unknown,
        },
        slow: raw.slow.as_ref().map(|slow| slow.0),
        damping: raw.flap_damping.as_ref().map(|raw| damping(raw)),
    }
}

fn damping(raw: &raw::FlapDamping) -> Damping {
    Damping {
        changes: raw.changes.as_ref().map_or(DAMPING.changes, |it| it.0),
        within: raw.within.as_ref().map_or(DAMPING.within, |it| it.0),
        hold: raw.hold.as_ref().map_or(DAMPING.hold, |it| it.0),
    }
}
