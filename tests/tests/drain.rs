//! Taking a server out of service loses nobody's connection.

use lab::farm::{VIP, VIP6};
use lab::{Director, Lab, Target, eventually};
use serde_json::json;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const SERVICE: &str = "
    services:
      web:
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: [80, 443] }
        servers: { exchange1: { weight: 2 }, exchange2: { weight: 1 } }
    ";

/// Takes exchange1 out and back while connections come and stay; `out` and `back` are commands.
fn out_and_back(vip: IpAddr, out: &[&str], back: &[&str], state: &str) -> Result<(), Box<dyn Error>> {
    let (lab, director, _servers) = Lab::exchange()?.serve(SERVICE)?;
    let target = Target::ports(vip, &[80, 443]);
    let hold = lab.client().hold(&target, 30)?;
    assert_eq!((hold.so_far().by("exchange1"), hold.so_far().by("exchange2")), (20, 10));
    let load = lab.client().load(&target.parallel(4).pause(Duration::from_millis(2)))?;
    load.more(100)?;

    director.cli(out)?;
    let server = director.server("web", "exchange1")?;
    assert_eq!(
        [&server["state"], &server["weight"], &server["configured_weight"]],
        [&json!(state), &json!(0), &json!(2)]
    );
    // Those that were on their way when the weight changed.
    load.more(50)?;
    let before = load.so_far();
    load.more(500)?;
    let after = load.so_far();
    assert_eq!(after.by("exchange1"), before.by("exchange1"), "no new connections: {after}");
    assert!(after.by("exchange2") >= before.by("exchange2") + 500, "{after}");
    hold.more(60)?;
    assert_eq!(hold.so_far().failed(), 0, "established connections go on: {}", hold.so_far());

    director.cli(back)?;
    load.more(50)?;
    let before = load.so_far();
    load.more(300)?;
    assert!(load.so_far().by("exchange1") >= before.by("exchange1") + 190, "{before}\n{}", load.so_far());
    assert_eq!(load.stop()?.failed(), 0);
    let held = hold.stop()?;
    assert_eq!((held.made(), held.failed()), (30, 0), "{held}");
    back_in_order(&director)
}

fn back_in_order(director: &Director) -> Result<(), Box<dyn Error>> {
    let server = director.server("web", "exchange1")?;
    assert_eq!(
        [&server["state"], &server["weight"], &server["drained"]],
        [&json!("up"), &json!(2), &json!(false)]
    );
    Ok(())
}

#[test]
fn weight_0_never_touches_established_connections() {
    let (out, back) = (["weight", "web", "exchange1", "0"], ["weight", "web", "exchange1", "2"]);
    lab::test(|| out_and_back(VIP, &out, &back, "quiescent"));
}

#[test]
fn weight_0_never_touches_established_connections_ipv6() {
    let (out, back) = (["weight", "web", "exchange1", "0"], ["reset", "web", "exchange1"]);
    lab::test(|| out_and_back(VIP6, &out, &back, "quiescent"));
}

#[test]
fn drain_and_enable_under_load() {
    let (out, back) = (["drain", "web", "exchange1"], ["enable", "web", "exchange1"]);
    lab::test(|| out_and_back(VIP, &out, &back, "drained"));
}

#[test]
fn a_drained_server_stays_drained_through_reload_and_restart() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let _servers = lab.start_servers()?;
        let configuration = lab.configuration(SERVICE);
        let mut director = lab.start_director("lb1", &configuration)?;
        director.cli(&["drain", "web", "exchange1"])?;
        let target = Target::new(SocketAddr::new(VIP, 80));
        for step in ["reload", "restart", "kill"] {
            match step {
                "reload" => director.reload(&configuration.replace("weight: 2", "weight: 7"))?,
                "restart" => director.stop().and_then(|()| director.start())?,
                _ => director.kill().and_then(|()| director.start())?,
            }
            let server = director.server("web", "exchange1")?;
            assert_eq!([&server["state"], &server["weight"]], [&json!("drained"), &json!(0)], "after {step}");
            assert_eq!(lab.client().visit(&target, 10)?.only_server(), Some("exchange2"), "after {step}");
        }
        director.cli(&["enable", "web", "exchange1"])?;
        assert_eq!(director.server("web", "exchange1")?["weight"], 7);
        Ok(())
    });
}

/// A service whose clients stick.
const STICKY: &str = "
    services:
      web:
        vip: 192.168.1.35
        ports: { tcp: [80, 443] }
        persistence: { timeout: 10m, granularity: 32 }
        servers: { exchange1: {}, exchange2: {} }
    ";

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn waiting_for_a_drain_ends_with_the_last_connection() {
    lab::test(|| {
        let (lab, director, _servers) = Lab::exchange()?.serve(SERVICE)?;
        let hold = lab.client().hold(&Target::ports(VIP, &[80, 443]), 6)?;
        director.cli(&["drain", "web", "exchange1"])?;
        let left = || director.server("web", "exchange1").ok()?["drain"]["connections_left"].as_u64();
        eventually(PATIENCE, "progress is shown", || left() == Some(4))?;
        assert_eq!(hold.stop()?.failed(), 0);
        // Returns by itself, and only when nothing is left.
        director.cli(&["drain", "web", "exchange1", "--wait"])?;
        assert_eq!(left(), Some(0));
        Ok(())
    });
}

#[test]
fn at_its_deadline_a_drain_keeps_what_is_left() {
    lab::test(|| drain_to_the_deadline(&["--deadline", "2s"], 0));
}

#[test]
fn at_its_deadline_a_drain_cuts_what_is_left_if_told_to() {
    lab::test(|| drain_to_the_deadline(&["--deadline", "2s", "--cut"], 4));
}

fn drain_to_the_deadline(arguments: &[&str], lost: u64) -> Result<(), Box<dyn Error>> {
    let (lab, director, _servers) = Lab::exchange()?.serve(SERVICE)?;
    let hold = lab.client().hold(&Target::ports(VIP, &[80, 443]), 6)?;
    director.cli(&[&["drain", "web", "exchange1"], arguments, &["--wait"]].concat())?;
    let status = director.server("web", "exchange1")?;
    assert_eq!((&status["state"], &status["drain"]["seconds_left"]), (&json!("drained"), &json!(0)));
    eventually(PATIENCE, "what is left is cut", || hold.so_far().failed() == lost)?;
    hold.more(60)?;
    let held = hold.stop()?;
    assert_eq!(held.failed(), lost, "{held}");
    Ok(())
}

#[test]
fn a_drain_may_let_persistent_clients_stay() {
    lab::test(|| drain_a_persistent_client("stay", true));
}

#[test]
fn a_drain_may_move_persistent_clients() {
    lab::test(|| drain_a_persistent_client("move", false));
}

fn drain_a_persistent_client(choice: &str, returns: bool) -> Result<(), Box<dyn Error>> {
    let (lab, director, _servers) = Lab::exchange()?.serve(STICKY)?;
    let target = Target::new(SocketAddr::new(VIP, 80));
    let first = lab.client().visit(&target, 3)?;
    let server = first.only_server().ok_or("the client does not stick")?.to_owned();
    director.cli(&["drain", "web", &server, "--returning", choice])?;
    eventually(PATIENCE, "its entry is counted", || {
        director.server("web", &server).is_ok_and(|it| it["drain"]["entries_left"] == 1)
    })?;
    let next = lab.client().visit(&target, 3)?;
    assert_eq!(next.only_server() == Some(&*server), returns, "{next}");
    Ok(())
}

#[test]
fn a_weight_for_a_time_lapses() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let director = lab.start_director("lb1", &lab.configuration(SERVICE))?;
        director.cli(&["weight", "web", "exchange1", "0", "--for", "2s"])?;
        assert_eq!(director.server("web", "exchange1")?["weight"], 0);
        eventually(PATIENCE, "the weight lapses", || {
            director.server("web", "exchange1").is_ok_and(|it| it["weight"] == 2)
        })?;
        assert_eq!(director.server("web", "exchange1")?["override_weight"], json!(null));
        Ok(())
    });
}
