//! `director connections` shows what is there, and `kill` ends exactly what is asked for.

use lab::farm::{VIP, VIP6};
use lab::{Director, Failure, Hold, Lab, Server, Target, eventually};
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

const SERVICES: &str = "
    services:
      mail:
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: 25 }
        expire_nodest_conn: false
        servers: { exchange1: {}, exchange2: {} }
      web:
        vips: [192.168.1.35, 'fd00:1::35']
        ports: { tcp: 443, udp: 443 }
        servers: { exchange1: { weight: 3 }, exchange2: { weight: 1 } }
    management:
      exchange1-admin: { vip: 192.168.1.36, server: exchange1, mark: 1 }
    ";

/// A farm on which every kind of connection stays open, and some are over:
///
/// | service | client | exchange1 | exchange2 |
/// |---|---|---|---|
/// | mail | 198.51.100.1 | 4 | 4 |
/// | mail | 203.0.113.1 | 2 over | 2 over |
/// | mail | 2001:db8:1::1 | 3 | 3 |
/// | web | 203.0.113.2 | 6 | 2 |
/// | management/exchange1-admin | 203.0.113.3 | 5 | |
struct Busy {
    lab: Lab,
    director: Director,
    _servers: Vec<Server>,
    mail: Hold,
    mail6: Hold,
    web: Hold,
    admin: Hold,
}

impl Busy {
    fn start() -> Result<Self, Box<dyn Error>> {
        let lab = Lab::exchange()?;
        let _servers = lab.start_servers()?;
        let director = lab.start_director("lb1", &lab.configuration(SERVICES))?;
        let hold = |vip: IpAddr, port, client: &str, count| -> Result<Hold, Box<dyn Error>> {
            let target = Target::new((vip, port).into()).from(lab::addresses(&[client])?);
            let hold = lab.client().hold(&target, count)?;
            assert_eq!(hold.so_far().failed(), 0);
            Ok(hold)
        };
        let mail = hold(VIP, 25, "198.51.100.1", 8)?;
        let mail6 = hold(VIP6, 25, "2001:db8:1::1", 6)?;
        let web = hold(VIP, 443, "203.0.113.2", 8)?;
        let admin = hold("192.168.1.36".parse()?, 2525, "203.0.113.3", 5)?;
        let over = Target::new((VIP, 25).into()).from(lab::addresses(&["203.0.113.1"])?);
        assert_eq!(lab.client().visit(&over, 4)?.made(), 4);
        let busy = Self { lab, director, _servers, mail, mail6, web, admin };
        eventually(LIMIT, "connections are over", || {
            busy.count("--client 203.0.113.1 --state time_wait").is_ok_and(|count| count == 4)
        })?;
        Ok(busy)
    }

    fn list(&self, filter: &str) -> Result<Vec<Value>, Box<dyn Error>> {
        let words: Vec<&str> =
            ["connections", "--output", "json"].into_iter().chain(filter.split_whitespace()).collect();
        Ok(serde_json::from_str(&self.director.cli(&words)?)?)
    }

    fn count(&self, filter: &str) -> Result<usize, Box<dyn Error>> {
        Ok(self.list(filter)?.len())
    }

    fn kill(&self, filter: &str) -> Result<u64, Box<dyn Error>> {
        let words: Vec<&str> = ["connections", "kill", "--output", "json"]
            .into_iter()
            .chain(filter.split_whitespace())
            .collect();
        let answer: Value = serde_json::from_str(&self.director.cli(&words)?)?;
        answer["ended"].as_u64().ok_or_else(|| answer.to_string().into())
    }

    /// Connections that clients have lost so far: mail, mail by IPv6, web, management.
    fn lost(&self) -> [u64; 4] {
        [&self.mail, &self.mail6, &self.web, &self.admin].map(|hold| hold.so_far().failed())
    }

    /// Fails unless clients lose just so many connections, each by a reset, and all others carry data.
    fn lose(&self, lost: [u64; 4]) -> Result<(), Box<dyn Error>> {
        eventually(LIMIT, &format!("{lost:?} connections are lost"), || self.lost() == lost)?;
        for (hold, lost) in [&self.mail, &self.mail6, &self.web, &self.admin].into_iter().zip(lost) {
            let tally = hold.so_far();
            if lost < tally.made() {
                hold.more(3 * (tally.made() - lost))?;
            }
            let resets = BTreeMap::from([(Failure::Reset, lost)]);
            assert_eq!(hold.so_far().failures, if lost > 0 { resets } else { BTreeMap::new() });
        }
        Ok(())
    }
}

#[test]
fn connections_are_found_by_what_they_are() {
    lab::test(|| {
        let busy = Busy::start()?;
        let client = busy.lab.client().udp("192.168.1.101".parse()?)?;
        let server = client.ask((VIP, 443).into()).map_err(|failure| format!("{failure:?}"))?.server;
        for (filter, count) in [
            ("", 32),
            ("--service mail", 18),
            ("--service mail --server exchange1", 9),
            ("--service web", 9),
            ("--service management/exchange1-admin", 5),
            ("--client 198.51.100.1", 8),
            ("--client 198.51.100.0/24", 8),
            ("--client 203.0.113.0/24", 17),
            ("--client 203.0.113.0/24 --server exchange2", 4),
            ("--client 2001:db8:1::/64", 6),
            ("--client 2001:db8:1::1", 6),
            ("--client ::/0", 6),
            ("--client 2001:db8:2::/64", 0),
            ("--state active", 27),
            ("--state established --service web", 8),
            ("--state inactive", 5),
            ("--state time_wait", 4),
            ("--state udp", 1),
            ("--state syn_sent", 0),
            ("--limit 7", 7),
            ("--service mail --server exchange2 --client 203.0.113.0/24 --state time_wait", 2),
        ] {
            assert_eq!(busy.count(filter)?, count, "{filter}");
            let words: Vec<&str> = ["connections"].into_iter().chain(filter.split_whitespace()).collect();
            let text = busy.director.cli(&words)?;
            assert_eq!(text.lines().count(), 1 + count, "{filter}\n{text}");
        }
        assert_eq!(busy.count("--server exchange1")? + busy.count("--server exchange2")?, 32);

        let udp = &busy.list("--state udp")?[0];
        assert!(udp["client"].as_str().is_some_and(|client| client.starts_with("192.168.1.101:")), "{udp}");
        let address = if server == "exchange1" { "10.0.1.1:443" } else { "10.0.1.2:443" };
        for (field, value) in
            [("protocol", "udp"), ("vip", "192.168.1.35:443"), ("destination", address), ("server", &server)]
        {
            assert_eq!(udp[field], value, "{udp}");
        }
        let six = &busy.list("--client ::/0 --server exchange2")?[0];
        assert_eq!((&six["vip"], &six["destination"]), (&"[fd00:1::35]:25".into(), &"[fd00:2::2]:25".into()));
        // The kernel's own tool sees the same.
        let row = &busy
            .list("--service mail --state active --server exchange1 --client 198.51.100.1 --limit 1")?[0];
        let port = row["client"].as_str().and_then(|client| client.split(':').nth(1)).unwrap_or_default();
        let entry =
            busy.director.host().run(&format!("conntrack -L -p tcp -s 198.51.100.1 --sport {port}"))?;
        assert!(
            entry.contains("ESTABLISHED") && entry.contains(&format!("mark={}", row["mark"])),
            "{row} {entry}"
        );
        assert!(row["expires_seconds"].as_u64() > Some(400_000), "{row}");
        Ok(())
    });
}

#[test]
fn unknown_names_are_told_with_those_that_are_close() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let director = lab.start_director("lb1", &lab.configuration(SERVICES))?;
        for (words, error) in [
            (
                &["connections", "--service", "mial"][..],
                "error: there is no service named \"mial\"\n  hint: did you mean \"mail\"?\n",
            ),
            (
                &["connections", "kill", "--server", "exhcange1"],
                "error: no service has a server named \"exhcange1\"\n  hint: did you mean \"exchange1\"?\n",
            ),
        ] {
            let output = director.try_cli(words)?;
            assert_eq!(output.status.code(), Some(1));
            assert_eq!(String::from_utf8_lossy(&output.stderr), error);
            assert!(output.stdout.is_empty());
        }
        assert_eq!(director.cli(&["connections", "--output", "json"])?, "[]\n");
        Ok(())
    });
}

/// A TCP client sees a reset when it next sends: the entry is gone, and the VIP is the director's own.
#[test]
fn exactly_the_chosen_connections_end() {
    lab::test(|| {
        let busy = Busy::start()?;
        assert_eq!(busy.kill("--client 203.0.113.9")?, 0);
        assert_eq!(busy.kill("--state active --service web --server exchange2")?, 2);
        busy.lose([0, 0, 2, 0])?;
        assert_eq!(busy.count("--service web")?, 6);
        assert_eq!(busy.kill("--state time_wait --server exchange1")?, 2);
        assert_eq!((busy.count("--state time_wait")?, busy.count("--state active")?), (2, 25));
        assert_eq!(busy.kill("--client 2001:db8:1::/64 --server exchange1")?, 3);
        busy.lose([0, 3, 2, 0])?;
        // By marks alone the kernel ends them in one go.
        assert_eq!(busy.kill("--service mail --server exchange2")?, 9);
        busy.lose([4, 6, 2, 0])?;
        assert_eq!(busy.kill("--service management/exchange1-admin")?, 5);
        busy.lose([4, 6, 2, 5])?;
        assert_eq!(busy.kill("--service mail")?, 4);
        busy.lose([8, 6, 2, 5])?;
        assert_eq!(busy.kill("--all")?, 6);
        busy.lose([8, 6, 8, 5])?;
        assert_eq!(busy.count("")?, 0);
        // Nobody is kept out by it.
        let tally = busy.lab.client().visit(&Target::ports(VIP, &[25, 443]), 8)?;
        assert_eq!((tally.made(), tally.failed()), (8, 0), "{tally}");
        Ok(())
    });
}

#[test]
fn a_udp_flow_that_was_ended_is_scheduled_anew() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let _servers = lab.start_servers()?;
        let text = lab.configuration(SERVICES).replace("weight: 3", "weight: 1");
        let director = lab.start_director("lb1", &text)?;
        for (vip, from) in [(VIP, "192.168.1.101"), (VIP6, "fd00:1::101")] {
            let (client, other) = (lab.client().udp(from.parse()?)?, lab.client().udp(from.parse()?)?);
            let ask = |client: &lab::UdpClient| {
                client
                    .ask((vip, 443).into())
                    .map(|greeting| greeting.server)
                    .map_err(|failure| format!("{failure:?}"))
            };
            // Two servers take turns, so whoever comes next meets the first one again.
            let (first, second) = (ask(&client)?, ask(&other)?);
            assert!(first != second && ask(&client)? == first && ask(&other)? == second);
            for (filter, ended) in
                [("--service=web", "1 connection ended\n"), ("--state=udp", "0 connections ended\n")]
            {
                let answer = director.cli(&["connections", "kill", "--server", &second, filter])?;
                assert_eq!(answer, ended, "{filter}");
            }
            assert_eq!(ask(&client)?, first, "another flow goes on");
            assert_eq!(ask(&other)?, first, "the ended one begins anew");
            director.cli(&["connections", "kill", "--all"])?;
        }
        Ok(())
    });
}

#[test]
fn connections_of_a_removed_server_are_still_found_by_its_name() {
    lab::test(|| {
        let busy = Busy::start()?;
        let without = busy.lab.configuration(SERVICES);
        let without =
            without.replace("servers: { exchange1: {}, exchange2: {} }", "servers: { exchange2: {} }");
        busy.director.reload(&without)?;
        assert_eq!(busy.count("--service mail --server exchange1")?, 9);
        assert_eq!(busy.kill("--service mail --server exchange1 --state active")?, 7);
        busy.lose([4, 3, 0, 0])?;
        assert_eq!(busy.count("--service mail --server exchange1")?, 2);
        Ok(())
    });
}
