//! What somebody else breaks is noticed and repaired.

use lab::farm::{VIP, VIP6};
use lab::{Director, Host, Lab, Target, eventually};
use serde_json::Value;
use std::error::Error;
use std::time::Duration;

/// Far more than the second that it should take: other tests run at the same time.
const LIMIT: Duration = Duration::from_secs(10);

const SERVICE: &str = "
    services:
      exchange:
        mark: 80
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: [25, 80, 443] }
        servers: { exchange1: {}, exchange2: {} }
    ";

fn table(director: &Director) -> lab::Result<String> {
    director.host().run("nft --stateless list table inet director")
}

/// Breaks something while data moves on connections; all is as before soon, and connections have gone on.
fn repaired(kind: &str, damage: impl FnOnce(&Host) -> lab::Result<()>) -> Result<(), Box<dyn Error>> {
    repaired_with(kind, false, damage)
}

/// As [`repaired`]; the connections may be idle meanwhile.
fn repaired_with(
    kind: &str,
    idle: bool,
    damage: impl FnOnce(&Host) -> lab::Result<()>,
) -> Result<(), Box<dyn Error>> {
    let (lab, director, _servers) = Lab::exchange()?.serve(SERVICE)?;
    let host = director.host();
    let addresses = || host.run("ip -oneline address show");
    let (ruleset_before, addresses_before) = (table(&director)?, addresses()?);
    let hold = lab.client().hold(&Target::ports(VIP, &[25, 80, 443]), 12)?;

    let quiet = idle.then(|| hold.quiet());
    if idle {
        lab.settle()?;
    }
    damage(host)?;
    let lines = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        // The order of what is equal may change.
        lines.sort();
        lines
    };
    eventually(LIMIT, "all is as before", || {
        table(&director).is_ok_and(|now| now == ruleset_before)
            && addresses()
                .is_ok_and(|now| lines(&without_numbers(&now)) == lines(&without_numbers(&addresses_before)))
    })?;
    drop(quiet);
    eventually(LIMIT, "the repair is counted", || {
        director.status().is_ok_and(|status| {
            status["reconcile"]["drift_repairs"][kind].as_u64() >= Some(1)
                && status["reconcile"]["error"] == Value::Null
        })
    })?;
    for vip in [VIP, VIP6] {
        let tally = lab.client().visit(&Target::ports(vip, &[25, 80, 443]), 12)?;
        assert_eq!([tally.by("exchange1"), tally.by("exchange2"), tally.failed()], [6, 6, 0], "{tally}");
    }
    hold.more(24)?;
    assert_eq!(hold.stop()?.failed(), 0);
    Ok(())
}

/// The first word of `ip -oneline` is the interface's number.
fn without_numbers(lines: &str) -> String {
    lines
        .lines()
        .map(|line| format!("{}\n", line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")))
        .collect()
}

#[test]
fn a_flushed_ruleset() {
    // Without a ruleset the kernel translates nothing: a connection that sends in that moment is lost.
    lab::test(|| repaired_with("ruleset", true, |host| host.run("nft flush ruleset").map(drop)));
}

#[test]
fn a_deleted_element() {
    let delete = "nft delete element inet director vips4 { 192.168.1.35 . tcp . 80 }";
    lab::test(|| repaired("ruleset", |host| host.run(delete).map(drop)));
}

#[test]
fn a_foreign_rule_in_the_table() {
    lab::test(|| {
        repaired("ruleset", |host| host.run("nft insert rule inet director prerouting drop").map(drop))
    });
}

#[test]
fn removed_vips() {
    lab::test(|| {
        repaired("address", |host| {
            host.run("ip address flush dev eth0 to 192.168.1.35")?;
            host.run("ip address flush dev eth0 to fd00:1::35").map(drop)
        })
    });
}

#[test]
fn a_removed_gateway() {
    lab::test(|| repaired("address", |host| host.run("ip address flush dev eth1 to 10.0.1.254").map(drop)));
}

#[test]
fn a_kernel_setting() {
    lab::test(|| repaired("setting", |host| host.set("net.ipv4.ip_forward", "0")));
}

#[test]
fn tables_of_others_are_left_alone() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let host = &lab.directors()[0];
        host.run("nft add table inet other")?;
        host.run("nft add set inet other friends { type ipv4_addr; elements = { 192.0.2.1 } }")?;
        let before = host.run("nft list table inet other")?;
        let mut director = lab.start_director("lb1", &lab.configuration(SERVICE))?;
        host.run("nft add element inet other friends { 192.0.2.2 }")?;
        director.reload(&lab.configuration(&SERVICE.replace("443", "587")))?;
        director.stop()?;
        let after = host.run("nft list table inet other")?;
        assert_eq!(after, before.replace("192.0.2.1", "192.0.2.1, 192.0.2.2"));
        Ok(())
    });
}
