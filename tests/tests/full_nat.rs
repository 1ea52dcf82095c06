//! Servers whose way out leads past the director: connections come to them from its own address.

use lab::{Client, Director, Family, Lab, Outcome, Result, Server, Target};
use std::net::IpAddr;

const SERVICES: &str = "
    services:
      mail:
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: [25, 80], udp: 443 }
        full_nat: true
        servers: { exchange1: {}, exchange2: {} }
    ";

fn gateway(family: Family) -> IpAddr {
    family.choose([10, 0, 1, 254].into(), [0xfd00, 2, 0, 0, 0, 0, 0, 0x254].into())
}

/// lb1's own address on the private side.
fn own(family: Family) -> IpAddr {
    family.choose([10, 0, 1, 33].into(), [0xfd00, 2, 0, 0, 0, 0, 0, 0x33].into())
}

/// A farm whose servers have no way to any client.
fn farm(services: &str) -> Result<(Lab, Director, Vec<Server>)> {
    let lab = Lab::exchange()?;
    for server in lab.servers() {
        server.run("ip -4 route delete default")?;
        server.run("ip -6 route delete default")?;
    }
    lab.serve(services)
}

/// Whom the server sees that a client comes to.
fn seen(lab: &Lab, family: Family, port: u16) -> std::result::Result<IpAddr, Box<dyn std::error::Error>> {
    let greeting = lab.client().call(&Target::new(family.at(port)).from([family.client(1)]))?;
    Ok(greeting.map_err(|failure| format!("{failure:?}"))?.peer.ip())
}

fn servers_without_a_way_to_clients_serve_them_from_the_gateway(family: Family) -> Outcome {
    let (lab, director, _servers) = farm(SERVICES)?;
    let clients: Vec<IpAddr> = (1..=10).map(|number| family.client(number)).collect();
    let tally = lab.client().visit(&Target::ports(family.vip(), &[25, 80]).from(clients), 40)?;
    assert_eq!([tally.by("exchange1"), tally.by("exchange2"), tally.failed()], [20, 20, 0], "{tally}");
    assert_eq!(seen(&lab, family, 25)?, gateway(family));
    let udp = lab.client().udp(family.client(1))?;
    for _ in 0..3 {
        let greeting = udp.ask(family.at(443)).map_err(|failure| format!("{failure:?}"))?;
        assert_eq!(greeting.peer.ip(), gateway(family));
    }
    let hold = lab.client().hold(&Target::new(family.at(25)).from([family.client(1)]), 4)?;
    let rows = director.cli(&["connections", "--service", "mail", "--state", "established"])?;
    assert_eq!(rows.matches(&family.client(1).to_string()).count(), 4, "the client is shown: {rows}");
    assert_eq!(hold.stop()?.failed(), 0);
    let table = director.cli(&["status"])?;
    assert!(table.contains("full-nat"), "{table}");
    Ok(())
}

fn without_a_gateway_they_come_from_the_directors_address(family: Family) -> Outcome {
    let (lab, director, _servers) = farm(SERVICES)?;
    let text = director.configuration()?;
    let text: String =
        text.lines().filter(|line| !line.starts_with("gateway:")).map(|it| format!("{it}\n")).collect();
    director.reload(&text)?;
    assert_eq!(seen(&lab, family, 25)?, own(family));
    assert!(lab.client().udp(family.client(1))?.ask(family.at(443)).is_ok());
    Ok(())
}

fn clients_that_use_the_same_port_are_told_apart(family: Family) -> Outcome {
    let (lab, _director, _servers) = farm(&SERVICES.replace("exchange2: {}", "exchange2: { weight: 0 }"))?;
    let holds = (1..=8).map(|number| {
        lab.client().hold(&Target::new(family.at(25)).from([family.client(number)]).port(40_000), 1)
    });
    for hold in holds.collect::<Result<Vec<_>>>()? {
        hold.more(3)?;
        let tally = hold.stop()?;
        assert_eq!((tally.by("exchange1"), tally.failed()), (1, 0), "{tally}");
    }
    Ok(())
}

fn persistence_port_mapping_and_protection_go_with_it(family: Family) -> Outcome {
    let (lab, _director, _servers) = farm(
        "
        services:
          mail:
            vips: [192.168.1.35, 'fd00:1::35']
            ports: { tcp: [24, '1000-1001'], udp: 1053 }
            full_nat: true
            syn_protection: true
            persistence: { timeout: 10m }
            servers:
              exchange1: { ports: { 24: 25, 1000: 465, 1001: 465, 1053: 53 } }
              exchange2: { ports: { 24: 2525, 1000: 717, 1001: 717, 1053: 443 } }
        ",
    )?;
    for number in 1..=4 {
        let client = family.client(number);
        let mut servers = std::collections::BTreeSet::new();
        for (port, mapped) in [(24, [25, 2525]), (1000, [465, 717]), (1001, [465, 717])] {
            let greeting = lab.client().call(&Target::new(family.at(port)).from([client]))?;
            let greeting = greeting.map_err(|failure| format!("{port}: {failure:?}"))?;
            let first = greeting.server == "exchange1";
            assert_eq!((greeting.peer.ip(), greeting.port), (gateway(family), mapped[usize::from(!first)]));
            servers.insert(greeting.server);
        }
        let udp = lab.client().udp(client)?.ask(family.at(1053));
        servers.insert(udp.map_err(|failure| format!("{failure:?}"))?.server);
        assert_eq!(servers.len(), 1, "{client}: {servers:?}");
    }
    Ok(())
}

fn a_real_server_calls_the_vip_from_the_gateway(family: Family) -> Outcome {
    let (lab, _director, _servers) = Lab::exchange()?.serve(SERVICES)?;
    let inside = Client::new(lab.servers()[0].clone());
    let tally = inside.visit(&Target::new(family.at(25)), 6)?;
    assert_eq!([tally.by("exchange1"), tally.by("exchange2"), tally.failed()], [3, 3, 0], "{tally}");
    let greeting = inside.call(&Target::new(family.at(25)))?.map_err(|failure| format!("{failure:?}"))?;
    assert_eq!(greeting.peer.ip(), gateway(family));
    Ok(())
}

fn it_comes_and_goes_with_reloads_and_connections_stay(family: Family) -> Outcome {
    let (lab, director, _servers) = Lab::exchange()?.serve(SERVICES)?;
    let with = director.configuration()?;
    let without = with.replace("full_nat: true", "full_nat: false");
    let target = Target::ports(family.vip(), &[25, 80]);
    let mut held = vec![lab.client().hold(&target, 4)?];
    for (text, source) in [(&without, family.client(1)), (&with, gateway(family))] {
        director.reload(text)?;
        assert_eq!(seen(&lab, family, 25)?, source);
        held.push(lab.client().hold(&target, 4)?);
    }
    for hold in held {
        hold.more(20)?;
        let tally = hold.stop()?;
        assert_eq!(tally.failed(), 0, "{tally}");
    }
    Ok(())
}

lab::both_families!(
    a_real_server_calls_the_vip_from_the_gateway,
    clients_that_use_the_same_port_are_told_apart,
    it_comes_and_goes_with_reloads_and_connections_stay,
    persistence_port_mapping_and_protection_go_with_it,
    servers_without_a_way_to_clients_serve_them_from_the_gateway,
    without_a_gateway_they_come_from_the_directors_address,
);
