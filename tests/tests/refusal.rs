//! What nobody serves is refused at once: a reset for TCP, an ICMP message for UDP, never silence.

use lab::farm::{VIP, VIP6};
use lab::{Failure, Family, Lab, Outcome, Target};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

const SERVICE: &str = "
    services:
      exchange:
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: [25, 80], udp: 53, both: 443 }
        servers: { exchange1: {}, exchange2: {} }
    ";

const CLIENTS: [(IpAddr, &str); 2] = [(VIP, "192.168.1.101"), (VIP6, "fd00:1::101")];

#[test]
fn undeclared_ports_of_a_vip() {
    lab::test(|| {
        let (lab, director, _servers) = Lab::exchange()?.serve(SERVICE)?;
        // A service of the director's own host is none of the VIP's.
        let _own = lab::Server::start_on(director.host(), &[2222], &[54])?;
        let client = lab.client();
        for (vip, from) in CLIENTS {
            let udp = client.udp(from.parse()?)?;
            assert_eq!(client.visit(&Target::new((vip, 25).into()), 1)?.made(), 1);
            assert!(udp.ask((vip, 443).into()).is_ok());
            for port in [1, 2222, 65535] {
                assert_eq!(
                    client.call(&Target::new((vip, port).into()))?,
                    Err(Failure::Refused),
                    "{vip} {port}"
                );
            }
            for port in [25, 54] {
                assert_eq!(udp.ask((vip, port).into()), Err(Failure::Refused), "{vip} {port}");
            }
        }
        let own: SocketAddr = "192.168.1.33:2222".parse()?;
        assert!(
            client.call(&Target::new(own))?.is_ok(),
            "the director's own address is none of its business"
        );
        Ok(())
    });
}

#[test]
fn a_vip_answers_pings() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let _director = lab.start_director("lb1", &lab.configuration(SERVICE))?;
        assert!(lab.client().ping(VIP)?);
        assert!(lab.client().ping(VIP6)?);
        Ok(())
    });
}

/// Every client is refused at once on every port, those that were served before too, and served again later.
fn refused_and_served_again(family: Family, options: &str) -> Outcome {
    let services = SERVICE.replace("servers:", &format!("{options}\n        servers:"));
    let (lab, director, _servers) = Lab::exchange()?.serve(&services)?;
    let client = lab.client();
    let ports = Target::ports(family.vip(), &[25, 80, 443]);
    let udp = client.udp(family.client(1))?;
    let known = ports.clone().from([family.client(1)]);
    let stranger = ports.from([family.client(2)]);
    for _ in 0..2 {
        assert_eq!(client.visit(&known, 6)?.made(), 6);
        assert!(udp.ask(family.at(443)).is_ok() && udp.ask(family.at(53)).is_ok());
        director.cli(&["weight", "exchange", "exchange1", "0"])?;
        director.cli(&["drain", "exchange", "exchange2"])?;
        for target in [&known, &stranger] {
            let tally = client.visit(target, 6)?;
            assert_eq!(tally.failures, BTreeMap::from([(Failure::Refused, 6)]), "{options}: {tally}");
        }
        for port in [443, 53] {
            let new = client.udp(family.client(2))?;
            assert_eq!(new.ask(family.at(port)), Err(Failure::Refused), "{options}");
        }
        director.cli(&["reset", "exchange", "exchange1"])?;
        director.cli(&["enable", "exchange", "exchange2"])?;
    }
    Ok(())
}

fn no_destination_is_answered_at_once(family: Family) -> Outcome {
    refused_and_served_again(family, "")
}

fn no_destination_is_answered_at_once_where_clients_stick(family: Family) -> Outcome {
    refused_and_served_again(family, "persistence: { timeout: 10m }")
}

fn no_destination_is_answered_at_once_where_clients_are_hashed(family: Family) -> Outcome {
    refused_and_served_again(family, "scheduler: sh")
}

lab::both_families!(
    no_destination_is_answered_at_once,
    no_destination_is_answered_at_once_where_clients_stick,
    no_destination_is_answered_at_once_where_clients_are_hashed,
);
