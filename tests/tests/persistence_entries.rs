//! Persistence entries between packets: held, listed, deleted, pinned, evicted, and kept over reloads.

use lab::{Director, Family, Lab, Server, Target, eventually};
use serde_json::{Value, json};
use std::error::Error;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

lab::both_families!(
    an_entry_lives_as_long_as_a_connection_and_then_its_timeout,
    entries_are_listed_deleted_and_pinned,
    a_pinned_client_goes_elsewhere_only_while_its_server_is_out,
    a_full_table_evicts_and_counts,
    entries_come_back_after_somebody_flushed_the_ruleset,
    a_reload_keeps_what_can_be_kept,
    persistence_is_switched_off_and_on,
);

/// A farm whose service has these options; `kernel` are settings.
fn configuration(options: &str, kernel: &str) -> String {
    format!(
        "
        services:
          exchange:
            mark: 80
            vips: [192.168.1.35, 'fd00:1::35']
            ports: {{ tcp: [25, 80] }}
            {options}
            servers: {{ exchange1: {{}}, exchange2: {{}} }}
        kernel: {{ {kernel} }}
        "
    )
}

fn farm(options: &str, kernel: &str) -> lab::Result<(Lab, Director, Vec<Server>)> {
    Lab::exchange()?.serve(&configuration(options, kernel))
}

fn listed(director: &Director, arguments: &[&str]) -> Result<Vec<Value>> {
    let text = director.cli(&[&["--output", "json", "persistence"], arguments].concat())?;
    Ok(serde_json::from_str(&text)?)
}

/// The only entry there is.
fn entry(director: &Director) -> Option<Value> {
    let mut entries = listed(director, &[]).ok()?;
    if entries.len() == 1 { entries.pop() } else { None }
}

/// The one server that answers this client.
fn home(lab: &Lab, family: Family, client: IpAddr) -> Result<String> {
    let tally = lab.client().visit(&Target::new(family.at(25)).from([client]), 3)?;
    Ok(tally.only_server().ok_or(format!("{client}: {tally}"))?.to_owned())
}

fn other(server: &str) -> &'static str {
    if server == "exchange1" { "exchange2" } else { "exchange1" }
}

/// Puts entries of other clients into the table, as packets would; `count` of them with one second more than the last.
fn fill(director: &Director, family: Family, count: u32) -> Result<()> {
    let mut text = String::new();
    for number in 0..count {
        let [_, _, high, low] = number.to_be_bytes();
        let client = family.choose(format!("10.9.{high}.{low}"), format!("2001:db8:9::{high:x}:{low:x}"));
        let _ = writeln!(
            text,
            "add element inet director persist{} {{ {client} . 80 timeout {}s : 0x80000001 }}",
            family.choose(4, 6),
            1000 + number
        );
    }
    director.host().feed("nft -f -", &text)?;
    Ok(())
}

fn table(director: &Director, family: Family) -> Option<(u64, u64)> {
    let status = director.status().ok()?;
    let tables = status["persistence"].as_array()?.clone();
    let table = tables.into_iter().find(|it| it["family"] == family.choose("ipv4", "ipv6"))?;
    Some((table["entries"].as_u64()?, table["limit"].as_u64()?))
}

fn an_entry_lives_as_long_as_a_connection_and_then_its_timeout(family: Family) -> lab::Outcome {
    let (lab, director, _servers) = farm("persistence: { timeout: 4s }", "")?;
    let client = family.client(7);
    let hold = lab.client().hold(&Target::new(family.at(25)).from([client]), 1)?;
    let server = hold.so_far().only_server().ok_or("one server")?.to_owned();
    let (started, mut missing) = (Instant::now(), 0);
    eventually(PATIENCE, "two lives of an entry pass", || {
        missing += u32::from(entry(&director).is_none_or(|it| it["server"] != *server));
        started.elapsed() > Duration::from_secs(9)
    })?;
    assert_eq!(missing, 0, "the connection holds the entry\n{}", director.log());
    assert_eq!(home(&lab, family, client)?, server);
    assert_eq!(hold.stop()?.failed(), 0);
    eventually(PATIENCE, "the entry ages out", || listed(&director, &[]).is_ok_and(|it| it.is_empty()))?;
    Ok(())
}

fn entries_are_listed_deleted_and_pinned(family: Family) -> lab::Outcome {
    let (lab, director, _servers) =
        farm("persistence: { timeout: 10m, granularity: 24, granularity6: 64 }", "")?;
    let (client, network) =
        family.choose((family.client(7), "198.51.100.0/24"), (family.client(7), "2001:db8:1::/64"));
    let server = home(&lab, family, client)?;
    let found = entry(&director).ok_or("one entry")?;
    assert_eq!(
        (&found["client"], &found["server"], &found["pinned_to"]),
        (&json!(network), &json!(server), &Value::Null)
    );
    assert!(found["expires_seconds"].as_u64().is_some_and(|left| (500..=600).contains(&left)), "{found}");
    assert_eq!(
        listed(&director, &["exchange", "--server", &server, "--client", &client.to_string()])?.len(),
        1
    );
    assert_eq!(listed(&director, &["--server", other(&server)])?.len(), 0);
    let text = director.cli(&["persistence"])?;
    assert!(text.contains(&format!("exchange/{server}")) && text.contains(network), "{text}");

    // Deleted, though a connection lives: it does not come back by itself.
    let hold = lab.client().hold(&Target::new(family.at(80)).from([client]), 1)?;
    director.cli(&["persistence", "delete", "exchange", network])?;
    eventually(PATIENCE, "a round passes", || {
        table(&director, family).is_some_and(|(entries, _)| entries == 0)
    })?;
    assert_eq!(listed(&director, &[])?.len(), 0);
    hold.stop()?;
    let refused = director.try_cli(&["persistence", "delete", "exchange", &client.to_string()])?;
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("no entry"),
        "{refused:?}"
    );

    // Pinned to the other server, by the API.
    let api = lab::Api::new(director.socket());
    let path = format!("/v1/persistence/exchange/{client}");
    let wanted = other(&server);
    api.demand("PUT", &format!("{path}/pin"), &json!({ "server": wanted }).to_string())?;
    assert_eq!(home(&lab, family, client)?, wanted);
    let found = entry(&director).ok_or("one entry")?;
    assert_eq!(
        (&found["server"], &found["pinned_to"], &found["expires_seconds"]),
        (&json!(wanted), &json!(wanted), &Value::Null)
    );
    assert_eq!(api.ask("DELETE", &path, "")?.status, 409, "a pinned entry is not deleted");
    director.cli(&["persistence", "unpin", "exchange", network])?;
    assert_eq!(home(&lab, family, client)?, wanted, "an entry as others");
    assert!(entry(&director).is_some_and(|it| it["expires_seconds"].is_u64() && it["pinned_to"].is_null()));
    api.demand("DELETE", &path, "")?;
    assert_eq!(listed(&director, &[])?.len(), 0);

    for (arguments, words) in [
        (&["pin", "exchang", network, "exchange1"][..], "did you mean \"exchange\""),
        (&["pin", "exchange", network, "exchange3"], "did you mean \"exchange"),
        (&["pin", "exchange", "10.0.0.0/8", "exchange1"], "networks of 24 bits, as 10.0.0.0/24"),
        (&["unpin", "exchange", network], "not pinned"),
    ] {
        let refused = director.try_cli(&[&["persistence"], arguments].concat())?;
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && error.contains(words), "{arguments:?}: {error}");
    }
    Ok(())
}

fn a_pinned_client_goes_elsewhere_only_while_its_server_is_out(family: Family) -> lab::Outcome {
    let (lab, mut director, _servers) = farm("persistence: { timeout: 10m }", "")?;
    let client = family.client(7);
    let at = client.to_string();
    director.cli(&["persistence", "pin", "exchange", &at, "exchange2"])?;
    for _ in 0..2 {
        assert_eq!(home(&lab, family, client)?, "exchange2");
        director.cli(&["drain", "exchange", "exchange2"])?;
        assert_eq!(home(&lab, family, client)?, "exchange1");
        let found = entry(&director).ok_or("one entry")?;
        assert_eq!((&found["server"], &found["pinned_to"]), (&json!("exchange1"), &json!("exchange2")));
        director.cli(&["enable", "exchange", "exchange2"])?;
        assert_eq!(home(&lab, family, client)?, "exchange2", "back at once");
        // The pin outlives the daemon, and what happens meanwhile.
        director.kill()?;
        director.host().run(&format!("nft flush map inet director persist{}", family.choose(4, 6)))?;
        director.start()?;
        eventually(PATIENCE, "the pin is back", || {
            entry(&director).is_some_and(|it| it["server"] == "exchange2")
        })?;
    }
    director.cli(&["reload"])?;
    assert_eq!(home(&lab, family, client)?, "exchange2");
    Ok(())
}

fn a_full_table_evicts_and_counts(family: Family) -> lab::Outcome {
    let (lab, director, _servers) = farm("persistence: { timeout: 1h }", "persistence_entries: 1024")?;
    // The figures of before: the next round is far away.
    eventually(PATIENCE, "entries are counted", || table(&director, family) == Some((0, 1024)))?;
    let held = family.client(1);
    let hold = lab.client().hold(&Target::new(family.at(25)).from([held]), 1)?;
    let server = hold.so_far().only_server().ok_or("one server")?.to_owned();
    fill(&director, family, 1023)?;
    assert!(home_of_many(&lab, family)?, "clients without an entry are served");
    let refused = |director: &Director| -> Option<u64> {
        let status = director.status().ok()?;
        status["services"][0]["entries"][family.choose("refused_v4", "refused_v6")].as_u64()
    };
    eventually(PATIENCE, "they are counted", || refused(&director).is_some_and(|count| count >= 1))?;
    eventually(PATIENCE, "there is room again", || {
        table(&director, family).is_some_and(|(entries, _)| (800..=922).contains(&entries))
    })?;
    let status = director.status()?;
    assert!(status["services"][0]["entries"]["evicted"].as_u64().is_some_and(|it| it >= 100), "{status}");
    assert!(director.log().contains("persistence table is nearly full"), "{}", director.log());
    assert!(director.log().contains("no room for persistence entries"), "{}", director.log());
    // Those that end first went; who is connected stays.
    assert_eq!(home(&lab, family, held)?, server);
    let left: Vec<u64> = listed(&director, &["--client", family.choose("10.9.0.0/16", "2001:db8:9::/64")])?
        .iter()
        .filter_map(|it| it["expires_seconds"].as_u64())
        .collect();
    assert!(left.iter().all(|left| *left > 1050), "{:?}", left.iter().min());
    hold.stop()?;
    Ok(())
}

/// New clients in a row: true if nobody failed.
fn home_of_many(lab: &Lab, family: Family) -> Result<bool> {
    let clients = (100..110).map(|number| family.client(number));
    Ok(lab.client().visit(&Target::new(family.at(25)).from(clients), 10)?.failed() == 0)
}

fn entries_come_back_after_somebody_flushed_the_ruleset(family: Family) -> lab::Outcome {
    let (lab, director, _servers) = farm("persistence: { timeout: 10m }", "")?;
    let (client, pinned) = (family.client(7), family.client(8));
    let hold = lab.client().hold(&Target::new(family.at(25)).from([client]), 1)?;
    let server = hold.so_far().only_server().ok_or("one server")?.to_owned();
    director.cli(&["persistence", "pin", "exchange", &pinned.to_string(), "exchange1"])?;
    director.host().run("nft flush ruleset")?;
    let there = |name: &str, client: IpAddr| {
        listed(&director, &["--client", &client.to_string()])
            .is_ok_and(|it| it.len() == 1 && it[0]["server"] == *name)
    };
    eventually(PATIENCE, "the entry is made from the connection", || there(&server, client))?;
    assert!(there("exchange1", pinned), "pins come with the ruleset");
    assert_eq!(home(&lab, family, client)?, server);
    hold.stop()?;
    Ok(())
}

fn a_reload_keeps_what_can_be_kept(family: Family) -> lab::Outcome {
    let (lab, director, _servers) = farm("persistence: { timeout: 10m }", "")?;
    let reload =
        |options: &str, kernel: &str| director.reload(&lab.configuration(&configuration(options, kernel)));
    let (one, neighbour) = (family.client(7), family.client(9));
    let server = home(&lab, family, one)?;
    let left = || entry(&director).and_then(|it| it["expires_seconds"].as_u64());

    // A shorter life, a longer one.
    reload("persistence: { timeout: 2m }", "")?;
    eventually(PATIENCE, "the entry is shortened", || left().is_some_and(|left| left <= 120))?;
    reload("persistence: { timeout: 20m }", "")?;
    assert_eq!(home(&lab, family, one)?, server);
    assert!(left().is_some_and(|left| left > 1000), "the next connection renews it");

    // A coarser granularity: the network has the client's entry from the first packet on.
    reload("persistence: { timeout: 20m, granularity: 24, granularity6: 64 }", "")?;
    let near = family.choose(neighbour, "2001:db8:1::99".parse()?);
    assert_eq!(home(&lab, family, near)?, server);
    eventually(PATIENCE, "the old entry goes", || {
        entry(&director).is_some_and(|it| it["server"] == *server)
    })?;

    // A table of another size.
    for limit in [2048, 1024] {
        reload(
            "persistence: { timeout: 20m, granularity: 24, granularity6: 64 }",
            &format!("persistence_entries: {limit}"),
        )?;
        assert_eq!(entry(&director).ok_or("one entry")?["server"], *server, "{limit}");
        assert!(left().is_some_and(|left| left < 1200));
    }

    // Another mark.
    let text = lab.configuration(&configuration(
        "persistence: { timeout: 20m, granularity: 24, granularity6: 64 }",
        "persistence_entries: 1024",
    ));
    director.reload(&text.replace("mark: 80", "mark: 81"))?;
    assert_eq!(home(&lab, family, one)?, server);
    director.reload(&text)?;
    assert_eq!(home(&lab, family, one)?, server);

    // A finer one: who is connected keeps an entry.
    let hold = lab.client().hold(&Target::new(family.at(25)).from([one]), 1)?;
    reload("persistence: { timeout: 20m }", "persistence_entries: 1024")?;
    eventually(PATIENCE, "the client has an entry of its own", || {
        listed(&director, &["--client", &one.to_string()])
            .is_ok_and(|it| it.len() == 1 && it[0]["server"] == *server)
    })?;
    hold.stop()?;

    // Without its server the entry goes.
    let text =
        lab.configuration(&configuration("persistence: { timeout: 20m }", "persistence_entries: 1024"));
    director.reload(&lab::without_server(&text, &server))?;
    eventually(PATIENCE, "entries of the server go", || {
        listed(&director, &[]).is_ok_and(|it| it.is_empty())
    })?;
    assert_eq!(home(&lab, family, one)?, other(&server));
    Ok(())
}

fn persistence_is_switched_off_and_on(family: Family) -> lab::Outcome {
    let (lab, director, _servers) = farm("persistence: { timeout: 10m }", "")?;
    let client = family.client(7);
    let hold = lab.client().hold(&Target::new(family.at(25)).from([client]), 1)?;
    let server = hold.so_far().only_server().ok_or("one server")?.to_owned();
    director.reload(&lab.configuration(&configuration("", "")))?;
    assert!(listed(&director, &[])?.is_empty());
    let refused = director.try_cli(&["persistence", "pin", "exchange", &client.to_string(), "exchange1"])?;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not persistent"), "{refused:?}");
    director.reload(&lab.configuration(&configuration("persistence: { timeout: 10m }", "")))?;
    eventually(PATIENCE, "the connection makes an entry", || {
        entry(&director).is_some_and(|it| it["server"] == *server)
    })?;
    hold.stop()?;
    Ok(())
}
