//! Schedulers that go by live connections.

use lab::farm::{VIP, VIP6};
use lab::{Client, Director, Failure, Hold, Host, Lab, Result, Target, addresses, eventually};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

fn services(scheduler: &str, weights: [u16; 2]) -> String {
    let [first, second] = weights;
    format!(
        "
        services:
          mail:
            vips: [192.168.1.35, 'fd00:1::35']
            ports: {{ tcp: 25 }}
            scheduler: {scheduler}
            servers: {{ exchange1: {{ weight: {first} }}, exchange2: {{ weight: {second} }} }}
          web:
            vip: 192.168.1.35
            ports: {{ tcp: 443 }}
            servers: {{ exchange1: {{}}, exchange2: {{}} }}
        "
    )
}

fn mail() -> Target {
    mail_at(VIP)
}

fn mail_at(vip: IpAddr) -> Target {
    Target::new(SocketAddr::new(vip, 25))
}

/// The servers, by their numbers in the service, that have slots of the first service.
fn owners(host: &Host) -> Result<BTreeSet<u32>> {
    let map = host.run("nft list map inet director slots")?;
    let elements = map.split_once("elements = {").map_or("", |(_, elements)| elements);
    let ids = elements.split([',', '}']).filter_map(|element| {
        let id = element.split_once(" : ")?.1.trim().strip_prefix("0x")?;
        u32::from_str_radix(id, 16).ok()
    });
    Ok(ids.filter(|id| id & 0x07ff_f000 == 0).map(|id| id & 0xfff).collect())
}

/// Waits until the next connection goes to these servers.
fn next_go_to(host: &Host, servers: &[u32]) -> Result<()> {
    let wanted: BTreeSet<u32> = servers.iter().copied().collect();
    let what = format!("slots are those of {wanted:?}");
    eventually(LIMIT, &what, || owners(host).is_ok_and(|owners| owners == wanted))
}

/// Connections of the first service that stay on the first server.
fn hold_on_first(client: &Client, director: &Director, count: usize) -> Result<Hold> {
    director.cli(&["drain", "mail", "exchange2"])?;
    let hold = client.hold(&mail(), count)?;
    assert_eq!(hold.so_far().by("exchange1"), count as u64);
    director.cli(&["enable", "mail", "exchange2"])?;
    next_go_to(director.host(), &[2])?;
    Ok(hold)
}

#[test]
fn new_connections_go_where_there_are_fewer_and_come_back_when_there_are_no_more() {
    for (scheduler, weights, vip) in [("lc", [1, 9], VIP), ("wlc", [3, 3], VIP6), ("sed", [2, 2], VIP)] {
        lab::test(|| {
            let (lab, director, _servers) = Lab::exchange()?.serve(&services(scheduler, weights))?;
            let held = hold_on_first(lab.client(), &director, 20)?;
            let tally = lab.client().hold(&mail_at(vip), 15)?;
            assert_eq!(tally.so_far().by("exchange2"), 15, "{scheduler}: {}", tally.so_far());
            assert_eq!(held.stop()?.failed(), 0);
            next_go_to(director.host(), &[1])?;
            Ok(())
        });
    }
}

#[test]
fn nq_lets_no_server_idle() {
    lab::test(|| {
        let (lab, director, _servers) = Lab::exchange()?.serve(&services("nq", [9, 1]))?;
        next_go_to(director.host(), &[1])?;
        let first = lab.client().hold(&mail(), 1)?;
        next_go_to(director.host(), &[2])?;
        let second = lab.client().hold(&mail(), 1)?;
        next_go_to(director.host(), &[1])?;
        assert_eq!((first.so_far().by("exchange1"), second.so_far().by("exchange2")), (1, 1));
        Ok(())
    });
}

#[test]
fn ovf_overflows_at_the_weight_and_refuses_when_all_are_full() {
    lab::test(|| {
        let (lab, director, _servers) = Lab::exchange()?.serve(&services("ovf", [2, 1]))?;
        let (client, host) = (lab.client(), director.host());
        next_go_to(host, &[1])?;
        let first = client.hold(&mail(), 1)?;
        let second = client.hold(&mail(), 1)?;
        next_go_to(host, &[2])?;
        let third = client.hold(&mail(), 1)?;
        next_go_to(host, &[])?;
        assert_eq!(first.so_far().by("exchange1") + second.so_far().by("exchange1"), 2);
        assert_eq!(third.so_far().by("exchange2"), 1);
        assert_eq!(client.call(&mail())?, Err(Failure::Refused));
        first.stop()?;
        next_go_to(host, &[1])?;
        Ok(())
    });
}

#[test]
fn counts_outlive_a_crash_and_a_flushed_ruleset() {
    lab::test(|| {
        let (lab, mut director, _servers) = Lab::exchange()?.serve(&services("wlc", [1, 1]))?;
        let held = hold_on_first(lab.client(), &director, 9)?;
        // Without a ruleset the kernel resets connections that carry something.
        let quiet = held.quiet();
        lab.settle()?;
        director.kill()?;
        director.host().run("nft flush ruleset")?;
        director.start()?;
        next_go_to(director.host(), &[2])?;
        director.host().run("nft flush ruleset")?;
        next_go_to(director.host(), &[2])?;
        drop(quiet);
        assert_eq!(held.stop()?.failed(), 0);
        Ok(())
    });
}

#[test]
fn a_director_that_stops_leaves_slots_by_weight() {
    lab::test(|| {
        let (lab, mut director, _servers) = Lab::exchange()?.serve(&services("wlc", [1, 1]))?;
        let held = hold_on_first(lab.client(), &director, 9)?;
        director.stop()?;
        assert_eq!(owners(director.host())?, BTreeSet::from([1, 2]));
        let tally = lab.client().visit(&mail(), 20)?;
        assert_eq!([tally.by("exchange1"), tally.by("exchange2")], [10, 10], "{tally}");
        director.start()?;
        next_go_to(director.host(), &[2])?;
        assert_eq!(held.stop()?.failed(), 0);
        Ok(())
    });
}

#[test]
fn connections_from_before_a_service_counted_are_counted_and_missed_when_they_are_gone() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let (lab, director, _servers) = lab.serve(&services("wrr", [1, 0]))?;
        let held = lab.client().hold(&mail(), 9)?;
        assert_eq!(held.so_far().by("exchange1"), 9);
        director.reload(&lab.configuration(&services("wlc", [1, 1])))?;
        next_go_to(director.host(), &[2])?;
        // Nobody tells that they end.
        assert_eq!(held.stop()?.failed(), 0);
        next_go_to(director.host(), &[1, 2])?;
        Ok(())
    });
}

#[test]
fn what_the_kernel_could_not_tell_is_counted_anew() {
    lab::test(|| {
        let (lab, director, _servers) = Lab::exchange()?.serve(&services("wlc", [1, 1]))?;
        let held = hold_on_first(lab.client(), &director, 9)?;
        director.signal(Signal::SIGSTOP)?;
        // Some seven events each.
        let many = addresses(&["192.168.1.101", "192.168.1.102"])?;
        let tally = lab.client().visit(&mail().from(many).parallel(8), 25_000)?;
        assert_eq!(tally.failed(), 0, "{tally}");
        assert_eq!(held.stop()?.failed(), 0);
        director.signal(Signal::SIGCONT)?;
        next_go_to(director.host(), &[1, 2])?;
        assert!(director.log().contains("counting all connections anew"), "{}", director.log());
        Ok(())
    });
}

#[test]
fn a_server_at_its_threshold_gets_no_more_until_it_is_below_the_lower_one() {
    lab::test(|| {
        let (lab, director, _servers) = Lab::exchange()?.serve(
            "
            services:
              mail:
                vip: 192.168.1.35
                ports: { tcp: 25 }
                servers: { exchange1: { thresholds: { upper: 3, lower: 2 } }, exchange2: {} }
            ",
        )?;
        let held = hold_on_first(lab.client(), &director, 3)?;
        let tally = lab.client().visit(&mail(), 10)?;
        assert_eq!((tally.by("exchange2"), tally.failed()), (10, 0), "{tally}");
        assert_eq!(director.server("mail", "exchange1")?["state"], "overloaded");
        assert_eq!(held.stop()?.failed(), 0);
        next_go_to(director.host(), &[1, 2])?;
        Ok(())
    });
}

/// True if somebody listens to conntrack in the host's network namespace.
fn listens(host: &Host) -> Result<bool> {
    const NETFILTER: &str = "12";
    let sockets = host.run("cat /proc/net/netlink")?;
    Ok(sockets.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let groups = fields.get(3).and_then(|groups| u32::from_str_radix(groups, 16).ok());
        // NFNLGRP_CONNTRACK_NEW, UPDATE and DESTROY.
        fields.get(1) == Some(&NETFILTER) && groups.is_some_and(|groups| groups & 0b111 != 0)
    }))
}

#[test]
fn nobody_listens_unless_a_service_needs_it() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let director = lab.start_director("lb1", &lab.configuration(&services("wrr", [1, 1])))?;
        let host = director.host();
        let events = |host: &Host, service: &str| -> Result<String> {
            let chain = host.run(&format!("nft list chain inet director svc-{service}-4"))?;
            let set = chain.split_once("ct event set ").map(|(_, set)| set.to_owned());
            Ok(set.and_then(|set| set.split_whitespace().next().map(str::to_owned)).unwrap_or_default())
        };
        for round in 0..2 {
            assert!(!listens(host)?, "{round}");
            assert_eq!((events(host, "mail")?, events(host, "web")?), (String::new(), String::new()));
            director.reload(&lab.configuration(&services("wlc", [1, 1])))?;
            assert!(listens(host)?, "{round}");
            assert_eq!(events(host, "mail")?, "new,destroy,protoinfo");
            assert_eq!(events(host, "web")?, "0x0");
            director.reload(&lab.configuration(&services("wrr", [1, 1])))?;
            // The thread ends by itself.
            eventually(LIMIT, "nobody listens", || listens(host).is_ok_and(|listens| !listens))?;
        }
        Ok(())
    });
}
