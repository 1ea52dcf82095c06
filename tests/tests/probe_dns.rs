//! DNS probes on dnsmasq.

use lab::{Family, Host, Lab, Need, Outcome, Program};
use std::error::Error;
use std::fmt::Write;
use std::fs;

const DNSMASQ: &[Need] = &[Need::Program("dnsmasq", "dnsmasq-base")];

/// What dnsmasq knows; it asks nobody else.
const RECORDS: &str = "
no-resolv
no-hosts
local=/example.com/
host-record=www.example.com,10.0.0.7,2001:db8::7
cname=alias.example.com,www.example.com
mx-host=example.com,Mail.example.com,10
";

/// dnsmasq on a host.
fn dnsmasq(host: &Host) -> Result<Program, Box<dyn Error>> {
    let file = host.directory()?.join("dnsmasq.conf");
    // Together they do not fit into the 512 bytes of a datagram.
    let long: String =
        (1..=4).map(|n| format!("txt-record=long.example.com,{n}{}\n", "x".repeat(200))).collect();
    fs::write(&file, format!("{RECORDS}{long}"))?;
    let file = format!("--conf-file={}", file.display());
    Ok(Program::start(host, &["dnsmasq", "--keep-in-foreground", "--user=root", "--pid-file=", &file])?)
}

/// A service for each of these probes, by the probe's name.
fn services(family: Family, probes: &[(&str, &str)]) -> String {
    let address = family.choose("10.0.1.1", "fd00:2::1");
    let (mut text, mut services) = (String::from("probes:\n"), String::from("services:\n"));
    for ((name, settings), port) in probes.iter().zip(1001..) {
        let _ = writeln!(
            text,
            "  {name}: {{ type: dns, address: '{address}', port: 53, interval: 300ms, timeout: 300ms, rise: 1, fall: 1, start: unknown, {settings} }}"
        );
        let _ = writeln!(
            services,
            "  {name}: {{ vip: '{}', ports: {{ udp: {port} }}, probe: {name}, servers: {{ names1: {{}} }} }}",
            family.vip()
        );
    }
    text + &services
}

fn verdicts_follow_the_answers(family: Family) -> Outcome {
    let lab = Lab::new(&["names1"])?;
    let host = &lab.servers()[0];
    let server = dnsmasq(host)?;
    let cases: [(&str, &str, Option<&str>); 9] = [
        ("right", "query: www.example.com, answer: 10.0.0.7", None),
        ("right-ipv6", "query: WWW.example.com, record: AAAA, answer: '2001:DB8:0::7'", None),
        ("right-mail", "query: example.com, record: MX, answer: 10 mail.EXAMPLE.com.", None),
        ("right-alias", "query: alias.example.com, answer: 10.0.0.7", None),
        ("long", "query: long.example.com, record: TXT", None),
        ("nothing-there", "query: no.example.com, rcode: NXDOMAIN", None),
        (
            "wrong",
            "query: www.example.com, answer: 10.0.0.8",
            Some("gave a wrong answer: www.example.com has A 10.0.0.7, not 10.0.0.8"),
        ),
        (
            "missing",
            "query: no.example.com",
            Some("answered NXDOMAIN: to its knowledge there is no name no.example.com"),
        ),
        (
            "foreign",
            "query: www.example.org",
            Some("answered REFUSED: it does not answer this director's address"),
        ),
    ];
    let probes: Vec<_> = cases.iter().map(|(name, settings, _)| (*name, *settings)).collect();
    let director = lab.start_director("lb1", &lab.configuration(&services(family, &probes)))?;
    for (name, _, reason) in cases {
        match reason {
            None => director.comes_up(name, "names1")?,
            Some(reason) => director.goes_down(name, "names1", reason)?,
        }
    }

    drop(server);
    let refused =
        format!("refused: nothing listens on UDP {}", family.choose("10.0.1.1:53", "[fd00:2::1]:53"));
    director.goes_down("right", "names1", &refused)?;
    let _server = dnsmasq(host)?;
    director.comes_up("right", "names1")?;
    Ok(())
}

fn an_answer_too_long_for_udp_needs_tcp(family: Family) -> Outcome {
    let lab = Lab::new(&["names1"])?;
    let host = &lab.servers()[0];
    let _server = dnsmasq(host)?;
    let probes = [("long", "query: long.example.com, record: TXT"), ("short", "query: www.example.com")];
    let director = lab.start_director("lb1", &lab.configuration(&services(family, &probes)))?;
    director.comes_up("long", "names1")?;

    host.run("nft add table inet firewall")?;
    host.run("nft add chain inet firewall input { type filter hook input priority 0 ; }")?;
    host.run("nft add rule inet firewall input tcp dport 53 reject with tcp reset")?;
    director.goes_down(
        "long",
        "names1",
        "its answer is too long for UDP, and by TCP there is none: connection refused",
    )?;
    host.run("nft flush chain inet firewall input")?;
    director.comes_up("long", "names1")?;
    host.run("nft add rule inet firewall input tcp dport 53 drop")?;
    director.goes_down("long", "names1", "by TCP it cannot be reached: a firewall must let both through")?;
    director.comes_up("short", "names1")?;
    Ok(())
}

lab::both_families!(super::DNSMASQ; verdicts_follow_the_answers, an_answer_too_long_for_udp_needs_tcp);
