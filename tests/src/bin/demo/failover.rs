//! The steps in which lb2 takes over.

use crate::{Outcome, Story, TRANSFERS, expect};
use lab::client::gaps;
use lab::farm::VIP;
use lab::{Cut, Director, Gap, Hold, Pinger, eventually};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What the Active has: the VIP, the management addresses and the gateway.
const SHARED: [IpAddr; 4] = [VIP, public(36), public(37), IpAddr::V4(Ipv4Addr::new(10, 0, 1, 254))];

/// Connections that are made to see how long there is no answer: one every so often, each given so long.
const EVERY: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_millis(800);

/// For addresses to move.
const LIMIT: Duration = Duration::from_secs(20);

const fn public(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 168, 1, host))
}

/// The lines of a director's status about the pair.
pub(crate) fn show_pair(director: &Director) -> Outcome {
    let status = director.cli(&["status"])?;
    println!("   {}'s status:", director.host().name());
    for line in status.lines().skip(1).take_while(|line| !line.starts_with("configuration")) {
        println!("     {line}");
    }
    Ok(())
}

impl Story {
    pub(crate) fn update(&mut self) -> Outcome {
        let (hold, load) = self.traffic()?;
        let pinger = self.ping()?;
        self.hand_over(&self.director)?;
        self.has_addresses("lb2")?;
        show_pair(&self.director)?;
        self.watch("lb2 is Active", &load)?;
        self.director.stop()?;
        self.director.start()?;
        self.director.shows("lb1 hears lb2", |status| !status["active"].is_null())?;
        println!("   lb1 was stopped and started; nobody missed it");
        self.hand_over(&self.backup)?;
        self.has_addresses("lb1")?;
        self.watch("lb1 is Active again", &load)?;

        let gap = tell_gap(pinger)?;
        drop(load);
        self.tell_transfers(hold)?;
        expect(gap < Duration::from_millis(100), "new connections hardly notice it")
    }

    pub(crate) fn power_off(&mut self) -> Outcome {
        let (hold, load) = self.traffic()?;
        let pinger = self.ping()?;
        self.watch("lb1 is Active", &load)?;
        let host = self.director.host().clone();
        host.cut_at_once(&["eth0", "eth1"], Cut::All)?;
        self.director.kill()?;
        println!("   lb1 is gone");
        self.has_addresses("lb2")?;
        pinger.steady(20)?;
        show_pair(&self.backup)?;
        let gap = tell_gap(pinger)?;
        expect(gap < LIMIT, "new connections are made again")?;
        drop(load);
        self.tell_transfers(hold)?;
        let load = self.new_load()?;
        self.watch("lb2 alone, new clients", &load)?;

        // Nothing outlives the loss of power.
        host.run("nft flush ruleset")?;
        host.run("conntrack -F")?;
        for address in SHARED {
            host.run(&format!("ip address flush to {address}"))?;
        }
        host.mend("eth0")?;
        host.mend("eth1")?;
        self.director.start()?;
        self.director.shows("lb1 hears lb2", |status| !status["active"].is_null())?;
        println!("   lb1 has power again, and is Backup until it is asked:");
        self.hand_over(&self.backup)?;
        self.has_addresses("lb1")?;
        let tally = load.stop()?;
        println!("   short connections from then on: {tally}");
        show_pair(&self.director)
    }

    /// `director failover`, told as it tells it.
    fn hand_over(&self, active: &Director) -> Outcome {
        println!("   {}: director failover", active.host().name());
        for line in active.cli(&["failover"])?.lines() {
            println!("     {line}");
        }
        Ok(())
    }

    /// Waits until all addresses of the Active are on that machine, and on no other.
    fn has_addresses(&self, name: &str) -> Outcome {
        let right = |director: &&Director| {
            let host = director.host();
            // One whose power is off is not asked.
            let wanted = host.name() == name;
            director.pid().is_none()
                || SHARED.iter().all(|address| host.has_address(*address).is_ok_and(|has| has == wanted))
        };
        let directors = [&self.director, &self.backup];
        eventually(LIMIT, &format!("{name} has all addresses"), || directors.iter().all(right))?;
        println!("   {name} has the VIP, the management addresses and the gateway; nobody else has any");
        Ok(())
    }

    /// New connections to the VIP, one every 5 ms.
    fn ping(&self) -> lab::Result<Pinger> {
        let pinger = self.lab.client().ping_tcp(SocketAddr::new(VIP, 25), EVERY, PATIENCE)?;
        pinger.steady(20)?;
        Ok(pinger)
    }

    /// What has become of transfers that were open when the other director took over.
    fn tell_transfers(&mut self, hold: Hold) -> Outcome {
        let tally = hold.stop()?;
        println!(
            "   transfers: {} of {TRANSFERS} were cut off (the other director does not know open connections yet); \
             their clients make new ones:",
            tally.failed()
        );
        let (hold, load) = self.traffic()?;
        self.nothing_failed(hold, [load])
    }
}

/// Tells how new connections fared; returns the longest time without one.
fn tell_gap(pinger: Pinger) -> lab::Result<Duration> {
    let attempts = pinger.stop()?;
    let gaps = gaps(&attempts);
    println!("   new connections, one every 5 ms: {} in all", attempts.len());
    for gap in &gaps {
        println!("     {gap}");
    }
    if gaps.is_empty() {
        println!("     none failed");
    }
    Ok(gaps.iter().map(Gap::length).max().unwrap_or_default())
}
