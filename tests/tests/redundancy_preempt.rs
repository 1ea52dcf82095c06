//! The better director restarts: whether and when it takes over again.

mod farm;

use farm::{ADDRESSES, LIMIT, adverts, pair, reigns};
use lab::{Capture, Lab, Pair, eventually};
use std::time::{Duration, Instant};

/// The better one has gone, and the other one is Active.
fn replaced(redundancy: &str) -> lab::Result<(Lab, Pair, Vec<lab::Server>)> {
    let (lab, mut pair, servers) = Lab::exchange()?.serve_pair(&pair(redundancy))?;
    pair.active_is("lb1")?;
    pair["lb1"].stop()?;
    pair["lb2"].turns("active")?;
    Ok((lab, pair, servers))
}

/// Nobody was taken by surprise: who comes back is no second Active.
fn in_order(pair: &Pair) -> lab::Outcome {
    for director in pair.directors() {
        assert_eq!(director.redundancy()?["dual_active_episodes"], 0, "{}", director.log());
    }
    Ok(())
}

/// Adverts of lb2 on one link.
fn reign_of_lb2(capture: &Capture) -> usize {
    let frames = capture.sent_by("lb2").unwrap_or_default();
    frames.iter().filter(|it| it.interface == "eth0" && adverts(it, "lb2", 100)).count()
}

#[test]
fn never() {
    lab::test(|| {
        let (_lab, mut pair, _servers) = replaced("preempt: never")?;
        let capture = Capture::start()?;
        pair["lb1"].start()?;
        pair["lb1"].shows("it hears lb2", |status| status["active"]["node"] == "lb2")?;
        eventually(LIMIT, "lb2 goes on", || reign_of_lb2(&capture) > 10)?;
        pair.active_is("lb2")?;
        pair.held_by(&["lb2"], &ADDRESSES)?;
        // What is not fit is left all the same.
        pair["lb2"].stop()?;
        pair["lb1"].turns("active")?;
        assert_eq!(reigns(&capture.frames()?), ["lb2", "lb1"]);
        Ok(())
    });
}

#[test]
fn always() {
    lab::test(|| {
        let (_lab, mut pair, _servers) = replaced("preempt: always")?;
        let capture = Capture::start()?;
        pair["lb1"].start()?;
        pair.active_is("lb1")?;
        pair.held_by(&["lb1"], &ADDRESSES)?;
        assert_eq!(reigns(&capture.frames()?), ["lb2", "lb1"]);
        in_order(&pair)
    });
}

/// It takes over, but not before it has heard the other one for that long.
fn with_delay(redundancy: &str) -> lab::Outcome {
    let (_lab, mut pair, _servers) = replaced(redundancy)?;
    let capture = Capture::start()?;
    let begin = Instant::now();
    pair["lb1"].start()?;
    pair.active_is("lb1")?;
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert!(reign_of_lb2(&capture) >= 10);
    assert_eq!(reigns(&capture.frames()?), ["lb2", "lb1"]);
    in_order(&pair)
}

#[test]
fn always_with_delay() {
    lab::test(|| with_delay("preempt: always\npreempt_delay: 2s"));
}

#[test]
fn after_sync() {
    lab::test(|| with_delay("preempt: after-sync\npreempt_delay: 2s"));
}

#[test]
fn a_director_that_starts_may_wait_for_its_links() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let begin = Instant::now();
        let mut director =
            lab.start_director("lb1", &lab.configuration(&pair("startup_delay: 2s\npreempt: always")))?;
        director.turns("active")?;
        assert!(begin.elapsed() >= Duration::from_secs(2), "{:?}", begin.elapsed());
        director.stop()?;

        // One that expects to be the first waits for a single interval.
        let patient = pair("preempt: always").replace("100ms", "1s");
        let mut took = Vec::new();
        for state in ["backup", "active"] {
            director.configure(&lab.configuration(&format!("{patient}\n  initial_state: {state}")))?;
            let begin = Instant::now();
            director.start()?;
            director.turns("active")?;
            took.push(begin.elapsed());
            director.stop()?;
        }
        let second = Duration::from_secs(1);
        assert!(took[0] >= 3 * second && took[1] >= second && took[1] < took[0] - second, "{took:?}");
        Ok(())
    });
}

#[test]
fn other_priorities_by_reload() {
    lab::test(|| {
        let (lab, pair, _servers) = Lab::exchange()?.serve_pair(&pair("preempt: always"))?;
        pair.active_is("lb1")?;
        let capture = Capture::start()?;
        let priorities = |lb1: u8, lb2: u8| format!("{{ lb1: {lb1}, lb2: {lb2} }}");
        // An equal one takes nothing from who is there.
        for (text, active) in
            [(priorities(100, 100), "lb1"), (priorities(100, 101), "lb2"), (priorities(254, 1), "lb1")]
        {
            let text =
                lab.configuration(&farm::pair("preempt: always")).replace(&priorities(150, 100), &text);
            for director in pair.directors() {
                director.reload(&text)?;
            }
            pair.active_is(active)?;
            pair.held_by(&[active], &ADDRESSES)?;
        }
        let frames = capture.frames()?;
        let names = reigns(&frames);
        assert_eq!(names.last(), Some(&"lb1"), "{names:?}");
        in_order(&pair)
    });
}
