mod probes;
mod redundancy;

use super::*;
use crate::model::Checks;
use crate::model::{
    ClientHash, Granularity, PortMap, Quorum, Ramp, RateLimit, RateUnit, Role, Scheduler, Service, SlowStart,
    Thresholds, Weight,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

const EXCHANGE: &str = include_str!("../../../../deploy/examples/exchange.yaml");
const IIS: &str = include_str!("../../../../deploy/examples/iis.yaml");
const SMTP: &str = include_str!("../../../../deploy/examples/smtp.yaml");

fn model(text: &str) -> Model {
    load(text, "f").unwrap_or_else(|report| panic!("{report}"))
}

/// What a general YAML reader sees.
fn json(text: &str) -> serde_json::Value {
    serde_yaml::from_str(text).unwrap()
}

#[test]
fn the_examples_load_and_fit_the_schema() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    for example in [EXCHANGE, IIS, SMTP] {
        model(example);
        let errors: Vec<String> = schema.iter_errors(&json(example)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

#[test]
fn the_schema_is_valid_and_refuses_what_does_not_load() {
    let schema = schema();
    assert!(jsonschema::meta::is_valid(&schema));
    let schema = jsonschema::validator_for(&schema).unwrap();
    for (right, wrong) in [
        ("version: 1", "version: one"),
        ("scheduler: wrr", "scheduler: wrrr"),
        ("scheduler: wrr", "schedular: wrr"),
        ("    vip: 192.168.1.35", "    vip: 192.168.1.35\n    vips: [192.168.1.38]"),
        ("    vip: 192.168.1.35\n", ""),
        ("probe: rdp", "probe: rdp\n    probes: [rdp]"),
        ("weight: 1", "weight: 65536"),
        ("weight: 1", "weight: \"1\""),
        ("tcp: [25", "tcp: [0"),
        ("timeout: 10m", "timeout: ten minutes"),
        ("type: rdp", "typ: rdp"),
        ("port: 3389", "port: 3389\n    body: a\n    body_contains: b"),
        ("weight: 1", "probe: rdp, probes: [rdp]"),
        ("servers:\n  exchange1:", "servers:\n  exchange 1:"),
        ("vrid: 51", "vrid: 0"),
        ("vrid: 51", "vrrid: 51"),
        ("interval: 1s", "interval: 15ms"),
        ("{ lb1: 150,", "{ lb1: 255,"),
        ("key_file: /etc", "key_file: etc"),
        ("  vrid: 51", "  track: [{ ping: 192.168.1.1, script: [/bin/true] }]\n  vrid: 51"),
    ] {
        let text = EXCHANGE.replace(right, wrong);
        assert!(load(&text, "f").is_err(), "{wrong} loads");
        assert!(!schema.is_valid(&json(&text)), "{wrong} fits the schema");
    }
}

#[test]
fn the_schema_describes_every_key() {
    let schema = schema();
    for (name, record) in schema["$defs"].as_object().unwrap() {
        for (key, property) in record["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name}.{key} has no description");
        }
    }
}

#[test]
fn the_reference_names_every_key() {
    let reference = include_str!("../../../../docs/configuration.md");
    for (name, record) in schema()["$defs"].as_object().unwrap() {
        for key in record["properties"].as_object().unwrap().keys() {
            assert!(reference.contains(&format!("`{key}`")), "docs/configuration.md lacks {name}.{key}");
        }
    }
}

#[test]
fn the_exchange_farm_is_what_the_file_says() {
    let model = model(EXCHANGE);
    let service = &model.services["exchange"];
    assert_eq!(service.mark.get(), 80);
    let ports: Vec<u16> = service.ports.iter().map(|range| range.first).collect();
    assert_eq!(ports, [25, 80, 443, 465, 587, 717, 2525]);
    assert_eq!(service.persistence.unwrap().timeout, Duration::from_secs(600));
    assert_eq!(*service.servers["exchange1"].checks, Checks::all(vec!["rdp".to_owned()]));
    assert_eq!(service.servers["exchange2"].weight, Weight::DEFAULT);
    assert_eq!(model.gateways, ["10.0.1.254".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(model.management["exchange1-admin"].mark.get(), 1);
    assert_eq!(model.management["exchange1-admin"].address, "10.0.1.1".parse::<std::net::IpAddr>().unwrap());
    assert!(model.outbound.hairpin && model.kernel.manage && model.kernel.accounting);
    assert_eq!(model.api.listen, Some("127.0.0.1:9090".parse().unwrap()));
    let redundancy = model.redundancy.unwrap();
    assert_eq!(redundancy.vrid.get(), 51);
    assert!(redundancy.priorities["lb1"] > redundancy.priorities["lb2"]);
    assert!(redundancy.key_file.is_some());
}

#[test]
fn the_other_farms_are_what_the_files_say() {
    let iis = model(IIS);
    assert_eq!(iis.services["ntrip"].scheduler, Scheduler::Rr);
    assert_eq!(iis.services["ntrip"].servers["iis1"].ports, PortMap::All(8080));
    assert!(!iis.services["ntrip"].quiescence.expire_nodest_conn);
    let smtp = model(SMTP);
    let persistence = smtp.services["smtp"].persistence.unwrap();
    assert_eq!(persistence.granularity, Granularity { v4: 24, v6: 64 });
    assert_eq!(smtp.services["smtp"].vips.len(), 2);
    assert_eq!(smtp.persistence_limit, 16_384);
}

#[test]
fn what_is_left_out_has_its_default() {
    let text = "version: 1\n\
        nodes: {a: {public: {interface: e0, address: 192.0.2.1/24}, private: {interface: e1, address: 10.0.0.1/24}}}\n\
        servers: {x: {address: 10.0.0.2}}\n\
        services: {s: {vip: 192.0.2.9, ports: {both: 53, tcp: 80-81}, persistence: {}, servers: {x: {}}, probe: p}}\n\
        probes: {p: {type: tcp, interval: 500ms}}\n";
    let model = model(text);
    let service = &model.services["s"];
    assert_eq!(service.scheduler, Scheduler::Wrr);
    assert_eq!(service.persistence.unwrap().timeout, Model::DEFAULT_PERSISTENCE_TIMEOUT);
    assert!(service.quiescence.quiescent && service.quiescence.expire_quiescent_template);
    assert_eq!(service.ports.len(), 3);
    assert_eq!(service.servers["x"].ports, PortMap::Keep);
    let probe = &model.probes["p"];
    assert_eq!((probe.timeout, probe.policy.rise, probe.policy.fall), (Duration::from_millis(500), 2, 3));
    assert_eq!(model.api.socket.to_str(), Some(Model::DEFAULT_SOCKET));
    assert!(!model.outbound.hairpin && model.outbound.masquerade.is_empty());
}

/// A service with these keys beside its VIP. There are servers x, y and z, and the probes p and q.
fn service_with(keys: &str) -> Service {
    let text = format!(
        "version: 1\n\
         nodes: {{a: {{public: {{interface: e0, address: 192.0.2.1/24}}, private: {{interface: e1, address: 10.0.0.1/24}}}}}}\n\
         servers: {{x: {{address: 10.0.0.2}}, y: {{address: 10.0.0.3}}, z: {{address: 10.0.0.4}}}}\n\
         probes: {{p: {{type: tcp, port: 1}}, q: {{type: tcp, port: 2}}}}\n\
         services: {{s: {{vip: 192.0.2.9, {keys}}}, \
         all: {{vip: 192.0.2.10, ports: {{tcp: 80}}, probes: [p, q], servers: {{x: {{}}, y: {{}}, z: {{}}}}}}}}\n"
    );
    let validator = jsonschema::validator_for(&schema()).unwrap();
    assert!(validator.is_valid(&json(&text)), "{keys} does not fit the schema");
    model(&text).services["s"].clone()
}

#[test]
fn a_pool_has_levels_spares_and_a_quorum() {
    let service = service_with(
        "ports: {tcp: 80}, probe: p, quorum: 3, hysteresis: 1, \
         servers: {x: {weight: 4, thresholds: {upper: 10}}, y: {priority: 7, thresholds: {upper: 9, lower: 9}}}, \
         sorry_server: {server: z, port: 8080, weight: 3, probe: q}",
    );
    assert_eq!(service.quorum, Quorum { weight: 3, hysteresis: 1 });
    assert_eq!(service.servers["x"].role, Role::default());
    // Fewer than three quarters: 7 are, 8 are not.
    assert_eq!(service.servers["x"].thresholds, Some(Thresholds { upper: 10, lower: 8 }));
    assert_eq!(service.servers["y"].role, Role::Regular { priority: 7 });
    assert_eq!(service.servers["y"].thresholds, Some(Thresholds { upper: 9, lower: 9 }));
    let spare = &service.servers["z"];
    assert_eq!(spare.role, Role::Sorry);
    assert_eq!((spare.weight.get(), &spare.ports), (3, &PortMap::All(8080)));
    assert_eq!(
        (&service.servers["x"].checks.probes[..], &spare.checks.probes[..]),
        (&["p".to_owned()][..], &["q".to_owned()][..])
    );

    let several = "ports: {tcp: 80}, probe: p, servers: {}, sorry_server: [{server: y}, {server: z}]";
    let service = service_with(several);
    assert_eq!(service.quorum, Quorum::default());
    assert!(service.servers.values().all(|it| it.role == Role::Sorry && it.checks.probes.is_empty()));
    assert_eq!(service.servers.len(), 2);
}

#[test]
fn a_slow_start_is_a_time_or_says_how() {
    let slow = |value: &str| {
        service_with(&format!("ports: {{tcp: 80}}, servers: {{x: {{}}}}, slow_start: {value}")).slow_start
    };
    let start = |seconds, ramp| Some(SlowStart { duration: Duration::from_secs(seconds), ramp });
    assert_eq!(slow("1m"), start(60, Ramp::Linear));
    assert_eq!(slow("90"), start(90, Ramp::Linear));
    assert_eq!(slow("{over: 1d}"), start(86_400, Ramp::Linear));
    assert_eq!(slow("{over: 1s, ramp: doubling}"), start(1, Ramp::Doubling));
}

#[test]
fn a_rate_limit_has_a_unit_of_time() {
    let limit = |value: &str| {
        service_with(&format!("ports: {{tcp: 80}}, servers: {{x: {{}}}}, rate_limit: {value}"))
            .rate_limit
            .unwrap()
    };
    let default =
        RateLimit { connections: 20, per: RateUnit::Second, burst: 20, granularity: Granularity::default() };
    assert_eq!(limit("{connections: 20}"), default);
    let full = limit("{connections: 100, per: hour, burst: 7, granularity: 255.255.255.0, granularity6: 64}");
    let expected = RateLimit {
        connections: 100,
        per: RateUnit::Hour,
        burst: 7,
        granularity: Granularity { v4: 24, v6: 64 },
    };
    assert_eq!(full, expected);
    for (written, unit) in [("second", "1s"), ("minute", "1m"), ("hour", "1h"), ("day", "1d")] {
        let per = |per| limit(&format!("{{connections: 1, per: {per}}}")).per;
        assert_eq!(per(written), per(unit));
    }
}

#[test]
fn disabled_ports_are_split_as_the_services_are() {
    let service = service_with(
        "ports: {tcp: [80, 81, 90-99], both: 53}, servers: {x: {}}, syn_protection: true, \
         disabled_ports: {tcp: [80-81, 95-97], udp: 53}",
    );
    let disabled: Vec<String> = service.disabled_ports.iter().map(ToString::to_string).collect();
    assert_eq!(disabled, ["tcp port 80", "tcp port 81", "tcp ports 95-97", "udp port 53"]);
    assert!(service.syn_protection && !service.full_nat);
    assert!(service_with("ports: {tcp: 80}, servers: {x: {}}, disabled_ports: {}").disabled_ports.is_empty());
}

#[test]
fn full_nat_reaches_servers_anywhere() {
    let text = "version: 1\n\
        nodes: {a: {public: {interface: e0, address: 192.0.2.1/24}, private: {interface: e1, address: 10.0.0.1/24}}}\n\
        servers: {x: {address: 10.9.9.9}}\n\
        outbound: {reset_invalid: true}\n\
        services: {s: {vip: 192.0.2.9, ports: {tcp: 80}, full_nat: true, servers: {x: {}}}}\n";
    let built = model(text);
    assert!(built.services["s"].full_nat && built.outbound.reset_invalid);
    assert!(load(&text.replace("full_nat: true", "full_nat: false"), "f").is_err());
}

#[test]
fn schedulers_have_their_options() {
    let scheduler = |options: &str| {
        service_with(&format!("ports: {{tcp: 80}}, servers: {{x: {{}}}}, {options}")).scheduler
    };
    let hash = ClientHash { granularity: Granularity { v4: 24, v6: 64 }, port: true, fallback: true };
    let options = "hash_granularity: 255.255.255.0, hash_granularity6: /64, hash_port: true";
    assert_eq!(scheduler("scheduler: random"), Scheduler::Random);
    assert_eq!(scheduler("scheduler: dh"), Scheduler::Dh);
    assert_eq!(scheduler("scheduler: fo"), Scheduler::Fo);
    assert_eq!(scheduler("scheduler: ovf"), Scheduler::Ovf);
    assert_eq!(scheduler("scheduler: lc"), Scheduler::Lc);
    assert_eq!(scheduler("scheduler: wlc"), Scheduler::Wlc);
    assert_eq!(scheduler("scheduler: sed"), Scheduler::Sed);
    assert_eq!(scheduler("scheduler: nq"), Scheduler::Nq);
    assert_eq!(scheduler("scheduler: sh"), Scheduler::Sh(ClientHash::default()));
    assert_eq!(scheduler("scheduler: mh, hash_fallback: true"), Scheduler::Mh(ClientHash::default()));
    let strict = ClientHash { fallback: false, ..ClientHash::default() };
    assert_eq!(scheduler("scheduler: mh, hash_fallback: false"), Scheduler::Mh(strict));
    assert_eq!(scheduler(&format!("scheduler: sh, {options}")), Scheduler::Sh(hash));
    assert_eq!(scheduler(&format!("scheduler: mh, {options}")), Scheduler::Mh(hash));
}

/// A file of services named by `names`, none of them with a mark.
fn unmarked(names: &[&str]) -> String {
    let mut text = "version: 1\n\
        nodes: {a: {public: {interface: e0, address: 10.1.0.1/16}, private: {interface: e1, address: 10.0.0.1/24}}}\n\
        servers: {x: {address: 10.0.0.2}}\nservices:\n"
        .to_owned();
    for (index, name) in names.iter().enumerate() {
        let vip = format!("10.1.{}.{}", 1 + index / 250, 1 + index % 250);
        text.push_str(&format!("  {name}: {{vip: {vip}, ports: {{tcp: 80}}, servers: {{x: {{}}}}}}\n"));
    }
    text
}

#[test]
fn derived_marks_are_stable_and_distinct() {
    let names: Vec<String> = (0..5000).map(|number| format!("service-{number}")).collect();
    let all = model(&unmarked(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    let marks: BTreeSet<u32> = all.services.values().map(|service| service.mark.get()).collect();
    assert_eq!(marks.len(), names.len());
    assert!(marks.iter().all(|mark| (0x0100_0000..0x0200_0000).contains(mark)));
    let one = model(&unmarked(&["service-7"]));
    assert_eq!(one.services["service-7"].mark, all.services["service-7"].mark);
    // FNV-1a of "foobar" is 0xbf9cf968.
    assert_eq!(model(&unmarked(&["foobar"])).services["foobar"].mark.get(), 0x0100_0000 | 0xbf ^ 0x9c_f968);
}

#[test]
fn a_derived_mark_gives_way_to_a_given_one() {
    let derived = model(&unmarked(&["foobar"])).services["foobar"].mark;
    let text =
        unmarked(&["foobar", "other"]).replace("other: {", &format!("other: {{mark: {}, ", derived.get()));
    let model = model(&text);
    assert_eq!(model.services["other"].mark, derived);
    assert_eq!(model.services["foobar"].mark.get(), derived.get() + 1);
}

#[test]
fn a_report_holds_a_thousand_errors_and_counts_the_rest() {
    let text = format!("version: 1\n{}", (0..1500).map(|key| format!("key{key}: 1\n")).collect::<String>());
    let report = load(&text, "f").unwrap_err();
    assert_eq!((report.errors.len(), report.omitted), (1000, 501));
    assert!(report.to_string().ends_with("and 501 more errors\n"));
}

#[test]
fn too_many_servers_in_a_service() {
    let names: Vec<String> = (0..4096).map(|number| format!("s{number}")).collect();
    let addresses = names
        .iter()
        .enumerate()
        .map(|(n, name)| format!("  {name}: {{address: 10.0.{}.{}}}\n", n / 200, n % 200 + 1));
    let used = names.iter().map(|name| format!("      {name}: {{}}\n"));
    let text = format!(
        "version: 1\nnodes: {{a: {{public: {{interface: e0, address: 192.0.2.1/24}}, \
         private: {{interface: e1, address: 10.0.255.1/16}}}}}}\nservers:\n{}services:\n  s:\n    \
         vip: 192.0.2.9\n    ports: {{tcp: 80}}\n    servers:\n{}",
        addresses.collect::<String>(),
        used.collect::<String>()
    );
    let report = load(&text, "f").unwrap_err();
    let messages: Vec<&str> = report.errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(messages, ["the service has 4096 servers; at most 4095 are allowed"]);
}

/// A change to a text.
#[derive(Debug, Clone)]
enum Mutation {
    Truncate(prop::sample::Index),
    DeleteLine(prop::sample::Index),
    RepeatLine(prop::sample::Index),
    SwapLines(prop::sample::Index, prop::sample::Index),
    Insert(prop::sample::Index, char),
    Replace(prop::sample::Index, &'static str),
}

impl Mutation {
    fn apply(&self, text: &str) -> String {
        let mut lines: Vec<&str> = text.lines().collect();
        let place = |index: &prop::sample::Index| {
            text.char_indices().nth(index.index(text.chars().count().max(1))).map_or(0, |(offset, _)| offset)
        };
        match self {
            Self::Truncate(index) => return text[..place(index)].to_owned(),
            Self::Insert(index, c) => {
                let (before, after) = text.split_at(place(index));
                return format!("{before}{c}{after}");
            }
            Self::Replace(index, with) => {
                let words: Vec<&str> = text.split_inclusive([' ', '\n', ',', '}']).collect();
                let chosen = index.index(words.len().max(1));
                let replace = |(n, word): (usize, &&str)| {
                    if n == chosen { format!("{with} ") } else { (*word).to_owned() }
                };
                return words.iter().enumerate().map(replace).collect();
            }
            _ if lines.is_empty() => {}
            Self::DeleteLine(index) => {
                lines.remove(index.index(lines.len()));
            }
            Self::RepeatLine(index) => {
                let line = index.index(lines.len());
                lines.insert(line, lines[line]);
            }
            Self::SwapLines(a, b) => {
                let (a, b) = (a.index(lines.len()), b.index(lines.len()));
                lines.swap(a, b);
            }
        }
        lines.join("\n")
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    let word = prop::sample::select(vec![
        "",
        "~",
        "[]",
        "{}",
        "-1",
        "0",
        "99999999999999999999",
        "true",
        "\"\"",
        "&a x",
        "*a",
        "!t",
        "- ",
        "? ",
        "|",
        ">",
        "%",
        "0.0.0.0/0",
        "::",
        "::/0",
        "10.0.1.1",
        "1-65535",
        "\u{85}",
        "\u{feff}",
        "\r",
    ]);
    prop_oneof![
        index().prop_map(Mutation::Truncate),
        index().prop_map(Mutation::DeleteLine),
        index().prop_map(Mutation::RepeatLine),
        (index(), index()).prop_map(|(a, b)| Mutation::SwapLines(a, b)),
        (index(), any::<char>()).prop_map(|(at, c)| Mutation::Insert(at, c)),
        (index(), word).prop_map(|(at, word)| Mutation::Replace(at, word)),
    ]
}

/// Loads, and prints what comes of it: neither may panic. A report is never empty and its places exist.
fn try_load(text: &str) {
    if let Err(report) = load(text, "f") {
        assert!(!report.errors.is_empty());
        assert!(!report.to_string().is_empty());
        let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
        assert!(
            report.errors.iter().all(|error| (1..=lines + 1).contains(&(error.line as usize))),
            "{report}"
        );
    }
}

proptest! {
    #[test]
    fn mutated_examples_never_panic(
        example in prop::sample::select(vec![EXCHANGE, IIS, SMTP]),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let text = mutations.iter().fold(example.to_owned(), |text, mutation| mutation.apply(&text));
        try_load(&text);
    }

    #[test]
    fn random_text_never_panics(text in any::<String>()) {
        try_load(&text);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        try_load(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_yaml_never_panics(words in prop::collection::vec(prop::sample::select(vec![
        "a", ": ", "\n", "  ", "- ", "[", "]", "{", "}", ",", "\"", "'", "|", ">", "&x ", "*x", "!", "? ", "#", "%",
        "---", "...", "version", "nodes", "\t", "<<", "\r\n", "1", "\\",
    ]), 0..60)) {
        try_load(&words.concat());
    }
}
