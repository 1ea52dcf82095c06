//! Cables that are pulled out, that lose everything in silence, or that lose heartbeats alone.

mod farm;

use farm::{ADDRESSES, LIMIT, adverts, announces, more_adverts, pair, position, reigns};
use lab::capture::listed;
use lab::farm::VIP;
use lab::{Capture, Cut, Director, Host, Lab, eventually};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Whether adverts are missing on that link though they come by another.
fn silent(status: &serde_json::Value, link: &str) -> Option<bool> {
    status["links"].as_array()?.iter().find(|it| it["name"] == link)?["silent"].as_bool()
}

fn transitions(director: &Director) -> lab::Result<u64> {
    Ok(director.redundancy()?["transitions"].as_u64().unwrap_or_default())
}

#[test]
fn a_director_whose_cable_is_pulled_out_yields_at_once() {
    lab::test(|| {
        // Silence would take three seconds.
        let (lab, pair, _servers) =
            Lab::exchange()?.serve_pair(&pair("preempt: never").replace("100ms", "1s"))?;
        pair.active_is("lb1")?;
        pair["lb1"]
            .shows("it knows that the other one is fit", |it| it["peers"][0]["says"]["fit"] == true)?;
        let (capture, to) = (Capture::start()?, SocketAddr::new(VIP, 80));
        let pinger = lab.client().ping_tcp(to, Duration::from_millis(5), Duration::from_millis(500))?;
        pinger.steady(10)?;
        more_adverts(&capture, "lb1", "eth1", 1)?;
        let [lb1, lb2] = lab.directors() else { return Err("two directors".into()) };
        let turns = [("eth0", lb1, lb2), ("eth1", lb2, lb1), ("eth1", lb1, lb2), ("eth0", lb2, lb1)];
        for (interface, loser, winner) in turns {
            let begin = Instant::now();
            loser.unplug(interface)?;
            pair[winner.name()].turns("active")?;
            assert!(begin.elapsed() < Duration::from_secs(2), "{interface}: {:?}", begin.elapsed());
            pair.held_by(&[winner.name()], &ADDRESSES)?;
            let status = pair[loser.name()].redundancy()?;
            assert_eq!((&status["role"], &status["fit"]), (&"backup".into(), &false.into()), "{status:#}");
            assert!(status["lowered_by"].to_string().contains(interface), "{status:#}");
            pinger.steady(10)?;
            loser.plug(interface)?;
            pair[loser.name()].shows("it is fit again", |status| status["fit"] == true)?;
            pair[winner.name()].shows("the other one says so", |it| it["peers"][0]["says"]["fit"] == true)?;
            pair.active_is(winner.name())?;
        }
        assert_eq!(reigns(&capture.frames()?), ["lb1", "lb2", "lb1", "lb2", "lb1"]);
        for director in pair.directors() {
            assert_eq!(director.redundancy()?["dual_active_episodes"], 0, "{}", listed(&capture.frames()?));
        }
        let gaps = pinger.gaps();
        assert!(gaps.len() <= turns.len(), "{gaps:?}");
        assert!(gaps.iter().all(|gap| gap.length() < Duration::from_secs(2)), "{gaps:?}");
        Ok(())
    });
}

/// Takes an interface down and up again, and puts back what goes with that.
fn set_up(host: &Host, number: u8) -> lab::Result<()> {
    host.run("ip link set eth0 up")?;
    host.run(&format!("ip address replace fd00:1::{number}/64 dev eth0 nodad"))?;
    host.run("ip route replace default via 192.168.1.1")?;
    host.run("ip route replace default via fd00:1::1").map(drop)
}

#[test]
fn an_interface_that_is_taken_down_and_up() {
    lab::test(|| {
        let (lab, pair, _servers) = Lab::exchange()?.serve_pair(&pair("preempt: never"))?;
        pair.active_is("lb1")?;
        let [lb1, lb2] = lab.directors() else { return Err("two directors".into()) };
        for (loser, winner, number) in [(lb1, lb2, 33), (lb2, lb1, 34)] {
            loser.run("ip link set eth0 down")?;
            pair[winner.name()].turns("active")?;
            pair.held_by(&[winner.name()], &ADDRESSES)?;
            pair[loser.name()].shows("it is not fit", |it| it["fit"] == false && it["role"] == "backup")?;
            set_up(loser, number)?;
            pair[loser.name()].shows("it is fit again", |status| status["fit"] == true)?;
            let heard = |it: &serde_json::Value| {
                it["links"].as_array().is_some_and(|links| {
                    links.iter().all(|link| link["up"] == true && link["silent"] == false)
                })
            };
            pair[loser.name()].shows("it hears adverts by both links", heard)?;
            pair.active_is(winner.name())?;
            farm::answers(&lab, VIP)?;
        }
        Ok(())
    });
}

#[test]
fn one_broken_heartbeat_link_changes_nothing_but_is_told() {
    lab::test(|| {
        let (lab, pair, _servers) = Lab::exchange()?.serve_pair(&pair("preempt: always"))?;
        pair.active_is("lb1")?;
        let lb1 = &lab.directors()[0];
        let before = (transitions(&pair["lb1"])?, transitions(&pair["lb2"])?);
        let capture = Capture::start()?;
        for (interface, link, other) in [("eth0", "public", "eth1"), ("eth1", "private", "eth0")] {
            for cut in [Cut::Heartbeats, Cut::All] {
                lb1.cut(interface, cut)?;
                pair["lb2"].shows("a link is silent", |status| silent(status, link) == Some(true))?;
                // Long enough to take over, were there no other link.
                more_adverts(&capture, "lb1", other, 10)?;
                pair.active_is("lb1")?;
                assert!(pair["lb2"].log().contains(link), "{}", pair["lb2"].log());
                lb1.mend(interface)?;
                pair["lb2"].shows("no link is silent", |status| silent(status, link) == Some(false))?;
            }
        }
        assert_eq!((transitions(&pair["lb1"])?, transitions(&pair["lb2"])?), before);
        assert_eq!(reigns(&capture.frames()?), ["lb1"]);
        assert_eq!(pair["lb1"].redundancy()?["dual_active_episodes"], 0);
        Ok(())
    });
}

#[test]
fn both_active_until_the_heartbeats_are_back() {
    lab::test(|| {
        let (lab, pair, _servers) = Lab::exchange()?.serve_pair(&pair("preempt: never"))?;
        pair.active_is("lb1")?;
        let lb1 = &lab.directors()[0];
        farm::answers(&lab, VIP)?;
        let capture = Capture::start()?;
        lb1.cut("eth0", Cut::Heartbeats)?;
        lb1.cut("eth1", Cut::Heartbeats)?;
        pair["lb2"].turns("active")?;
        pair.held_by(&["lb1", "lb2"], &ADDRESSES)?;
        let deceived = || lab.client().host().knows(VIP, &lab.directors()[1].mac("eth0")?);
        eventually(LIMIT, "the client is deceived", || deceived().unwrap_or(false))?;
        pair["lb1"].turns("active")?;
        more_adverts(&capture, "lb1", "eth0", 3)?;
        more_adverts(&capture, "lb2", "eth0", 3)?;

        let split = capture.frames()?.len();
        lb1.mend("eth0")?;
        lb1.mend("eth1")?;
        pair.active_is("lb1")?;
        pair.held_by(&["lb1"], &ADDRESSES)?;
        pair["lb1"].shows("it was not alone", |it| it["dual_active_episodes"] == 1)?;
        for address in ADDRESSES {
            eventually(LIMIT, "the winner says where the addresses are", || {
                let frames = farm::since(&capture, split).unwrap_or_default();
                // Not 0: nobody shall race for the addresses.
                let last_word = frames.iter().rposition(|frame| adverts(frame, "lb2", 100));
                last_word.is_some_and(|at| frames[at..].iter().any(|it| announces(it, "lb1", address)))
            })?;
        }
        let frames = farm::since(&capture, split)?;
        assert!(!frames.iter().any(|frame| adverts(frame, "lb2", 0)), "{}", listed(&frames));
        let last_word = frames.iter().rposition(|frame| adverts(frame, "lb2", 100)).unwrap_or_default();
        let late =
            frames.iter().skip(last_word).filter(|it| it.host == "lb2" && farm::claims_any(it)).count();
        assert_eq!(late, 0, "{}", listed(&frames));
        assert!(pair["lb1"].log().contains("Active too"), "{}", pair["lb1"].log());
        assert!(lab.client().host().knows(VIP, &lb1.mac("eth0")?)?);
        Ok(())
    });
}

#[test]
fn a_deaf_backup_is_active_too_and_yields_when_it_hears() {
    lab::test(|| {
        let (lab, pair, _servers) = Lab::exchange()?.serve_pair(&pair("preempt: never"))?;
        pair.active_is("lb1")?;
        let lb2 = &lab.directors()[1];
        let capture = Capture::start()?;
        lb2.cut("eth0", Cut::ToIt)?;
        lb2.cut("eth1", Cut::ToIt)?;
        pair["lb1"].shows("it hears another Active", |it| it["dual_active_episodes"] == 1)?;
        let seconds = |it: &serde_json::Value| it["dual_active_seconds"].as_f64().unwrap_or_default();
        pair["lb1"].shows("the time is counted", |it| seconds(it) > 0.2)?;
        pair["lb1"].turns("active")?;
        position(&capture.frames()?, |frame| adverts(frame, "lb2", 100))?;
        lb2.mend("eth0")?;
        lb2.mend("eth1")?;
        pair.active_is("lb1")?;
        pair.held_by(&["lb1"], &ADDRESSES)?;
        eventually(LIMIT, "it is over", || pair["lb1"].log().contains("only Active again"))?;
        assert_eq!(pair["lb1"].redundancy()?["dual_active_episodes"], 1);
        Ok(())
    });
}

#[test]
fn tracked_targets_tell_of_a_cable_that_loses_everything_in_silence() {
    lab::test(|| {
        let (lab, pair, _servers) = Lab::exchange()?.serve_pair(&pair(
            "preempt: always
             track: [{ ping: 192.168.1.1, interval: 100ms, timeout: 100ms }]",
        ))?;
        pair.active_is("lb1")?;
        let lb1 = &lab.directors()[0];
        lb1.cut("eth0", Cut::All)?;
        pair.active_is("lb2")?;
        pair.held_by(&["lb2"], &ADDRESSES)?;
        pair["lb1"]
            .shows("it says why", |status| status["lowered_by"].to_string().contains("192.168.1.1"))?;
        farm::answers(&lab, VIP)?;
        lb1.mend("eth0")?;
        pair.active_is("lb1")?;
        pair.held_by(&["lb1"], &ADDRESSES)?;
        farm::answers(&lab, VIP)?;
        Ok(())
    });
}
