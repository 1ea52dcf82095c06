//! Packets of connections that the director does not know.

use lab::raw::flags::{ACK, FIN, RST, SYN};
use lab::{Failure, Family, Lab, Outcome, Raw, Segment, Target, eventually};
use std::collections::BTreeMap;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

const SERVICE: &str = "
    services:
      mail:
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: [25, 443] }
        servers: { exchange1: {}, exchange2: {} }
    ";

fn a_client_of_a_forgotten_connection_is_reset(family: Family) -> Outcome {
    let (lab, director, _servers) = Lab::exchange()?.serve(SERVICE)?;
    let hold = lab.client().hold(&Target::ports(family.vip(), &[25, 443]), 6)?;
    assert_eq!(hold.so_far().made(), 6);
    director.host().run("conntrack -F")?;
    eventually(LIMIT, "all have failed", || hold.so_far().failed() == 6)?;
    let held = hold.stop()?;
    assert_eq!(held.failures, BTreeMap::from([(Failure::Reset, 6)]), "{held}");
    // And they may come again.
    let tally = lab.client().visit(&Target::ports(family.vip(), &[25, 443]), 6)?;
    assert_eq!((tally.made(), tally.failed()), (6, 0), "{tally}");
    Ok(())
}

fn a_stray_segment_is_reset_and_reaches_no_server(family: Family) -> Outcome {
    let (lab, director, _servers) = Lab::exchange()?.serve(SERVICE)?;
    // A service of the director's own host is none of the VIP's.
    let own = lab::Server::start_on(director.host(), &[3389], &[])?;
    let client = Raw::tcp(lab.client().host(), family.client(1))?;
    let ends = family.choose(["10.0.1.1", "10.0.1.2"], ["fd00:2::1", "fd00:2::2"]);
    let mut servers = Vec::new();
    for (host, address) in lab.servers().iter().zip(lab::addresses(&ends)?) {
        servers.push(Raw::tcp(host, address)?);
    }
    let vip = family.vip();
    // A served port, one of the host's own, one of nobody.
    let mut from = 5000;
    for to in [25, 3389, 26] {
        for flags in [ACK, FIN | ACK, SYN | ACK, ACK | RST, RST] {
            from += 1;
            client.send(vip, Segment { from, to, flags })?;
            // A reset is never answered, so the next answer is that to the next segment.
            if flags & RST == 0 {
                let answer = client.segment_from(vip)?;
                assert_eq!((answer.from, answer.to), (to, from), "flags {flags}");
                assert_ne!(answer.flags & RST, 0, "flags {flags}");
            }
        }
    }
    client.send(vip, Segment { from: 6000, to: 26, flags: ACK })?;
    assert_eq!(client.segment_from(vip)?.to, 6000);
    assert_eq!(own.arrivals(), 0);
    // Had a server seen one, it would come before these.
    for port in [7000, 7001] {
        let target = Target::new(family.at(25)).from([family.client(1)]).port(port);
        assert_eq!(lab.client().visit(&target, 1)?.made(), 1);
    }
    for server in servers {
        let first = server.segment_from(family.client(1))?;
        assert!(first.flags & SYN != 0 && first.from >= 7000, "{first:?}");
    }
    Ok(())
}

fn a_servers_stray_segment_is_reset_if_that_is_asked_for(family: Family) -> Outcome {
    let services = format!("{SERVICE}\n    outbound: {{ reset_invalid: true }}");
    let (lab, _director, _servers) = Lab::exchange()?.serve(&services)?;
    let (host, address) = (&lab.servers()[0], family.choose("10.0.1.1", "fd00:2::1").parse()?);
    let server = Raw::tcp(host, address)?;
    let client = Raw::tcp(lab.client().host(), family.client(1))?;
    server.send(family.client(1), Segment { from: 25, to: 4000, flags: ACK })?;
    let answer = server.segment_from(family.client(1))?;
    assert_eq!((answer.from, answer.to, answer.flags & RST), (4000, 25, RST));
    // Had the client seen it, it would come before this.
    client.send(family.vip(), Segment { from: 5000, to: 25, flags: ACK })?;
    assert_eq!(client.segment()?.0, family.vip());
    Ok(())
}

lab::both_families!(
    a_servers_stray_segment_is_reset_if_that_is_asked_for,
    a_client_of_a_forgotten_connection_is_reset,
    a_stray_segment_is_reset_and_reaches_no_server,
);
