//! What the tests of the virtual router stand on: frames on the wire, bad cables, and keepalived between its like.

use lab::farm::{VIP, VIP6};
use lab::{Asker, Capture, Cut, Host, Keepalived, Lab, Said, eventually, keepalived};
use std::net::IpAddr;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// The gateway of the real servers.
const GATEWAY: &str = "10.0.1.254";

/// One of two keepalived that share a VIP and speak unicast.
fn instance(own: u8, other: u8, priority: u8) -> String {
    format!(
        "global_defs {{
            vrrp_version 3
            vrrp_garp_master_delay 1
        }}
        vrrp_instance farm {{
            interface eth0
            state BACKUP
            virtual_router_id 51
            priority {priority}
            advert_int 0.3
            unicast_src_ip 192.168.1.{own}
            unicast_peer {{
                192.168.1.{other}
            }}
            virtual_ipaddress {{
                192.168.1.35/24 dev eth0
            }}
            virtual_ipaddress_excluded {{
                {GATEWAY}/24 dev eth1
                fd00:1::35/64 dev eth0
            }}
        }}"
    )
}

/// Who says unasked that the VIP is with it, in order and without repetitions.
fn claimants(capture: &Capture, address: IpAddr) -> lab::Result<Vec<String>> {
    let frames = capture.frames()?.into_iter();
    let mut names: Vec<_> =
        frames.filter(|frame| frame.said == Said::Claim(address)).map(|frame| frame.host).collect();
    names.dedup();
    Ok(names)
}

#[test]
fn two_keepalived_hand_over_to_each_other() {
    lab::test_with(&[keepalived::NEED], || {
        let lab = Lab::exchange()?;
        let [lb1, lb2] = lab.directors() else { return Err("two directors".into()) };
        let holds = |host: &Host| host.has_address(VIP).unwrap_or(false);
        let capture = Capture::start()?;

        let mut first = Keepalived::new(lb1.clone(), &instance(33, 34, 150))?;
        let mut second = Keepalived::new(lb2.clone(), &instance(34, 33, 100))?;
        first.start()?;
        second.start()?;
        eventually(LIMIT, "lb1 has the VIP", || holds(lb1) && !holds(lb2))?;
        for address in [VIP, VIP6, GATEWAY.parse()?] {
            eventually(LIMIT, "lb1 says so", || {
                claimants(&capture, address).is_ok_and(|who| who == ["lb1"])
            })?;
        }
        eventually(LIMIT, "its adverts are heard", || {
            capture
                .sent_by("lb1")
                .is_ok_and(|frames| frames.iter().filter(|it| it.advert().is_some()).count() > 3)
        })?;
        let adverts = capture.sent_by("lb1")?;
        let advert = adverts.iter().find_map(|frame| frame.advert()).ok_or("an advert")?;
        assert_eq!(
            (advert.from.to_string(), advert.to.to_string(), advert.version, advert.vrid, advert.priority),
            ("192.168.1.33".into(), "192.168.1.34".into(), 3, 51, 150)
        );
        assert_eq!((advert.interval, advert.trailer), (Duration::from_millis(300), false));
        assert_eq!(advert.addresses, [VIP]);
        assert!(lab.client().ping(VIP)?);

        first.stop()?;
        eventually(LIMIT, "lb2 has the VIP", || holds(lb2) && !holds(lb1))?;
        let last = capture.sent_by("lb1")?.into_iter().rev().find_map(|frame| frame.advert().cloned());
        assert_eq!(last.map(|advert| advert.priority), Some(0), "it says that it leaves");
        eventually(LIMIT, "lb2 says so", || claimants(&capture, VIP).is_ok_and(|who| who == ["lb1", "lb2"]))?;
        for address in [VIP, VIP6] {
            eventually(LIMIT, "it answers", || lab.client().ping(address).unwrap_or(false))?;
        }

        second.kill()?;
        assert!(holds(lb2), "who is killed leaves its addresses");
        Ok(())
    });
}

#[test]
fn a_bad_cable_loses_what_it_shall() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let (lb1, one, two) = (&lab.directors()[0], "192.168.1.33".parse()?, "192.168.1.34".parse()?);
        let client = lab.client();
        // Both know each other, so that nobody has to ask.
        assert!(client.ping(one)? && client.ping(two)?);
        let capture = Capture::start()?;
        for (cut, reaches_it) in
            [(Cut::All, false), (Cut::FromIt, false), (Cut::ToIt, false), (Cut::Heartbeats, true)]
        {
            lb1.cut("eth0", cut)?;
            assert_eq!(client.ping(one)?, reaches_it, "{cut:?}");
            assert!(client.ping(two)?, "others are not concerned");
            assert!(lb1.run("ip link show eth0")?.contains("LOWER_UP"), "the carrier stays");
            lb1.mend("eth0")?;
            assert!(client.ping(one)?, "after {cut:?}");
        }

        // All that is said for it is heard, and from whom.
        let asked = capture.frames()?.len();
        let _asker = Asker::start(client.host(), "eth0", "192.168.1.33".parse()?, Duration::from_millis(5))?;
        let answers = || {
            let frames = capture.frames().unwrap_or_default().split_off(asked).into_iter();
            frames.filter(|frame| frame.claims(one)).map(|frame| frame.host).collect::<Vec<_>>()
        };
        eventually(LIMIT, "it answers", || answers().len() > 10)?;
        assert!(answers().iter().all(|host| host == "lb1"), "{:?}", answers());
        Ok(())
    });
}
