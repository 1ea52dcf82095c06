//! Ports of a service that are closed at run time: refused at once, while everything else goes on.

use lab::wait::eventually_some;
use lab::{Client, Director, Failure, Family, Lab, Outcome, Target, eventually};
use serde_json::{Value, json};
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

const SERVICE: &str = "
    services:
      web:
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: [25, 80], udp: 53, both: '440-470' }
        servers: { exchange1: {}, exchange2: {} }
    ";

const PATIENCE: Duration = Duration::from_secs(10);

/// What the service has and its servers answer on: protocol and port.
const PORTS: [(&str, u16); 6] =
    [("tcp", 25), ("tcp", 80), ("tcp", 443), ("tcp", 465), ("udp", 53), ("udp", 443)];

fn refused(client: &Client, family: Family, (protocol, port): (&str, u16)) -> Result<bool, Box<dyn Error>> {
    let to: SocketAddr = family.at(port);
    let failure = if protocol == "tcp" {
        client.call(&Target::new(to))?.err()
    } else {
        client.udp(family.client(1))?.ask(to).err()
    };
    match failure {
        None => Ok(false),
        Some(Failure::Refused) => Ok(true),
        Some(other) => Err(format!("{family:?} {protocol} {port}: {other:?}").into()),
    }
}

/// In both families these are refused at once, and all others are served.
fn closed(lab: &Lab, closed: &[(&str, u16)], when: &str) -> Result<(), Box<dyn Error>> {
    for family in [Family::V4, Family::V6] {
        for port in PORTS {
            assert_eq!(
                refused(lab.client(), family, port)?,
                closed.contains(&port),
                "{family:?} {port:?}, {when}"
            );
        }
    }
    Ok(())
}

fn states(director: &Director) -> Result<Value, Box<dyn Error>> {
    let states = director.status()?["services"][0]["port_states"].clone();
    let states = states.as_array().ok_or("no port_states")?.iter().map(|it| {
        json!([it["protocol"], it["first"], it["last"], it["configured_state"], it["override_state"]])
    });
    Ok(states.collect())
}

#[test]
fn closed_ports_are_refused_at_once_and_all_others_served() {
    lab::test(|| {
        let (lab, director, _servers) = Lab::exchange()?.serve(SERVICE)?;
        closed(&lab, &[], "at the start")?;
        for (command, refused) in [
            ("drain web 25", &[("tcp", 25)][..]),
            ("disable web tcp/443", &[("tcp", 25), ("tcp", 443)]),
            ("disable web 53", &[("tcp", 25), ("tcp", 443), ("udp", 53)]),
            ("enable web 25", &[("tcp", 443), ("udp", 53)]),
            ("drain web 441-460", &[("tcp", 443), ("udp", 53), ("udp", 443)]),
            ("drain web 440-470", &[("tcp", 443), ("tcp", 465), ("udp", 53), ("udp", 443)]),
            ("reset web tcp/460-470", &[("tcp", 443), ("udp", 53), ("udp", 443)]),
            ("reset web 440-470", &[("udp", 53)]),
            ("reset web udp/53", &[]),
            ("reset web 25", &[]),
        ] {
            let words: Vec<&str> = std::iter::once("port").chain(command.split(' ')).collect();
            director.cli(&words)?;
            closed(&lab, refused, command)?;
        }
        assert_eq!(states(&director)?, json!([]));
        Ok(())
    });
}

#[test]
fn what_is_set_is_shown_and_what_is_wrong_is_told() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let text = SERVICE.replace("        servers", "        disabled_ports: { tcp: 80 }\n        servers");
        let director = lab.start_director("lb1", &lab.configuration(&text))?;
        director.cli(&["port", "drain", "web", "443-445"])?;
        director.cli(&["port", "disable", "web", "udp/53"])?;
        assert_eq!(
            states(&director)?,
            json!([
                ["tcp", 80, 80, "disabled", null],
                ["tcp", 443, 445, "enabled", "drained"],
                ["udp", 53, 53, "enabled", "disabled"],
                ["udp", 443, 445, "enabled", "drained"],
            ])
        );
        let shown = "(tcp 80 disabled, tcp 443-445 drained, udp 53 disabled, udp 443-445 drained)";
        let table = director.cli(&["status"])?;
        assert!(table.contains(shown), "{table}");
        let elements = director.host().run("nft list map inet director vips4-ranges")?;
        assert!(elements.contains("443-445 comment \"web: closed\" : goto closed"), "{elements}");

        for (arguments, error) in [
            (
                ["port", "drain", "web", "22"],
                "service \"web\" has no port 22\n  hint: it has tcp 25,80,440-470",
            ),
            (["port", "drain", "web", "tcp/53"], "service \"web\" has no port tcp/53\n"),
            (
                ["port", "drain", "wbe", "80"],
                "there is no service named \"wbe\"\n  hint: did you mean \"web\"?",
            ),
        ] {
            let output = director.try_cli(&arguments)?;
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains(error), "{text}");
        }
        assert_eq!(states(&director)?.as_array().map(Vec::len), Some(4));
        Ok(())
    });
}

/// A drain leaves a port's connections alone, a disabled port ends them, and only them.
fn established(family: Family) -> Outcome {
    let (lab, director, _servers) = Lab::exchange()?.serve(SERVICE)?;
    let client = lab.client();
    let on_port = client.hold(&Target::new(family.at(443)), 4)?;
    let beside = client.hold(&Target::ports(family.vip(), &[25, 465]), 4)?;
    let flow = client.flow(family.client(1), family.at(53))?;
    let served = || flow.outcome().is_some_and(|outcome| outcome.is_ok());
    eventually(PATIENCE, "the flow is served", served)?;

    director.cli(&["port", "drain", "web", "443"])?;
    director.cli(&["port", "drain", "web", "53"])?;
    assert!(refused(client, family, ("tcp", 443))? && refused(client, family, ("udp", 53))?);
    on_port.more(20)?;
    beside.more(20)?;
    assert_eq!((on_port.so_far().failed(), beside.so_far().failed()), (0, 0));
    for _ in 0..3 {
        let outcome = eventually_some(PATIENCE, "the flow goes on", || flow.outcome())?;
        assert!(outcome.is_ok(), "{outcome:?}");
    }

    director.cli(&["port", "disable", "web", "440-450"])?;
    director.cli(&["port", "disable", "web", "udp/53"])?;
    eventually(PATIENCE, "the port's connections end", || on_port.so_far().failed() == 4)?;
    eventually(PATIENCE, "the flow ends", || flow.outcome() == Some(Err(Failure::Refused)))?;
    beside.more(20)?;
    director.cli(&["port", "enable", "web", "53"])?;
    eventually(PATIENCE, "the flow is served again", served)?;
    let beside = beside.stop()?;
    assert_eq!((beside.made(), beside.failed()), (4, 0), "{beside}");
    Ok(())
}

#[test]
fn a_drain_keeps_connections_and_a_disabled_port_ends_its_own() {
    lab::test(|| established(Family::V4));
}

#[test]
fn a_drain_keeps_connections_and_a_disabled_port_ends_its_own_ipv6() {
    lab::test(|| established(Family::V6));
}

#[test]
fn what_is_set_survives_reload_and_restart_and_wins_over_the_file() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let _servers = lab.start_servers()?;
        let open = lab.configuration(SERVICE);
        let disabled = "    disabled_ports: { tcp: [25, 80, 465], udp: 53 }\n    servers";
        let configuration = open.replacen("    servers", disabled, 1);
        assert_ne!(configuration, open);
        let mut director = lab.start_director("lb1", &configuration)?;
        closed(&lab, &[("tcp", 25), ("tcp", 80), ("tcp", 465), ("udp", 53)], "as the file says")?;
        director.cli(&["port", "enable", "web", "25"])?;
        director.cli(&["port", "enable", "web", "465"])?;
        director.cli(&["port", "disable", "web", "udp/443"])?;
        for step in ["reload", "restart", "kill", "reload an open file", "reload"] {
            match step {
                "reload" => director.reload(&configuration)?,
                "reload an open file" => director.reload(&open)?,
                "restart" => director.stop().and_then(|()| director.start())?,
                _ => director.kill().and_then(|()| director.start())?,
            }
            let file: &[(&str, u16)] =
                if step == "reload an open file" { &[] } else { &[("tcp", 80), ("udp", 53)] };
            closed(&lab, &[file, &[("udp", 443)]].concat(), step)?;
        }
        for port in ["25", "440-470"] {
            director.cli(&["port", "reset", "web", port])?;
        }
        closed(&lab, &[("tcp", 25), ("tcp", 80), ("tcp", 465), ("udp", 53)], "after the reset")?;
        Ok(())
    });
}

#[test]
fn a_reload_that_disables_a_port_ends_its_connections() {
    lab::test(|| {
        let (lab, director, _servers) = Lab::exchange()?.serve(SERVICE)?;
        let on_port = lab.client().hold(&Target::new(Family::V4.at(25)), 3)?;
        let beside = lab.client().hold(&Target::new(Family::V4.at(80)), 3)?;
        let configuration = director.configuration()?;
        director.reload(&configuration.replacen(
            "    servers",
            "    disabled_ports: { tcp: 25 }\n    servers",
            1,
        ))?;
        eventually(PATIENCE, "the port's connections end", || on_port.so_far().failed() == 3)?;
        beside.more(12)?;
        assert_eq!(beside.stop()?.failed(), 0);
        Ok(())
    });
}
