//! The operator moves the addresses.

mod farm;

use farm::{ADDRESSES, LIMIT, adverts, all_fit, announces, claims_any, more_adverts, pair, position, reigns};
use lab::capture::listed;
use lab::farm::VIP;
use lab::{Asker, Capture, Director, Lab, eventually};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Runs a command that has to fail: what it says.
fn refused(director: &Director, arguments: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
    let output = director.try_cli(arguments)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Err(format!("{arguments:?} succeeded: {said}").into()) } else { Ok(said) }
}

#[test]
fn a_planned_failover_and_back() {
    lab::test(|| {
        // Silence would take three seconds.
        let (lab, pair, _servers) =
            Lab::exchange()?.serve_pair(&pair("preempt: always").replace("100ms", "1s"))?;
        pair.active_is("lb1")?;
        all_fit(&pair)?;
        let IpAddr::V4(vip) = VIP else { return Err("IPv4".into()) };
        let _asker = Asker::start(lab.client().host(), "eth0", vip, Duration::from_millis(1))?;
        let capture = Capture::start()?;
        let to = SocketAddr::new(VIP, 80);
        let pinger = lab.client().ping_tcp(to, Duration::from_millis(5), Duration::from_millis(500))?;
        pinger.steady(10)?;
        more_adverts(&capture, "lb1", "eth1", 1)?;

        for (from, to, arguments, priority) in
            [("lb1", "lb2", &["failover"][..], 100), ("lb2", "lb1", &["failover", "--to", "lb1"][..], 150)]
        {
            let begin = Instant::now();
            pair[from].cli(arguments)?;
            pair[to].turns("active")?;
            assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
            pair.held_by(&[to], &ADDRESSES)?;
            let frames = capture.sent_by(from)?;
            let last_word = frames.iter().rposition(|frame| adverts(frame, from, 0)).unwrap_or_default();
            let late = frames[last_word..].iter().any(claims_any);
            assert!(!late, "{}", listed(&frames[last_word..]));
            position(&capture.sent_by(to)?, |frame| announces(frame, to, VIP))?;
            pinger.steady(10)?;
            // For three intervals and more: it does not take back what it has been made to give.
            eventually(LIMIT, "it stays", || {
                let frames = capture.sent_by(to).unwrap_or_default();
                frames.iter().filter(|it| it.interface == "eth0" && adverts(it, to, priority)).count() >= 5
            })?;
            pair.active_is(to)?;
            all_fit(&pair)?;
        }
        assert_eq!(reigns(&capture.frames()?), ["lb1", "lb2", "lb1"]);
        let gaps = pinger.gaps();
        assert!(gaps.iter().all(|gap| gap.length() < Duration::from_secs(1)), "{gaps:?}");
        let status = pair["lb2"].redundancy()?;
        assert_eq!(status["stood_down"], true, "{status:#}");
        Ok(())
    });
}

#[test]
fn a_failover_that_would_lose_service_is_refused() {
    lab::test(|| {
        let (lab, mut pair, _servers) = Lab::exchange()?.serve_pair(&pair("preempt: never"))?;
        pair.active_is("lb1")?;
        all_fit(&pair)?;
        let capture = Capture::start()?;
        for (director, arguments, words) in [
            ("lb2", &["failover"][..], "not Active"),
            ("lb1", &["failover", "--to", "lb1"], "Active already"),
            ("lb1", &["failover", "--to", "lb22"], "did you mean \"lb2\""),
        ] {
            let said = refused(&pair[director], arguments)?;
            assert!(said.contains(words), "{said}");
        }

        let lb2 = &lab.directors()[1];
        lb2.unplug("eth1")?;
        pair["lb1"].shows("it knows", |status| status["peers"][0]["says"]["fit"] == false)?;
        for arguments in [&["failover"][..], &["failover", "--to", "lb2"]] {
            let said = refused(&pair["lb1"], arguments)?;
            assert!(said.contains("fit") && said.contains("--force"), "{said}");
        }
        lb2.plug("eth1")?;
        all_fit(&pair)?;

        pair["lb2"].kill()?;
        pair["lb1"].shows("it knows", |status| status["peers"][0]["reachable"] == false)?;
        for arguments in [&["failover"][..], &["failover", "--to", "lb2"]] {
            let said = refused(&pair["lb1"], arguments)?;
            assert!(said.contains("--force"), "{said}");
        }
        pair["lb1"].turns("active")?;
        assert_eq!(reigns(&capture.frames()?), ["lb1"]);

        // Nobody is there: after the silence it takes over again.
        let said = refused(&pair["lb1"], &["failover", "--force"])?;
        assert!(said.contains("nobody else took over"), "{said}");
        position(&capture.frames()?, |frame| adverts(frame, "lb1", 0))?;
        pair["lb1"].turns("active")?;
        pair["lb2"].start()?;
        pair.active_is("lb1")?;
        all_fit(&pair)?;
        pair["lb1"].cli(&["failover", "--force", "--to", "lb2"])?;
        pair.active_is("lb2")?;
        pair.held_by(&["lb2"], &ADDRESSES)?;
        Ok(())
    });
}

#[test]
fn one_that_is_forced_to_be_active_stays_so_until_it_fails() {
    lab::test(|| {
        let (lab, pair, _servers) = Lab::exchange()?.serve_pair(&pair("preempt: always"))?;
        pair.active_is("lb1")?;
        all_fit(&pair)?;
        let capture = Capture::start()?;
        more_adverts(&capture, "lb1", "eth0", 1)?;
        let lb2 = &lab.directors()[1];
        lb2.unplug("eth1")?;
        pair["lb1"].shows("it knows", |status| status["peers"][0]["says"]["fit"] == false)?;
        pair["lb1"].cli(&["failover", "--force"])?;
        pair["lb2"].shows("it knows that it is wanted", |status| status["chosen"] == true)?;
        // Hellos come once a second.
        more_adverts(&capture, "lb2", "eth0", 30)?;
        pair.active_is("lb2")?;
        pair.held_by(&["lb2"], &ADDRESSES)?;
        assert_eq!(pair["lb1"].redundancy()?["stood_down"], true);
        assert!(pair["lb2"].cli(&["status"])?.contains("lb1 left, as an operator wanted"));

        lb2.plug("eth1")?;
        pair["lb2"].shows("it is well", |status| status["fit"] == true && status["chosen"] == true)?;
        lb2.unplug("eth1")?;
        pair.active_is("lb1")?;
        pair.held_by(&["lb1"], &ADDRESSES)?;
        let frames = capture.frames()?;
        assert_eq!(reigns(&frames), ["lb1", "lb2", "lb1"], "{}", listed(&frames));
        Ok(())
    });
}
