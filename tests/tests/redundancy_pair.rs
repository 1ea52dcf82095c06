//! Two directors: one of them has all the addresses, whatever happens to the other.

mod farm;

use farm::{
    ADDRESSES, ADMIN, GATEWAY, LIMIT, adverts, announces, claims_any, more_adverts, pair, position, reigns,
};
use lab::capture::listed;
use lab::farm::{VIP, VIP6};
use lab::{Api, Asker, Capture, Client, Cut, Failure, Lab, Pinger, Server, Target, eventually};
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Connections to the VIP every 5 ms.
fn pinger(lab: &Lab) -> lab::Result<Pinger> {
    let pinger = lab.client().ping_tcp(
        SocketAddr::new(VIP, 80),
        Duration::from_millis(5),
        Duration::from_millis(500),
    )?;
    pinger.steady(10)?;
    Ok(pinger)
}

/// Whatever is to be reached through the directors is: the VIPs, the management address, and the outside for a real
/// server, which is seen there as the Active.
fn all_works(lab: &Lab, outside: &Server, active: &str) -> Result<(), Box<dyn Error>> {
    for vip in [VIP, VIP6] {
        let tally = lab.client().visit(&Target::ports(vip, &[25, 80]).parallel(2), 8)?;
        assert_eq!((tally.made(), tally.failed()), (8, 0), "{vip}: {tally}");
    }
    let greeting = lab.client().call(&Target::new(SocketAddr::new(ADMIN, 587)))?;
    assert_eq!(greeting.map(|greeting| greeting.server), Ok("exchange1".to_owned()));
    let from = lab.host(active).public_address();
    for server in lab.servers() {
        let called = Client::new(server.clone()).call(&Target::new("192.168.1.1:25".parse()?))?;
        let seen = called.map(|greeting| (greeting.server, greeting.peer.ip()));
        assert_eq!(seen, Ok((outside.name().to_owned(), from)), "{} by {active}", server.name());
    }
    Ok(())
}

/// The real servers' way out ends here.
fn outside(lab: &Lab) -> lab::Result<Server> {
    Server::start_on(lab.client().host(), &[25], &[])
}

#[test]
fn a_killed_director_is_replaced_and_returns_as_backup() {
    lab::test(|| {
        let (lab, mut pair, _servers) = Lab::exchange()?.serve_pair(&pair("preempt: never"))?;
        // Both started at the same time.
        pair.active_is("lb1")?;
        pair.held_by(&["lb1"], &ADDRESSES)?;
        let outside = outside(&lab)?;
        all_works(&lab, &outside, "lb1")?;
        let (capture, pinger) = (Capture::start()?, pinger(&lab)?);
        more_adverts(&capture, "lb1", "eth1", 1)?;

        pair["lb1"].kill()?;
        pair.active_is("lb2")?;
        pinger.steady(10)?;
        pair.held_by(&["lb1", "lb2"], &ADDRESSES)?;
        all_works(&lab, &outside, "lb2")?;
        let frames = capture.frames()?;
        assert_eq!(reigns(&frames), ["lb1", "lb2"]);
        for address in ADDRESSES {
            position(&frames, |frame| announces(frame, "lb2", address))?;
        }
        let status = pair["lb2"].redundancy()?;
        assert_eq!(status["why"], "no adverts on any link", "{status:#}");

        // Its addresses are a loan, which nobody renews.
        pair.held_by(&["lb2"], &ADDRESSES)?;

        pair["lb1"].start()?;
        pair["lb1"].turns("backup")?;
        pair["lb1"].shows("lb1 hears lb2", |status| status["active"]["node"] == "lb2")?;
        assert_eq!(pair["lb1"].redundancy()?["active"]["priority"], 100);
        pair.active_is("lb2")?;
        pair.held_by(&["lb2"], &ADDRESSES)?;

        // A second time the other way round, and it returns before its loan ends.
        let begin = Instant::now();
        pair["lb2"].kill()?;
        pair.active_is("lb1")?;
        pair.held_by(&["lb1", "lb2"], &ADDRESSES)?;
        pair["lb2"].start()?;
        pair["lb2"].shows("lb2 hears lb1", |status| status["active"]["node"] == "lb1")?;
        pair.held_by(&["lb1"], &ADDRESSES)?;
        assert!(begin.elapsed() < Duration::from_secs(5), "taken off, not run out: {:?}", begin.elapsed());
        all_works(&lab, &outside, "lb1")?;
        pinger.steady(10)?;
        let gaps = pinger.gaps();
        assert!(gaps.iter().all(|gap| gap.length() < Duration::from_secs(5)), "{gaps:?}");
        assert_eq!(reigns(&capture.frames()?), ["lb1", "lb2", "lb1"]);
        Ok(())
    });
}

#[test]
fn a_stopped_director_hands_over_at_once() {
    lab::test(|| {
        // Silence would take three seconds.
        let (lab, mut pair, _servers) =
            Lab::exchange()?.serve_pair(&pair("preempt: never").replace("100ms", "1s"))?;
        pair.active_is("lb1")?;
        let IpAddr::V4(vip) = VIP else { return Err("IPv4".into()) };
        let _asker = Asker::start(lab.client().host(), "eth0", vip, Duration::from_millis(1))?;
        let (capture, pinger) = (Capture::start()?, pinger(&lab)?);

        more_adverts(&capture, "lb1", "eth1", 1)?;
        let begin = Instant::now();
        pair["lb1"].stop()?;
        pair["lb2"].turns("active")?;
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        pair.held_by(&["lb2"], &ADDRESSES)?;
        pinger.steady(10)?;
        let frames = capture.frames()?;
        assert_eq!(reigns(&frames), ["lb1", "lb2"]);
        let last_word = position(&frames, |frame| adverts(frame, "lb1", 0))?;
        let after = frames.get(last_word..).unwrap_or_default();
        let late = after.iter().filter(|frame| frame.host == "lb1" && claims_any(frame)).count();
        assert_eq!(late, 0, "it has nothing any more when it says that it leaves:\n{}", listed(after));
        position(after, |frame| announces(frame, "lb2", VIP))?;
        let gaps = pinger.gaps();
        assert!(gaps.iter().all(|gap| gap.length() < Duration::from_secs(1)), "{gaps:?}");
        Ok(())
    });
}

#[test]
fn a_director_without_power_is_missed_for_as_long_as_silence_takes() {
    lab::test(|| {
        let (lab, mut pair, _servers) = Lab::exchange()?.serve_pair(&pair(""))?;
        pair.active_is("lb1")?;
        let (capture, pinger) = (Capture::start()?, pinger(&lab)?);
        more_adverts(&capture, "lb1", "eth1", 1)?;
        for interface in ["eth0", "eth1"] {
            lab.directors()[0].cut(interface, Cut::All)?;
        }
        pair["lb1"].kill()?;
        pair["lb2"].turns("active")?;
        pinger.steady(20)?;
        let gaps = pinger.gaps();
        let [gap] = gaps.as_slice() else { return Err(format!("one gap: {gaps:?}").into()) };
        assert!(gap.length() > Duration::from_millis(200), "{gap}: was it off at all?");
        assert!(gap.length() < Duration::from_secs(3), "{gap}");
        let lb2 = &lab.directors()[1];
        assert!(lab.client().host().knows(VIP, &lb2.mac("eth0")?)?);
        for server in lab.servers() {
            assert!(server.knows(GATEWAY, &lb2.mac("eth1")?)?);
        }
        Ok(())
    });
}

#[test]
fn one_director_becomes_a_pair_while_it_serves() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let _servers = lab.start_servers()?;
        let shared = lab.configuration(&pair("preempt: never"));
        let alone = shared.split("redundancy:").next().unwrap_or_default();
        let lb1 = lab.start_director("lb1", alone)?;
        let has_all =
            |name: &str| ADDRESSES.iter().all(|&it| lab.host(name).has_address(it).unwrap_or(false));
        eventually(LIMIT, "it has the addresses", || has_all("lb1"))?;
        let pinger = pinger(&lab)?;
        lb1.reload(&shared)?;
        let mut lb2 = lab.start_director("lb2", &shared)?;
        lb1.turns("active")?;
        lb2.shows("it hears lb1", |it| it["role"] == "backup" && it["active"]["node"] == "lb1")?;
        assert!(has_all("lb1") && !has_all("lb2"));
        lb2.stop()?;
        lb1.reload(alone)?;
        eventually(LIMIT, "it has no part in any", || lb1.role().is_err())?;
        assert!(has_all("lb1"));
        pinger.steady(10)?;
        assert_eq!(pinger.gaps(), []);
        Ok(())
    });
}

#[test]
fn a_director_that_crashes_and_restarts_loses_nothing() {
    lab::test(|| {
        // Time to restart on a busy machine: lb2 waits for six seconds at least, lb1 for three at most.
        let (lab, mut pair, _servers) =
            Lab::exchange()?.serve_pair(&pair("preempt: never").replace("100ms", "2s"))?;
        pair.active_is("lb1")?;
        let (capture, pinger) = (Capture::start()?, pinger(&lab)?);
        let hold = lab.client().hold(&Target::new(SocketAddr::new(VIP, 80)), 8)?;
        more_adverts(&capture, "lb1", "eth1", 1)?;
        pair["lb1"].kill()?;
        pair["lb1"].start()?;
        pair["lb1"].turns("backup")?;
        pair.held_by(&["lb1"], &ADDRESSES)?;
        pair.active_is("lb1")?;
        pinger.steady(10)?;
        assert_eq!(reigns(&capture.frames()?), ["lb1"]);
        assert_eq!(pinger.gaps(), []);
        assert_eq!(hold.stop()?.failed(), 0);
        Ok(())
    });
}

#[test]
fn addresses_that_somebody_else_moves() {
    lab::test(|| {
        let (lab, pair, _servers) = Lab::exchange()?.serve_pair(&pair(""))?;
        pair.active_is("lb1")?;
        let [lb1, lb2] = lab.directors() else { return Err("two directors".into()) };
        let capture = Capture::start()?;
        for (address, interface) in [(VIP, "eth0"), (VIP6, "eth0"), (GATEWAY, "eth1")] {
            let length = if address.is_ipv4() { 32 } else { 128 };
            lb1.run(&format!("ip address del {address}/{length} dev {interface}"))?;
            eventually(LIMIT, "the Active has it again", || lb1.has_address(address).unwrap_or(false))?;
            eventually(LIMIT, "it says so", || {
                capture.frames().is_ok_and(|frames| frames.iter().any(|it| announces(it, "lb1", address)))
            })?;
        }
        let repairs = || {
            let status = Api::new(pair["lb1"].socket()).demand("GET", "/v1/status", "");
            status.ok()?["reconcile"]["drift_repairs"]["address"].as_u64()
        };
        eventually(LIMIT, "repairs are counted", || repairs() >= Some(3))?;

        lb2.run(&format!("ip address add {VIP}/32 dev eth0"))?;
        eventually(LIMIT, "the Backup has it no more", || !lb2.has_address(VIP).unwrap_or(true))?;
        pair.held_by(&["lb1"], &ADDRESSES)?;
        pair.active_is("lb1")?;
        Ok(())
    });
}

#[test]
fn a_director_without_a_peer_is_active() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let _servers = lab.start_servers()?;
        let (lb1, capture) = (&lab.directors()[0], Capture::start()?);
        let director = lab.start_director("lb1", &lab.configuration(&pair("")))?;
        director.turns("active")?;
        let has_all = || ADDRESSES.iter().all(|&it| lb1.has_address(it).unwrap_or(false));
        eventually(LIMIT, "it has the addresses", has_all)?;
        farm::answers(&lab, VIP)?;
        // What would make it yield to somebody makes it yield to nobody for long.
        for interface in ["eth0", "eth1"] {
            lb1.unplug(interface)?;
            director.shows("it is not fit", |status| status["fit"] == false)?;
            director.turns("active")?;
            lb1.plug(interface)?;
            director.shows("it is fit", |status| status["fit"] == true)?;
            director.turns("active")?;
            eventually(LIMIT, "it has the addresses", has_all)?;
            farm::answers(&lab, VIP)?;
        }
        assert_eq!(reigns(&capture.frames()?), ["lb1"]);
        Ok(())
    });
}

#[test]
fn directors_with_different_configurations_say_so() {
    lab::test(|| {
        let (lab, pair, _servers) = Lab::exchange()?.serve_pair(&pair(""))?;
        pair.active_is("lb1")?;
        let same = |status: &serde_json::Value| status["peers"][0]["says"]["same_configuration"].clone();
        for name in ["lb1", "lb2"] {
            pair[name].shows("the peer has the same", |status| same(status) == true)?;
        }
        let other = pair["lb2"].configuration()?.replace("tcp: [25, 80]", "tcp: [25, 80, 443]");
        pair["lb2"].reload(&other)?;
        for name in ["lb1", "lb2"] {
            pair[name].shows("the peer has another one", |status| same(status) == false)?;
            let log = || pair[name].log();
            eventually(LIMIT, "the log says so", || log().contains("configuration"))?;
        }
        pair.active_is("lb1")?;
        pair["lb1"].reload(&other)?;
        for name in ["lb1", "lb2"] {
            pair[name].shows("the peer has the same again", |status| same(status) == true)?;
        }
        assert_eq!(
            lab.client().call(&Target::new(SocketAddr::new(VIP, 443)))?.map(|_| ()),
            Ok::<_, Failure>(())
        );
        Ok(())
    });
}

#[test]
fn adverts_go_on_while_a_thousand_addresses_are_put_on() {
    lab::test(|| {
        let vips = |service: usize| {
            let vips = (0..200).map(|number| format!("'fd00:1::{service}:{number}'"));
            vips.collect::<Vec<_>>().join(", ")
        };
        let services: String = (1..=5)
            .map(|service| {
                format!(
                    "\n  many{service}:\n    vips: [{}]\n    ports: {{ tcp: 25 }}\n    servers: {{ exchange1: {{}} }}",
                    vips(service)
                )
            })
            .collect();
        let farm = pair("preempt: never").replace("services:", &format!("services:{services}"));
        let (lab, mut pair, _servers) = Lab::exchange()?.serve_pair(&farm)?;
        pair.active_is("lb1")?;
        let held = |host: &str| {
            let lines = lab.host(host).run("ip -oneline -6 address show dev eth0").unwrap_or_default();
            lines.lines().filter(|line| line.contains("/128")).count()
        };
        eventually(LIMIT, "lb1 has them all", || held("lb1") == 1001)?;
        let capture = Capture::start()?;
        more_adverts(&capture, "lb1", "eth1", 1)?;
        pair["lb1"].stop()?;
        pair["lb2"].turns("active")?;
        eventually(LIMIT, "lb2 has them all", || held("lb2") == 1001)?;
        assert_eq!(held("lb1"), 0);
        let last: IpAddr = "fd00:1::5:199".parse()?;
        eventually(LIMIT, "all are announced", || {
            capture.frames().is_ok_and(|frames| frames.iter().any(|it| announces(it, "lb2", last)))
        })?;
        let frames = capture.frames()?;
        assert_eq!(reigns(&frames), ["lb1", "lb2"]);
        let adverts = frames.iter().filter(|it| it.interface == "eth0" && adverts(it, "lb2", 100));
        let times: Vec<_> = adverts.map(|it| it.at).collect();
        let pauses = times.windows(2).filter_map(|pair| pair[1].duration_since(pair[0]).ok());
        let longest = pauses.max().ok_or("adverts")?;
        assert!(longest < Duration::from_millis(250), "less than silence: {longest:?}");
        Ok(())
    });
}
