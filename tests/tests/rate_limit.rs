//! How fast one client may come: beyond it TCP gets a reset, UDP an ICMP message, and others notice nothing.

use lab::{Director, Failure, Family, Lab, Outcome, Result, Target, eventually};
use std::net::IpAddr;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

fn services(options: &str) -> String {
    format!(
        "
        services:
          mail:
            vips: [192.168.1.35, 'fd00:1::35']
            ports: {{ tcp: [25, 80], udp: 443 }}
            {options}
            servers: {{ exchange1: {{}}, exchange2: {{}} }}
          other:
            vips: [192.168.1.35, 'fd00:1::35']
            ports: {{ tcp: 465 }}
            servers: {{ exchange1: {{}} }}
        "
    )
}

/// The `rate_limit` that lets that many connections in, and then none for hours.
fn only(connections: u32) -> String {
    format!("rate_limit: {{ connections: 1, per: 1d, burst: {connections} }}")
}

/// Of `count` connections, those that were served; all others must have failed that way.
fn served(lab: &Lab, family: Family, from: IpAddr, count: usize, failure: Failure) -> Result<u64> {
    let tally = lab.client().visit(&Target::ports(family.vip(), &[25, 80]).from([from]), count)?;
    let refused = tally.failures.get(&failure).copied().unwrap_or(0);
    assert_eq!(refused, tally.failed(), "{tally}");
    Ok(tally.made())
}

fn refused(director: &Director, expected: u64) -> Result<()> {
    eventually(LIMIT, &format!("{expected} refusals are counted"), || {
        let status = director.status().unwrap_or_default();
        let service = status["services"].as_array().into_iter().flatten().find(|it| it["name"] == "mail");
        service.is_some_and(|it| it["rate_limit"]["refused"] == expected)
    })
}

fn a_client_over_the_limit_is_refused_and_others_are_not(family: Family) -> Outcome {
    let (lab, director, servers) = Lab::exchange()?.serve(&services(&only(5)))?;
    let client = family.client(1);
    assert_eq!(served(&lab, family, client, 12, Failure::Refused)?, 5);
    assert_eq!(lab.client().udp(client)?.ask(family.at(443)), Err(Failure::Refused), "all ports are one");
    assert_eq!(served(&lab, family, family.client(2), 5, Failure::Refused)?, 5, "another client");
    let other = Target::new(family.at(465)).from([client]);
    assert_eq!(lab.client().visit(&other, 9)?.made(), 9, "another service");
    assert_eq!(servers.iter().map(lab::Server::arrivals).sum::<u64>(), 19);
    refused(&director, 8)?;
    let table = director.cli(&["status"])?;
    assert!(table.contains("limit 1/day burst 5 refused 8"), "{table}");
    Ok(())
}

fn udp_flows_are_limited_too(family: Family) -> Outcome {
    let (lab, director, _servers) = Lab::exchange()?.serve(&services(&only(3)))?;
    let client = family.client(1);
    for _ in 0..3 {
        let udp = lab.client().udp(client)?;
        assert!(udp.ask(family.at(443)).is_ok());
        assert!(udp.ask(family.at(443)).is_ok(), "a flow counts once");
    }
    for _ in 0..2 {
        assert_eq!(lab.client().udp(client)?.ask(family.at(443)), Err(Failure::Refused));
    }
    refused(&director, 2).map_err(Into::into)
}

fn a_network_is_one_client_by_granularity(family: Family) -> Outcome {
    let limit = "rate_limit: { connections: 1, per: 1d, burst: 4, granularity: 24, granularity6: 64 }";
    let (lab, _director, _servers) = Lab::exchange()?.serve(&services(limit))?;
    assert_eq!(served(&lab, family, family.client(1), 3, Failure::Refused)?, 3);
    assert_eq!(served(&lab, family, family.client(200), 3, Failure::Refused)?, 1, "of the same network");
    assert_eq!(served(&lab, family, family.client(300), 3, Failure::Refused)?, 3);
    Ok(())
}

fn returning_clients_are_limited_too(family: Family) -> Outcome {
    let options = format!("persistence: {{ timeout: 10m }}\n            {}", only(4));
    let (lab, _director, _servers) = Lab::exchange()?.serve(&services(&options))?;
    assert_eq!(served(&lab, family, family.client(1), 9, Failure::Refused)?, 4);
    assert_eq!(served(&lab, family, family.client(2), 9, Failure::Refused)?, 4);
    Ok(())
}

fn tokens_come_back_with_time(family: Family) -> Outcome {
    let limit = "rate_limit: { connections: 4, per: 1s, burst: 2 }";
    let (lab, _director, _servers) = Lab::exchange()?.serve(&services(limit))?;
    let client = family.client(1);
    let visit = || served(&lab, family, client, 1, Failure::Refused);
    eventually(LIMIT, "the bucket is empty", || visit().is_ok_and(|made| made == 0))?;
    eventually(LIMIT, "a connection is let in again", || visit().is_ok_and(|made| made == 1))?;
    Ok(())
}

fn another_rate_holds_for_clients_that_were_here_before(family: Family) -> Outcome {
    let (lab, director, _servers) = Lab::exchange()?.serve(&services(&only(2)))?;
    let text = director.configuration()?;
    let client = family.client(1);
    assert_eq!(served(&lab, family, client, 5, Failure::Refused)?, 2);
    let hold = lab.client().hold(&Target::new(family.at(25)).from([family.client(2)]), 2)?;
    director.reload(&text.replace(&only(2), &only(6)))?;
    assert_eq!(served(&lab, family, client, 9, Failure::Refused)?, 6);
    director.reload(&text.replace(&only(2), "quiescent: true"))?;
    assert_eq!(served(&lab, family, client, 9, Failure::Refused)?, 9);
    director.reload(&text)?;
    assert_eq!(served(&lab, family, client, 5, Failure::Refused)?, 2);
    director.reload(&text.replace("- ", "-  "))?;
    assert_eq!(served(&lab, family, client, 5, Failure::Refused)?, 0, "the same rate keeps its buckets");
    hold.more(10)?;
    assert_eq!(hold.stop()?.failed(), 0);
    refused(&director, 14)?;
    Ok(())
}

fn refusals_are_counted_over_a_restart(family: Family) -> Outcome {
    let (lab, mut director, _servers) = Lab::exchange()?.serve(&services(&only(1)))?;
    assert_eq!(served(&lab, family, family.client(1), 4, Failure::Refused)?, 1);
    refused(&director, 3)?;
    director.stop()?;
    assert_eq!(
        served(&lab, family, family.client(1), 2, Failure::Refused)?,
        0,
        "it goes on without a daemon"
    );
    director.start()?;
    refused(&director, 5)?;
    Ok(())
}

/// The client believes to be connected when it is refused, and the reset comes a moment later.
fn with_syn_protection_the_limit_is_for_clients_that_exist(family: Family) -> Outcome {
    let options = format!("syn_protection: true\n            {}", only(5));
    let (lab, director, servers) = Lab::exchange()?.serve(&services(&options))?;
    assert_eq!(served(&lab, family, family.client(1), 12, Failure::Reset)?, 5);
    assert_eq!(served(&lab, family, family.client(2), 5, Failure::Reset)?, 5);
    assert_eq!(servers.iter().map(lab::Server::arrivals).sum::<u64>(), 10);
    let udp = lab.client().udp(family.client(1))?.ask(family.at(443));
    assert_eq!(udp, Err(Failure::Refused));
    refused(&director, 8)?;
    Ok(())
}

lab::both_families!(
    a_client_over_the_limit_is_refused_and_others_are_not,
    a_network_is_one_client_by_granularity,
    another_rate_holds_for_clients_that_were_here_before,
    refusals_are_counted_over_a_restart,
    returning_clients_are_limited_too,
    tokens_come_back_with_time,
    udp_flows_are_limited_too,
    with_syn_protection_the_limit_is_for_clients_that_exist,
);
