//! What clients see of a failover.

use crate::Outcome;
use lab::Attempt;
use lab::farm::VIP;
use lab::{Capture, Frame, Host, Lab, eventually};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// What the Active has.
const SHARED: [IpAddr; 2] = [VIP, IpAddr::V4(Ipv4Addr::new(10, 0, 1, 254))];

/// What is called.
pub(crate) const PORT: u16 = 25;

/// Time between two calls, and how long a caller waits: less than until its first packet is sent again.
const EVERY: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_millis(500);

/// A connection that takes longer is counted as late: something was lost, or had to be asked for.
const LATE: Duration = Duration::from_millis(10);

/// Calls before and after that must be answered.
const CALM: usize = 40;

/// For a machine to become Active.
const LIMIT: Duration = Duration::from_secs(20);

/// Time for the pair to settle after that.
const SETTLED: Duration = Duration::from_millis(200);

/// What came of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Observation {
    /// What clients saw.
    pub(crate) calls: Calls,
    /// From the last advert of the former Active to the new one's word that the VIP is here now; not if an advert may
    /// or may not have got through.
    pub(crate) silence: Option<Duration>,
}

/// Connections around an event, one every 5 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calls {
    /// The longest time between two connections that were made, the second of them after the event.
    pub(crate) gap: Duration,
    /// Connections that were not made.
    pub(crate) failed: usize,
    /// Connections that took longer than 10 ms.
    pub(crate) late: usize,
    /// The longest time between two calls. More than a little, and the client itself stood still for a moment, for
    /// which no director need be to blame.
    pub(crate) pause: Duration,
}

/// Calls all the time while something happens that makes the machine `after` Active.
/// `capture` listens for longer than the time between two adverts.
pub(crate) fn observe(
    lab: &Lab,
    capture: &Capture,
    happens: impl FnOnce() -> Outcome,
    after: usize,
) -> Outcome<Observation> {
    let pinger = lab.client().ping_tcp(SocketAddr::new(VIP, PORT), EVERY, PATIENCE)?;
    pinger.steady(CALM)?;
    let event = (Instant::now(), SystemTime::now());
    happens()?;
    let happened = SystemTime::now();
    wait_for(lab, after)?;
    pinger.steady(CALM)?;
    let calls = calls(&pinger.stop()?, event.0);
    let hosts = [lab.directors()[1 - after].name(), lab.directors()[after].name()];
    Ok(Observation { calls, silence: silence(&capture.frames()?, hosts, event.1..happened) })
}

/// Waits until that machine has the VIP and the gateway.
pub(crate) fn wait_for(lab: &Lab, active: usize) -> Outcome {
    let host = &lab.directors()[active];
    eventually(LIMIT, &format!("{} has VIP and gateway", host.name()), || held(host) == SHARED.len())?;
    sleep(SETTLED);
    Ok(())
}

/// As [`wait_for`], and the other machine has none of them.
pub(crate) fn wait_for_all(lab: &Lab, active: usize) -> Outcome {
    let other = &lab.directors()[1 - active];
    wait_for(lab, active)?;
    Ok(eventually(LIMIT, &format!("{} has no VIP and no gateway", other.name()), || held(other) == 0)?)
}

/// How many of the shared addresses it has.
fn held(host: &Host) -> usize {
    // Reading it disturbs less than a process that does.
    let read = || std::fs::read_to_string("/proc/thread-self/net/fib_trie");
    let table = host.enter(read).ok().and_then(Result::ok).unwrap_or_default();
    SHARED.iter().filter(|address| table.contains(&format!("|-- {address}\n"))).count()
}

/// Attempts are in the order of their begin.
fn calls(attempts: &[Attempt], event: Instant) -> Calls {
    let mut made: Vec<Instant> = attempts.iter().filter_map(|it| Some(it.at + it.outcome.ok()?)).collect();
    made.sort();
    let pairs = made.windows(2).filter(|pair| pair[1] > event);
    let gap = pairs.map(|pair| pair[1] - pair[0]).max().unwrap_or(Duration::MAX);
    let outcomes = || attempts.iter().map(|attempt| attempt.outcome);
    let pauses = attempts.windows(2).filter(|pair| pair[1].at > event);
    Calls {
        gap,
        pause: pauses.map(|pair| pair[1].at - pair[0].at).max().unwrap_or_default(),
        failed: outcomes().filter(Result::is_err).count(),
        late: outcomes().filter(|outcome| outcome.is_ok_and(|time| time > LATE)).count(),
    }
}

/// Of the hosts `from` and `to`, on the public network.
fn silence(frames: &[Frame], [from, to]: [&str; 2], event: Range<SystemTime>) -> Option<Duration> {
    let is_advert = |frame: &Frame| frame.advert().is_some_and(|advert| advert.priority > 0);
    let public = || frames.iter().filter(|frame| frame.interface == "eth0");
    let adverts: Vec<SystemTime> =
        public().filter(|frame| frame.host == from && is_advert(frame)).map(|frame| frame.at).collect();
    if adverts.iter().any(|at| event.contains(at)) {
        return None;
    }
    let last = *adverts.iter().rfind(|at| **at < event.start)?;
    let claim = public().find(|frame| frame.host == to && frame.claims(VIP) && frame.at > last)?;
    claim.at.duration_since(last).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::Failure;

    #[test]
    fn the_gap_is_the_longest_after_the_event() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let made = |millis, took| Attempt { at: at(millis), outcome: Ok(Duration::from_millis(took)) };
        let lost = |millis| Attempt { at: at(millis), outcome: Err(Failure::Timeout) };
        let attempts =
            [made(0, 1), made(40, 1), made(45, 1), lost(50), made(55, 20), made(60, 1), made(65, 1)];
        let expected = |gap, pause| {
            let [gap, pause] = [gap, pause].map(Duration::from_millis);
            Calls { gap, failed: 1, late: 1, pause }
        };
        assert_eq!(calls(&attempts, at(44)), expected(15, 5));
        assert_eq!(calls(&attempts, at(20)), expected(40, 40));
    }
}
