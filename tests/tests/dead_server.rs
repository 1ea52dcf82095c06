//! A server that dies leaves, its connections end as the service says, and it comes back.

use lab::farm::{VIP, VIP6};
use lab::{Director, Failure, Lab, Target, eventually};
use std::collections::BTreeMap;
use std::error::Error;
use std::net::IpAddr;
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
fn power_off(vip: IpAddr, expire: bool) -> Result<(), Box<dyn Error>> {
    let (lab, director, _servers) =
        Lab::exchange()?.serve(&services(&format!("expire_nodest_conn: {expire}")))?;
    let hold = lab.client().hold(&Target::ports(vip, &[80, 443]), 20)?;
    assert_eq!((hold.so_far().by("exchange1"), hold.so_far().by("exchange2")), (10, 10));

    lab.servers()[0].unplug("eth0")?;
    becomes(&director, "exchange1", "down")?;
    let tally = lab.client().visit(&Target::ports(vip, &[80, 443]), 20)?;
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

#[test]
fn connections_of_a_dead_server_end_at_once() {
    lab::test(|| power_off(VIP, true));
}

#[test]
fn connections_of_a_dead_server_end_at_once_ipv6() {
    lab::test(|| power_off(VIP6, true));
}

#[test]
fn connections_of_a_dead_server_wait_for_it_if_that_is_asked_for() {
    lab::test(|| power_off(VIP, false));
}

/// What becomes of open connections when exchange1 is taken out of the configuration.
fn removal(expire: bool) -> Result<(), Box<dyn Error>> {
    let services = services(&format!("expire_nodest_conn: {expire}"));
    let (lab, director, _servers) = Lab::exchange()?.serve(&services)?;
    let text = lab.configuration(&services);
    let hold = lab.client().hold(&Target::ports(VIP, &[80, 443]), 20)?;
    let without = text.replace("servers: { exchange1: {}, exchange2: {} }", "servers: { exchange2: {} }");
    let without: Vec<&str> = without.lines().filter(|line| !line.starts_with("  exchange1: ")).collect();
    director.reload(&without.join("\n"))?;
    let tally = lab.client().visit(&Target::ports(VIP, &[80, 443]), 20)?;
    assert_eq!((tally.only_server(), tally.failed()), (Some("exchange2"), 0), "{tally}");
    if expire {
        eventually(LIMIT, "its connections end", || hold.so_far().failed() >= 10)?;
    }
    hold.more(200)?;
    assert_eq!(hold.stop()?.failed(), if expire { 10 } else { 0 });
    Ok(())
}

#[test]
fn connections_of_a_removed_server_end_at_once() {
    lab::test(|| removal(true));
}

#[test]
fn connections_of_a_removed_server_go_on_if_that_is_asked_for() {
    lab::test(|| removal(false));
}

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

#[test]
fn a_udp_client_that_keeps_its_port_gets_another_server() {
    lab::test(|| {
        let (lab, director, _servers) = Lab::exchange()?.serve(&services(""))?;
        for (vip, from) in [(VIP, "192.168.1.101"), (VIP6, "fd00:1::101")] {
            let client = lab.client().udp(from.parse()?)?;
            let first = client.ask((vip, 443).into()).map_err(|failure| format!("{failure:?}"))?.server;
            assert_eq!(client.ask((vip, 443).into()).map(|greeting| greeting.server).as_ref(), Ok(&first));
            lab.host(&first).unplug("eth0")?;
            becomes(&director, &first, "down")?;
            let other = if first == "exchange1" { "exchange2" } else { "exchange1" };
            eventually(LIMIT, "the other one answers", || {
                client.ask((vip, 443).into()).is_ok_and(|greeting| greeting.server == other)
            })?;
            lab.host(&first).plug("eth0")?;
            becomes(&director, &first, "up")?;
        }
        Ok(())
    });
}
