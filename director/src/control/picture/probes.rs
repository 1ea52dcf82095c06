//! What probes say, as it is shown.

use crate::status::{AttemptStatus, LatenciesStatus, ProbeHistory, ProbeStatus};
use crate::verdicts::Standing;
use crate::words::micros;
use health::Verdict;
use health::monitor::Attempt;
use std::time::{Instant, SystemTime};

/// One moment by two clocks: verdicts are dated by the one, and shown by the other.
#[derive(Debug, Clone, Copy)]
pub(in crate::control) struct Clock {
    instant: Instant,
    wall: SystemTime,
}

impl Clock {
    pub(in crate::control) fn now() -> Self {
        Self { instant: Instant::now(), wall: SystemTime::now() }
    }

    fn at(self, instant: Instant) -> SystemTime {
        let ago = self.instant.saturating_duration_since(instant);
        // The wall clock may have been set back since: nothing can be told of what was before its beginning.
        self.wall.checked_sub(ago).map_or(SystemTime::UNIX_EPOCH, |at| at.max(SystemTime::UNIX_EPOCH))
    }
}

pub(in crate::control) fn probe(it: &Standing<'_>, clock: Clock) -> ProbeStatus {
    let verdict = it.verdict;
    ProbeStatus {
        name: it.name.to_owned(),
        state: it.state.into(),
        reason: it.reason.to_owned(),
        fault: verdict.and_then(|it| it.fault).map(|fault| fault.as_str().to_owned()),
        note: verdict.and_then(|it| it.note.as_deref()).map(str::to_owned),
        weight: verdict.and_then(|it| it.weight),
        slow: verdict.is_some_and(|it| it.slow),
        damped: verdict.is_some_and(|it| it.damped),
        since: verdict.map(|it| humantime::format_rfc3339_seconds(clock.at(it.since)).to_string()),
        latency_micros: verdict.and_then(|it| it.latency).map(micros),
        attempts: verdict.map_or(0, |it| it.attempts),
        failures: verdict.map_or(0, |it| it.failures),
        faults: verdict
            .into_iter()
            .flat_map(|it| &it.faults)
            .map(|(fault, count)| (fault.as_str().to_owned(), *count))
            .collect(),
        results: verdict.map_or_else(String::new, |it| it.history.iter().map(result).collect()),
    }
}

pub(in crate::control) fn history(it: &Standing<'_>, clock: Clock) -> ProbeHistory {
    let attempts = it.verdict.map_or(&[][..], |verdict| &verdict.history);
    ProbeHistory {
        probe: probe(it, clock),
        latencies: it.verdict.and_then(Verdict::latencies).map(|it| LatenciesStatus {
            least_micros: micros(it.least),
            mean_micros: micros(it.mean),
            greatest_micros: micros(it.greatest),
        }),
        history: attempts.iter().map(|attempt| self::attempt(attempt, clock)).collect(),
    }
}

fn attempt(it: &Attempt, clock: Clock) -> AttemptStatus {
    let (fault, reason) = match &it.outcome.result {
        Ok(passed) => (None, passed.note.as_deref()),
        Err(failure) => (Some(failure.fault.as_str().to_owned()), Some(&*failure.reason)),
    };
    AttemptStatus {
        at: humantime::format_rfc3339_millis(clock.at(it.at)).to_string(),
        passed: it.outcome.result.is_ok(),
        fault,
        reason: reason.map(str::to_owned),
        latency_micros: micros(it.outcome.latency),
    }
}

fn result(it: &Attempt) -> char {
    if it.outcome.result.is_ok() { '.' } else { 'x' }
}

#[cfg(test)]
mod tests {
    use super::*;
    use health::{Failure, Fault, Monitor, Outcome, Passed, Policy, Start, State};
    use std::time::Duration;

    /// Failed 61 s ago, passed a minute ago.
    fn verdict(clock: Clock) -> Verdict {
        let policy = Policy { rise: 1, fall: 1, start: Start::Unknown, slow: None, damping: None };
        let ago = |seconds| clock.instant.checked_sub(Duration::from_secs(seconds)).unwrap();
        let mut monitor = Monitor::new(policy, ago(62));
        let failed = Err(Failure::new(Fault::Refused, "connection refused"));
        monitor.observe(Outcome { result: failed, latency: Duration::from_micros(300) }, ago(61));
        let passed = Ok(Passed::with_note("the certificate ends soon"));
        monitor.observe(Outcome { result: passed, latency: Duration::from_millis(2) }, ago(60));
        monitor.verdict()
    }

    #[test]
    fn times_are_told_by_the_wall_clock() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(86_461);
        let clock = Clock { instant: Instant::now() + Duration::from_secs(100), wall };
        let verdict = verdict(clock);
        let (state, reason) = (State::Up, "passed");
        let it = Standing { name: "tls", state, reason, verdict: Some(&verdict), probe: None };
        let shown = history(&it, clock);
        assert_eq!(shown.probe.faults, [("refused".to_owned(), 1)].into());
        assert_eq!(shown.probe.since.as_deref(), Some("1970-01-02T00:00:01Z"));
        assert_eq!((shown.probe.results.as_str(), shown.probe.latency_micros), ("x.", Some(2000)));
        assert_eq!((shown.probe.fault, shown.probe.attempts, shown.probe.failures), (None, 2, 1));
        let latencies = LatenciesStatus { least_micros: 2000, mean_micros: 2000, greatest_micros: 2000 };
        assert_eq!(shown.latencies, Some(latencies), "of those that passed");
        assert_eq!(
            shown.history,
            [
                AttemptStatus {
                    at: "1970-01-02T00:00:00.000Z".into(),
                    passed: false,
                    fault: Some("refused".into()),
                    reason: Some("connection refused".into()),
                    latency_micros: 300,
                },
                AttemptStatus {
                    at: "1970-01-02T00:00:01.000Z".into(),
                    passed: true,
                    fault: None,
                    reason: Some("the certificate ends soon".into()),
                    latency_micros: 2000,
                },
            ]
        );
    }

    #[test]
    fn a_wall_clock_that_was_set_back_is_no_reason_to_panic() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(30);
        let clock = Clock { instant: Instant::now() + Duration::from_secs(100), wall };
        let verdict = verdict(clock);
        let (state, reason) = (State::Up, "passed");
        let shown =
            history(&Standing { name: "tls", state, reason, verdict: Some(&verdict), probe: None }, clock);
        assert_eq!(shown.probe.since.as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(shown.history[0].at, "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn without_a_verdict_there_is_little_to_tell() {
        let (state, reason) = (State::Unknown, "not probed yet");
        let it = Standing { name: "tls", state, reason, verdict: None, probe: None };
        let ProbeHistory { probe, history, latencies } = history(&it, Clock::now());
        assert_eq!((probe.since, probe.latency_micros, latencies, history.len()), (None, None, None, 0));
        assert_eq!((probe.reason.as_str(), probe.results.as_str()), ("not probed yet", ""));
    }
}
