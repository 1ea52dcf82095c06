//! What nobody serves is refused at once: a reset for TCP, an ICMP message for UDP, never silence.

use lab::farm::{VIP, VIP6};
use lab::{Failure, Lab, Target};
use std::net::{IpAddr, SocketAddr};

const SERVICE: &str = "
    services:
      exchange:
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: [25, 80], udp: 443 }
        servers: { exchange1: {}, exchange2: {} }
    ";

const CLIENTS: [(IpAddr, &str); 2] = [(VIP, "192.168.1.101"), (VIP6, "fd00:1::101")];

#[test]
fn undeclared_ports_of_a_vip() {
    lab::test(|| {
        let (lab, director, _servers) = Lab::exchange()?.serve(SERVICE)?;
        // A service of the director's own host is none of the VIP's.
        let _own = lab::Server::start_on(director.host(), &[3389], &[53])?;
        let client = lab.client();
        for (vip, from) in CLIENTS {
            let udp = client.udp(from.parse()?)?;
            assert_eq!(client.visit(&Target::new((vip, 25).into()), 1)?.made(), 1);
            assert!(udp.ask((vip, 443).into()).is_ok());
            for port in [1, 3389, 65535] {
                assert_eq!(
                    client.call(&Target::new((vip, port).into()))?,
                    Err(Failure::Refused),
                    "{vip} {port}"
                );
            }
            for port in [25, 53] {
                assert_eq!(udp.ask((vip, port).into()), Err(Failure::Refused), "{vip} {port}");
            }
        }
        let own: SocketAddr = "192.168.1.33:3389".parse()?;
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

#[test]
fn no_destination_is_answered_at_once() {
    lab::test(|| {
        let (lab, director, _servers) = Lab::exchange()?.serve(SERVICE)?;
        director.cli(&["weight", "exchange", "exchange1", "0"])?;
        director.cli(&["drain", "exchange", "exchange2"])?;
        let client = lab.client();
        for (vip, from) in CLIENTS {
            assert_eq!(client.call(&Target::new((vip, 25).into()))?, Err(Failure::Refused));
            assert_eq!(client.udp(from.parse()?)?.ask((vip, 443).into()), Err(Failure::Refused));
        }
        director.cli(&["enable", "exchange", "exchange2"])?;
        for (vip, from) in CLIENTS {
            assert_eq!(client.visit(&Target::ports(vip, &[25, 80]), 10)?.only_server(), Some("exchange2"));
            assert!(client.udp(from.parse()?)?.ask((vip, 443).into()).is_ok());
        }
        Ok(())
    });
}
