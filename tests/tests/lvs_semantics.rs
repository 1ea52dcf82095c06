//! What an administrator of LVS expects of persistence entries (LVS: templates), weights, and ports that clients
//! use again.

use lab::{Director, Family, Lab, Outcome, Server, Target, eventually};
use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

/// A service of two servers, with further options.
fn service(options: &str) -> String {
    format!(
        "
        services:
          web:
            mark: 80
            vips: [192.168.1.35, 'fd00:1::35']
            ports: {{ tcp: [25, 80], udp: 53 }}
            {options}
            servers: {{ exchange1: {{}}, exchange2: {{}} }}
        "
    )
}

fn serve(options: &str) -> lab::Result<(Lab, Director, Vec<Server>)> {
    Lab::exchange()?.serve(&service(options))
}

/// A service whose clients stick so long.
fn persistent(timeout: &str, expire_quiescent_template: bool) -> lab::Result<(Lab, Director, Vec<Server>)> {
    serve(&format!(
        "persistence: {{ timeout: {timeout} }}
            expire_quiescent_template: {expire_quiescent_template}"
    ))
}

/// The server that answers a new connection.
fn answers(lab: &Lab, target: &Target) -> Result<String, Box<dyn Error>> {
    let greeting = lab.client().call(target)?;
    Ok(greeting.map_err(|failure| format!("{target:?}: {failure:?}"))?.server)
}

/// The other server.
fn other(server: &str) -> &'static str {
    if server == "exchange1" { "exchange2" } else { "exchange1" }
}

/// Seconds that the entry of `client` has left, if it has one.
fn seconds_left(director: &Director, client: IpAddr) -> Result<Option<f64>, Box<dyn Error>> {
    let map = if client.is_ipv4() { "persist4" } else { "persist6" };
    let list = director.host().run(&format!("nft list map inet director {map}"))?;
    let words: Vec<&str> = list.split_whitespace().collect();
    let Some(entry) = words.iter().position(|word| *word == client.to_string()) else { return Ok(None) };
    let expires = words[entry..].iter().skip_while(|word| **word != "expires").nth(1);
    Ok(Some(seconds(expires.ok_or(list.clone())?)?))
}

/// Reads a duration as nft writes it: `9m59s996ms`.
fn seconds(text: &str) -> Result<f64, Box<dyn Error>> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let unit = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or(text)?;
        let end =
            rest[unit..].find(|letter: char| letter.is_ascii_digit()).map_or(rest.len(), |at| unit + at);
        let factor = match &rest[unit..end] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(text.into()),
        };
        total += factor * f64::from(rest[..unit].parse::<u32>()?);
        rest = &rest[end..];
    }
    Ok(total)
}

fn template_is_refreshed_by_a_new_connection_not_by_a_packet(family: Family) -> Outcome {
    let (lab, director, _servers) = persistent("10m", true)?;
    let client = family.client(1);
    let target = Target::new(family.at(25)).from([client]);
    let left = || seconds_left(&director, client).ok().flatten().unwrap_or(0.0);
    let hold = lab.client().hold(&target, 1)?;
    assert!((595.0..=600.0).contains(&left()), "the service's timeout: {}", left());
    eventually(LIMIT, "the entry ages while data moves", || left() < 598.0)?;
    hold.more(5)?;
    assert!(left() < 598.0, "{}", left());
    answers(&lab, &target)?;
    assert!(left() > 598.5, "{}", left());
    assert_eq!(hold.stop()?.failed(), 0);
    Ok(())
}

fn expire_quiescent_template_moves_the_next_connection_of_a_returning_client(family: Family) -> Outcome {
    let (lab, director, _servers) = persistent("10m", true)?;
    let target = Target::ports(family.vip(), &[25, 80]).from([family.client(1)]);
    let server = answers(&lab, &target)?;
    let hold = lab.client().hold(&target, 2)?;
    assert_eq!(hold.so_far().only_server(), Some(&*server));
    director.cli(&["weight", "web", &server, "0"])?;
    let tally = lab.client().visit(&target, 10)?;
    assert_eq!((tally.only_server(), tally.made()), (Some(other(&server)), 10), "{tally}");
    hold.more(10)?;
    director.cli(&["reset", "web", &server])?;
    let tally = lab.client().visit(&target, 10)?;
    assert_eq!(tally.only_server(), Some(other(&server)), "the new template holds: {tally}");
    assert_eq!(hold.stop()?.failed(), 0, "its established connections are not touched");
    Ok(())
}

fn expire_quiescent_template_spares_clients_that_did_not_call_meanwhile(family: Family) -> Outcome {
    let (lab, director, _servers) = persistent("10m", true)?;
    let target = Target::ports(family.vip(), &[25, 80]).from([family.client(1)]);
    let server = answers(&lab, &target)?;
    director.cli(&["weight", "web", &server, "0"])?;
    director.cli(&["reset", "web", &server])?;
    let tally = lab.client().visit(&target, 10)?;
    assert_eq!((tally.only_server(), tally.made()), (Some(&*server), 10), "{tally}");
    Ok(())
}

fn expire_quiescent_template_off_lets_it_return_until_the_entry_ages_out(family: Family) -> Outcome {
    let (lab, director, _servers) = persistent("2s", false)?;
    let client = family.client(1);
    let target = Target::ports(family.vip(), &[25, 80]).from([client]);
    let server = answers(&lab, &target)?;
    director.cli(&["weight", "web", &server, "0"])?;
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        assert_eq!(answers(&lab, &target)?, server, "each connection renews the entry");
    }
    // Clients that are new never get there.
    let strangers = Target::ports(family.vip(), &[25, 80]).from((2..10).map(|number| family.client(number)));
    let tally = lab.client().visit(&strangers, 16)?;
    assert_eq!((tally.by(&server), tally.failed()), (0, 0), "{tally}");
    eventually(LIMIT, "the entry ages out", || {
        seconds_left(&director, client).is_ok_and(|left| left.is_none_or(|left| left == 0.0))
    })?;
    assert_eq!(answers(&lab, &target)?, other(&server));
    Ok(())
}

fn template_of_a_removed_server_is_replaced_even_if_it_comes_back(family: Family) -> Outcome {
    let (lab, director, _servers) = persistent("10m", false)?;
    let target = Target::ports(family.vip(), &[25, 80]).from([family.client(1)]);
    let server = answers(&lab, &target)?;
    let text = director.configuration()?;
    let other = other(&server);
    director.reload(&lab::without_server(&text, &server))?;
    assert_eq!(answers(&lab, &target)?, other);
    director.reload(&text)?;
    let tally = lab.client().visit(&target, 6)?;
    assert_eq!((tally.only_server(), tally.made()), (Some(other), 6), "{tally}");
    Ok(())
}

fn templates_of_two_services_are_separate(family: Family) -> Outcome {
    let other_service = "
          other:
            vips: [192.168.1.35, 'fd00:1::35']
            ports: { tcp: [443] }
            persistence: { timeout: 10m }
            servers: { exchange1: {}, exchange2: {} }";
    let text = service("persistence: { timeout: 10m }");
    let (lab, _director, _servers) =
        Lab::exchange()?.serve(&format!("{}{other_service}", text.trim_end()))?;
    let target = |port, number| Target::new(family.at(port)).from([family.client(number)]);
    // Services take turns of their own: the second client of one is the first of the other.
    let first = answers(&lab, &target(25, 1))?;
    assert_eq!(answers(&lab, &target(25, 2))?, other(&first));
    assert_eq!(answers(&lab, &target(443, 2))?, first);
    assert_eq!(answers(&lab, &target(25, 2))?, other(&first));
    Ok(())
}

fn wrr_never_selects_weight_0(family: Family) -> Outcome {
    let (lab, director, _servers) = serve("scheduler: wrr")?;
    let text = director.configuration()?;
    director.reload(&text.replace("exchange1: {}", "exchange1: { weight: 0 }"))?;
    let target = Target::ports(family.vip(), &[25, 80]).parallel(4);
    let tally = lab.client().visit(&target, 100)?;
    assert_eq!((tally.only_server(), tally.made()), (Some("exchange2"), 100), "{tally}");
    Ok(())
}

fn a_reused_client_port_is_rescheduled_after_time_wait(family: Family) -> Outcome {
    let (lab, director, _servers) = serve("")?;
    let target = Target::new(family.at(25)).from([family.client(1)]).port(4000);
    let server = answers(&lab, &target)?;
    let connections = director.host().run(&format!("conntrack -L -f {}", family.choose("ipv4", "ipv6")))?;
    assert!(connections.contains("TIME_WAIT"), "{connections}");
    director.cli(&["weight", "web", &server, "0"])?;
    let tally = lab.client().visit(&target, 1)?;
    assert_eq!(tally.only_server(), Some(other(&server)), "{tally}");
    assert!(tally.slowest_connect < Duration::from_millis(900), "no SYN is lost: {tally}");
    Ok(())
}

fn a_reused_client_port_is_rescheduled_after_the_clients_reset(family: Family) -> Outcome {
    let (lab, director, _servers) = serve("")?;
    let target = Target::new(family.at(25)).from([family.client(1)]).port(4000);
    let hold = lab.client().hold(&target, 1)?;
    let server = hold.so_far().only_server().ok_or("no server")?.to_owned();
    lab.client().host().run("ss -K sport = 4000")?;
    eventually(LIMIT, "the connection ends", || hold.so_far().failed() == 1)?;
    drop(hold);
    director.cli(&["weight", "web", &server, "0"])?;
    assert_eq!(answers(&lab, &target)?, other(&server));
    Ok(())
}

fn a_client_that_crashed_and_reuses_its_port_is_rescheduled(family: Family) -> Outcome {
    let (lab, director, _servers) = serve("")?;
    let target = Target::new(family.at(25)).from([family.client(1)]).port(4000);
    let hold = lab.client().hold(&target, 1)?;
    let server = hold.so_far().only_server().ok_or("no server")?.to_owned();
    let client = lab.client().host();
    client.run("nft add table inet crash")?;
    client.run("nft add chain inet crash output { type filter hook output priority 0 ; }")?;
    client.run("nft add rule inet crash output tcp sport 4000 drop")?;
    client.run("ss -K sport = 4000")?;
    eventually(LIMIT, "the client is gone", || hold.so_far().failed() == 1)?;
    drop(hold);
    client.run("nft delete table inet crash")?;
    director.cli(&["weight", "web", &server, "0"])?;
    // The SYN goes to the old server, whose answer the client resets; the next SYN is a new connection.
    let tally = lab.client().visit(&target, 1)?;
    assert_eq!(tally.only_server(), Some(other(&server)), "{tally}");
    Ok(())
}

lab::both_families!(
    template_is_refreshed_by_a_new_connection_not_by_a_packet,
    expire_quiescent_template_moves_the_next_connection_of_a_returning_client,
    expire_quiescent_template_spares_clients_that_did_not_call_meanwhile,
    expire_quiescent_template_off_lets_it_return_until_the_entry_ages_out,
    template_of_a_removed_server_is_replaced_even_if_it_comes_back,
    templates_of_two_services_are_separate,
    wrr_never_selects_weight_0,
    a_reused_client_port_is_rescheduled_after_time_wait,
    a_reused_client_port_is_rescheduled_after_the_clients_reset,
    a_client_that_crashed_and_reuses_its_port_is_rescheduled,
);
