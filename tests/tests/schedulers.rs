//! Schedulers that look at the client, the VIP, the weight, or nothing.

use lab::farm::{VIP, VIP6};
use lab::{Director, Lab, Result, Target};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const VIPS: [IpAddr; 2] = [VIP, VIP6];
const PORTS: [u16; 2] = [80, 443];

fn lab() -> Result<Lab> {
    Lab::new(&["web1", "web2", "web3", "web4"])
}

fn configuration(lab: &Lab, options: &str) -> String {
    lab.configuration(&format!(
        "
        services:
          web:
            vips: [192.168.1.35, 'fd00:1::35', 192.168.1.38, 'fd00:1::38']
            ports: {{ both: [80, 443] }}
            {options}
            servers: {{ web1: {{ weight: 4 }}, web2: {{ weight: 2 }}, web3: {{}}, web4: {{}} }}
        "
    ))
}

fn start(lab: &Lab, options: &str) -> Result<Director> {
    lab.start_director("lb1", &configuration(lab, options))
}

/// 60 clients of the VIP's family, 30 of each of two networks.
fn clients(vip: IpAddr) -> Vec<IpAddr> {
    let numbers = || (1..=30).map(|number| number * 7);
    match vip {
        IpAddr::V4(_) => [Ipv4Addr::new(198, 51, 100, 0), Ipv4Addr::new(203, 0, 113, 0)]
            .into_iter()
            .flat_map(|network| numbers().map(move |number| (network | Ipv4Addr::from(number)).into()))
            .collect(),
        IpAddr::V6(_) => [1, 2]
            .map(|network| Ipv6Addr::new(0x2001, 0xdb8, network, 0, 0, 0, 0, 0))
            .into_iter()
            .flat_map(|network| {
                numbers().map(move |number| (network | Ipv6Addr::from(u128::from(number) << 20)).into())
            })
            .collect(),
    }
}

/// The server that each client gets on that port.
fn servers(
    lab: &Lab,
    vip: IpAddr,
    port: u16,
) -> std::result::Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut servers = Vec::new();
    for client in clients(vip) {
        let target = Target::new(SocketAddr::new(vip, port)).from([client]);
        let greeting = lab.client().call(&target)?;
        servers.push(greeting.map_err(|failure| format!("{client}: {failure:?}"))?.server);
    }
    Ok(servers)
}

fn distinct(servers: &[String]) -> BTreeSet<&str> {
    servers.iter().map(String::as_str).collect()
}

#[test]
fn sh_clients_have_one_server_on_every_port_and_protocol() {
    lab::test(|| {
        let lab = lab()?;
        let _servers = lab.start_servers()?;
        let director = start(&lab, "scheduler: sh")?;
        for vip in VIPS {
            let first = servers(&lab, vip, 80)?;
            assert_eq!(distinct(&first).len(), 4, "clients are spread");
            assert_eq!(servers(&lab, vip, 443)?, first);
            for (client, server) in clients(vip).into_iter().zip(&first) {
                let answer = lab.client().udp(client)?.ask((vip, 443).into());
                assert_eq!(answer.map(|greeting| greeting.server).as_deref(), Ok(server.as_str()));
            }
            director.cli(&["drain", "web", "web1"])?;
            assert!(!distinct(&servers(&lab, vip, 80)?).contains("web1"), "its clients are served by others");
            director.cli(&["enable", "web", "web1"])?;
            assert_eq!(servers(&lab, vip, 80)?, first);
        }
        Ok(())
    });
}

#[test]
fn sh_clients_of_one_network_are_one_client_by_granularity() {
    lab::test(|| {
        let lab = lab()?;
        let _servers = lab.start_servers()?;
        let options = "scheduler: sh
            hash_granularity: 24
            hash_granularity6: 48";
        let _director = start(&lab, options)?;
        for vip in VIPS {
            let servers = servers(&lab, vip, 80)?;
            for network in servers.chunks(30) {
                assert_eq!(distinct(network).len(), 1, "{network:?}");
            }
        }
        Ok(())
    });
}

#[test]
fn mh_connections_of_a_client_are_spread_with_hash_port() {
    lab::test(|| {
        let lab = lab()?;
        let _servers = lab.start_servers()?;
        let options = "scheduler: mh
            hash_port: true";
        let _director = start(&lab, options)?;
        for vip in VIPS {
            // Shares of 1/2, 1/4, 1/8, 1/8; five standard deviations.
            let tally = lab.client().visit(&Target::ports(vip, &PORTS).parallel(4), 1600)?;
            assert_eq!(tally.failed(), 0, "{tally}");
            assert!(tally.by("web1").abs_diff(800) < 100, "{tally}");
            assert!(tally.by("web2").abs_diff(400) < 87, "{tally}");
            assert!(tally.by("web3").abs_diff(200) < 67 && tally.by("web4").abs_diff(200) < 67, "{tally}");
        }
        Ok(())
    });
}

#[test]
fn mh_draining_a_server_moves_its_clients_and_no_others() {
    lab::test(|| {
        let lab = lab()?;
        let _servers = lab.start_servers()?;
        let director = start(&lab, "scheduler: mh")?;
        for vip in VIPS {
            let before = servers(&lab, vip, 80)?;
            assert_eq!(servers(&lab, vip, 443)?, before, "on every port");
            assert_eq!(distinct(&before).len(), 4, "clients are spread");
            for server in ["web1", "web3"] {
                director.cli(&["drain", "web", server])?;
                let drained = servers(&lab, vip, 80)?;
                for (before, drained) in before.iter().zip(&drained) {
                    assert_eq!(before != drained, before == server, "{before}, then {drained}");
                }
                director.cli(&["enable", "web", server])?;
                assert_eq!(servers(&lab, vip, 80)?, before, "and back");
            }
        }
        Ok(())
    });
}

#[test]
fn mh_clients_find_their_server_through_another_director_that_knows_nothing() {
    lab::test(|| {
        let lab = lab()?;
        let _servers = lab.start_servers()?;
        let mut director = start(&lab, "scheduler: mh")?;
        let before = [servers(&lab, VIP, 80)?, servers(&lab, VIP6, 80)?];
        director.stop()?;
        director.flush()?;
        let _other = lab.start_director("lb2", &configuration(&lab, "scheduler: mh"))?;
        assert_eq!([servers(&lab, VIP, 80)?, servers(&lab, VIP6, 80)?], before);
        Ok(())
    });
}

#[test]
fn fo_the_heaviest_server_has_all_and_the_next_while_it_is_away() {
    lab::test(|| {
        let lab = lab()?;
        let _servers = lab.start_servers()?;
        let director = start(&lab, "scheduler: fo")?;
        let only = |expected: &str| -> Result<()> {
            for vip in VIPS {
                let target = Target::ports(vip, &PORTS).from(clients(vip));
                let tally = lab.client().visit(&target, 120)?;
                assert_eq!((tally.only_server(), tally.failed()), (Some(expected), 0), "{tally}");
            }
            Ok(())
        };
        only("web1")?;
        director.cli(&["drain", "web", "web1"])?;
        only("web2")?;
        director.cli(&["weight", "web", "web2", "0"])?;
        only("web3")?;
        director.cli(&["enable", "web", "web1"])?;
        only("web1")?;
        director.cli(&["weight", "web", "web4", "5"])?;
        only("web4").map_err(Into::into)
    });
}

#[test]
fn dh_a_vip_has_one_server() {
    lab::test(|| {
        let lab = lab()?;
        let _servers = lab.start_servers()?;
        let _director = start(&lab, "scheduler: dh")?;
        for vip in ["192.168.1.35", "192.168.1.38", "fd00:1::35", "fd00:1::38"] {
            let vip: IpAddr = vip.parse()?;
            let target = Target::ports(vip, &PORTS).from(clients(vip));
            let tally = lab.client().visit(&target, 120)?;
            assert_eq!((tally.servers.len(), tally.failed()), (1, 0), "{vip}: {tally}");
        }
        Ok(())
    });
}

#[test]
fn random_shares_are_the_weights_by_chance_and_no_two_runs_are_alike() {
    lab::test(|| {
        let lab = lab()?;
        let _servers = lab.start_servers()?;
        let mut director = start(&lab, "scheduler: random")?;
        for vip in VIPS {
            // Shares of 1/2, 1/4, 1/8, 1/8; five standard deviations.
            let tally = lab.client().visit(&Target::ports(vip, &PORTS).parallel(4), 1600)?;
            assert_eq!(tally.failed(), 0, "{tally}");
            assert!(tally.by("web1").abs_diff(800) < 100, "{tally}");
            assert!(tally.by("web2").abs_diff(400) < 87, "{tally}");
            assert!(tally.by("web3").abs_diff(200) < 67 && tally.by("web4").abs_diff(200) < 67, "{tally}");
            // The same clients come in the same order; that all 60 get the same server again is one in 10^27.
            let first = servers(&lab, vip, 80)?;
            assert_ne!(servers(&lab, vip, 80)?, first);
            director.stop()?;
            director.flush()?;
            director.start()?;
            assert_ne!(servers(&lab, vip, 80)?, first, "a director that starts anew draws anew");
        }
        Ok(())
    });
}

#[test]
fn mh_persistent_clients_stay_though_the_hash_says_otherwise() {
    lab::test(|| {
        let lab = lab()?;
        let _servers = lab.start_servers()?;
        let options = "scheduler: mh
            persistence: {}";
        let director = start(&lab, options)?;
        director.cli(&["drain", "web", "web1"])?;
        for vip in VIPS {
            let before = servers(&lab, vip, 80)?;
            assert!(!distinct(&before).contains("web1"));
            director.cli(&["enable", "web", "web1"])?;
            assert_eq!(servers(&lab, vip, 443)?, before);
            director.cli(&["drain", "web", "web1"])?;
        }
        Ok(())
    });
}
