//! Other ways for adverts and addresses to go: IPv6 alone, multicast, the virtual router's own MAC address.

mod farm;

use farm::{ADDRESSES, GATEWAY, GATEWAY6, LIMIT, announces, ipv6, more_adverts, pair, position, reigns};
use lab::capture::listed;
use lab::farm::{VIP, VIP6};
use lab::{Capture, Lab, Target, eventually};
use std::net::{IpAddr, SocketAddr};

#[test]
fn ipv6_alone() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let _servers = lab.start_servers()?;
        let configuration = ipv6("interval: 100ms\npriority: { lb1: 150 }\npreempt: always");
        let capture = Capture::start()?;
        let mut lb1 = lab.start_director("lb1", &configuration)?;
        let lb2 = lab.start_director("lb2", &configuration)?;
        lb1.turns("active")?;
        lb2.shows("it hears lb1", |it| it["active"]["address"] == "fd00:1::33" && it["role"] == "backup")?;
        let frames = capture.frames()?;
        for (interface, from, to, address) in
            [("eth0", "fd00:1::33", "fd00:1::34", VIP6), ("eth1", "fd00:2::33", "fd00:2::34", GATEWAY6)]
        {
            let advert = frames.iter().filter(|it| it.host == "lb1" && it.interface == interface);
            let advert = advert.filter_map(|it| it.advert()).next().ok_or("an advert")?;
            assert_eq!((advert.from.to_string(), advert.to.to_string()), (from.into(), to.into()));
            assert_eq!(advert.addresses, [address]);
            position(&frames, |it| announces(it, "lb1", address))?;
        }
        let visit = || lab.client().call(&Target::new(SocketAddr::new(VIP6, 80)));
        assert_eq!(visit()?.map(|it| it.server), Ok("exchange1".to_owned()));

        let before = capture.frames()?.len();
        lb1.kill()?;
        lb2.turns("active")?;
        for address in [VIP6, GATEWAY6] {
            eventually(LIMIT, "it says so", || {
                farm::since(&capture, before)
                    .is_ok_and(|it| it.iter().any(|it| announces(it, "lb2", address)))
            })?;
        }
        assert_eq!(visit()?.map(|it| it.server), Ok("exchange1".to_owned()));
        lb1.start()?;
        lb1.turns("active")?;
        lb2.turns("backup")?;
        assert_eq!(visit()?.map(|it| it.server), Ok("exchange1".to_owned()));
        assert_eq!(reigns(&capture.frames()?), ["lb1", "lb2", "lb1"]);
        Ok(())
    });
}

#[test]
fn multicast() {
    lab::test(|| {
        let farm = pair("mode: multicast\npreempt: always");
        let (lab, mut pair, _servers) = Lab::exchange()?.serve_pair(&farm)?;
        pair.active_is("lb1")?;
        let capture = Capture::start()?;
        more_adverts(&capture, "lb1", "eth1", 2)?;
        pair["lb1"].kill()?;
        pair.active_is("lb2")?;
        pair["lb1"].start()?;
        pair.active_is("lb1")?;
        pair["lb1"].stop()?;
        pair.active_is("lb2")?;
        pair.held_by(&["lb2"], &ADDRESSES)?;
        let frames = capture.frames()?;
        assert_eq!(reigns(&frames), ["lb1", "lb2", "lb1", "lb2"], "{}", listed(&frames));
        let group: IpAddr = "224.0.0.18".parse()?;
        assert!(frames.iter().filter_map(|it| it.advert()).all(|it| it.to == group), "{}", listed(&frames));
        farm::answers(&lab, VIP)?;
        Ok(())
    });
}

#[test]
fn the_virtual_routers_own_mac_address() {
    lab::test(|| {
        let farm = pair("virtual_mac: true\npreempt: always");
        let (lab, mut pair, _servers) = Lab::exchange()?.serve_pair(&farm)?;
        pair.active_is("lb1")?;
        pair.held_by(&["lb1"], &ADDRESSES)?;
        let mac = [0, 0, 0x5e, 0, 1, 51];
        let capture = Capture::start()?;
        more_adverts(&capture, "lb1", "eth1", 2)?;
        let works = || -> lab::Outcome {
            for vip in [VIP, VIP6] {
                let tally = lab.client().visit(&Target::ports(vip, &[25, 80]).parallel(2), 8)?;
                assert_eq!(
                    [tally.by("exchange1"), tally.by("exchange2"), tally.failed()],
                    [4, 4, 0],
                    "{tally}"
                );
            }
            Ok(())
        };
        let neighbours = || -> lab::Result<String> {
            let vip = lab.client().host().run(&format!("ip neighbour show {VIP}"))?;
            Ok(vip + &lab.servers()[0].run(&format!("ip neighbour show {GATEWAY}"))?)
        };
        works()?;
        assert_eq!(neighbours()?.matches("00:00:5e:00:01:33").count(), 2, "{}", neighbours()?);
        let port = || lab.host("switch").run("bridge fdb show br public");
        let behind = |host: &str| {
            let learnt = format!("00:00:5e:00:01:33 dev {host}-0");
            eventually(LIMIT, "the switch has learnt where it is", || {
                port().is_ok_and(|it| it.contains(&learnt))
            })
        };
        behind("lb1")?;

        pair["lb1"].kill()?;
        pair.active_is("lb2")?;
        behind("lb2")?;
        works()?;
        pair["lb1"].start()?;
        pair.active_is("lb1")?;
        behind("lb1")?;
        works()?;
        pair["lb1"].stop()?;
        pair.active_is("lb2")?;
        behind("lb2")?;
        works()?;
        assert_eq!(neighbours()?.matches("00:00:5e:00:01:33").count(), 2, "{}", neighbours()?);
        let frames = capture.frames()?;
        let strange: Vec<_> =
            frames.iter().filter(|it| farm::claims_any(it) && it.mac != mac).cloned().collect();
        assert!(strange.is_empty(), "{}", listed(&strange));
        assert!(
            frames.iter().all(|it| it.advert().is_none() || it.mac != mac),
            "adverts leave from the director's own"
        );
        assert_eq!(reigns(&frames), ["lb1", "lb2", "lb1", "lb2"]);
        Ok(())
    });
}
