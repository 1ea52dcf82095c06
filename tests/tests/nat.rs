//! Addresses and ports on the way in and out.

use lab::farm::{VIP, VIP6};
use lab::{Client, Failure, Lab, Server, Target};
use std::net::{IpAddr, SocketAddr};

const FARM: &str = "
    services:
      mail:
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: 25 }
        servers: { exchange1: {}, exchange2: {} }
    management:
      exchange1-admin: { vip: 192.168.1.36, server: exchange1, mark: 1 }
      exchange2-admin: { vip: 192.168.1.37, server: exchange2, mark: 2 }
      exchange2-admin6: { vip: 'fd00:1::37', server: exchange2 }
    outbound:
      masquerade: [10.0.1.0/24, 'fd00:2::/64']
      hairpin: true
    ";

#[test]
fn a_management_address_leads_to_one_server_on_every_port() {
    lab::test(|| {
        let (lab, _director, _servers) = Lab::exchange()?.serve(FARM)?;
        let client = lab.client();
        let addresses =
            [("192.168.1.36", "exchange1"), ("192.168.1.37", "exchange2"), ("fd00:1::37", "exchange2")];
        for (vip, server) in addresses {
            let vip: IpAddr = vip.parse()?;
            let tally = client.visit(&Target::ports(vip, &[25, 80, 443, 2525, 8080]), 25)?;
            assert_eq!((tally.only_server(), tally.made()), (Some(server), 25), "{vip}: {tally}");
            let from = if vip.is_ipv4() { "192.168.1.101" } else { "fd00:1::101" };
            let answer = client.udp(from.parse()?)?.ask((vip, 53).into());
            assert_eq!(answer.map(|greeting| greeting.server).as_deref(), Ok(server));
            // The server's own refusal.
            assert_eq!(client.call(&Target::new((vip, 9).into()))?, Err(Failure::Refused));
            assert!(client.ping(vip)?);
        }
        Ok(())
    });
}

#[test]
fn servers_see_their_clients_addresses() {
    lab::test(|| {
        let (lab, _director, _servers) = Lab::exchange()?.serve(FARM)?;
        for (vip, from) in [(VIP, "198.51.100.9"), (VIP6, "2001:db8:1::9")] {
            let from: IpAddr = from.parse()?;
            let greeting = lab.client().call(&Target::new((vip, 25).into()).from([from]))?;
            assert_eq!(greeting.map(|greeting| greeting.peer.ip()), Ok(from));
        }
        Ok(())
    });
}

#[test]
fn real_servers_reach_the_outside_by_the_directors_address() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let _director = lab.start_director("lb1", &lab.configuration(FARM))?;
        let _outside = Server::start(lab.client().host())?;
        let inside = Client::new(lab.servers()[0].clone());
        for (outside, seen_as) in [("192.168.1.1:25", "192.168.1.33"), ("[fd00:1::1]:25", "fd00:1::33")] {
            let greeting = inside.call(&Target::new(outside.parse::<SocketAddr>()?))?;
            assert_eq!(
                greeting.map(|greeting| greeting.peer.ip()),
                Ok(seen_as.parse::<IpAddr>()?),
                "{outside}"
            );
        }
        Ok(())
    });
}

#[test]
fn a_real_server_may_call_the_vip_that_it_serves() {
    lab::test(|| {
        let (lab, _director, _servers) = Lab::exchange()?.serve(FARM)?;
        for server in lab.servers() {
            let inside = Client::new(server.clone());
            for (vip, seen_as) in [(VIP, "10.0.1."), (VIP6, "fd00:2::")] {
                let tally = inside.visit(&Target::new((vip, 25).into()), 20)?;
                assert_eq!(
                    [tally.by("exchange1"), tally.by("exchange2"), tally.failed()],
                    [10, 10, 0],
                    "{tally}"
                );
                let greeting =
                    inside.call(&Target::new((vip, 25).into()))?.map_err(|failure| format!("{failure:?}"))?;
                let peer = greeting.peer.ip().to_string();
                let own = [".1", ".2", "::1", "::2"].iter().any(|end| peer.ends_with(end));
                assert!(peer.starts_with(seen_as) && !own, "the director's private address: {peer}");
            }
        }
        Ok(())
    });
}

#[test]
fn ports_may_change_on_the_way() {
    lab::test(|| {
        let (lab, _director, _servers) = Lab::exchange()?.serve(
            "
                services:
                  web:
                    vips: [192.168.1.35, 'fd00:1::35']
                    ports: { tcp: [80, 8080] }
                    servers: { exchange1: { port: 8080 }, exchange2: { port: 8080 } }
                  mail:
                    vips: [192.168.1.35, 'fd00:1::35']
                    ports: { tcp: [24, 587, '1000-1002'], udp: 1053 }
                    servers:
                      exchange1: { ports: { 24: 25, 1000: 465, 1001: 465, 1002: 465, 1053: 53 } }
                      exchange2: { ports: { 24: 2525, 1000: 717, 1001: 717, 1002: 717, 1053: 443 } }
                ",
        )?;
        let client = lab.client();
        // A service's port, and that of each server.
        let maps = [
            (80, [8080, 8080]),
            (8080, [8080, 8080]),
            (24, [25, 2525]),
            (587, [587, 587]),
            (1001, [465, 717]),
        ];
        for (vip, from) in [(VIP, "192.168.1.101"), (VIP6, "fd00:1::101")] {
            for (port, [first, second]) in maps {
                for _ in 0..4 {
                    let greeting = client
                        .call(&Target::new((vip, port).into()))?
                        .map_err(|failure| format!("{port}: {failure:?}"))?;
                    let expected = if greeting.server == "exchange1" { first } else { second };
                    assert_eq!(greeting.port, expected, "{vip} {port}: {greeting:?}");
                }
            }
            let greeting = client
                .udp(from.parse()?)?
                .ask((vip, 1053).into())
                .map_err(|failure| format!("{failure:?}"))?;
            assert_eq!(greeting.port, if greeting.server == "exchange1" { 53 } else { 443 });
        }
        Ok(())
    });
}
