//! The daemon may go and come back: the kernel carries on, and nothing is lost.

use lab::farm::{EXCHANGE_PORTS, VIP, VIP6};
use lab::{Director, Lab, Server, Target, addresses, eventually};
use std::collections::BTreeMap;
use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

const SERVICE: &str = "
    probes:
      mail: { type: tcp, port: 25, interval: 200ms, timeout: 100ms, start: down }
    services:
      exchange:
        mark: 80
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: [25, 80, 443, 465, 587, 717, 2525] }
        persistence: { timeout: 10m }
        probe: mail
        servers: { exchange1: {}, exchange2: {} }
    ";

/// A director whose servers have been seen to work.
fn serve() -> lab::Result<(Lab, Director, Vec<Server>)> {
    let (lab, director, servers) = Lab::exchange()?.serve(SERVICE)?;
    eventually(Duration::from_secs(10), "the servers have been seen to work", || {
        let up = |server: &&str| director.server("exchange", server).is_ok_and(|it| it["state"] == "up");
        ["exchange1", "exchange2"].iter().all(up)
    })?;
    Ok((lab, director, servers))
}

/// The server of each of these clients.
fn homes(lab: &Lab) -> Result<BTreeMap<IpAddr, String>, Box<dyn Error>> {
    let v4 = (1..=8).map(|host| IpAddr::from([198, 51, 100, host]));
    let v6 = (1..=8).map(|host| IpAddr::from([0x2001, 0xdb8, 1, 0, 0, 0, 0, host]));
    let mut homes = BTreeMap::new();
    for client in v4.chain(v6) {
        let vip = if client.is_ipv4() { VIP } else { VIP6 };
        let tally = lab.client().visit(&Target::ports(vip, &[25, 80]).from([client]), 2)?;
        homes.insert(client, tally.only_server().ok_or(format!("{client}: {tally}"))?.to_owned());
    }
    Ok(homes)
}

/// Nothing fails and nobody moves while the daemon ends, is away, and comes back.
fn unnoticed(end: impl FnOnce(&mut Director) -> lab::Result<()>) -> Result<(), Box<dyn Error>> {
    let (lab, mut director, _servers) = serve()?;
    let before = homes(&lab)?;
    let clients = addresses(&["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"])?;
    let target = Target::ports(VIP, &EXCHANGE_PORTS).from(clients);
    let hold = lab.client().hold(&target, 28)?;
    let hold6 = lab.client().hold(&Target::ports(VIP6, &EXCHANGE_PORTS), 7)?;
    let load = lab.client().load(&target.parallel(4).pause(Duration::from_millis(2)))?;
    load.more(100)?;
    let scheduled = |director: &Director| {
        let count = |server| director.server("exchange", server).ok()?["traffic"]["connections"].as_u64();
        Some(count("exchange1")? + count("exchange2")?)
    };
    // Figures may be half a second old.
    eventually(Duration::from_secs(10), "connections are counted", || scheduled(&director) > Some(100))?;
    let counted = scheduled(&director);

    end(&mut director)?;
    load.more(100)?;
    director.start()?;
    let counted_after = scheduled(&director);
    assert!(counted_after >= counted, "counters never run backwards: {counted:?}, then {counted_after:?}");
    load.more(100)?;
    assert_eq!(homes(&lab)?, before, "persistent clients return to their servers");
    let tally = load.stop()?;
    assert_eq!(tally.failed(), 0, "{tally}");
    hold.more(56)?;
    hold6.more(14)?;
    assert_eq!((hold.stop()?.failed(), hold6.stop()?.failed()), (0, 0));
    Ok(())
}

#[test]
fn a_restart_goes_unnoticed() {
    lab::test(|| unnoticed(Director::stop));
}

#[test]
fn a_crash_goes_unnoticed() {
    lab::test(|| unnoticed(Director::kill));
}

#[test]
fn a_director_that_stays_away_is_not_missed() {
    lab::test(|| {
        let (lab, mut director, _servers) = serve()?;
        let before = homes(&lab)?;
        director.stop()?;
        assert_eq!(homes(&lab)?, before);
        let clients: Vec<IpAddr> = (1..=100).map(|host| IpAddr::from([203, 0, 113, host])).collect();
        let tally = lab.client().visit(&Target::ports(VIP, &[25]).from(clients), 100)?;
        assert_eq!([tally.by("exchange1"), tally.by("exchange2"), tally.failed()], [50, 50, 0], "{tally}");
        Ok(())
    });
}

/// What the director leaves on its host: its table, and addresses beyond its own.
fn traces(director: &Director) -> lab::Result<(String, String)> {
    let host = director.host();
    let tables = host.run("nft list tables")?;
    let addresses = host.run("ip -brief address show")?;
    let added = addresses
        .split_whitespace()
        .filter(|word| word.contains(".35/") || word.contains("::35/") || word.contains("254/"));
    Ok((tables, added.collect::<Vec<_>>().join(" ")))
}

#[test]
fn flush_on_exit_leaves_nothing() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let mut director = Director::new(lab.directors()[0].clone(), &lab.configuration(SERVICE))?;
        director.start_with(&["--flush-on-exit"])?;
        let (tables, addresses) = traces(&director)?;
        assert!(tables.contains("table inet director"), "{tables}");
        assert_eq!(addresses.split(' ').count(), 4, "{addresses}");
        director.stop()?;
        assert_eq!(traces(&director)?, (String::new(), String::new()));
        Ok(())
    });
}

#[test]
fn flush_removes_what_a_stopped_director_left() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let mut director = lab.start_director("lb1", &lab.configuration(SERVICE))?;
        director.stop()?;
        let (tables, addresses) = traces(&director)?;
        assert!(tables.contains("table inet director"), "{tables}");
        assert_eq!(addresses.split(' ').count(), 4, "{addresses}");
        director.flush()?;
        assert_eq!(traces(&director)?, (String::new(), String::new()));
        Ok(())
    });
}
