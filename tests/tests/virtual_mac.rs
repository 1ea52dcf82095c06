//! Addresses that move with their MAC address.

use lab::farm::{VIP, VIP6};
use lab::{Capture, Client, Host, Lab, Pair, Server, Target, eventually};
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);
/// Of virtual router 51.
const MAC: [u8; 6] = [0, 0, 0x5e, 0, 1, 51];
const MAC_TEXT: &str = "00:00:5e:00:01:33";
const GATEWAY: &str = "10.0.1.254";
const GATEWAY6: &str = "fd00:2::254";

const FARM: &str = "
    redundancy:
      vrid: 51
      interval: 100ms
      priority: { lb1: 150, lb2: 100 }
      preempt: never
      virtual_mac: true
    services:
      mail:
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: 25 }
        servers: { exchange1: {}, exchange2: {} }
    outbound:
      masquerade: [10.0.1.0/24, 'fd00:2::/64']
      hairpin: true
    ";

fn all() -> Result<Vec<IpAddr>, Box<dyn Error>> {
    Ok(vec![VIP, VIP6, GATEWAY.parse()?, GATEWAY6.parse()?])
}

/// What `host` knows of a neighbour.
fn neighbour(host: &Host, address: IpAddr) -> lab::Result<String> {
    host.run(&format!("ip neighbour show to {address}"))
}

/// Clients and servers reach each other in all ways, and know the virtual MAC address.
fn all_is_well(lab: &Lab, active: &str) -> Result<(), Box<dyn Error>> {
    for vip in [VIP, VIP6] {
        let tally = lab.client().visit(&Target::new((vip, 25).into()), 20)?;
        assert_eq!((tally.made(), tally.failed()), (20, 0), "{vip}: {tally}");
        assert!(lab.client().ping(vip)?, "{vip} on {active}");
        // It may have asked anew meanwhile.
        let known = neighbour(lab.client().host(), vip)?;
        assert!(known.contains(MAC_TEXT), "{known}");
    }
    let own = if active == "lb1" { ["192.168.1.33", "fd00:1::33"] } else { ["192.168.1.34", "fd00:1::34"] };
    for (server, name) in lab.servers().iter().zip(["exchange1", "exchange2"]) {
        let inside = Client::new(server.clone());
        for vip in [VIP, VIP6] {
            let tally = inside.visit(&Target::new((vip, 25).into()), 10)?;
            assert_eq!((tally.made(), tally.failed()), (10, 0), "{name} calls {vip}: {tally}");
        }
        for (outside, seen_as) in ["192.168.1.1:25", "[fd00:1::1]:25"].into_iter().zip(own) {
            let greeting = inside.call(&Target::new(outside.parse::<SocketAddr>()?))?;
            assert_eq!(
                greeting.map(|it| it.peer.ip()),
                Ok(seen_as.parse::<IpAddr>()?),
                "{name} to {outside}"
            );
        }
        for gateway in [GATEWAY, GATEWAY6] {
            let known = neighbour(server, gateway.parse()?)?;
            assert!(known.contains(MAC_TEXT), "{name}: {known}");
        }
    }
    Ok(())
}

/// The interfaces of the virtual MAC address that are up on a director.
fn up(host: &Host) -> lab::Result<Vec<String>> {
    let shown = host.run("ip -brief link show up type macvlan")?;
    Ok(shown.lines().filter_map(|line| Some(line.split('@').next()?.to_owned())).collect())
}

#[test]
fn everything_works_before_and_after_a_failover_and_neighbours_learn_nothing_new() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        // As strict as some systems are.
        for host in lab.directors() {
            host.set("net.ipv4.conf.all.rp_filter", "1")?;
        }
        let capture = Capture::start()?;
        let (lab, mut pair, _servers) = lab.serve_pair(FARM)?;
        let _outside = Server::start(lab.client().host())?;
        pair.active_is("lb1")?;
        pair.held_by(&["lb1"], &all()?)?;
        let addresses = pair["lb1"].host().run("ip address show dev vrrp51-pub")?;
        assert!(addresses.contains(MAC_TEXT) && addresses.contains("192.168.1.35/32"), "{addresses}");
        assert_eq!(up(pair["lb1"].host())?, ["vrrp51-prv", "vrrp51-pub"]);
        assert!(up(pair["lb2"].host())?.is_empty(), "a Backup's are silent");
        all_is_well(&lab, "lb1")?;

        eventually(LIMIT, "lb1 hands over", || pair["lb1"].cli(&["failover"]).is_ok())?;
        pair.active_is("lb2")?;
        eventually(LIMIT, "lb2 has said so", || {
            let said = capture.sent_by("lb2").unwrap_or_default();
            all().is_ok_and(|all| all.iter().all(|it| said.iter().any(|frame| frame.claims(*it))))
        })?;
        assert!(up(pair["lb1"].host())?.is_empty());
        all_is_well(&lab, "lb2")?;

        // Until its leases are over, who was killed may still answer.
        pair["lb2"].kill()?;
        pair.active_is("lb1")?;
        let shared = all()?;
        pair.held_by(&["lb1"], &shared)?;
        for address in [VIP, VIP6] {
            eventually(LIMIT, "the switch knows", || lab.client().ping(address).unwrap_or(false))?;
        }
        for (server, gateway) in lab.servers().iter().flat_map(|it| [(it, GATEWAY), (it, GATEWAY6)]) {
            let (inside, gateway) = (Client::new(server.clone()), gateway.parse()?);
            eventually(LIMIT, "the switch knows", || inside.ping(gateway).unwrap_or(false))?;
        }
        all_is_well(&lab, "lb1")?;

        // Whoever has a shared address says so by the virtual MAC address, and uses that for nothing else.
        for frame in capture.frames()? {
            let claims = shared.iter().any(|address| frame.claims(*address));
            assert_eq!(claims, frame.mac == MAC, "{frame} from {:02x?}", frame.mac);
        }

        // What a kill left is taken over, and set down.
        assert_eq!(up(pair["lb2"].host())?, ["vrrp51-prv", "vrrp51-pub"]);
        pair["lb2"].start()?;
        pair.active_is("lb1")?;
        eventually(LIMIT, "lb2's are silent", || up(pair["lb2"].host()).is_ok_and(|up| up.is_empty()))
            .map_err(Into::into)
    });
}

#[test]
fn it_is_repaired_switched_off_and_taken_away() {
    lab::test(|| {
        let (lab, mut pair, _servers) = Lab::exchange()?.serve_pair(FARM)?;
        pair.active_is("lb1")?;
        pair.held_by(&["lb1"], &all()?)?;
        pair["lb1"].host().run("ip link delete vrrp51-pub")?;
        pair.held_by(&["lb1"], &all()?)?;
        assert!(lab.client().ping(VIP)?);

        let without = lab.configuration(&FARM.replace("virtual_mac: true", "virtual_mac: false"));
        for name in ["lb1", "lb2"] {
            pair[name].reload(&without)?;
            assert_eq!(macvlans(&pair, name)?, "");
        }
        pair.held_by(&["lb1"], &all()?)?;
        eventually(LIMIT, "the client goes to the interface's own MAC address", || {
            neighbour(lab.client().host(), VIP).is_ok_and(|known| !known.contains(MAC_TEXT))
                && lab.client().ping(VIP).unwrap_or(false)
        })?;

        let with = lab.configuration(FARM);
        for name in ["lb1", "lb2"] {
            pair[name].reload(&with)?;
        }
        pair.held_by(&["lb1"], &all()?)?;
        eventually(LIMIT, "the client goes to the virtual MAC address", || {
            neighbour(lab.client().host(), VIP).is_ok_and(|known| known.contains(MAC_TEXT))
        })?;
        for name in ["lb2", "lb1"] {
            pair[name].stop()?;
            pair[name].flush()?;
            assert_eq!(macvlans(&pair, name)?, "");
        }
        pair.held_by(&[], &all()?)?;
        Ok(())
    });
}

fn macvlans(pair: &Pair, name: &str) -> lab::Result<String> {
    pair[name].host().run("ip -brief link show type macvlan")
}
