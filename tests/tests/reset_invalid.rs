//! What a server sends on connections that the director has given up: answered with a reset, never let out with its
//! private source.

use lab::raw::flags::{ACK, RST};
use lab::{Family, Host, Lab, Outcome, Raw, Result, Segment, Target, eventually};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

const SERVICES: &str = "
    services:
      mail:
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: [25, 80] }
        servers: { exchange1: {}, exchange2: {} }
    outbound: { reset_invalid: true }
    ";

/// Counts what arrives at the clients' side from the private networks.
fn witness(client: &Host) -> Result<()> {
    let rules = "ip saddr 10.0.1.0/24 counter; ip6 saddr fd00:2::/64 meta l4proto tcp counter";
    let chain = format!("type filter hook prerouting priority -300; {rules};");
    client.feed("nft -f -", &format!("table inet witness {{ chain in {{ {chain} }}; }}")).map(drop)
}

/// Packets that it has counted.
fn leaked(client: &Host) -> Result<u64> {
    let text = client.run("nft list table inet witness")?;
    let counts =
        text.split("counter packets ").skip(1).filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    Ok(counts.sum())
}

/// A server that sends on a connection that nobody knows any more: what it is answered, if it is.
fn forgotten(
    family: Family,
    services: &str,
) -> std::result::Result<(Option<Segment>, u64), Box<dyn std::error::Error>> {
    let (lab, director, _servers) = Lab::exchange()?.serve(services)?;
    witness(lab.client().host())?;
    let (server, client) = (family.choose("10.0.1.1", "fd00:2::1").parse()?, family.client(1));
    let raw = Raw::tcp(&lab.servers()[0], server)?;
    // What the director answers to a packet that it knows nothing of comes before what it answers to the next.
    raw.send(client, Segment { from: 25, to: 4000, flags: ACK })?;
    let reset = director.configuration()?.contains("reset_invalid: true");
    let answer = if reset { Some(raw.segment_from(client)?) } else { None };
    if !reset {
        let host = lab.client().host().clone();
        eventually(LIMIT, "the packet is out", || leaked(&host).is_ok_and(|count| count > 0))?;
    }
    Ok((answer, leaked(lab.client().host())?))
}

fn a_stray_of_a_server_is_reset(family: Family) -> Outcome {
    let (answer, leaked) = forgotten(family, SERVICES)?;
    let answer = answer.ok_or("no answer")?;
    assert_eq!((answer.from, answer.to, answer.flags & RST), (4000, 25, RST));
    assert_eq!(leaked, 0);
    Ok(())
}

fn without_the_option_it_leaves_with_its_private_source(family: Family) -> Outcome {
    let (answer, leaked) =
        forgotten(family, &SERVICES.replace("reset_invalid: true", "reset_invalid: false"))?;
    assert_eq!((answer, leaked), (None, 1));
    Ok(())
}

fn nothing_leaks_when_connections_of_a_living_server_are_ended(family: Family) -> Outcome {
    let (lab, director, servers) = Lab::exchange()?.serve(SERVICES)?;
    witness(lab.client().host())?;
    // Servers answer what they got just before the director forgets.
    let load = lab.client().hold(&Target::ports(family.vip(), &[25, 80]), 20)?;
    director.reload(&lab::without_server(&director.configuration()?, "exchange1"))?;
    eventually(LIMIT, "its connections end", || load.so_far().failed() >= 10)?;
    load.more(20)?;
    // It hangs up by itself: its farewell is of no connection either.
    drop(servers);
    let visitors = lab.client().host().clone();
    eventually(LIMIT, "all connections have ended", || load.so_far().failed() >= 20)?;
    assert_eq!(leaked(&visitors)?, 0);
    Ok(())
}

fn established_connections_and_the_way_out_are_left_alone(family: Family) -> Outcome {
    let masquerade = "outbound: { reset_invalid: true, masquerade: [10.0.1.0/24, 'fd00:2::/64'] }";
    let services = SERVICES.replace("outbound: { reset_invalid: true }", masquerade);
    let (lab, _director, _servers) = Lab::exchange()?.serve(&services)?;
    let hold = lab.client().hold(&Target::ports(family.vip(), &[25, 80]), 10)?;
    hold.more(100)?;
    assert_eq!(hold.stop()?.failed(), 0);
    let _outside = lab::Server::start(lab.client().host())?;
    let inside = lab::Client::new(lab.servers()[0].clone());
    let outside = family.choose("192.168.1.1:25", "[fd00:1::1]:25").parse()?;
    let tally = inside.visit(&Target::new(outside), 10)?;
    assert_eq!((tally.made(), tally.failed()), (10, 0), "{tally}");
    Ok(())
}

lab::both_families!(
    a_stray_of_a_server_is_reset,
    established_connections_and_the_way_out_are_left_alone,
    nothing_leaks_when_connections_of_a_living_server_are_ended,
    without_the_option_it_leaves_with_its_private_source,
);
