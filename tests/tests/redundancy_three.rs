//! Three directors share the addresses.

mod farm;

use farm::{ADDRESSES, adverts, all_fit, farm, more_adverts, reigns};
use lab::capture::listed;
use lab::farm::VIP;
use lab::{Capture, Lab, Pair, Server};
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn three(lab: Lab, redundancy: &str) -> lab::Result<(Lab, Pair, Vec<Server>)> {
    // Far apart, so that it takes much load for a lower one to be the first.
    let priorities = "interval: 200ms\npriority: { lb1: 254, lb2: 128, lb3: 1 }";
    let farm = farm(&format!("{priorities}\n{redundancy}"));
    let (lab, pair, servers) = lab.serve_pair(&farm)?;
    pair.active_is("lb1")?;
    Ok((lab, pair, servers))
}

#[test]
fn each_is_replaced_by_the_best_that_is_left() {
    lab::test(|| {
        let lab = Lab::with(3, &["exchange1", "exchange2"])?;
        let (lab, mut pair, _servers) = three(lab, "preempt: always")?;
        pair.held_by(&["lb1"], &ADDRESSES)?;
        let capture = Capture::start()?;
        more_adverts(&capture, "lb1", "eth1", 2)?;
        pair["lb1"].kill()?;
        pair.active_is("lb2")?;
        farm::answers(&lab, VIP)?;
        pair["lb2"].stop()?;
        pair.active_is("lb3")?;
        pair.held_by(&["lb3"], &ADDRESSES)?;
        farm::answers(&lab, VIP)?;
        pair["lb2"].start()?;
        pair.active_is("lb2")?;
        pair["lb1"].start()?;
        pair.active_is("lb1")?;
        pair.held_by(&["lb1"], &ADDRESSES)?;
        farm::answers(&lab, VIP)?;
        let frames = capture.frames()?;
        assert_eq!(reigns(&frames), ["lb1", "lb2", "lb3", "lb2", "lb1"], "{}", listed(&frames));
        Ok(())
    });
}

#[test]
fn the_operator_names_the_next_one() {
    lab::test(|| {
        let lab = Lab::with(3, &["exchange1", "exchange2"])?;
        for host in lab.directors() {
            let directory = host.directory()?.join("run");
            fs::create_dir_all(&directory)?;
            let path = directory.join("key");
            fs::write(&path, "c2VjcmV0cyBhcmUgZm9yIGRpcmVjdG9ycyBvbmx5")?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
        // Only a signed advert says who is meant.
        // Nobody preempts whom an operator chose.
        let (_lab, pair, _servers) = three(lab, "preempt: always\nkey_file: /run/director/key")?;
        let capture = Capture::start()?;
        more_adverts(&capture, "lb1", "eth1", 2)?;
        let mut active = "lb1";
        for (arguments, next) in [
            (&["failover", "--to", "lb3"][..], "lb3"),
            // The best one.
            (&["failover"], "lb1"),
            (&["failover"], "lb2"),
        ] {
            all_fit(&pair)?;
            pair[active].cli(arguments)?;
            pair.active_is(next)?;
            pair.held_by(&[next], &ADDRESSES)?;
            more_adverts(&capture, next, "eth1", 10)?;
            active = next;
        }
        let frames = capture.frames()?;
        assert_eq!(reigns(&frames), ["lb1", "lb3", "lb1", "lb2"], "{}", listed(&frames));
        let left = |host| frames.iter().filter(|it| it.interface == "eth0" && adverts(it, host, 0)).count();
        // A word for each of the others.
        assert_eq!((left("lb1"), left("lb2"), left("lb3")), (4, 0, 2), "{}", listed(&frames));
        Ok(())
    });
}
