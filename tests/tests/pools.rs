//! Who serves when not everybody can: spares, sorry servers, quorum, and servers that start slowly.

use lab::farm::{VIP, VIP6};
use lab::{Director, Failure, Lab, Server, Target, eventually};
use serde_json::{Value, json};
use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

const CLIENTS: [(IpAddr, &str); 2] = [(VIP, "192.168.1.101"), (VIP6, "fd00:1::101")];

/// A service `mail` on tcp 25 and 80 and udp 53, both families, with further options. Its probes are `mail` and `busy`.
fn service(options: &str) -> String {
    let probes = [("mail", 25), ("busy", 8080)]
        .into_iter()
        .filter(|(name, _)| options.contains(&format!("probe: {name}")));
    let probes = probes.map(|(name, port)| {
        format!("{name}: {{ type: tcp, port: {port}, interval: 100ms, timeout: 100ms, rise: 2, fall: 2 }}")
    });
    format!(
        "
        probes: {{ {} }}
        services:
          mail:
            vips: [192.168.1.35, 'fd00:1::35']
            ports: {{ tcp: [25, 80], udp: 53 }}
            {options}
        ",
        probes.collect::<Vec<_>>().join(", ")
    )
}

fn serve(lab: Lab, options: &str) -> lab::Result<(Lab, Director, Vec<Server>)> {
    lab.serve(&service(options))
}

fn becomes(director: &Director, server: &str, state: &str) -> lab::Result<()> {
    eventually(LIMIT, &format!("{server} is {state}"), || {
        director.server("mail", server).is_ok_and(|server| server["state"] == state)
    })
}

/// The service in the status.
fn status(director: &Director) -> Result<Value, Box<dyn Error>> {
    Ok(director.status()?["services"][0].clone())
}

/// Connections of `count` by server, in the order of `names`; all of them must succeed.
fn shares(lab: &Lab, vip: IpAddr, count: usize, names: &[&str]) -> Result<Vec<u64>, Box<dyn Error>> {
    let tally = lab.client().visit(&Target::ports(vip, &[25, 80]), count)?;
    assert_eq!(tally.failed(), 0, "{tally}");
    Ok(names.iter().map(|name| tally.by(name)).collect())
}

/// New connections of both families go to `server`, and udp datagrams too.
fn served_by(lab: &Lab, server: &str) -> Result<(), Box<dyn Error>> {
    for (vip, from) in CLIENTS {
        let tally = lab.client().visit(&Target::ports(vip, &[25, 80]), 8)?;
        assert_eq!((tally.only_server(), tally.failed()), (Some(server), 0), "{tally}");
        let answer = lab.client().udp(from.parse()?)?.ask((vip, 53).into());
        assert_eq!(answer.map(|greeting| greeting.server).as_deref(), Ok(server), "udp to {vip}");
    }
    Ok(())
}

/// New connections of both families are refused at once.
fn refused(lab: &Lab) -> Result<(), Box<dyn Error>> {
    for (vip, from) in CLIENTS {
        assert_eq!(lab.client().call(&Target::new((vip, 25).into()))?, Err(Failure::Refused));
        assert_eq!(lab.client().udp(from.parse()?)?.ask((vip, 53).into()), Err(Failure::Refused));
    }
    Ok(())
}

#[test]
fn a_spare_of_the_smtp_farm_serves_only_when_the_others_are_gone() {
    lab::test(|| {
        let lab = Lab::new(&["smtp1", "smtp2", "smtp3", "smtp4"])?;
        let (lab, director, servers) = serve(
            lab,
            "probe: mail
            persistence: { timeout: 10m, granularity: 24 }
            servers:
              smtp1: { weight: 60 }
              smtp2: { weight: 60 }
              smtp3: { weight: 40 }
              smtp4: { weight: 5, priority: 1 }",
        )?;
        let spare = director.server("mail", "smtp4")?;
        assert_eq!([&spare["state"], &spare["weight"]], [&json!("standby"), &json!(0)]);
        assert_eq!(spare["reason"], "waits: priority 0 serves");
        // A client of each network sticks, and none to the spare.
        let many = ["198.51.100.1", "203.0.113.1", "192.168.1.101"];
        let target = Target::ports(VIP, &[25, 80]).from(lab::addresses(&many)?);
        let tally = lab.client().visit(&target, 60)?;
        assert_eq!((tally.by("smtp4"), tally.failed()), (0, 0), "{tally}");

        let mut servers = servers.into_iter();
        servers.by_ref().take(3).for_each(Server::stop);
        becomes(&director, "smtp4", "up")?;
        assert_eq!(status(&director)?["serving_priority"], 1);
        served_by(&lab, "smtp4")?;
        assert_eq!(lab.client().visit(&target, 20)?.only_server(), Some("smtp4"));
        let hold = lab.client().hold(&Target::ports(VIP6, &[25, 80]), 6)?;
        assert_eq!(hold.so_far().only_server(), Some("smtp4"));

        let _again = Server::start(&lab.servers()[1])?;
        becomes(&director, "smtp4", "standby")?;
        served_by(&lab, "smtp2")?;
        assert_eq!(lab.client().visit(&target, 20)?.only_server(), Some("smtp2"), "persistent ones too");
        hold.more(60)?;
        assert_eq!(hold.stop()?.failed(), 0, "what the spare has goes on");
        Ok(())
    });
}

/// NLB's single host: all traffic to the first, spares in order.
#[test]
fn a_single_host_hands_over_to_its_spares_in_order_and_takes_back() {
    lab::test(|| {
        let lab = Lab::new(&["web1", "web2", "web3"])?;
        let (lab, director, servers) = serve(
            lab,
            "probe: mail
            servers: { web1: { priority: 1 }, web2: { priority: 2 }, web3: { priority: 200 } }",
        )?;
        served_by(&lab, "web1")?;
        let mut servers = servers.into_iter();
        drop(servers.next());
        becomes(&director, "web2", "up")?;
        served_by(&lab, "web2")?;
        let hold = lab.client().hold(&Target::ports(VIP, &[25, 80]), 4)?;
        director.cli(&["drain", "mail", "web2"])?;
        served_by(&lab, "web3")?;
        director.cli(&["weight", "mail", "web3", "0"])?;
        refused(&lab)?;
        assert_eq!(status(&director)?["serving"], "nobody");
        director.cli(&["reset", "mail", "web3"])?;
        served_by(&lab, "web3")?;
        director.cli(&["enable", "mail", "web2"])?;
        served_by(&lab, "web2")?;
        let _again = Server::start(&lab.servers()[0])?;
        becomes(&director, "web2", "standby")?;
        served_by(&lab, "web1")?;
        hold.more(40)?;
        assert_eq!(hold.stop()?.failed(), 0);
        Ok(())
    });
}

#[test]
fn a_sorry_server_serves_while_no_other_can_and_keeps_no_client() {
    lab::test(|| {
        let lab = Lab::new(&["web1", "web2", "sorry"])?;
        let (lab, director, servers) = serve(
            lab,
            "probe: mail
            persistence: { timeout: 10m }
            sorry_server: { server: sorry }
            servers: { web1: {}, web2: {} }",
        )?;
        let sorry = director.server("mail", "sorry")?;
        assert_eq!(
            [&sorry["state"], &sorry["sorry"], &sorry["probes"]],
            [&json!("standby"), &json!(true), &json!([])]
        );
        let flows: Vec<_> = CLIENTS
            .into_iter()
            .map(|(vip, from)| Ok((vip, lab.client().udp(from.parse()?)?)))
            .collect::<Result<_, Box<dyn Error>>>()?;
        let mut servers = servers.into_iter();
        servers.by_ref().take(2).for_each(Server::stop);
        becomes(&director, "sorry", "up")?;
        served_by(&lab, "sorry")?;
        for (vip, flow) in &flows {
            assert_eq!(flow.ask((*vip, 53).into()).map(|it| it.server).as_deref(), Ok("sorry"));
        }
        let text = director.cli(&["status"])?;
        assert!(text.contains("! service mail is served by its sorry servers"), "{text}");
        assert!(text.contains("sorry (sorry)"), "{text}");
        let hold = lab.client().hold(&Target::ports(VIP, &[25, 80]), 4)?;
        assert_eq!(hold.so_far().only_server(), Some("sorry"));

        let _again = Server::start(&lab.servers()[1])?;
        becomes(&director, "sorry", "standby")?;
        served_by(&lab, "web2")?;
        for (vip, flow) in &flows {
            eventually(LIMIT, "a flow leaves the sorry server", || {
                flow.ask((*vip, 53).into()).is_ok_and(|it| it.server == "web2")
            })?;
        }
        hold.more(40)?;
        assert_eq!(hold.stop()?.failed(), 0);
        Ok(())
    });
}

#[test]
fn sorry_servers_have_weights_and_probes_of_their_own() {
    lab::test(|| {
        let lab = Lab::new(&["web1", "sorry1", "sorry2"])?;
        let (lab, director, servers) = serve(
            lab,
            "probe: mail
            sorry_server:
              - { server: sorry1, weight: 2, probe: busy }
              - { server: sorry2, weight: 1, probe: busy }
            servers: { web1: {} }",
        )?;
        director.cli(&["drain", "mail", "web1"])?;
        for (vip, _) in CLIENTS {
            assert_eq!(shares(&lab, vip, 30, &["web1", "sorry1", "sorry2"])?, [0, 20, 10]);
        }
        let mut servers = servers.into_iter();
        let _web = servers.next();
        drop(servers.next());
        becomes(&director, "sorry1", "down")?;
        served_by(&lab, "sorry2")?;
        drop(servers.next());
        becomes(&director, "sorry2", "down")?;
        refused(&lab)?;
        director.cli(&["enable", "mail", "web1"])?;
        served_by(&lab, "web1")?;
        // Alive, but not what its probe wants.
        let _half = Server::start_on(&lab.servers()[1], &[25, 80], &[53])?;
        director.cli(&["drain", "mail", "web1"])?;
        assert_eq!(director.server("mail", "sorry1")?["state"], "down");
        refused(&lab)?;
        Ok(())
    });
}

#[test]
fn below_its_quorum_a_service_is_the_sorry_servers() {
    lab::test(|| {
        let lab = Lab::new(&["web1", "web2", "web3", "sorry"])?;
        let (lab, director, _servers) = serve(
            lab,
            "quorum: 70
            hysteresis: 20
            sorry_server: { server: sorry }
            servers: { web1: { weight: 10 }, web2: { weight: 30 }, web3: { weight: 60 } }",
        )?;
        let names = ["web1", "web2", "web3", "sorry"];
        let hold = lab.client().hold(&Target::ports(VIP, &[25, 80]), 20)?;
        let steps: [(&[&str], u64, bool, [u64; 4]); 6] = [
            (&["reset", "mail", "web1"], 100, true, [10, 30, 60, 0]),
            (&["weight", "mail", "web3", "10"], 50, true, [20, 60, 20, 0]),
            (&["drain", "mail", "web1"], 40, false, [0, 0, 0, 100]),
            (&["weight", "mail", "web3", "55"], 85, false, [0, 0, 0, 100]),
            (&["enable", "mail", "web1"], 95, true, [10, 32, 58, 0]),
            (&["weight", "mail", "web3", "20"], 60, true, [17, 50, 33, 0]),
        ];
        for (command, present, held, wanted) in steps {
            director.cli(command)?;
            let quorum = &status(&director)?["quorum"];
            assert_eq!([&quorum["present"], &quorum["held"]], [&json!(present), &json!(held)], "{command:?}");
            for (vip, _) in CLIENTS {
                let shares = shares(&lab, vip, 100, &names)?;
                let close = shares.iter().zip(wanted).all(|(share, wanted)| share.abs_diff(wanted) <= 1);
                assert!(close, "{command:?}: {shares:?}, {wanted:?} wanted");
            }
        }
        director.cli(&["weight", "mail", "web3", "0"])?;
        let waits = director.server("mail", "web2")?;
        assert_eq!([&waits["state"], &waits["weight"]], [&json!("standby"), &json!(0)]);
        assert_eq!(waits["reason"], "waits: the quorum is lost, 40 of 70");
        assert!(director.cli(&["status"])?.contains(" sorry serves quorum 40/70 lost "));
        // Keepalived's: without anybody to say sorry, those that are left serve.
        director.cli(&["drain", "mail", "sorry"])?;
        for (vip, _) in CLIENTS {
            assert_eq!(shares(&lab, vip, 40, &names)?, [10, 30, 0, 0]);
        }
        hold.more(100)?;
        assert_eq!(hold.stop()?.failed(), 0, "established connections go on through all of it");
        Ok(())
    });
}

#[test]
fn a_server_that_comes_back_starts_slowly() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        // At this pace the first step comes after two minutes.
        let options = "probe: mail
            slow_start: { over: 1h, ramp: linear }
            servers: { exchange1: { weight: 2 }, exchange2: { weight: 2 } }";
        let (lab, director, mut servers) = serve(lab, options)?;
        let names = ["exchange1", "exchange2"];
        for (vip, _) in CLIENTS {
            assert_eq!(
                shares(&lab, vip, 66, &names)?,
                [33, 33],
                "the start of the daemon is none of a server"
            );
        }
        servers.remove(0).stop();
        becomes(&director, "exchange1", "down")?;
        let _again = Server::start(&lab.servers()[0])?;
        becomes(&director, "exchange1", "up")?;
        for (vip, _) in CLIENTS {
            assert_eq!(shares(&lab, vip, 66, &names)?, [2, 64]);
        }
        let server = director.server("mail", "exchange1")?;
        assert_eq!([&server["weight"], &server["share_percent"]], [&json!(2), &json!(3)]);
        assert_eq!(server["reason"], "starts slowly: 1/32 of its weight");

        director.cli(&["weight", "mail", "exchange1", "4"])?;
        for (vip, _) in CLIENTS {
            assert_eq!(shares(&lab, vip, 68, &names)?, [4, 64], "another weight does not end it");
        }
        director.cli(&["reset", "mail", "exchange1"])?;
        director.reload(
            &lab.configuration(&service(&options.replace("1h, ramp: linear", "8s, ramp: doubling"))),
        )?;
        let mut seen = vec![3];
        eventually(3 * LIMIT, "it has its full share", || {
            let percent =
                director.server("mail", "exchange1").ok().and_then(|it| it["share_percent"].as_u64());
            seen.extend(percent);
            percent == Some(100)
        })?;
        assert!(seen.is_sorted(), "{seen:?}");
        for (vip, _) in CLIENTS {
            assert_eq!(shares(&lab, vip, 66, &names)?, [33, 33]);
        }
        Ok(())
    });
}
