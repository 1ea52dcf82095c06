//! What the sections `redundancy` and `sync` become.

use super::*;
use crate::model::{Announcements, Mode, ProbeSource, Redundancy, Side, Tracked};
use health::Kind;
use health::kind::{Exec, ExitMeaning};
use std::net::SocketAddr;
use sync::vrrp::machine::Preempt;
use sync::vrrp::packet::Checksum;
use sync::vrrp::timing::{Interval, Priority};

/// A file of two directors with these sections, which also fits the schema.
fn built(sections: &str) -> Model {
    let text = format!(
        "version: 1\n\
         nodes:\n  \
           lb1: {{public: {{interface: e0, address: 192.0.2.1/24}}, private: {{interface: e1, address: 10.0.0.1/24}}}}\n  \
           lb2: {{public: {{interface: e0, address: 192.0.2.2/24}}, private: {{interface: e1, address: 10.0.0.2/24}}}}\n\
         {sections}\n"
    );
    let validator = jsonschema::validator_for(&schema()).unwrap();
    assert!(validator.is_valid(&json(&text)), "{sections} does not fit the schema");
    model(&text)
}

fn redundancy(keys: &str) -> Redundancy {
    built(&format!("redundancy: {{vrid: 51, {keys}}}")).redundancy.unwrap()
}

fn priority(priority: u8) -> Priority {
    Priority::new(priority).unwrap()
}

#[test]
fn without_a_section_there_is_none() {
    assert_eq!(built("").redundancy, None);
}

#[test]
fn two_directors_that_know_nothing_of_each_other_are_strange() {
    let node = |number: u8| {
        format!(
            "  lb{number}: {{public: {{interface: e0, address: 192.0.2.{number}/24}}, \
             private: {{interface: e1, address: 10.0.0.{number}/24}}}}\n"
        )
    };
    let nodes = |numbers: &[u8]| numbers.iter().map(|&number| node(number)).collect::<String>();
    let warnings = |numbers: &[u8], rest: &str| {
        let text = format!("version: 1\nnodes:\n{}{rest}", nodes(numbers));
        load_with_warnings(&text, "f").unwrap_or_else(|report| panic!("{report}")).1.to_string()
    };
    assert_eq!(
        warnings(&[1, 2], ""),
        "f:2:1: warning: each director that runs is Active and answers for the VIPs: there is no \"redundancy\"\n    \
         2 | nodes:\n      | ^^^^^\n  \
         hint: add redundancy, or leave one node; else run one director at a time\n"
    );
    assert_eq!(warnings(&[1], ""), "");
    assert_eq!(warnings(&[1, 2], "redundancy: {vrid: 51}\n"), "");
    for example in [EXCHANGE, IIS, SMTP] {
        assert_eq!(load_with_warnings(example, "f").unwrap().1.warnings, []);
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let expected = Redundancy {
        vrid: 51.try_into().unwrap(),
        interval: Interval::DEFAULT,
        priorities: [("lb1".to_owned(), Priority::DEFAULT), ("lb2".to_owned(), Priority::DEFAULT)].into(),
        preempt: Preempt::AfterSync,
        preempt_delay: Duration::from_secs(10),
        startup_delay: Duration::ZERO,
        starts_active: false,
        links: vec![Side::Public, Side::Private],
        mode: Mode::Unicast,
        key_file: None,
        checksum: Checksum::Rfc9568,
        virtual_mac: false,
        announcements: Announcements {
            count: 5,
            spacing: Duration::from_millis(20),
            repeat: Some(Duration::from_secs(5)),
            refresh: Some(Duration::from_secs(60)),
        },
        track: vec![],
        notify: vec![],
        hello_port: 3780,
    };
    assert_eq!(redundancy(""), expected);
    assert_eq!(redundancy("announce: {}").announcements, expected.announcements);
}

#[test]
fn every_key_is_heard() {
    let built = built(
        "redundancy:\n  \
           vrid: 255\n  interval: 20ms\n  priority: {lb2: 254}\n  preempt: always\n  preempt_delay: 90\n  \
           startup_delay: 30s\n  links: [private]\n  mode: multicast\n  authentication: hmac\n  \
           key_file: /etc/director/vrrp.key\n  checksum: rfc5798\n  virtual_mac: true\n  \
           announce: {count: 1, spacing: 0s, repeat: 0, refresh: 1d}\n  initial_state: master\n  \
           notify: [/usr/local/bin/on-change, -n, 5, \"50%\"]\n\
         sync: {port: 3781, key_file: /etc/director/vrrp.key}",
    );
    let expected = Redundancy {
        vrid: 255.try_into().unwrap(),
        interval: Interval::from_centiseconds(2).unwrap(),
        priorities: [("lb1".to_owned(), Priority::DEFAULT), ("lb2".to_owned(), priority(254))].into(),
        preempt: Preempt::Always,
        preempt_delay: Duration::from_secs(90),
        startup_delay: Duration::from_secs(30),
        starts_active: true,
        links: vec![Side::Private],
        mode: Mode::Multicast,
        key_file: Some("/etc/director/vrrp.key".into()),
        checksum: Checksum::Rfc5798,
        virtual_mac: true,
        announcements: Announcements {
            count: 1,
            spacing: Duration::ZERO,
            repeat: None,
            refresh: Some(Duration::from_secs(86_400)),
        },
        track: vec![],
        notify: ["/usr/local/bin/on-change", "-n", "5", "50%"].map(ToOwned::to_owned).into(),
        hello_port: 3781,
    };
    assert_eq!(built.redundancy, Some(expected));
}

#[test]
fn preempt_has_its_own_delay() {
    let preempt = |keys: &str| {
        let built = redundancy(keys);
        (built.preempt, built.preempt_delay)
    };
    assert_eq!(preempt("preempt: always"), (Preempt::Always, Duration::ZERO));
    assert_eq!(preempt("preempt: never"), (Preempt::Never, Duration::ZERO));
    assert_eq!(preempt("preempt: after-sync"), (Preempt::AfterSync, Duration::from_secs(10)));
    assert_eq!(preempt("preempt_delay: 0s"), (Preempt::AfterSync, Duration::ZERO));
}

#[test]
fn a_virtual_mac_address_is_told_of_every_second() {
    let refresh = |keys: &str| redundancy(keys).announcements.refresh;
    assert_eq!(refresh("virtual_mac: true"), Some(Duration::from_secs(1)));
    assert_eq!(refresh("virtual_mac: true, announce: {refresh: 30s}"), Some(Duration::from_secs(30)));
    assert_eq!(refresh("virtual_mac: true, announce: {refresh: 0s}"), None);
}

#[test]
fn a_director_starts_as_backup_unless_it_is_said_otherwise() {
    let starts_active = |state: &str| redundancy(&format!("initial_state: {state}")).starts_active;
    assert!(starts_active("active") && starts_active("master") && !starts_active("backup"));
}

#[test]
fn authentication_follows_the_key_file() {
    let key = |keys: &str| redundancy(keys).key_file;
    assert_eq!(key("key_file: /k/x"), Some("/k/x".into()));
    assert_eq!(key("authentication: hmac, key_file: /k/x"), Some("/k/x".into()));
    assert_eq!(key("authentication: none"), None);
}

#[test]
fn one_director_may_be_a_virtual_router() {
    let text = "version: 1\n\
        nodes: {a: {public: {interface: e0, address: 192.0.2.1/24}, private: {interface: e1, address: \"fd00::1/64\"}}}\n\
        redundancy: {vrid: 1}\n";
    assert_eq!(model(text).redundancy.unwrap().priorities.len(), 1);
}

#[test]
fn a_link_needs_one_family_that_all_have() {
    let text = "version: 1\n\
        nodes:\n  \
          a: {public: {interface: e0, addresses: [192.0.2.1/24, \"2001:db8::1/64\"]}, private: {interface: e1, address: 10.0.0.1/24}}\n  \
          b: {public: {interface: e0, address: \"2001:db8::2/64\"}, private: {interface: e1, address: \"fd00::2/64\"}}\n\
        redundancy: {vrid: 1, links: [public]}\n";
    assert_eq!(model(text).redundancy.unwrap().links, [Side::Public]);
    assert!(load(&text.replace("[public]", "[public, private]"), "f").is_err());
}

/// What is tracked: name, target, what it lowers.
fn tracked(list: &str) -> Vec<(String, Tracked, Option<u8>)> {
    let track = redundancy(&format!("track: [{list}]")).track;
    track.into_iter().map(|track| (track.name, track.what, track.lower)).collect()
}

#[test]
fn interfaces_are_tracked_by_name() {
    let interface = |name: &str| Tracked::Interface(name.to_owned());
    assert_eq!(
        tracked("eth2, {interface: eth3, lower: 253}"),
        [("eth2".to_owned(), interface("eth2"), None), ("eth3".to_owned(), interface("eth3"), Some(253))]
    );
}

#[test]
fn an_interface_without_adverts_may_be_tracked() {
    let built = redundancy("links: [private], track: [e0]");
    assert_eq!(built.track.len(), 1);
}

#[test]
fn hosts_are_tracked_by_echo_requests() {
    let list = "{ping: 192.0.2.254}, \
        {ping: \"fd00::fe\", lower: 1, interval: 200ms, timeout: 100ms, rise: 5, fall: 1, source: private}";
    let [(first, Tracked::Probe(plain, address), None), (second, Tracked::Probe(full, address6), Some(1))] =
        &tracked(list)[..]
    else {
        panic!("something else is tracked");
    };
    assert_eq!((first.as_str(), second.as_str()), ("ping 192.0.2.254", "ping fd00::fe"));
    assert_eq!(
        (address.to_string().as_str(), address6.to_string().as_str()),
        ("192.0.2.254:0", "[fd00::fe]:0")
    );
    assert_eq!((&*plain.kind, plain.source), (&Kind::Icmp, ProbeSource::Routes));
    assert_eq!((plain.interval, plain.timeout), (Duration::from_secs(1), Duration::from_secs(1)));
    assert_eq!((plain.policy.rise, plain.policy.fall), (2, 3));
    assert_eq!(full.source, ProbeSource::Private);
    assert_eq!((full.interval, full.timeout), (Duration::from_millis(200), Duration::from_millis(100)));
    assert_eq!((full.policy.rise, full.policy.fall), (5, 1));
}

#[test]
fn a_ping_has_ended_when_the_next_one_starts() {
    let [(_, Tracked::Probe(spec, _), _)] = &tracked("{ping: 192.0.2.254, interval: 100ms}")[..] else {
        panic!("something else is tracked");
    };
    assert_eq!((spec.interval, spec.retry, spec.timeout), {
        let short = Duration::from_millis(100);
        (short, short, short)
    });
}

#[test]
fn scripts_are_tracked_by_their_exit_status() {
    let list = "{script: [/usr/bin/check, \"50%\", 7]}, {script: [/usr/bin/check], user: probe, lower: 20}, \
        {script: [/opt/check]}";
    let tracked = tracked(list);
    let names: Vec<&str> = tracked.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["script check", "script check/2", "script check/3"]);
    let (_, Tracked::Probe(spec, address), None) = &tracked[0] else { panic!("{tracked:?}") };
    let command = ["/usr/bin/check", "50%%", "7"].map(ToOwned::to_owned).into();
    let exec = Exec { command, user: "nobody".to_owned(), exit: ExitMeaning::Plain };
    assert_eq!(*spec.kind, Kind::Exec(exec));
    assert_eq!(*address, "0.0.0.0:0".parse::<SocketAddr>().unwrap());
    let (_, Tracked::Probe(spec, _), Some(20)) = &tracked[1] else { panic!("{tracked:?}") };
    assert!(matches!(&*spec.kind, Kind::Exec(exec) if exec.user == "probe"));
}

#[test]
fn a_tracked_probe_is_used() {
    let built = built(
        "probes: {up: {type: tcp, address: 192.0.2.254, port: 53}}\n\
         redundancy: {vrid: 1, track: [{probe: up}, {probe: {type: icmp, address: 192.0.2.254}, lower: 5}]}",
    );
    let [named, inline] = &built.redundancy.unwrap().track[..] else { panic!("not two") };
    assert_eq!((named.name.as_str(), inline.name.as_str()), ("up", "icmp/inline"));
    let spec = built.probes["up"].clone();
    assert_eq!(named.what, Tracked::Probe(spec.into(), "192.0.2.254:53".parse().unwrap()));
    assert!(matches!(&inline.what, Tracked::Probe(_, to) if *to == "192.0.2.254:0".parse().unwrap()));
    assert_eq!((named.lower, inline.lower), (None, Some(5)));
}

/// Keys with values, good and bad ones.
const KEYS: [&str; 28] = [
    "interval: 10ms",
    "interval: 11ms",
    "priority: {lb1: 254}",
    "priority: {lb3: 1}",
    "preempt: never",
    "preempt: always",
    "preempt_delay: 1s",
    "startup_delay: 1h",
    "links: [private]",
    "links: [public, public]",
    "mode: multicast",
    "authentication: none",
    "authentication: hmac",
    "key_file: /k",
    "key_file: k",
    "checksum: rfc5798",
    "virtual_mac: true",
    "announce: {refresh: 1ms}",
    "announce: {count: 20, repeat: 0}",
    "track: [e2, e2]",
    "track: [e0]",
    "track: [e2, {ping: 192.0.2.9}, {script: [/a/b]}, {script: [/c/b]}, {probe: p, lower: 9}]",
    "track: [{probe: {type: icmp, address: 192.0.2.9}}, {probe: q}]",
    "track: [{ping: 192.0.2.1}]",
    "track: []",
    "initial_state: master",
    "notify: [/a/b, c]",
    "notify: [b]",
];

proptest! {
    #[test]
    fn what_loads_fits_the_schema_and_holds_what_is_promised(
        keys in proptest::sample::subsequence(&KEYS[..], 0..6),
        sync in proptest::sample::select(&["", "sync: {}", "sync: {port: 1}", "sync: {key_file: /k}", "sync: {link: public}"][..]),
        nodes in 1..4_usize,
    ) {
        let nodes: String = (1..=nodes).map(|n| format!(
            "  lb{n}: {{public: {{interface: e0, address: 192.0.2.{n}/24}}, private: {{interface: e1, address: 10.0.0.{n}/24}}}}\n"
        )).collect();
        let keys = keys.join(", ");
        let probes = if keys.contains("probe: p") { "probes: {p: {type: tcp, address: 192.0.2.9, port: 1}}" } else { "" };
        let text = format!(
            "version: 1\nnodes:\n{nodes}{probes}\n\
             redundancy: {{vrid: 7, {keys}}}\n{sync}\n"
        );
        let Ok(model) = load(&text, "f") else { return Ok(()) };
        let validator = jsonschema::validator_for(&schema()).unwrap();
        prop_assert!(validator.is_valid(&json(&text)), "{}", text);
        let built = model.redundancy.unwrap();
        prop_assert!(built.priorities.keys().eq(model.nodes.keys()));
        prop_assert!(built.links == [Side::Private] || built.links == [Side::Public, Side::Private]);
        prop_assert!(built.preempt != Preempt::Never || built.preempt_delay.is_zero());
        prop_assert!(built.announcements.count > 0);
        prop_assert!(built.notify.first().is_none_or(|program| program.starts_with('/')));
        prop_assert_eq!(built.key_file.is_some(), keys.contains("key_file"));
        let names: BTreeSet<&str> = built.track.iter().map(|track| track.name.as_str()).collect();
        prop_assert_eq!(names.len(), built.track.len());
    }

    #[test]
    fn an_interval_is_read_exactly_or_refused(millis in 0..50_000_u64) {
        let text = format!(
            "version: 1\n\
             nodes: {{a: {{public: {{interface: e0, address: 192.0.2.1/24}}, private: {{interface: e1, address: 10.0.0.1/24}}}}}}\n\
             redundancy: {{vrid: 1, interval: {millis}ms}}\n"
        );
        let sayable = millis % 10 == 0 && (10..=40_950).contains(&millis);
        match load(&text, "f") {
            Ok(model) => {
                prop_assert!(sayable);
                let interval = model.redundancy.unwrap().interval;
                prop_assert_eq!(interval.duration(), Duration::from_millis(millis));
            }
            Err(report) => prop_assert!(!sayable, "{}", report),
        }
    }
}
