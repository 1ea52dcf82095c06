//! UDP flows are balanced as connections are.

use lab::farm::{VIP, VIP6};
use lab::{Failure, Family, Flow, Host, Lab, Outcome, eventually};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

/// A service with a port of each protocol, watched closely.
const NAMES: &str = "
    probes:
      alive: { type: tcp, port: 25, interval: 100ms, timeout: 100ms, rise: 2, fall: 2 }
    services:
      names:
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { both: 53 }
        probe: alive
        servers: { exchange1: {}, exchange2: {} }
    ";

#[test]
fn flows_are_shared_out_and_stay_where_they_are() {
    lab::test(|| {
        let (lab, _director, _servers) = Lab::exchange()?.serve(
            "
                services:
                  names:
                    vips: [192.168.1.35, 'fd00:1::35']
                    ports: { both: 53, udp: '400-500' }
                    servers: { exchange1: { weight: 3 }, exchange2: { weight: 1 } }
                ",
        )?;
        for (vip, from) in [(VIP, "192.168.1.101"), (VIP6, "2001:db8:2::1")] {
            let mut flows = BTreeMap::new();
            // A port that another client has just given up would still belong to that one's flow.
            let mut clients = Vec::new();
            for number in 0..80 {
                let client = lab.client().udp(from.parse::<IpAddr>()?)?;
                let port = if number % 2 == 0 { 53 } else { 443 };
                let answers: Vec<_> = (0..3).map(|_| client.ask((vip, port).into())).collect();
                let first = answers[0].clone().map_err(|failure| format!("{port}: {failure:?}"))?;
                assert!(answers.iter().all(|answer| answer.as_ref() == Ok(&first)), "{answers:?}");
                assert_eq!((first.port, first.peer.ip()), (port, from.parse()?));
                clients.push(client);
                *flows.entry(first.server).or_insert(0) += 1;
            }
            assert_eq!(flows, BTreeMap::from([("exchange1".to_owned(), 60), ("exchange2".to_owned(), 20)]));
        }
        Ok(())
    });
}

/// Waits until the flow is answered; by whom.
fn served(flow: &Flow) -> Result<String, Box<dyn std::error::Error>> {
    let look = || flow.outcome().and_then(Result::ok).map(|greeting| greeting.server);
    Ok(lab::wait::eventually_some(LIMIT, "the flow is served", look)?)
}

fn served_by(flow: &Flow, server: &str) -> lab::Result<()> {
    eventually(LIMIT, &format!("{server} serves the flow"), || {
        flow.outcome().is_some_and(|outcome| outcome.is_ok_and(|greeting| greeting.server == server))
    })
}

fn refused(flow: &Flow) -> lab::Result<()> {
    eventually(LIMIT, "the flow is refused", || flow.outcome() == Some(Err(Failure::Refused)))
}

/// A flow that never pauses, through the death of both servers and back.
fn flow_through_death_and_return(family: Family, services: &str) -> Outcome {
    let (lab, _director, _servers) = Lab::exchange()?.serve(services)?;
    let flow = lab.client().flow(family.client(1), family.at(53))?;
    let first = served(&flow)?;
    let second = if first == "exchange1" { "exchange2" } else { "exchange1" };
    lab.host(&first).unplug("eth0")?;
    served_by(&flow, second)?;
    lab.host(second).unplug("eth0")?;
    refused(&flow)?;
    lab.host(&first).plug("eth0")?;
    served_by(&flow, &first)?;
    lab.host(second).plug("eth0")?;
    lab.host(&first).unplug("eth0")?;
    served_by(&flow, second)?;
    Ok(())
}

fn a_flow_moves_from_one_to_another_to_none_and_back(family: Family) -> Outcome {
    flow_through_death_and_return(family, NAMES)
}

fn a_persistent_flow_moves_from_one_to_another_to_none_and_back(family: Family) -> Outcome {
    let persistent = NAMES.replace("probe: alive", "probe: alive\n        persistence: { timeout: 10m }");
    flow_through_death_and_return(family, &persistent)
}

fn a_flow_stays_with_a_server_whose_weight_is_0(family: Family) -> Outcome {
    let (lab, director, _servers) = Lab::exchange()?.serve(NAMES)?;
    let flow = lab.client().flow(family.client(1), family.at(53))?;
    let server = served(&flow)?;
    director.cli(&["weight", "names", &server, "0"])?;
    for _ in 0..20 {
        assert_eq!(served(&flow)?, server);
    }
    Ok(())
}

fn a_flow_follows_a_service_that_goes_and_comes_back(family: Family) -> Outcome {
    let (lab, director, _servers) = Lab::exchange()?.serve(NAMES)?;
    let with = director.configuration()?;
    // As another service on another port it ends the flows of the first.
    let without = with.replace("names:", "others:").replace("both: 53", "both: 54");
    let flow = lab.client().flow(family.client(1), family.at(53))?;
    served(&flow)?;
    for _ in 0..3 {
        director.reload(&without)?;
        refused(&flow)?;
        director.reload(&with)?;
        served(&flow)?;
    }
    Ok(())
}

/// Makes the host track connections without the director, as a firewall with `ct state` does.
fn track_connections(host: &Host) -> lab::Result<()> {
    host.run("nft add table inet firewall")?;
    host.run("nft add chain inet firewall input { type filter hook input priority 0 ; }")?;
    host.run("nft add rule inet firewall input ct state invalid drop").map(drop)
}

fn a_flow_that_began_without_rules_is_served_after_the_repair(family: Family) -> Outcome {
    let (lab, director, _servers) = Lab::exchange()?.serve(NAMES)?;
    let host = director.host();
    track_connections(host)?;
    let flow = lab.client().flow(family.client(1), family.at(53))?;
    for _ in 0..5 {
        served(&flow)?;
        host.run("nft delete table inet director")?;
        // To the kernel it is a new flow now, and meets the host's own sockets.
        host.run("conntrack -F")?;
        eventually(LIMIT, "the ruleset is repaired", || host.run("nft list table inet director").is_ok())?;
        drop(flow.outcome());
    }
    served(&flow)?;
    Ok(())
}

fn a_flow_to_an_address_that_becomes_a_vip_is_served(family: Family) -> Outcome {
    let lab = Lab::exchange()?;
    let _servers = lab.start_servers()?;
    let host = &lab.directors()[0];
    track_connections(host)?;
    let vip = format!("{}{}", family.vip(), family.choose("/24", "/64 nodad"));
    host.run(&format!("ip address add {vip} dev eth0"))?;
    let flow = lab.client().flow(family.client(1), family.at(53))?;
    refused(&flow)?;
    let _director = lab.start_director("lb1", &lab.configuration(NAMES))?;
    served(&flow)?;
    Ok(())
}

lab::both_families!(
    a_flow_that_began_without_rules_is_served_after_the_repair,
    a_flow_to_an_address_that_becomes_a_vip_is_served,
    a_flow_moves_from_one_to_another_to_none_and_back,
    a_persistent_flow_moves_from_one_to_another_to_none_and_back,
    a_flow_stays_with_a_server_whose_weight_is_0,
    a_flow_follows_a_service_that_goes_and_comes_back,
);
