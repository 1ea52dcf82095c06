//! What probes say of a server together, and what is done about it.

use lab::farm::VIP;
use lab::{Director, Lab, Target, eventually, eventually_some};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// Nobody listens on port 9.
const PROBES: &str = "
    probes:
      web: { type: tcp, port: 80, interval: 200ms, fall: 2, rise: 1 }
      mail: { type: tcp, port: 25, interval: 200ms, fall: 2, rise: 1 }
      closed: { type: tcp, port: 9, interval: 200ms, fall: 2, rise: 1 }
    ";

fn both(services: &str) -> String {
    format!("{}{services}", PROBES.trim_end())
}

/// Waits until a server is in a state, and then tells why.
fn reason(director: &Director, service: &str, server: &str, state: &str) -> lab::Result<String> {
    let what = format!("{service}/{server} is {state}");
    eventually_some(LIMIT, &what, || {
        let server = director.server(service, server).ok()?;
        (server["state"] == state).then(|| server["reason"].as_str().unwrap_or_default().to_owned())
    })
}

/// Waits until the reason of a server says that.
fn says(director: &Director, service: &str, server: &str, words: &str) -> lab::Result<()> {
    eventually(LIMIT, &format!("{service}/{server} says {words:?}"), || {
        let server = director.server(service, server).unwrap_or_default();
        server["reason"].as_str().is_some_and(|reason| reason.contains(words))
    })
}

#[test]
fn a_server_that_is_down_stays_so_when_its_probe_goes_elsewhere() {
    lab::test(|| {
        let farm = |port: u16, fall: u8| {
            format!(
                "
    probes: {{ closed: {{ type: tcp, port: {port}, interval: 200ms, rise: 1, fall: {fall} }} }}
    services:
      web: {{ vip: 192.168.1.35, ports: {{ tcp: 80 }}, probe: closed, servers: {{ exchange1: {{}} }} }}
    "
            )
        };
        let (lab, director, _servers) = Lab::new(&["exchange1"])?.serve(&farm(9, 1))?;
        reason(&director, "web", "exchange1", "down")?;
        // As one whose probe is new it would be up until it has failed a hundred times.
        director.reload(&lab.configuration(&farm(10, 100)))?;
        assert_eq!(director.server("web", "exchange1")?["state"], "down");
        says(&director, "web", "exchange1", "nothing listens on 10.0.1.1:10")?;
        assert_eq!(director.server("web", "exchange1")?["state"], "down");
        // And up at once when it passes.
        director.reload(&lab.configuration(&farm(80, 100)))?;
        reason(&director, "web", "exchange1", "up")?;
        Ok(())
    });
}

#[test]
fn as_many_probes_as_are_required_must_pass() {
    lab::test(|| {
        let text = both(
            "
    services:
      any: { vip: 192.168.1.35, ports: { tcp: 80 }, probes: [closed, mail], probes_required: any, servers: { exchange1: {}, exchange2: {} } }
      most:
        vip: 192.168.1.35
        ports: { tcp: 443 }
        probes: [closed, mail, web]
        probes_required: { at-least: 2 }
        servers: { exchange1: {}, exchange2: {} }
      every: { vip: 192.168.1.35, ports: { tcp: 25 }, probes: [closed, mail], servers: { exchange1: {}, exchange2: {} } }
    ",
        );
        let (lab, director, mut servers) = Lab::exchange()?.serve(&text)?;
        for server in ["exchange1", "exchange2"] {
            reason(&director, "every", server, "down")?;
            says(&director, "every", server, "closed: connection refused")?;
        }
        says(&director, "any", "exchange1", "1 of 2 probes passes, 1 must: closed: connection refused")?;
        says(&director, "most", "exchange1", "2 of 3 probes pass, 2 must: closed: connection refused")?;
        for (port, served) in [(80, true), (443, true), (25, false)] {
            let tally = lab.client().visit(&Target::ports(VIP, &[port]), 8)?;
            assert_eq!(
                (tally.made(), tally.failed()),
                if served { (8, 0) } else { (0, 8) },
                "{port}: {tally}"
            );
        }

        servers.remove(0).stop();
        reason(&director, "any", "exchange1", "down")?;
        says(&director, "any", "exchange1", "0 of 2 probes pass, 1 must: closed: connection refused")?;
        reason(&director, "most", "exchange1", "down")?;
        says(&director, "most", "exchange1", "0 of 3 probes pass, 2 must: closed: connection refused")?;
        says(&director, "most", "exchange1", "; web: connection refused")?;
        for port in [80, 443] {
            let tally = lab.client().visit(&Target::ports(VIP, &[port]), 8)?;
            assert_eq!((tally.by("exchange2"), tally.failed()), (8, 0), "{port}: {tally}");
        }

        let _one_port = lab::Server::start_on(&lab.servers()[0], &[25, 80], &[])?;
        reason(&director, "any", "exchange1", "up")?;
        reason(&director, "most", "exchange1", "up")?;
        Ok(())
    });
}

#[test]
fn a_probe_of_its_own_overrides_the_services() {
    lab::test(|| {
        let text = both(
            "
    services:
      exchange:
        vip: 192.168.1.35
        ports: { tcp: [25, 80] }
        probe: mail
        servers:
          exchange1: {}
          exchange2: { probes: [web, closed, { type: tcp, port: 443, interval: 100ms }] }
    ",
        );
        let (lab, director, _servers) = Lab::exchange()?.serve(&text)?;
        reason(&director, "exchange", "exchange2", "down")?;
        says(&director, "exchange", "exchange2", "closed: connection refused")?;
        reason(&director, "exchange", "exchange1", "up")?;
        let tally = lab.client().visit(&Target::ports(VIP, &[25, 80]), 10)?;
        assert_eq!((tally.by("exchange1"), tally.failed()), (10, 0), "{tally}");
        let exchange2 = eventually_some(LIMIT, "two of its three probes pass", || {
            let exchange2 = director.server("exchange", "exchange2").ok()?;
            let probes = exchange2["probes"].as_array().cloned().unwrap_or_default();
            let states: Vec<&str> = probes.iter().filter_map(|probe| probe["state"].as_str()).collect();
            (states == ["up", "down", "up"]).then_some(exchange2)
        })?;
        assert_eq!(exchange2["probes_required"], 3);
        Ok(())
    });
}

#[test]
fn a_server_that_nobody_knows_gets_nothing_new_and_keeps_what_it_has() {
    lab::test(|| {
        let silent = "
    probes:
      silent: { type: tcp, port: 9, interval: 1m, timeout: 1m, jitter: 0s, start: unknown }
      mail: { type: tcp, port: 25, interval: 100ms, start: unknown }
    ";
        let services = |probe: &str| {
            format!(
                "
    services:
      exchange:
        vip: 192.168.1.35
        ports: {{ tcp: [80, 443] }}
        probe: mail
        servers: {{ exchange1: {{ {probe} }}, exchange2: {{}} }}
      other: {{ vip: 192.168.1.35, ports: {{ tcp: 25 }}, probe: silent, servers: {{ exchange1: {{}} }} }}
    "
            )
        };
        let lab = Lab::exchange()?;
        lab.servers()[0].run("nft add table inet silent")?;
        lab.servers()[0].run("nft add chain inet silent in { type filter hook input priority 0 ; }")?;
        lab.servers()[0].run("nft add rule inet silent in tcp dport 9 drop")?;
        let (lab, director, _servers) = lab.serve(&format!("{}{}", silent.trim_end(), services("")))?;
        reason(&director, "exchange", "exchange1", "up")?;
        reason(&director, "exchange", "exchange2", "up")?;
        assert_eq!(reason(&director, "other", "exchange1", "unknown")?, "silent: not probed yet");

        let target = Target::ports(VIP, &[80, 443]);
        let hold = lab.client().hold(&target, 20)?;
        assert_eq!((hold.so_far().by("exchange1"), hold.so_far().by("exchange2")), (10, 10));
        let text = director.configuration()?;
        director.reload(&text.replace("exchange1: {  }", "exchange1: { probe: silent }"))?;
        assert_eq!(reason(&director, "exchange", "exchange1", "unknown")?, "silent: not probed yet");
        let tally = lab.client().visit(&target, 10)?;
        assert_eq!((tally.by("exchange2"), tally.failed()), (10, 0), "{tally}");
        hold.more(100)?;
        assert_eq!(hold.stop()?.failed(), 0);
        Ok(())
    });
}

/// A program that takes so long and says so, as a file tells it that tests may change.
struct Oracle(PathBuf);

impl Oracle {
    fn new(lab: &Lab) -> Result<Self, Box<dyn std::error::Error>> {
        let folder = lab.servers()[0].directory()?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        let oracle = Self(folder.join("oracle"));
        oracle.says("exit 0")?;
        Ok(oracle)
    }

    fn says(&self, script: &str) -> Result<(), Box<dyn std::error::Error>> {
        let new = self.0.with_extension("new");
        fs::write(&new, script)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o644))?;
        Ok(fs::rename(new, &self.0)?)
    }
}

#[test]
fn a_program_says_how_much_a_server_takes() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let oracle = Oracle::new(&lab)?;
        let (lab, director, _servers) = lab.serve(&format!(
            "
    probes:
      load:
        type: exec
        command: [/bin/sh, {}]
        interval: 500ms
        timeout: 500ms
        fall: 2
        rise: 1
    services:
      exchange:
        vip: 192.168.1.35
        ports: {{ tcp: 80 }}
        servers: {{ exchange1: {{ weight: 4, probe: load }}, exchange2: {{ weight: 4 }} }}
    ",
            oracle.0.display()
        ))?;
        let visit = || -> lab::Result<(u64, u64)> {
            let tally = lab.client().visit(&Target::ports(VIP, &[80]), 80)?;
            Ok((tally.by("exchange1"), tally.by("exchange2")))
        };
        let weight = |weight: u64| {
            eventually(LIMIT, &format!("weight {weight}"), || {
                director.server("exchange", "exchange1").is_ok_and(|server| server["weight"] == weight)
            })
        };
        assert_eq!(visit()?, (40, 40));

        oracle.says("echo busy; exit 14")?;
        weight(12)?;
        says(&director, "exchange", "exchange1", "weight 12, asked for by load; load: busy")?;
        assert_eq!(visit()?, (60, 20));
        director.cli(&["weight", "exchange", "exchange1", "4"])?;
        weight(4)?;
        assert_eq!(visit()?, (40, 40), "an operator's word is stronger");
        director.cli(&["reset", "exchange", "exchange1"])?;
        weight(12)?;

        oracle.says("echo overheated; exit 2")?;
        let why = reason(&director, "exchange", "exchange1", "quiescent")?;
        assert_eq!(why, "weight 0, asked for by load; load: overheated");
        assert_eq!(visit()?, (0, 80));

        oracle.says("echo broken; exit 1")?;
        let why = reason(&director, "exchange", "exchange1", "down")?;
        assert!(why.starts_with("load: ") && why.contains("broken"), "{why}");
        Ok(())
    });
}

#[test]
fn a_slow_server_gets_less() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let oracle = Oracle::new(&lab)?;
        oracle.says("sleep 0.2")?;
        let (lab, director, _servers) = lab.serve(&format!(
            "
    probes:
      page:
        type: exec
        command: [/bin/sh, {}]
        interval: 1s
        jitter: 0s
        fall: 1
        rise: 1
        slow: 100ms
        slow_weight: 50%
    services:
      exchange:
        vip: 192.168.1.35
        ports: {{ tcp: 80 }}
        servers: {{ exchange1: {{ weight: 4, probe: page }}, exchange2: {{ weight: 4 }} }}
    ",
            oracle.0.display()
        ))?;
        says(&director, "exchange", "exchange1", "slow: 50% of its weight; page takes longer than 100ms")?;
        let exchange1 = director.server("exchange", "exchange1")?;
        assert_eq!((&exchange1["state"], &exchange1["weight"]), (&"up".into(), &4.into()));
        assert_eq!(
            (&exchange1["share_percent"], &exchange1["probes"][0]["slow"]),
            (&50.into(), &true.into())
        );
        let tally = lab.client().visit(&Target::ports(VIP, &[80]), 60)?;
        assert_eq!((tally.by("exchange1"), tally.by("exchange2")), (20, 40), "{tally}");
        oracle.says("exit 0")?;
        eventually(LIMIT, "it is quick again", || {
            director.server("exchange", "exchange1").is_ok_and(|server| server["share_percent"] == 100)
        })
        .map_err(Into::into)
    });
}

#[test]
fn the_last_attempts_are_told() {
    lab::test(|| {
        let text = both(
            "
    services:
      exchange: { vip: 192.168.1.35, ports: { tcp: 25 }, probes: [web, mail], servers: { exchange1: {}, exchange2: {} } }
      other: { vip: 192.168.1.35, ports: { tcp: 80 }, probes: [web, closed], servers: { exchange2: {} } }
    ",
        );
        let (_lab, mut director, mut servers) = Lab::exchange()?.serve(&text)?;
        let api = lab::Api::new(director.socket());
        let ask = || api.demand("GET", "/v1/services/exchange/servers/exchange1/probes", "");
        let twenty = |value: Value| value[0]["results"].as_str().is_some_and(|results| results.len() == 20);
        eventually(LIMIT, "twenty attempts", || ask().is_ok_and(twenty))?;
        servers.remove(0).stop();
        reason(&director, "exchange", "exchange1", "down")?;
        let value = eventually_some(LIMIT, "both probes fail", || {
            let failed = |probe: &Value| probe["state"] == "down" && probe["fault"] == "refused";
            ask().ok().filter(|value| value.as_array().is_some_and(|probes| probes.iter().all(failed)))
        })?;
        let web = &value[0];
        assert_eq!(
            (&web["name"], &web["state"], &web["fault"]),
            (&"web".into(), &"down".into(), &"refused".into())
        );
        let history = web["history"].as_array().cloned().unwrap_or_default();
        let last = history.last().cloned().unwrap_or_default();
        assert_eq!((history.len(), &last["passed"], &last["fault"]), (20, &false.into(), &"refused".into()));
        assert!(last["reason"].as_str().is_some_and(|reason| reason.starts_with("connection refused")));
        assert!(
            web["faults"]["refused"].as_u64() <= web["failures"].as_u64() && web["faults"]["refused"] != 0
        );
        assert!(web["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{web}");

        let shown = director.cli(&["probes", "exchange", "exchange1"])?;
        assert!(
            shown.contains("\nexchange/exchange1  web    down ") && shown.contains("\nmail, latest first"),
            "{shown}"
        );
        let shown = director.cli(&["probes"])?;
        assert_eq!(shown.lines().count(), 1 + 2 + 2 + 2, "{shown}");
        let refused = director.try_cli(&["probes", "exchange", "exchange9"])?;
        assert_eq!(refused.status.code(), Some(1));

        let log = director.log();
        let words = [
            "verdict changed probe=web@10.0.1.1:80 servers=\"exchange/exchange1\" from=\"up\" to=\"down\"",
            "connection refused",
        ];
        assert!(log.lines().any(|line| words.iter().all(|word| line.contains(word))), "{log}");

        // What was down stays down, and nobody knows why until it is probed.
        let slower = director
            .configuration()?
            .replace("port: 80, interval: 200ms", "port: 80, interval: 1h, jitter: 1h");
        director.stop()?;
        director.configure(&slower)?;
        director.start()?;
        let exchange1 = director.server("exchange", "exchange1")?;
        let web =
            exchange1["probes"].as_array().and_then(|probes| probes.first()).cloned().unwrap_or_default();
        assert_eq!((&exchange1["state"], &web["state"]), (&"down".into(), &"down".into()), "{exchange1}");
        assert_eq!((&web["reason"], &web["attempts"]), (&"not probed yet".into(), &0.into()));
        let metrics = api.ask("GET", "/metrics", "")?.body;
        let sample = |text: &str| metrics.lines().any(|line| line == text);
        let of = |name: &str, probe: &str| {
            format!("{name}{{service=\"exchange\",server=\"exchange1\",probe=\"{probe}\"}} 0")
        };
        assert!(
            sample(&of("director_probe_up", "web")) && sample(&of("director_probe_slow", "web")),
            "{metrics}"
        );
        Ok(())
    });
}
