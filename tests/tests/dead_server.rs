//! A server that dies leaves, its connections end as the service says, and it comes back.

use lab::farm::{VIP, VIP6};
use lab::{Director, Failure, Family, Lab, Outcome, Target, eventually};
use std::collections::BTreeMap;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

fn services(options: &str) -> String {
    format!(
        "
        probes:
          mail: {{ type: tcp, port: 25, interval: 100ms, timeout: 100ms, rise: 2, fall: 2 }}
        services:
          exchange:
            vips: [192.168.1.35, 'fd00:1::35']
            ports: {{ tcp: [80, 443], udp: 443 }}
            probe: mail
            {options}
            servers: {{ exchange1: {{}}, exchange2: {{}} }}
        "
    )
}

fn becomes(director: &Director, server: &str, state: &str) -> lab::Result<()> {
    eventually(LIMIT, &format!("{server} is {state}"), || {
        director.server("exchange", server).is_ok_and(|server| server["state"] == state)
    })
}

#[test]
fn a_server_that_stops_leaves_and_comes_back() {
    lab::test(|| {
        let (lab, director, mut servers) =
            Lab::exchange()?.serve(&services("persistence: { timeout: 10m }"))?;
        let clients = ["198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"];
        let target = Target::ports(VIP, &[80, 443]).from(lab::addresses(&clients)?);
        let tally = lab.client().visit(&target, 80)?;
        assert_eq!((tally.by("exchange1"), tally.by("exchange2")), (40, 40), "{tally}");

        servers.remove(0).stop();
        becomes(&director, "exchange1", "down")?;
        let reason = director.server("exchange", "exchange1")?["reason"].to_string();
        assert!(reason.contains("refused"), "{reason}");
        let tally = lab.client().visit(&target, 80)?;
        assert_eq!(
            (tally.by("exchange2"), tally.failed()),
            (80, 0),
            "its persistent clients moved too: {tally}"
        );

        let _again = lab::Server::start(&lab.servers()[0])?;
        becomes(&director, "exchange1", "up")?;
        let new = Target::ports(VIP, &[80]).from(lab::addresses(&["203.0.113.1", "203.0.113.2"])?);
        let tally = lab.client().visit(&new, 20)?;
        assert_eq!((tally.by("exchange1"), tally.by("exchange2")), (10, 10), "{tally}");
        Ok(())
    });
}

/// What becomes of open connections when exchange1 loses its network, and then has it back.
fn power_off(family: Family, expire: bool) -> Outcome {
    let (lab, director, _servers) =
        Lab::exchange()?.serve(&services(&format!("expire_nodest_conn: {expire}")))?;
    let target = Target::ports(family.vip(), &[80, 443]);
    let hold = lab.client().hold(&target, 20)?;
    assert_eq!((hold.so_far().by("exchange1"), hold.so_far().by("exchange2")), (10, 10));

    lab.servers()[0].unplug("eth0")?;
    becomes(&director, "exchange1", "down")?;
    let tally = lab.client().visit(&target, 20)?;
    assert_eq!((tally.by("exchange2"), tally.failed()), (20, 0), "{tally}");
    if expire {
        eventually(LIMIT, "its connections end", || hold.so_far().failed() >= 10)?;
    }
    lab.servers()[0].plug("eth0")?;
    becomes(&director, "exchange1", "up")?;
    hold.more(100)?;
    let held = hold.stop()?;
    let resets = BTreeMap::from([(Failure::Reset, 10)]);
    assert_eq!(held.failures, if expire { resets } else { BTreeMap::new() }, "{held}");
    Ok(())
}

fn expire_nodest_conn_resets_connections_of_a_dead_server(family: Family) -> Outcome {
    power_off(family, true)
}

fn expire_nodest_conn_off_leaves_connections_to_a_dead_server_until_it_is_back(family: Family) -> Outcome {
    power_off(family, false)
}

/// What becomes of open connections when exchange1 is taken out of the configuration, and then put back.
fn removal(family: Family, expire: bool) -> Outcome {
    let (lab, director, _servers) =
        Lab::exchange()?.serve(&services(&format!("expire_nodest_conn: {expire}")))?;
    let target = Target::ports(family.vip(), &[80, 443]);
    let hold = lab.client().hold(&target, 20)?;
    let text = director.configuration()?;
    director.reload(&lab::without_server(&text, "exchange1"))?;
    let tally = lab.client().visit(&target, 20)?;
    assert_eq!((tally.only_server(), tally.failed()), (Some("exchange2"), 0), "{tally}");
    if expire {
        eventually(LIMIT, "its connections end", || hold.so_far().failed() >= 10)?;
    }
    hold.more(200)?;
    director.reload(&text)?;
    becomes(&director, "exchange1", "up")?;
    let tally = lab.client().visit(&target, 20)?;
    assert_eq!([tally.by("exchange1"), tally.by("exchange2")], [10, 10], "it is back: {tally}");
    hold.more(200)?;
    let held = hold.stop()?;
    let resets = BTreeMap::from([(Failure::Reset, 10)]);
    assert_eq!(held.failures, if expire { resets } else { BTreeMap::new() }, "{held}");
    Ok(())
}

fn expire_nodest_conn_resets_connections_of_a_removed_server(family: Family) -> Outcome {
    removal(family, true)
}

fn expire_nodest_conn_off_leaves_connections_of_a_server_that_is_removed_and_re_added(
    family: Family,
) -> Outcome {
    removal(family, false)
}

lab::both_families!(
    expire_nodest_conn_resets_connections_of_a_dead_server,
    expire_nodest_conn_off_leaves_connections_to_a_dead_server_until_it_is_back,
    expire_nodest_conn_resets_connections_of_a_removed_server,
    expire_nodest_conn_off_leaves_connections_of_a_server_that_is_removed_and_re_added,
);

#[test]
fn a_server_that_moves_to_another_address_is_another_server() {
    lab::test(|| {
        let lab = Lab::new(&["exchange1", "exchange2", "exchange3"])?;
        let _servers = lab.start_servers()?;
        let text = lab.configuration(&services(""));
        let text = text.replace("  exchange3: { addresses: [10.0.1.3, \"fd00:2::3\"] }\n", "");
        let director = lab.start_director("lb1", &text)?;
        for vip in [VIP, VIP6] {
            director.reload(&text)?;
            let target = Target::ports(vip, &[80, 443]);
            let hold = lab.client().hold(&target, 20)?;
            assert_eq!((hold.so_far().by("exchange1"), hold.so_far().by("exchange2")), (10, 10));
            director.reload(&text.replace("10.0.1.1, \"fd00:2::1\"", "10.0.1.3, \"fd00:2::3\""))?;
            let tally = lab.client().visit(&target, 20)?;
            assert_eq!(
                [tally.by("exchange2"), tally.by("exchange3"), tally.failed()],
                [10, 10, 0],
                "{tally}"
            );
            eventually(LIMIT, "its connections end", || hold.so_far().failed() >= 10)?;
            hold.more(100)?;
            assert_eq!(hold.stop()?.failed(), 10);
        }
        Ok(())
    });
}
