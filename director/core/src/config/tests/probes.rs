//! Probes of good files. Bad ones: `tests/config/probe*.txt` and `checks.txt`.

use super::{EXCHANGE, IIS, SMTP, json, model};
use crate::config::schema;
use crate::model::{Checks, Model, ProbeSource, ProbeSpec};
use health::kind::{
    BodyMatch, Dns, Exec, ExitMeaning, Http, HttpVersion, Method, Pattern, Rdp, Reply, Smtp, SmtpSecurity,
    StatusSet, Tls, Udp, Verify,
};
use health::monitor::Damping;
use health::{Kind, Policy, Start};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A file with these keys of the file and of service s, which has ports 80, 25 of tcp and 53 of udp, and servers x
/// and y. It must fit the schema too.
fn farm(file: &str, service: &str) -> Model {
    let text = format!(
        "version: 1\n\
         nodes: {{a: {{public: {{interface: e0, address: 192.0.2.1/24}}, private: {{interface: e1, addresses: [10.0.0.1/24, \"fd01::1/64\"]}}}}}}\n\
         servers: {{x: {{addresses: [10.0.0.2, \"fd01::2\"]}}, y: {{address: 10.0.0.3}}}}\n\
         management: {{m: {{vip: 192.0.2.11, server: y}}}}\n\
         {file}\n\
         services:\n  s: {{vip: 192.0.2.9, ports: {{tcp: [80, 25], udp: 53}}, {service}}}\n"
    );
    let validator = jsonschema::validator_for(&schema()).unwrap();
    assert!(validator.is_valid(&json(&text)), "does not fit the schema: {text}");
    model(&text)
}

/// The probe with these keys.
fn spec(keys: &str) -> ProbeSpec {
    farm(&format!("probes: {{p: {{{keys}}}}}"), "probe: p, servers: {x: {}}").probes["p"].clone()
}

fn kind(keys: &str) -> Kind {
    (*spec(keys).kind).clone()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn common_keys_have_defaults() {
    let expected = ProbeSpec {
        name: "p".to_owned(),
        kind: Arc::new(Kind::Tcp),
        port: None,
        address: None,
        source: ProbeSource::Routes,
        mark: 0,
        interval: ms(2000),
        retry: ms(2000),
        backup_interval: ms(2000),
        jitter: ms(1000),
        timeout: ms(1000),
        policy: Policy { rise: 2, fall: 3, start: Start::Up, slow: None, damping: None },
        slow_weight: 100,
    };
    assert_eq!(spec("type: tcp"), expected);
    let short = spec("type: tcp, interval: 500ms");
    assert_eq!((short.retry, short.jitter, short.timeout), (ms(500), ms(500), ms(500)));
    assert_eq!(spec("type: tcp, retry: 300ms").timeout, ms(300));
    assert_eq!(spec("type: tcp, backup_interval: 200ms").timeout, ms(200));
    let damping = spec("type: tcp, flap_damping: {}").policy.damping;
    assert_eq!(damping, Some(Damping { changes: 3, within: ms(600_000), hold: ms(300_000) }));
}

#[test]
fn common_keys_are_what_the_file_says() {
    let got = spec(
        "type: tcp, port: 7, address: 10.0.0.9, source: 10.0.0.99, mark: 0x50, interval: 1s, retry: 200ms, \
         backup_interval: 1m, jitter: 0s, timeout: 150ms, rise: 4, fall: 5, start: unknown, slow: 100ms, \
         slow_weight: 25%, flap_damping: {changes: 9, within: 1m, hold: 2s}",
    );
    let expected = ProbeSpec {
        name: "p".to_owned(),
        kind: Arc::new(Kind::Tcp),
        port: Some(7),
        address: Some("10.0.0.9".parse().unwrap()),
        source: ProbeSource::Address("10.0.0.99".parse().unwrap()),
        mark: 80,
        interval: ms(1000),
        retry: ms(200),
        backup_interval: ms(60_000),
        jitter: ms(0),
        timeout: ms(150),
        policy: Policy {
            rise: 4,
            fall: 5,
            start: Start::Unknown,
            slow: Some(ms(100)),
            damping: Some(Damping { changes: 9, within: ms(60_000), hold: ms(2000) }),
        },
        slow_weight: 25,
    };
    assert_eq!(got, expected);
    assert_eq!(spec("type: icmp, mark: 4294967295, source: private").source, ProbeSource::Private);
}

#[test]
fn http_has_keys_of_its_own() {
    let default = Http {
        tls: None,
        version: HttpVersion::Http11,
        method: Method::Get,
        path: "/".to_owned(),
        host: None,
        headers: vec![],
        status: StatusSet::default(),
        body: None,
        body_limit: 65_536,
    };
    assert_eq!(kind("type: http"), Kind::Http(default.clone()));
    let full = Http {
        version: HttpVersion::Http10,
        method: Method::Post,
        path: "/a/b?c=%20".to_owned(),
        host: Some("www.example.org".to_owned()),
        headers: vec![("X-Probe".to_owned(), "a b".to_owned())],
        status: StatusSet(vec![200..=200, 300..=399]),
        body: Some(BodyMatch::Matches(Pattern::new("^ok").unwrap())),
        body_limit: 1 << 20,
        ..default.clone()
    };
    let keys = "version: 1.0, method: POST, path: \"/a/b?c=%20\", host: www.example.org, headers: {X-Probe: a b}, \
                status: [200, 300-399], body: ^ok, body_limit: 1MiB";
    assert_eq!(kind(&format!("type: http, {keys}")), Kind::Http(full.clone()));
    let keys = keys.replace("1.0", "\"1.0\"");
    let tls = Tls { server_name: Some("www.example.org".to_owned()), ..Tls::default() };
    assert_eq!(kind(&format!("type: https, {keys}")), Kind::Http(Http { tls: Some(tls), ..full }));
    let contains = Http { body: Some(BodyMatch::Contains("a".to_owned())), body_limit: 9, ..default.clone() };
    assert_eq!(kind("type: http, body_contains: a, body_limit: 9"), Kind::Http(contains));
    // A Host header is the host, and may have a port.
    let header = Http { host: Some("a.example:8080".to_owned()), ..default.clone() };
    assert_eq!(kind("type: http, headers: {host: \"a.example:8080\"}"), Kind::Http(header.clone()));
    let tls = Tls { server_name: Some("a.example".to_owned()), ..Tls::default() };
    let header = Http { tls: Some(tls), ..header };
    assert_eq!(kind("type: https, headers: {host: \"a.example:8080\"}"), Kind::Http(header));
    // An address is no server name.
    for host in ["10.0.0.1", "[fd00::1]"] {
        let http = Http { tls: Some(Tls::default()), host: Some(host.to_owned()), ..default.clone() };
        assert_eq!(kind(&format!("type: https, host: \"{host}\"")), Kind::Http(http));
    }
}

#[test]
fn tls_is_verified_when_asked_for() {
    let tls = |keys: &str| {
        let Kind::Tls(tls) = kind(&format!("type: tls, port: 443{keys}")) else { panic!("{keys}") };
        tls
    };
    assert_eq!(tls(""), Tls::default());
    assert_eq!(tls(", verify: true").verify, Verify::System);
    let file = Verify::File("/etc/ca.pem".into());
    assert_eq!(tls(", ca_file: /etc/ca.pem").verify, file);
    let full = Tls {
        server_name: Some("a.example".to_owned()),
        verify: file,
        expiry_warning: Some(ms(1_209_600_000)),
    };
    assert_eq!(tls(", ca_file: /etc/ca.pem, verify: true, sni: a.example, expiry_warning: 14d"), full);
}

#[test]
fn the_other_types_have_keys_of_their_own() {
    let smtp = |helo: &str, security| Kind::Smtp(Smtp { helo: helo.to_owned(), security });
    assert_eq!(kind("type: smtp"), smtp("director.localdomain", SmtpSecurity::Plain));
    assert_eq!(
        kind("type: smtp, helo: \"[192.0.2.1]\", starttls: false"),
        smtp("[192.0.2.1]", SmtpSecurity::Plain)
    );
    let verified = Tls { verify: Verify::System, ..Tls::default() };
    assert_eq!(
        kind("type: smtp, helo: a.example, starttls: true, verify: true"),
        smtp("a.example", SmtpSecurity::StartTls(verified))
    );
    assert_eq!(
        kind("type: smtp, helo: a.example, tls: true"),
        smtp("a.example", SmtpSecurity::Implicit(Tls::default()))
    );

    assert_eq!(kind("type: rdp"), Kind::Rdp(Rdp::default()));
    let rdp = Rdp { strict: true, cookie: Some("probe".to_owned()) };
    assert_eq!(kind("type: rdp, strict: true, cookie: probe"), Kind::Rdp(rdp));

    let dns = |query: &str, record: &str, rcodes: &[&str], answer: Option<&str>| {
        Kind::Dns(Dns {
            query: query.to_owned(),
            record: record.to_owned(),
            rcodes: rcodes.iter().map(|code| (*code).to_owned()).collect(),
            answer: answer.map(str::to_owned),
        })
    };
    assert_eq!(kind("type: dns"), dns(".", "SOA", &["NOERROR"], None));
    assert_eq!(kind("type: dns, query: a.example."), dns("a.example.", "A", &["NOERROR"], None));
    assert_eq!(
        kind("type: dns, query: a, answer: 192.0.2.1"),
        dns("a", "A", &["NOERROR"], Some("192.0.2.1"))
    );
    assert_eq!(
        kind("type: dns, query: a, record: MX, rcode: [NXDOMAIN, REFUSED], answer: 10 b."),
        dns("a", "MX", &["NXDOMAIN", "REFUSED"], Some("10 b."))
    );

    let udp = |send: &[u8], reply| Kind::Udp(Udp { send: send.to_vec(), reply });
    assert_eq!(kind("type: udp"), udp(b"", Reply::Any));
    assert_eq!(kind("type: udp, send: ping, reply: optional"), udp(b"ping", Reply::Optional));
    assert_eq!(
        kind("type: udp, send_hex: 00 fF, expect: pong"),
        udp(&[0, 255], Reply::Prefix(b"pong".to_vec()))
    );
    assert_eq!(
        kind("type: udp, send_hex: 10, expect_hex: 1e10"),
        udp(&[16], Reply::Prefix(vec![0x1e, 0x10]))
    );

    assert_eq!(kind("type: icmp"), Kind::Icmp);
    let exec = |command: &[&str], user: &str, exit| {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Kind::Exec(Exec { command, user: user.to_owned(), exit })
    };
    assert_eq!(kind("type: exec, command: [/bin/true]"), exec(&["/bin/true"], "nobody", ExitMeaning::Weight));
    assert_eq!(
        kind("type: exec, command: [/bin/c, -p, 25, \"%h:%p %%\"], user: probe, exit: nagios"),
        exec(&["/bin/c", "-p", "25", "%h:%p %%"], "probe", ExitMeaning::Nagios)
    );
}

#[test]
fn a_probe_goes_to_the_port_of_its_protocol() {
    let to = |keys: &str| {
        let model =
            farm("", &format!("probe: {{{keys}}}, servers: {{x: {{ports: {{80: 8080, 53: 5353}}}}}}"));
        let service = &model.services["s"];
        let server = &service.servers["x"];
        model.probes[&server.checks.probes[0]].destination(service, server).unwrap()
    };
    let at = |address: &str| address.parse::<SocketAddr>().unwrap();
    assert_eq!(to("type: tcp"), at("10.0.0.2:8080"));
    assert_eq!(to("type: dns"), at("10.0.0.2:5353"));
    assert_eq!(to("type: udp, port: 7"), at("10.0.0.2:7"));
    assert_eq!(to("type: icmp"), at("10.0.0.2:0"));
    assert_eq!(to("type: exec, command: [/bin/c, \"%%p %h\"]"), at("10.0.0.2:0"));
    assert_eq!(to("type: exec, command: [/bin/c, \"%%%p\"]"), at("10.0.0.2:8080"));
    assert_eq!(to("type: tcp, source: \"fd01::99\""), at("[fd01::2]:8080"));
    assert_eq!(to("type: tcp, source: \"fd01::99\", address: \"fd01::7\", port: 1"), at("[fd01::7]:1"));
}

#[test]
fn probes_in_place_are_shared_and_named() {
    let model = farm(
        "probes: {rdp: {type: rdp, port: 3389}}",
        "probes: [rdp, {type: tcp, port: 25}, {type: http, host: a.example, port: 80}, {type: tcp, port: 25, rise: 7}], \
         servers: {x: {}, y: {probe: {type: rdp, port: 3389, fall: 3}}}}\n  \
         t: {vip: 192.0.2.10, ports: {tcp: 80}, probes: [{port: 25, type: tcp, interval: 2s}, {type: icmp}, \
         {type: exec, command: [\"/usr/bin/my check\"]}, {type: dns, port: 53}], servers: {x: {}}",
    );
    let probes = |service: &str, server: &str| model.services[service].servers[server].checks.probes.clone();
    assert_eq!(probes("s", "x"), ["rdp", "tcp/25", "http/a.example:80", "tcp/25/2"]);
    assert_eq!(probes("s", "y"), ["rdp"]);
    assert_eq!(probes("t", "x"), ["tcp/25", "icmp/inline", "exec/my_check", "dns/.:53"]);
    assert_eq!(model.probes.len(), 7);
    assert!(model.probes.iter().all(|(name, spec)| *name == spec.name));
    assert_eq!(model.probes["tcp/25/2"].policy.rise, 7);
}

#[test]
fn so_many_probes_are_required() {
    let three = "probes: [{type: icmp}, {type: tcp}, {type: rdp}]";
    let required = |service: &str, server: &str| {
        let model = farm("", &format!("{three}{service}, servers: {{x: {{{server}}}}}"));
        model.services["s"].servers["x"].checks.required
    };
    assert_eq!(required("", ""), 3);
    assert_eq!(required(", probes_required: all", ""), 3);
    assert_eq!(required(", probes_required: any", ""), 1);
    assert_eq!(required(", probes_required: 2", ""), 2);
    assert_eq!(required(", probes_required: {at-least: 2}", ""), 2);
    assert_eq!(required(", probes_required: any", "probes_required: 2"), 2);
    assert_eq!(required(", probes_required: any", "probes: [{type: tcp}, {type: smtp}]"), 2);
    assert_eq!(
        required(", probes_required: 3", "probes: [{type: tcp}, {type: smtp}], probes_required: any"),
        1
    );

    let sorry = farm(
        "",
        "servers: {x: {}}, sorry_server: {server: y, probes: [{type: icmp}, {type: tcp}], probes_required: any}",
    );
    assert_eq!(*sorry.services["s"].servers["x"].checks, Checks::default());
    assert_eq!(sorry.services["s"].servers["y"].checks.required, 1);
}

#[test]
fn the_farms_are_probed_as_the_files_say() {
    let exchange = model(EXCHANGE);
    assert_eq!(*exchange.probes["rdp"].kind, Kind::Rdp(Rdp::default()));
    let iis = model(IIS);
    let checks = |service: &str| (*iis.services[service].servers["iis1"].checks).clone();
    assert_eq!(checks("web"), Checks { probes: vec!["www".to_owned(), "ntrip".to_owned()], required: 2 });
    assert_eq!(checks("ntrip").probes, ["ntrip", "tcp/inline"]);
    let smtp = model(SMTP);
    assert_eq!(smtp.services["smtp"].servers["smtp1"].checks.required, 1);
}
