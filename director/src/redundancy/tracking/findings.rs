//! From what is known of tracked targets to what the thread is told. Pure.

use crate::redundancy::{Lowered, News};
use director_core::model::{Track, Tracked};
use health::{State, TargetId, Verdicts};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use sync::vrrp::machine::Fitness;

/// What is known of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// Nobody knows yet.
    Unknown,
    /// There is none of that name.
    Missing,
    /// It is administratively down.
    Down,
    /// It is not connected.
    Lost,
    /// It works.
    Up,
}

/// What is known of everything tracked.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// What is not well, in words, with what it lowers; in the file's order.
    ill: Vec<(Track, String)>,
}

impl Findings {
    /// Looks at each. What nobody knows anything of yet counts as well.
    pub(super) fn of(track: &[Track], carrier: impl Fn(&str) -> Carrier, verdicts: &Verdicts) -> Self {
        let trouble = |track: &Track| match &track.what {
            Tracked::Interface(name) => missing(&track.name, carrier(name)),
            Tracked::Probe(_, address) => failing(track, *address, verdicts),
        };
        let ill = track.iter().filter_map(|track| Some((track.clone(), trouble(track)?)));
        Self { ill: ill.collect() }
    }

    /// All of it together: one that makes unfit does, others add up.
    pub(super) fn lowered(&self) -> Lowered {
        let together = self.ill.iter().fold(Fitness::Fit, |sum, (track, _)| match (sum, track.lower) {
            (Fitness::Unfit, _) | (_, None) => Fitness::Unfit,
            (Fitness::Fit, Some(amount)) => Fitness::Lowered(amount),
            (Fitness::Lowered(so_far), Some(amount)) => Fitness::Lowered(so_far.saturating_add(amount)),
        });
        Lowered { fitness: together, reasons: self.ill.iter().map(told).collect() }
    }

    /// What changed since `before`, of what is tracked now. Another reason for the same trouble is no news.
    pub(super) fn news(&self, before: &Self, track: &[Track]) -> Vec<News> {
        let (ill, were) = (self.names(), before.names());
        let fell = self.ill.iter().filter(|(track, _)| !were.contains(track.name.as_str()));
        let fell = fell.map(|finding| News::Tracked { well: false, text: told(finding) });
        let recovered = track.iter().map(|track| track.name.as_str());
        let recovered = recovered.filter(|name| were.contains(name) && !ill.contains(name));
        let recovered =
            recovered.map(|name| News::Tracked { well: true, text: format!("{name} is well again") });
        fell.chain(recovered).collect()
    }

    fn names(&self) -> BTreeSet<&str> {
        self.ill.iter().map(|(track, _)| track.name.as_str()).collect()
    }
}

/// What a tracked probe tries is called.
pub(super) fn target_id(track: &Track, address: SocketAddr) -> TargetId {
    TargetId::new(&format!("{}@{address}", track.name))
}

fn told((track, trouble): &(Track, String)) -> String {
    match track.lower {
        Some(amount) => format!("{trouble}: priority lower by {amount}"),
        None => format!("{trouble}: not fit"),
    }
}

fn missing(name: &str, carrier: Carrier) -> Option<String> {
    match carrier {
        Carrier::Unknown | Carrier::Up => None,
        Carrier::Missing => Some(format!("there is no interface {name}")),
        Carrier::Down => Some(format!("{name} is down")),
        Carrier::Lost => Some(format!("{name} has no carrier")),
    }
}

fn failing(track: &Track, address: SocketAddr, verdicts: &Verdicts) -> Option<String> {
    let verdict = verdicts.get(&target_id(track, address))?;
    let failed = verdict.state == State::Down && verdict.attempts > 0;
    failed.then(|| format!("{} fails ({})", track.name, verdict.reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use director_core::model::ProbeSpec;
    use health::{Failure, Fault, Monitor, Outcome, Passed, Policy, Start};
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    const ROUTER: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 1)), 0);

    fn interface(name: &str, lower: Option<u8>) -> Track {
        Track { name: name.into(), what: Tracked::Interface(name.into()), lower }
    }

    fn ping(lower: Option<u8>) -> Track {
        let spec: ProbeSpec = sample::probe();
        Track { name: "ping 192.168.1.1".into(), what: Tracked::Probe(Arc::new(spec), ROUTER), lower }
    }

    fn verdicts(policy: Policy, outcomes: &[bool]) -> Verdicts {
        let now = Instant::now();
        let mut monitor = Monitor::new(policy, now);
        for passed in outcomes {
            let failure = || Failure::new(Fault::TimedOut, "no answer within 1s");
            let result = if *passed { Ok(Passed::default()) } else { Err(failure()) };
            monitor.observe(Outcome { result, latency: Duration::ZERO }, now);
        }
        Arc::new([(target_id(&ping(None), ROUTER), Arc::new(monitor.verdict()))].into())
    }

    fn policy(start: Start) -> Policy {
        Policy { rise: 2, fall: 2, start, slow: None, damping: None }
    }

    #[test]
    fn each_says_what_is_wrong_and_what_it_lowers() {
        let track = [interface("eth2", None), interface("eth3", Some(20)), ping(Some(30))];
        let carrier = |name: &str| if name == "eth2" { Carrier::Lost } else { Carrier::Down };
        let findings = Findings::of(&track, carrier, &verdicts(policy(Start::Up), &[false, false]));
        assert_eq!(
            findings.lowered(),
            Lowered {
                fitness: Fitness::Unfit,
                reasons: vec![
                    "eth2 has no carrier: not fit".into(),
                    "eth3 is down: priority lower by 20".into(),
                    "ping 192.168.1.1 fails (no answer within 1s): priority lower by 30".into(),
                ]
            }
        );
        let findings = Findings::of(&track[..1], |_| Carrier::Missing, &Verdicts::default());
        assert_eq!(findings.lowered().reasons, ["there is no interface eth2: not fit"]);
    }

    #[test]
    fn what_nobody_knows_counts_as_well() {
        let track = [interface("eth2", None), ping(None)];
        let none = Verdicts::default();
        for verdicts in [none, verdicts(policy(Start::Down), &[]), verdicts(policy(Start::Up), &[false])] {
            let findings = Findings::of(&track, |_| Carrier::Unknown, &verdicts);
            assert_eq!(findings.lowered(), Lowered::default());
        }
    }

    #[test]
    fn changes_are_news_and_reasons_are_not() {
        let track = [interface("eth2", None), interface("eth3", Some(20))];
        let look = |eth2, eth3| {
            let carrier = move |name: &str| if name == "eth2" { eth2 } else { eth3 };
            Findings::of(&track, carrier, &Verdicts::default())
        };
        let tracked = |well, text: &str| News::Tracked { well, text: text.to_owned() };
        let well = look(Carrier::Up, Carrier::Up);
        let lost = look(Carrier::Lost, Carrier::Up);
        assert_eq!(well.news(&Findings::default(), &track), []);
        assert_eq!(lost.news(&well, &track), [tracked(false, "eth2 has no carrier: not fit")]);
        assert_eq!(look(Carrier::Down, Carrier::Up).news(&lost, &track), []);
        assert_eq!(
            look(Carrier::Up, Carrier::Lost).news(&lost, &track),
            [
                tracked(false, "eth3 has no carrier: priority lower by 20"),
                tracked(true, "eth2 is well again")
            ]
        );
        assert_eq!(well.news(&lost, &track[1..]), [], "it is tracked no more");
    }

    proptest! {
        #[test]
        fn unfit_beats_lowered_and_lowered_ones_add_up(
            lowers in proptest::collection::vec(proptest::option::weighted(0.9, 1_u8..=253), 0..10)
        ) {
            let ill = lowers.iter().enumerate().map(|(number, lower)| {
                (interface(&format!("eth{number}"), *lower), String::new())
            });
            let findings = Findings { ill: ill.collect() };
            let sum: Option<u32> = lowers.iter().map(|lower| lower.map(u32::from)).sum();
            let expected = match sum {
                None => Fitness::Unfit,
                Some(0) => Fitness::Fit,
                Some(sum) => Fitness::Lowered(u8::try_from(sum).unwrap_or(u8::MAX)),
            };
            prop_assert_eq!(findings.lowered().fitness, expected);
            prop_assert_eq!(findings.lowered().reasons.len(), lowers.len());
        }
    }
}
