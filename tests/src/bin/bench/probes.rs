//! What probes cost beside HAProxy's checks of the same servers, and whether one that is silent delays the others.
//!
//! The real servers are addresses of one host. Whoever probes runs alone, in turns, with the director's ruleset in
//! the kernel all the time: both make their connections through it.

use crate::proxy::{self, Proxy};
use crate::{Outcome, processor};
use lab::farm::without_server;
use lab::figures::{Samples, print_table};
use lab::raw::{Raw, flags};
use lab::{Director, Host, Lab, Server, eventually};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often each server is probed: as often as the director allows.
const INTERVAL: Duration = Duration::from_millis(100);

/// What is probed.
const TCP: Case = Case { name: "TCP", servers: 200, port: 25, kind: "type: tcp", check: "" };
const HTTP: Case = Case {
    name: "HTTP",
    servers: 50,
    port: 80,
    kind: "type: http, path: /, host: www.surveyor.lab",
    check: "  option httpchk\n  http-check send meth GET uri / ver HTTP/1.1 hdr Host www.surveyor.lab\n",
};

struct Case {
    name: &'static str,
    servers: u8,
    port: u16,
    /// Of the director's probe.
    kind: &'static str,
    /// HAProxy's lines for the same.
    check: &'static str,
}

/// How often each takes its turn, how long that is, and before it the time until everything is warm.
const ROUNDS: usize = 5;
const WARM: Duration = Duration::from_millis(1000);
const SLOT: Duration = Duration::from_millis(2500);

/// How long gaps between probes are looked for, while a server is silent.
const WATCHED: Duration = Duration::from_secs(10);

/// HAProxy does not start without anything to listen on.
const OWN: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 2600);

/// For all servers to be probed, or seen to be down.
const PATIENCE: Duration = Duration::from_secs(10);

/// Compares, and prints what came of it.
pub(crate) fn measure(lab: &Lab) -> Outcome {
    let (host, servers) = (&lab.directors()[0], &lab.servers()[0]);
    let _server = Server::start(servers)?;
    for number in 0..TCP.servers {
        servers.run(&format!("ip address add {}/24 dev eth0", address(number)))?;
    }
    println!("\nProbes, one every {INTERVAL:?} of each server: microseconds of CPU time for each");
    let mut rows = Vec::new();
    let mut is_there = true;
    for case in [TCP, HTTP] {
        let figures = compare(lab, host, &case)?;
        is_there &= figures.proxy.median() > 0.0;
        rows.push(case.row(&figures));
    }
    print_table(
        &["", "a second", "probes' thread", "director", "HAProxy", "thread / HAProxy", "director / HAProxy"],
        &rows,
    );
    if !is_there {
        println!("{}", proxy::MISSING);
    }
    watch(lab, host)
}

/// Lets the director and HAProxy take turns.
fn compare(lab: &Lab, host: &Host, case: &Case) -> Outcome<Figures> {
    let mut figures = Figures::default();
    for round in 0..ROUNDS {
        // The first to go is another in each round; the director's ruleset has to be there before.
        if round % 2 == 1 {
            figures.by_proxy(host, case)?;
        }
        figures.by_director(lab, case)?;
        if round % 2 == 0 {
            figures.by_proxy(host, case)?;
        }
    }
    let mut director = case.start(lab)?;
    director.stop()?;
    director.flush()?;
    Ok(figures)
}

/// Microseconds of CPU time for each probe.
#[derive(Default)]
struct Figures {
    rate: Samples,
    thread: Samples,
    director: Samples,
    proxy: Samples,
}

impl Figures {
    fn by_director(&mut self, lab: &Lab, case: &Case) -> Outcome {
        let mut director = case.start(lab)?;
        case.wait_for(&director, case.servers)?;
        let process = director.pid().ok_or("the director has ended")?;
        let used = || Ok([processor::of_thread(process, "probes")?, processor::of_process(process)?]);
        let (rate, [thread, whole]) = turn(director.host(), used)?;
        director.stop()?;
        self.rate.add(rate);
        self.thread.add(thread);
        self.director.add(whole);
        Ok(())
    }

    fn by_proxy(&mut self, host: &Host, case: &Case) -> Outcome {
        let Some(proxy) = case.proxy(host)? else { return Ok(()) };
        let (_, [whole]) = turn(host, || Ok([processor::of_process(proxy.pid())?]))?;
        self.proxy.add(whole);
        Ok(())
    }
}

/// Probes a second, and the microseconds of the times that `used` reads for each.
fn turn<const N: usize>(host: &Host, used: impl Fn() -> Outcome<[Duration; N]>) -> Outcome<(f64, [f64; N])> {
    sleep(WARM);
    let (begin, opened, before) = (Instant::now(), opened(host)?, used()?);
    sleep(SLOT);
    let (after, probes) = (used()?, self::opened(host)? - opened);
    let mut each = [0.0; N];
    for (each, (after, before)) in each.iter_mut().zip(after.iter().zip(before)) {
        *each = (*after - before).as_secs_f64() * 1e6 / probes;
    }
    Ok((probes / begin.elapsed().as_secs_f64(), each))
}

/// TCP connections that were begun on a host so far.
fn opened(host: &Host) -> Outcome<f64> {
    let figures = host.run("cat /proc/net/snmp")?;
    let mut lines = figures.lines().filter(|line| line.starts_with("Tcp:")).map(str::split_whitespace);
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return Err("no TCP".into()) };
    let found = names.zip(values).find(|(name, _)| *name == "ActiveOpens");
    Ok(found.ok_or("no ActiveOpens")?.1.parse()?)
}

impl Case {
    fn start(&self, lab: &Lab) -> Outcome<Director> {
        let names = || (0..self.servers).map(|number| format!("server{number}"));
        let servers: String = names()
            .zip(0..)
            .map(|(name, number)| format!("  {name}: {{ address: {} }}\n", address(number)))
            .collect();
        let listed: Vec<String> = names().map(|name| format!("{name}: {{}}")).collect();
        let text = lab.configuration(&format!(
            "{servers}probes:\n  alive: {{ {}, interval: {INTERVAL:?} }}\nservices:\n  probed: {{ vip: 192.168.1.35, \
             ports: {{ tcp: {} }}, probe: alive, servers: {{ {} }} }}\n",
            self.kind,
            self.port,
            listed.join(", ")
        ));
        let unused = lab.servers().iter().map(Host::name);
        let text = unused.fold(text, |text, name| without_server(&text, name));
        Ok(lab.start_director(lab.directors()[0].name(), &text)?)
    }

    /// Waits until so many servers have passed.
    fn wait_for(&self, director: &Director, count: u8) -> Outcome {
        let passed = || {
            let status = director.status().unwrap_or_default();
            let servers = status["services"][0]["servers"].as_array().into_iter().flatten();
            let passed = |server: &&serde_json::Value| server["probes"][0]["reason"] == "passed";
            servers.filter(passed).count() == usize::from(count)
        };
        Ok(eventually(PATIENCE, "servers pass", passed)?)
    }

    fn proxy(&self, host: &Host) -> Outcome<Option<Proxy>> {
        let (milliseconds, (own, port)) = (INTERVAL.as_millis(), OWN);
        let mut text = format!(
            "defaults\n  mode tcp\n  timeout connect {milliseconds}ms\n  timeout client 10s\n  timeout server 10s\n\
             listen probed\n  bind {own}:{port}\n{}",
            self.check
        );
        for number in 0..self.servers {
            let (address, port) = (address(number), self.port);
            text += &format!("  server server{number} {address}:{port} check inter {milliseconds}ms\n");
        }
        Proxy::start(host, &text, OWN.into())
    }

    fn row(&self, figures: &Figures) -> Vec<String> {
        let Figures { rate, thread, director, proxy } = figures;
        let each = |samples: &Samples| format!("{:.1}", samples.median());
        let beside = |samples: &Samples| match proxy.median() {
            0.0 => String::new(),
            proxy => format!("{:.2}", samples.median() / proxy),
        };
        let mut row = vec![self.name.to_owned(), format!("{:.0}", rate.median())];
        row.extend([each(thread), each(director), each(proxy), beside(thread), beside(director)]);
        row
    }
}

/// A server of its own, for all that the director knows.
fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, 40 + number)
}

/// Makes a server silent, and prints the longest times between two probes of any other.
fn watch(lab: &Lab, host: &Host) -> Outcome {
    let servers = &lab.servers()[0];
    let silent = address(TCP.servers - 1);
    servers.run("nft add table ip silent")?;
    servers.run("nft add chain ip silent input { type filter hook input priority 0 ; }")?;
    servers.run(&format!("nft add rule ip silent input ip daddr {silent} drop"))?;

    let mut director = TCP.start(lab)?;
    TCP.wait_for(&director, TCP.servers - 1)?;
    let mut rows = vec![gaps("director", servers, silent)?];
    director.stop()?;
    if let Some(_proxy) = TCP.proxy(host)? {
        sleep(WARM);
        rows.push(gaps("HAProxy", servers, silent)?);
    }
    director.flush()?;
    servers.run("nft delete table ip silent")?;

    println!(
        "\nTime between two probes of a server, one every {INTERVAL:?} of each, while one of {} is silent: milliseconds",
        TCP.servers
    );
    print_table(&["", "of the 199 others: median", "99.9% within", "longest"], &rows);
    Ok(())
}

fn gaps(name: &str, servers: &Host, silent: Ipv4Addr) -> Outcome<Vec<String>> {
    let socket = Raw::tcp(servers, IpAddr::from(Ipv4Addr::UNSPECIFIED))?;
    let (mut last, mut gaps) = (BTreeMap::new(), Vec::new());
    let begin = Instant::now();
    while begin.elapsed() < WATCHED {
        let (to, segment) = socket.segment_to()?;
        if segment.flags & (flags::SYN | flags::ACK) != flags::SYN || to == silent {
            continue;
        }
        let now = Instant::now();
        if let Some(before) = last.insert(to, now) {
            gaps.push(now - before);
        }
    }
    gaps.sort();
    let of_thousand = |part: usize| gaps.get((gaps.len() * part / 1000).min(gaps.len().saturating_sub(1)));
    let milliseconds =
        |gap: Option<&Duration>| format!("{:.1}", gap.map_or(0.0, Duration::as_secs_f64) * 1e3);
    let mut row = vec![name.to_owned()];
    row.extend([500, 999, 1000].map(|part| milliseconds(of_thousand(part))));
    Ok(row)
}
