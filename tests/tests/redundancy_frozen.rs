//! A director that doesn't run for a while, as a virtual machine that is paused, and comes to its senses.

mod farm;

use farm::{ADDRESSES, adverts, claims_any, more_adverts, pair, position, reigns, since};
use lab::capture::listed;
use lab::farm::VIP;
use lab::{Asker, Capture, Lab, Said};
use nix::sys::signal::Signal;
use std::net::IpAddr;
use std::time::Duration;

#[test]
fn a_frozen_director_steps_down_before_it_sends_anything() {
    lab::test(|| {
        let (lab, pair, _servers) = Lab::exchange()?.serve_pair(&pair("preempt: never"))?;
        pair.active_is("lb1")?;
        let capture = Capture::start()?;
        more_adverts(&capture, "lb1", "eth1", 1)?;
        pair["lb1"].signal(Signal::SIGSTOP)?;
        pair["lb2"].turns("active")?;
        // The kernel goes on answering for a frozen director, as long as the loan lasts.
        pair.held_by(&["lb1", "lb2"], &ADDRESSES)?;

        let thawed = capture.frames()?.len();
        pair["lb1"].signal(Signal::SIGCONT)?;
        pair.active_is("lb2")?;
        pair.held_by(&["lb2"], &ADDRESSES)?;
        let frames = since(&capture, thawed)?;
        let wrong = |it: &lab::Frame| {
            it.host == "lb1" && (it.advert().is_some() || matches!(it.said, Said::Claim(_)))
        };
        assert!(!frames.iter().any(wrong), "{}", listed(&frames));
        let status = pair["lb1"].redundancy()?;
        assert!(status["why"].as_str().unwrap_or_default().contains("did not run"), "{status:#}");

        let IpAddr::V4(vip) = VIP else { return Err("IPv4".into()) };
        let released = capture.frames()?.len();
        let _asker = Asker::start(lab.client().host(), "eth0", vip, Duration::from_millis(5))?;
        lab::eventually(farm::LIMIT, "lb2 answers", || {
            let answers = since(&capture, released).unwrap_or_default();
            answers.iter().filter(|it| it.host == "lb2" && it.said == Said::Answer(VIP)).count() > 20
        })?;
        let frames = since(&capture, released)?;
        assert!(!frames.iter().any(|it| it.host == "lb1" && claims_any(it)), "{}", listed(&frames));
        assert_eq!(reigns(&capture.frames()?), ["lb1", "lb2"]);
        Ok(())
    });
}

#[test]
fn a_director_frozen_for_long_has_nothing_left() {
    lab::test(|| {
        let (_lab, pair, _servers) = Lab::exchange()?.serve_pair(&pair("preempt: always"))?;
        pair.active_is("lb1")?;
        let capture = Capture::start()?;
        more_adverts(&capture, "lb1", "eth1", 1)?;
        pair["lb1"].signal(Signal::SIGSTOP)?;
        pair["lb2"].turns("active")?;
        pair.held_by(&["lb2"], &ADDRESSES)?;
        let thawed = capture.frames()?.len();
        pair["lb1"].signal(Signal::SIGCONT)?;
        // It is the better one, and takes over as any returning director does.
        pair.active_is("lb1")?;
        pair.held_by(&["lb1"], &ADDRESSES)?;
        let frames = since(&capture, thawed)?;
        let back = position(&frames, |frame| adverts(frame, "lb1", 150))?;
        let early = frames[..back].iter().any(|it| it.host == "lb1" && claims_any(it));
        assert!(!early, "{}", listed(&frames));
        let by_lb2 = frames[..back].iter().filter(|frame| adverts(frame, "lb2", 100)).count();
        assert!(by_lb2 >= 2, "it listens first:\n{}", listed(&frames));
        Ok(())
    });
}

#[test]
fn a_backup_that_was_frozen_listens_first() {
    lab::test(|| {
        let (_lab, pair, _servers) = Lab::exchange()?.serve_pair(&pair("preempt: never"))?;
        pair.active_is("lb1")?;
        let capture = Capture::start()?;
        pair["lb2"].signal(Signal::SIGSTOP)?;
        lab::eventually(farm::LIMIT, "it misses adverts", || {
            let frames = capture.frames().unwrap_or_default();
            frames.iter().filter(|it| it.interface == "eth0" && adverts(it, "lb1", 150)).count() > 10
        })?;
        pair["lb2"].signal(Signal::SIGCONT)?;
        pair["lb2"].shows("it hears the Active", |it| {
            it["active"]["heard_seconds"].as_f64().is_some_and(|seconds| seconds < 0.5)
        })?;
        pair.active_is("lb1")?;
        assert_eq!(reigns(&capture.frames()?), ["lb1"]);
        Ok(())
    });
}
