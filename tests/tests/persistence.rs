//! Clients stay with their server, on all ports of the mark.

use lab::farm::{EXCHANGE_PORTS, VIP, VIP6};
use lab::{Director, Lab, Result, Server, Target, addresses};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Networks that are one client each by granularity, and addresses in them.
const NETWORKS: [(IpAddr, [&str; 3]); 6] = [
    (VIP, ["198.51.100.1", "198.51.100.2", "198.51.100.254"]),
    (VIP, ["203.0.113.1", "203.0.113.77", "203.0.113.254"]),
    (VIP, ["192.168.1.101", "192.168.1.102", "192.168.1.116"]),
    (VIP6, ["2001:db8:1::1", "2001:db8:1::2", "2001:db8:1:0:ffff::1"]),
    (VIP6, ["2001:db8:2::1", "2001:db8:2::2", "2001:db8:2:0:ffff::1"]),
    (VIP6, ["fd00:1::101", "fd00:1::102", "fd00:1::116"]),
];

fn exchange(options: &str) -> Result<(Lab, Director, Vec<Server>)> {
    Lab::exchange()?.serve(&format!(
        "
        services:
          exchange:
            mark: 0x50
            vips: [192.168.1.35, 'fd00:1::35']
            ports: {{ tcp: [25, 80, 443, 465, 587, 717, 2525], udp: 443 }}
            {options}
            servers: {{ exchange1: {{}}, exchange2: {{}} }}
        "
    ))
}

#[test]
fn fwmark_template_is_shared_by_all_ports_and_protocols() {
    lab::test(|| {
        let (lab, _director, _servers) = exchange("persistence: { timeout: 10m }")?;
        let mut seen = BTreeSet::new();
        for (vip, clients) in NETWORKS {
            for client in addresses(&clients)? {
                let target = Target::ports(vip, &EXCHANGE_PORTS).from([client]);
                let tally = lab.client().visit(&target, 3 * EXCHANGE_PORTS.len())?;
                assert_eq!((tally.failed(), tally.servers.len()), (0, 1), "{client}: {tally}");
                // The entry serves every protocol.
                let udp = lab.client().udp(client)?.ask((vip, 443).into());
                assert_eq!(
                    udp.map(|greeting| greeting.server).as_deref(),
                    Ok(tally.only_server().unwrap_or("none"))
                );
                seen.extend(tally.servers.into_keys());
            }
        }
        assert_eq!(seen.len(), 2, "clients are spread");
        Ok(())
    });
}

#[test]
fn granularity_24_and_64_make_a_network_one_client() {
    lab::test(|| {
        let (lab, _director, _servers) =
            exchange("persistence: { timeout: 10m, granularity: 24, granularity6: 64 }")?;
        let mut seen = BTreeSet::new();
        for (vip, clients) in NETWORKS {
            let target = Target::ports(vip, &EXCHANGE_PORTS).from(addresses(&clients)?);
            let tally = lab.client().visit(&target, clients.len() * EXCHANGE_PORTS.len())?;
            assert_eq!((tally.failed(), tally.servers.len()), (0, 1), "{clients:?}: {tally}");
            seen.extend(tally.servers.into_keys());
        }
        assert_eq!(seen.len(), 2, "networks are spread");
        Ok(())
    });
}

#[test]
fn an_entry_ends_with_its_timeout() {
    lab::test(|| {
        let (lab, _director, _servers) = exchange("persistence: { timeout: 1s }")?;
        let target = Target::ports(VIP, &[25]);
        let first = lab.client().visit(&target, 5)?;
        let first = first.only_server().ok_or("one server")?;
        lab::eventually(std::time::Duration::from_secs(10), "the client is sent elsewhere", || {
            // Longer than the timeout: an attempt renews the entry.
            std::thread::sleep(std::time::Duration::from_millis(1500));
            lab.client()
                .visit(&target, 1)
                .is_ok_and(|tally| tally.only_server().is_some_and(|name| name != first))
        })?;
        Ok(())
    });
}
