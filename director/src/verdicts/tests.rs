use super::*;
use crate::decide::{Demands, Overrides, Pools, PortOverrides, Situation};
use crate::targets::{Role, Starts, targets};
use director_core::availability;
use director_core::clocks::Clocks;
use director_core::config::load;
use director_core::overrides::{Drain, Override};
use director_core::pool::Offers;
use health::{Failure, Fault, Monitor, Outcome, Passed, Policy};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const FARM: &str = "
version: 1
nodes:
  lb1:
    public: {interface: eth0, address: 192.168.1.33/24}
    private: {interface: eth1, address: 10.0.1.33/24}
probes: {web: {type: tcp, port: 80}, smtp: {type: tcp, port: 25}, rdp: {type: tcp, port: 3389}}
servers: {a: {address: 10.0.1.1}}
services:
  mail: {vip: 192.168.1.35, ports: {tcp: 25}, probes: [web, smtp, rdp], servers: {a: {weight: 5}}}
  rdp: {vip: 192.168.1.36, ports: {tcp: 3389}, probe: rdp, servers: {a: {}}}
";
const PROBES: [&str; 3] = ["web", "smtp", "rdp"];

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Up,
    Down,
    Unknown,
}
use Fate::{Down, Unknown, Up};

fn model(required: usize) -> Model {
    let mut model = load(FARM, "farm").unwrap_or_else(|report| panic!("{report}"));
    let server = model.services.get_mut("mail").unwrap().servers.get_mut("a").unwrap();
    Arc::make_mut(&mut server.checks).required = required;
    model
}

fn verdict(fate: Fate) -> Verdict {
    let policy = Policy { rise: 1, fall: 1, start: Start::Unknown, slow: None, damping: None };
    let mut monitor = Monitor::new(policy, Instant::now());
    let result = match fate {
        Up => Ok(Passed::default()),
        Down => Err(Failure::new(Fault::Refused, "connection refused")),
        Unknown => return monitor.verdict(),
    };
    monitor.observe(Outcome { result, latency: Duration::ZERO }, Instant::now());
    monitor.verdict()
}

fn id(probe: &str) -> TargetId {
    let port = [80, 25, 3389][PROBES.iter().position(|it| *it == probe).unwrap()];
    TargetId::new(&format!("{probe}@10.0.1.1:{port}"))
}

/// Verdicts on server a, in the order of [`PROBES`].
fn map(verdicts: [Verdict; 3]) -> VerdictMap {
    PROBES.iter().zip(verdicts).map(|(probe, verdict)| (id(probe), Arc::new(verdict))).collect()
}

fn health(model: &Model, verdicts: &VerdictMap) -> Health {
    let service = &model.services["mail"];
    health_of(model, service, &service.servers["a"], verdicts)
}

fn offers(model: &Model, verdicts: &VerdictMap, overrides: &Overrides) -> Offers {
    let (ports, demands) = (&PortOverrides::new(), &Demands::new());
    Situation { model, verdicts, overrides, ports, demands, now: Clocks::default() }.offers(&mut Pools::new())
}

fn advice_of(verdicts: [Verdict; 3], model: &Model) -> Advice {
    let health = health(model, &map(verdicts));
    let Health::Up(advice) = health else { panic!("{health:?}") };
    advice
}

#[test]
fn all_must_pass() {
    let of = |fates: [Fate; 3]| health(&model(3), &map(fates.map(verdict)));
    assert_eq!(of([Up, Up, Up]), Health::default());
    assert_eq!(of([Up, Down, Up]), Health::Down("smtp: connection refused".into()));
    assert_eq!(
        of([Down, Down, Up]),
        Health::Down("web: connection refused; smtp: connection refused".into())
    );
    assert_eq!(of([Up, Up, Unknown]), Health::Unknown("rdp: not probed yet".into()));
    let Health::Down(reason) = of([Down, Up, Unknown]) else { panic!("not down") };
    assert_eq!(reason, "web: connection refused; rdp: not probed yet");
}

#[test]
fn any_may_do() {
    let of = |fates: [Fate; 3]| health(&model(1), &map(fates.map(verdict)));
    let Health::Up(advice) = of([Down, Up, Down]) else { panic!("not up") };
    let missing = "1 of 3 probes passes, 1 must: web: connection refused; rdp: connection refused";
    assert_eq!(advice.notes, [missing]);
    let Health::Down(reason) = of([Down, Down, Down]) else { panic!("not down") };
    assert!(reason.starts_with("0 of 3 probes pass, 1 must: web: "), "{reason}");
    assert!(matches!(of([Down, Unknown, Down]), Health::Unknown(_)), "the one may still pass");
}

#[test]
fn two_of_three_must_pass() {
    let of = |fates: [Fate; 3]| health(&model(2), &map(fates.map(verdict)));
    assert!(matches!(of([Up, Up, Down]), Health::Up(_)));
    assert!(matches!(of([Up, Unknown, Down]), Health::Unknown(_)));
    let Health::Down(reason) = of([Down, Up, Down]) else { panic!("not down") };
    assert_eq!(reason, "1 of 3 probes passes, 2 must: web: connection refused; rdp: connection refused");
}

#[test]
fn one_failed_probe_takes_a_server_out_of_the_services_that_ask_for_it() {
    let model = model(3);
    let decided = offers(&model, &map([Down, Up, Up].map(verdict)), &Overrides::new());
    assert_eq!(decided["mail"].servers["a"].state, availability::State::Down);
    assert_eq!(decided["mail"].servers["a"].reason, "web: connection refused");
    assert_eq!(decided["rdp"].servers["a"].state, availability::State::Up);
}

#[test]
fn an_override_concerns_one_service_only() {
    let drained = Override { weight: None, drain: Some(Drain::default()) };
    let overrides = BTreeMap::from([("rdp".to_owned(), BTreeMap::from([("a".to_owned(), drained)]))]);
    let decided = offers(&model(3), &VerdictMap::new(), &overrides);
    assert_eq!(decided["rdp"].servers["a"].state, availability::State::Drained);
    assert_eq!(decided["mail"].servers["a"].state, availability::State::Up);
}

#[test]
fn before_its_first_verdict_a_server_is_what_its_probe_says() {
    let mut model = model(3);
    assert_eq!(health(&model, &VerdictMap::new()), Health::default(), "all start up");
    model.probes.get_mut("smtp").unwrap().policy.start = Start::Unknown;
    assert_eq!(health(&model, &VerdictMap::new()), Health::Unknown("smtp: not probed yet".into()));
    model.probes.get_mut("smtp").unwrap().policy.start = Start::Down;
    assert_eq!(health(&model, &VerdictMap::new()), Health::Down("smtp: not probed yet".into()));
}

#[test]
fn what_cannot_be_probed_fails() {
    let mut model = model(3);
    model.services.get_mut("mail").unwrap().servers.get_mut("a").unwrap().addresses.clear();
    let none = "the server has no address or port to probe";
    let expected = format!("web: {none}; smtp: {none}; rdp: {none}");
    assert_eq!(health(&model, &VerdictMap::new()), Health::Down(expected));

    let mut model = self::model(3);
    model.probes.remove("smtp");
    let verdicts = map([Up, Up, Up].map(verdict));
    assert_eq!(health(&model, &verdicts), Health::Down("smtp: there is no such probe".into()));

    let mut model = self::model(3);
    model.probes.get_mut("web").unwrap().port = None;
    model.services.get_mut("mail").unwrap().ports.clear();
    assert_eq!(health(&model, &verdicts), Health::Down(format!("web: {none}")));
}

#[test]
fn nothing_that_is_required_is_forgotten() {
    let verdicts = map([Down, Down, Down].map(verdict));
    for required in [0, 4] {
        assert!(matches!(health(&model(required), &verdicts), Health::Down(_)), "{required}");
    }
    let passing = map([Up, Up, Up].map(verdict));
    assert!(matches!(health(&model(4), &passing), Health::Down(_)), "more than there are");
}

#[test]
fn the_least_weight_that_is_asked_for_counts() {
    let asking =
        |weight: u8, note: &str| Verdict { weight: Some(weight), note: Some(note.into()), ..verdict(Up) };
    let model = model(2);
    let advice = advice_of([asking(7, "fine"), asking(3, "busy"), verdict(Up)], &model);
    assert_eq!(advice.weight, Some(Asked { weight: Weight::new(3), by: "smtp".into() }));
    assert_eq!(advice.notes, ["web: fine", "smtp: busy"]);

    let failed = Verdict { weight: Some(1), ..verdict(Down) };
    let advice = advice_of([asking(7, "fine"), verdict(Up), failed], &model);
    assert_eq!(advice.weight.unwrap().weight.get(), 7, "who fails has no say");

    let verdicts = map([verdict(Up), asking(0, "overheated"), verdict(Up)]);
    let it =
        offers(&model, &verdicts, &Overrides::new()).remove("mail").unwrap().servers.remove("a").unwrap();
    assert_eq!((it.state, it.weight.get()), (availability::State::Quiescent, 0));
    assert_eq!(it.reason, "weight 0, asked for by smtp; smtp: overheated");
}

#[test]
fn the_slowest_probe_counts() {
    let slow = || Verdict { slow: true, ..verdict(Up) };
    let mut model = model(3);
    for (probe, percent) in [("web", 50), ("smtp", 80), ("rdp", 100)] {
        let probe = model.probes.get_mut(probe).unwrap();
        (probe.slow_weight, probe.policy.slow) = (percent, Some(Duration::from_millis(200)));
    }
    let advice = advice_of([verdict(Up), verdict(Up), verdict(Up)], &model);
    assert_eq!(advice, Advice::default());
    let advice = advice_of([verdict(Up), verdict(Up), slow()], &model);
    assert_eq!((advice.slow_weight, advice.notes), (None, vec!["rdp takes longer than 200ms".to_owned()]));
    assert_eq!(advice_of([verdict(Up), slow(), slow()], &model).slow_weight, Some(80));
    assert_eq!(advice_of([slow(), slow(), slow()], &model).slow_weight, Some(50));

    let verdicts = map([slow(), verdict(Up), verdict(Up)]);
    let it =
        offers(&model, &verdicts, &Overrides::new()).remove("mail").unwrap().servers.remove("a").unwrap();
    assert_eq!(it.reason, "slow: 50% of its weight; web takes longer than 200ms");
    assert_eq!((it.state, it.weight.get(), it.share), (availability::State::Up, 5, 5 * 16));
}

#[test]
fn only_what_matters_is_a_change() {
    let before = |verdict: &Verdict| map([verdict.clone(), self::verdict(Up), self::verdict(Up)]);
    let changed = |a: &Verdict, b: &Verdict| changes(&before(a), &before(b)).len();
    let (up, down) = (verdict(Up), verdict(Down));
    for (change, matters) in [
        (Verdict { latency: Some(Duration::from_secs(1)), attempts: 9, failures: 3, ..up.clone() }, false),
        (
            Verdict { reason: "failed 1 of the 3 times".into(), fault: Some(Fault::Reset), ..up.clone() },
            false,
        ),
        (Verdict { history: Arc::default(), since: Instant::now(), ..up.clone() }, false),
        (Verdict { note: Some("the certificate ends soon".into()), ..up.clone() }, true),
        (Verdict { weight: Some(3), ..up.clone() }, true),
        (Verdict { slow: true, ..up.clone() }, true),
        (down.clone(), true),
        (verdict(Unknown), true),
    ] {
        assert_eq!(changed(&up, &change), usize::from(matters), "{change:?}");
        assert_eq!(changed(&change, &up), usize::from(matters), "{change:?}");
    }
    let other = Verdict { reason: "connection reset".into(), ..down.clone() };
    assert_eq!(changed(&down, &other), 1);
    assert_eq!(changed(&down, &Verdict { weight: Some(3), attempts: 9, ..down.clone() }), 0);
}

fn ids(before: &VerdictMap, after: &VerdictMap) -> Vec<TargetId> {
    changes(before, after).iter().map(|it| it.id.clone()).collect()
}

#[test]
fn verdicts_that_come_and_go_are_changes() {
    let all = map([Up, Up, Down].map(verdict));
    let mut some = all.clone();
    some.remove(&id("smtp"));
    assert_eq!(ids(&some, &all), [id("smtp")]);
    assert_eq!(ids(&all, &some), [id("smtp")]);
    assert!(ids(&all, &all.clone()).is_empty());
    assert_eq!(ids(&VerdictMap::new(), &all), [id("rdp"), id("smtp"), id("web")]);
    assert_eq!(ids(&all, &VerdictMap::new()).len(), 3);
}

fn fates() -> impl Strategy<Value = [Fate; 3]> {
    let fate = || prop_oneof![Just(Up), Just(Down), Just(Unknown)];
    [fate(), fate(), fate()]
}

proptest! {
    /// A server is up if enough pass, unknown if enough may, and its reason names everything that does not pass.
    #[test]
    fn enough_must_pass(fates in fates(), required in 1..=3_usize) {
        let passing = fates.iter().filter(|fate| **fate == Up).count();
        let hopeful = fates.iter().filter(|fate| **fate != Down).count();
        let reason = match health(&model(required), &map(fates.map(verdict))) {
            Health::Up(advice) => {
                prop_assert!(passing >= required);
                advice.notes.join("; ")
            }
            Health::Unknown(reason) => {
                prop_assert!(passing < required && hopeful >= required);
                reason
            }
            Health::Down(reason) => {
                prop_assert!(hopeful < required);
                reason
            }
        };
        for (probe, fate) in PROBES.iter().zip(fates) {
            prop_assert_eq!(reason.contains(&format!("{probe}: ")), fate != Up, "{}", reason);
        }
    }
}

#[test]
fn what_is_probed_is_what_is_looked_up() {
    let model = model(2);
    let targets = targets(&model, &model.nodes["lb1"], Role::Active, &Starts::new());
    let verdicts: VerdictMap = targets.into_keys().map(|id| (id, Arc::new(verdict(Up)))).collect();
    for service in model.services.values() {
        for server in service.servers.values() {
            assert!(standings(&model, service, server, &verdicts).all(|it| it.verdict.is_some()));
        }
    }
}
