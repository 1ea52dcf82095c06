//! ICMP errors find their way: translated, to whoever sent the packet that they are about.

use lab::{Failure, Family, Host, Lab, Outcome, Raw, Server, Target};
use std::net::IpAddr;

const SERVICE: &str = "
    services:
      mail:
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: 25, udp: 53 }
        servers: { exchange1: {}, exchange2: {} }
    ";

/// Less than any other link has, and more than IPv6 must have.
const SMALL: u16 = 1300;

/// Bytes that take several packets.
const MUCH: usize = 8000;

/// What the host has learned of the largest packet on the way to `to`; None before it learns.
fn learned(host: &Host, to: IpAddr) -> Result<Option<u16>, Box<dyn std::error::Error>> {
    let route = host.run(&format!("ip route get {to}"))?;
    let mut words = route.split_whitespace().skip_while(|word| *word != "mtu").skip(1);
    Ok(words.next().map(str::parse).transpose()?)
}

fn a_server_learns_the_path_mtu_to_a_client(family: Family) -> Outcome {
    let (lab, _director, _servers) = Lab::exchange()?.serve(SERVICE)?;
    let branch = lab.open_branch(SMALL)?;
    let client: IpAddr = family.choose("192.0.2.2", "2001:db8:9::2").parse()?;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let greeting = branch.echo(&Target::new(family.at(25)), MUCH)?;
        let greeting = greeting.map_err(|failure| format!("{failure:?}"))?;
        assert_eq!(greeting.peer.ip(), client);
        // It takes the message only if a connection of its own address stands in it.
        assert_eq!(learned(&lab.host(&greeting.server), client)?, Some(SMALL), "{}", greeting.server);
        seen.push(greeting.server);
    }
    assert_ne!(seen[0], seen[1], "both have learned");
    Ok(())
}

fn a_client_learns_the_path_mtu_to_the_vip(family: Family) -> Outcome {
    let (lab, director, _servers) = Lab::exchange()?.serve(SERVICE)?;
    let network = family.choose("10.0.1.0/24", "fd00:2::/64 metric 256");
    director.host().run(&format!("ip route replace {network} dev eth1 mtu lock {SMALL}"))?;
    let messages = Raw::icmp(lab.client().host(), family.client(1))?;
    let greeting = lab.client().echo(&Target::new(family.at(25)).from([family.client(1)]), MUCH)?;
    let message = messages.error()?;
    assert_eq!((message.from, message.about), (family.vip(), family.vip()));
    assert!(greeting.is_ok(), "{greeting:?}");
    // It takes the message only if its connection to the VIP stands in it.
    assert_eq!(learned(lab.client().host(), family.vip())?, Some(SMALL));
    Ok(())
}

fn a_servers_port_unreachable_reaches_the_client_as_the_vips(family: Family) -> Outcome {
    let lab = Lab::exchange()?;
    let start = |host| Server::start_on(host, &[25], &[]);
    let _servers = lab.servers().iter().map(start).collect::<lab::Result<Vec<_>>>()?;
    let director = lab.start_director("lb1", &lab.configuration(SERVICE))?;
    // The socket takes no message but one about its own packet to the VIP.
    let messages = Raw::icmp(lab.client().host(), family.client(1))?;
    let answer = lab.client().udp(family.client(1))?.ask(family.at(53));
    let message = messages.error()?;
    assert_eq!((message.from, message.about), (family.vip(), family.vip()));
    assert_eq!(answer, Err(Failure::Refused));
    let known =
        director.host().run("conntrack -L -p udp")? + &director.host().run("conntrack -L -f ipv6 -p udp")?;
    assert!(known.contains(&family.client(1).to_string()), "it was a server that refused: {known}");
    Ok(())
}

lab::both_families!(
    a_server_learns_the_path_mtu_to_a_client,
    a_client_learns_the_path_mtu_to_the_vip,
    a_servers_port_unreachable_reaches_the_client_as_the_vips,
);
