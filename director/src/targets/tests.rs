use super::*;
use crate::decide::{Demands, Overrides, Pools, PortOverrides, Situation};
use director_core::availability::State;
use director_core::config::load;
use director_core::overrides::{Drain, Override};
use director_core::pool::Offers;
use health::{Failure, Fault, Monitor, Outcome, Passed};
use std::time::{Duration, Instant};

const FARM: &str = "
version: 1
nodes:
  lb1:
    public: {interface: eth0, address: 192.168.1.33/24}
    private: {interface: eth1, address: 10.0.1.33/24}
probes:
  rdp: {type: tcp, port: 3389, interval: 2s, timeout: 1s, rise: 2, fall: 4}
  own: {type: tcp, start: down}
servers:
  a: {address: 10.0.1.1}
  b: {address: 10.0.1.2}
services:
  mail:
    vip: 192.168.1.35
    ports: {tcp: [25, 80]}
    probes: [rdp, own]
    servers: {a: {ports: {25: 2525}}, b: {}}
  web:
    vip: 192.168.1.36
    ports: {tcp: 443}
    probe: rdp
    servers: {a: {}}
";

fn model() -> Model {
    load(FARM, "farm").unwrap_or_else(|report| panic!("{report}"))
}

fn offers(verdicts: &VerdictMap, overrides: &Overrides) -> Offers {
    let model = &model();
    let (ports, demands) = (&PortOverrides::new(), &Demands::new());
    let situation = Situation { model, verdicts, overrides, ports, demands, now: 0 };
    situation.offers(&mut Pools::new())
}

fn targets_of(remembered: &LastVerdicts) -> BTreeMap<TargetId, Target> {
    let model = model();
    targets(&model, &model.nodes["lb1"], remembered)
}

fn verdict(up: bool) -> Arc<Verdict> {
    let policy = Policy { rise: 1, fall: 1, start: Start::Up, slow: None, damping: None };
    let mut monitor = Monitor::new(policy, Instant::now());
    let result = if up { Ok(Passed::default()) } else { Err(Failure::new(Fault::Refused, "refused")) };
    monitor.observe(Outcome { result, latency: Duration::ZERO }, Instant::now());
    Arc::new(monitor.verdict())
}

#[test]
fn a_server_that_services_share_is_probed_once() {
    let targets = targets_of(&LastVerdicts::new());
    let names: Vec<&str> = targets.keys().map(TargetId::as_str).collect();
    assert_eq!(names, ["own@10.0.1.1:2525", "own@10.0.1.2:25", "rdp@10.0.1.1:3389", "rdp@10.0.1.2:3389"]);
}

#[test]
fn targets_carry_what_the_probe_says() {
    let targets = targets_of(&LastVerdicts::new());
    let rdp = &targets[&TargetId::new("rdp@10.0.1.1:3389")];
    assert_eq!(rdp.address, "10.0.1.1:3389".parse().unwrap());
    assert_eq!((rdp.pace.interval, rdp.timeout), (Duration::from_secs(2), Duration::from_secs(1)));
    assert_eq!(rdp.policy, Policy { rise: 2, fall: 4, start: Start::Up, slow: None, damping: None });
    assert_eq!(targets[&TargetId::new("own@10.0.1.2:25")].policy.start, Start::Down);
}

#[test]
fn targets_start_as_they_were() {
    let verdicts = VerdictMap::from([
        (TargetId::new("rdp@10.0.1.1:3389"), verdict(false)),
        (TargetId::new("rdp@10.0.1.2:3389"), verdict(true)),
        (TargetId::new("own@10.0.1.1:2525"), verdict(true)),
    ]);
    let targets = targets_of(&remember(&verdicts));
    assert_eq!(targets[&TargetId::new("rdp@10.0.1.1:3389")].policy.start, Start::Down);
    assert_eq!(targets[&TargetId::new("rdp@10.0.1.2:3389")].policy.start, Start::Up);
    assert_eq!(targets[&TargetId::new("own@10.0.1.1:2525")].policy.start, Start::Up, "has been seen to work");
    assert_eq!(targets[&TargetId::new("own@10.0.1.2:25")].policy.start, Start::Down, "has not");
}

#[test]
fn one_failed_probe_takes_a_server_out_of_the_services_that_ask_for_it() {
    let verdicts = VerdictMap::from([
        (TargetId::new("own@10.0.1.1:2525"), verdict(false)),
        (TargetId::new("rdp@10.0.1.1:3389"), verdict(true)),
    ]);
    let decided = offers(&verdicts, &Overrides::new());
    assert_eq!(decided["mail"].servers["a"].state, State::Down);
    assert_eq!(decided["mail"].servers["a"].reason, "own: refused");
    assert_eq!(decided["mail"].servers["b"].state, State::Up);
    assert_eq!(decided["web"].servers["a"].state, State::Up);
}

#[test]
fn an_override_concerns_one_service_only() {
    let drained = Override { weight: None, drain: Some(Drain::default()) };
    let overrides = BTreeMap::from([("web".to_owned(), BTreeMap::from([("a".to_owned(), drained)]))]);
    let decided = offers(&VerdictMap::new(), &overrides);
    assert_eq!(decided["web"].servers["a"].state, State::Drained);
    assert_eq!(decided["mail"].servers["a"].state, State::Up);
}
