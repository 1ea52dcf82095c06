use super::*;
use director_core::config::load;
use health::kind::Udp;
use health::{Failure, Fault, Kind, Monitor, Outcome, Passed};
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

fn targets_of(remembered: &LastVerdicts) -> BTreeMap<TargetId, Target> {
    let model = model();
    targets(&model, &model.nodes["lb1"], Role::Active, &resume(remembered))
}

fn names(targets: &BTreeMap<TargetId, Target>) -> Vec<&str> {
    targets.keys().map(TargetId::as_str).collect()
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
    assert_eq!(
        names(&targets),
        ["own@10.0.1.1:2525", "own@10.0.1.2:25", "rdp@10.0.1.1:3389", "rdp@10.0.1.2:3389"]
    );
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
fn who_a_target_is_probed_for_is_known() {
    let users = users(&model());
    let of = |id: &str| -> Vec<String> {
        let users = &users[&TargetId::new(id)];
        users.iter().map(|(service, server)| format!("{service}/{server}")).collect()
    };
    assert_eq!(of("rdp@10.0.1.1:3389"), ["mail/a", "web/a"]);
    assert_eq!(of("own@10.0.1.2:25"), ["mail/b"]);
    assert_eq!(users.len(), targets_of(&LastVerdicts::new()).len());
}

#[test]
fn a_role_decides_how_often_and_nothing_else() {
    let mut model = model();
    let rdp = model.probes.get_mut("rdp").unwrap();
    (rdp.retry, rdp.backup_interval) = (Duration::from_secs(1), Duration::from_secs(10));
    let of = |role| targets(&model, &model.nodes["lb1"], role, &Starts::new());
    let (active, mut backup) = (of(Role::Active), of(Role::Backup));
    let rdp = TargetId::new("rdp@10.0.1.1:3389");
    let secs = |pace: Pace| (pace.interval.as_secs(), pace.retry.as_secs());
    assert_eq!((secs(active[&rdp].pace), secs(backup[&rdp].pace)), ((2, 1), (10, 10)));
    assert_ne!(active, backup);
    backup.iter_mut().for_each(|(id, target)| target.pace = active[id].pace);
    assert_eq!(active, backup);
}

#[test]
fn targets_that_go_on_being_probed_are_the_same_ones() {
    let before = targets_of(&LastVerdicts::from([("rdp@10.0.1.1:3389".to_owned(), false)]));
    let model = model();
    let after = targets(&model, &model.nodes["lb1"], Role::Active, &keep(&before));
    assert_eq!(before, after);
    assert_eq!(after[&TargetId::new("rdp@10.0.1.1:3389")].policy.start, Start::Down);
}

/// Verdicts by target after a reload of the farm with `change`.
fn moved_by(change: (&str, &str)) -> Vec<(String, bool)> {
    let verdicts = VerdictMap::from([
        (TargetId::new("rdp@10.0.1.1:3389"), verdict(false)),
        (TargetId::new("rdp@10.0.1.2:3389"), verdict(true)),
        (TargetId::new("own@10.0.1.1:2525"), verdict(false)),
    ]);
    let changed = load(&FARM.replace(change.0, change.1), "farm").unwrap_or_else(|report| panic!("{report}"));
    let moved = moved(&users(&model()), &verdicts, &users(&changed));
    moved.into_iter().map(|(id, verdict)| (id.to_string(), verdict.is_up())).collect()
}

#[test]
fn a_probe_that_goes_elsewhere_stands_where_it_stood() {
    let rdp = [("rdp@10.0.1.1:81".to_owned(), false), ("rdp@10.0.1.2:81".to_owned(), true)];
    assert_eq!(moved_by(("port: 3389", "port: 81")), rdp);
    assert_eq!(moved_by(("2525", "2526")), [("own@10.0.1.1:2526".to_owned(), false)]);
    assert_eq!(moved_by(("a: {address: 10.0.1.1}", "a: {address: 10.0.1.9}")).len(), 2);
    assert_eq!(moved_by(("fall: 4", "fall: 5")), [], "they go where they went");
}

#[test]
fn what_nobody_knows_is_not_remembered() {
    let policy = Policy { rise: 1, fall: 1, start: Start::Unknown, slow: None, damping: None };
    let unknown = Monitor::new(policy, Instant::now()).verdict();
    let verdicts = VerdictMap::from([
        (TargetId::new("own@10.0.1.1:2525"), Arc::new(unknown)),
        (TargetId::new("own@10.0.1.2:25"), verdict(false)),
    ]);
    assert_eq!(remember(&verdicts), LastVerdicts::from([("own@10.0.1.2:25".to_owned(), false)]));
}

/// Names of the targets of one server, of both families, which a service has with those VIPs and ports.
fn probed(kind: Kind, vip: &str, ports: &str) -> Vec<String> {
    let farm = format!(
        "
version: 1
nodes:
  lb1:
    public: {{interface: eth0, addresses: [192.168.1.33/24, 'fd00:1::33/64']}}
    private: {{interface: eth1, addresses: [10.0.1.33/24, 'fd00:2::33/64']}}
probes: {{alive: {{type: tcp, port: 9}}}}
servers: {{a: {{addresses: [10.0.1.1, 'fd00:2::1']}}}}
services: {{web: {{vips: [{vip}], ports: {ports}, probe: alive, servers: {{a: {{}}}}}}}}
"
    );
    let mut model = load(&farm, "farm").unwrap_or_else(|report| panic!("{report}"));
    let alive = model.probes.get_mut("alive").unwrap();
    (alive.kind, alive.port) = (Arc::new(kind), None);
    let targets = targets(&model, &model.nodes["lb1"], Role::Active, &Starts::new());
    targets.into_keys().map(|id| id.to_string()).collect()
}

#[test]
fn a_probe_goes_where_the_connections_go() {
    let mixed = "{tcp: 25, udp: 53}";
    assert_eq!(probed(Kind::Tcp, "192.168.1.35", mixed), ["alive@10.0.1.1:25"]);
    assert_eq!(probed(Kind::Tcp, "'fd00:1::35'", mixed), ["alive@[fd00:2::1]:25"]);
    assert_eq!(probed(Kind::Tcp, "192.168.1.35, 'fd00:1::35'", mixed), ["alive@10.0.1.1:25"]);
    assert_eq!(probed(Kind::Udp(Udp::default()), "192.168.1.35", mixed), ["alive@10.0.1.1:53"]);
    assert_eq!(probed(Kind::Icmp, "192.168.1.35", mixed), ["alive@10.0.1.1:0"], "one for all services");
}
