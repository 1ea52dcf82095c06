//! New connections are shared out by weight, to the connection.

use lab::farm::{VIP, VIP6};
use lab::{Lab, Target, addresses};
use std::net::{IpAddr, SocketAddr};

#[test]
fn weights_are_exact_over_ten_thousand_connections() {
    lab::test(|| {
        let (lab, _director, _servers) = Lab::new(&["smtp1", "smtp2", "smtp3"])?.serve(
            r#"
                services:
                  smtp:
                    vips: [192.168.1.35, "fd00:1::35"]
                    ports: { tcp: 25 }
                    scheduler: wrr
                    servers:
                      smtp1: { weight: 60 }
                      smtp2: { weight: 60 }
                      smtp3: { weight: 40 }
                "#,
        )?;
        let many: Vec<IpAddr> =
            addresses(&["198.51.100.1", "203.0.113.1", "192.168.1.101", "192.168.1.102"])?;
        let tally =
            lab.client().visit(&Target::new(SocketAddr::new(VIP, 25)).from(many).parallel(8), 10_000)?;
        assert_eq!(tally.failed(), 0, "{tally}");
        assert_eq!([tally.by("smtp1"), tally.by("smtp2"), tally.by("smtp3")], [3750, 3750, 2500], "{tally}");

        let many: Vec<IpAddr> = addresses(&["2001:db8:1::1", "2001:db8:2::1", "fd00:1::101"])?;
        let tally =
            lab.client().visit(&Target::new(SocketAddr::new(VIP6, 25)).from(many).parallel(8), 1600)?;
        assert_eq!(tally.failed(), 0, "{tally}");
        assert_eq!([tally.by("smtp1"), tally.by("smtp2"), tally.by("smtp3")], [600, 600, 400], "{tally}");
        Ok(())
    });
}

#[test]
fn weighted_turns_are_interleaved() {
    lab::test(|| {
        let (lab, _director, _servers) = Lab::exchange()?.serve(
            "
                services:
                  web:
                    vip: 192.168.1.35
                    ports: { tcp: 80 }
                    servers: { exchange1: { weight: 50 }, exchange2: { weight: 50 } }
                ",
        )?;
        let target = Target::new(SocketAddr::new(VIP, 80));
        let mut last = String::new();
        for _ in 0..20 {
            let server = lab.client().visit(&target, 1)?.only_server().unwrap_or("none").to_owned();
            assert_ne!(server, last, "two in a row");
            last = server;
        }
        Ok(())
    });
}

#[test]
fn round_robin_leaves_weights_aside() {
    lab::test(|| {
        let (lab, _director, _servers) = Lab::new(&["web1", "web2", "web3"])?.serve(
            "
                services:
                  web:
                    vip: 192.168.1.35
                    ports: { tcp: [80, 443] }
                    scheduler: rr
                    servers: { web1: { weight: 100 }, web2: { weight: 1 }, web3: { weight: 0 } }
                ",
        )?;
        let tally = lab.client().visit(&Target::ports(VIP, &[80, 443]).parallel(4), 400)?;
        assert_eq!([tally.by("web1"), tally.by("web2"), tally.by("web3")], [200, 200, 0], "{tally}");
        assert_eq!(tally.failed(), 0, "{tally}");
        Ok(())
    });
}
