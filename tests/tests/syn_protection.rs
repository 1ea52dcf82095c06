//! Clients prove themselves before a server hears of them, and otherwise notice nothing.

use lab::{Client, Director, Failure, Family, Host, Lab, Outcome, Result, Target, eventually};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// SMTP's server speaks first, HTTP's client does.
const PORTS: [u16; 3] = [25, 80, 443];

fn services(options: &str, servers: &str) -> String {
    format!(
        "
        probes:
          mail: {{ type: tcp, port: 25, interval: 100ms, timeout: 100ms, rise: 2, fall: 2 }}
        services:
          mail:
            mark: 0x50
            vips: [192.168.1.35, 'fd00:1::35']
            ports: {{ tcp: [25, '80-85', 443], udp: 443 }}
            syn_protection: true
            probe: mail
            {options}
            servers: {servers}
        outbound: {{ hairpin: true }}
        "
    )
}

const EVEN: &str = "{ exchange1: {}, exchange2: {} }";

/// A column of the SYN proxy's statistics.
fn proxied(host: &Host, column: &str) -> Result<u64> {
    let text = host.run("cat /proc/net/stat/synproxy")?;
    let place = text.lines().next().and_then(|line| line.split_whitespace().position(|name| name == column));
    let cell = |line: &str| u64::from_str_radix(line.split_whitespace().nth(place?)?, 16).ok();
    Ok(text.lines().skip(1).filter_map(cell).sum())
}

/// Connections to the VIP that the director's kernel knows, of any state.
fn tracked(director: &Director, family: Family) -> Result<usize> {
    let command = format!("conntrack -L -f {} -d {}", family.choose("ipv4", "ipv6"), family.vip());
    Ok(director.host().run(&command)?.lines().count())
}

fn becomes(director: &Director, server: &str, state: &str) -> Result<()> {
    eventually(LIMIT, &format!("{server} is {state}"), || {
        director.server("mail", server).is_ok_and(|server| server["state"] == state)
    })
}

fn clients_are_served_by_weight_and_each_connection_counts_once(family: Family) -> Outcome {
    let servers = "{ exchange1: { weight: 3 }, exchange2: {} }";
    let (lab, director, _servers) = Lab::exchange()?.serve(&services("", servers))?;
    let target = Target::ports(family.vip(), &PORTS).from([family.client(1), family.client(2)]);
    let hold = lab.client().hold(&target, 24)?;
    hold.more(100)?;
    let rows = director.cli(&["connections", "--service", "mail", "--state", "established"])?;
    assert_eq!(rows.matches("exchange1").count(), 18, "{rows}");
    assert!(rows.contains(&family.client(1).to_string()), "{rows}");
    let table = director.host().run("conntrack -L -m 0x80000000/0x80000000")?;
    assert_eq!(table.lines().count(), 24, "{table}");
    let held = hold.stop()?;
    assert_eq!([held.by("exchange1"), held.by("exchange2"), held.failed()], [18, 6, 0], "{held}");
    for (server, connections) in [("exchange1", 18), ("exchange2", 6)] {
        eventually(LIMIT, "the connections are counted, each once", || {
            director.server("mail", server).is_ok_and(|it| it["traffic"]["connections"] == connections)
        })?;
    }
    assert_eq!(proxied(director.host(), "cookie_valid")?, 24);
    // Recent servers take no notice of an ACK with a wrong time-stamp, and say their banner a second later.
    for server in lab.servers() {
        let counts = server.run("nstat -asz TcpExtTSEcrRejected")?;
        let rejected = counts.lines().find(|line| line.starts_with("TcpExt"));
        assert!(rejected.is_none_or(|line| line.split_whitespace().nth(1) == Some("0")), "{counts}");
    }
    Ok(())
}

fn clients_stay_with_their_server(family: Family) -> Outcome {
    let (lab, director, _servers) =
        Lab::exchange()?.serve(&services("persistence: { timeout: 10m }", EVEN))?;
    let mut seen = BTreeMap::new();
    for number in 1..=4 {
        let client = family.client(number);
        let tally = lab.client().visit(&Target::ports(family.vip(), &PORTS).from([client]), 6)?;
        let server = tally.only_server().ok_or_else(|| tally.to_string())?;
        assert_eq!(tally.failed(), 0);
        let udp = lab.client().udp(client)?.ask(family.at(443));
        assert_eq!(udp.map(|greeting| greeting.server).as_deref(), Ok(server), "one entry for all protocols");
        *seen.entry(server.to_owned()).or_insert(0) += 1;
    }
    assert_eq!(seen, BTreeMap::from([("exchange1".to_owned(), 2), ("exchange2".to_owned(), 2)]));
    director.cli(&["drain", "mail", "exchange1"])?;
    let target = Target::ports(family.vip(), &PORTS).from((1..=4).map(|number| family.client(number)));
    let tally = lab.client().visit(&target, 24)?;
    assert_eq!((tally.only_server(), tally.failed()), (Some("exchange2"), 0), "{tally}");
    Ok(())
}

fn connections_of_a_dead_server_are_reset_and_new_ones_go_elsewhere(family: Family) -> Outcome {
    let (lab, director, _servers) = Lab::exchange()?.serve(&services("", EVEN))?;
    let target = Target::ports(family.vip(), &PORTS);
    let hold = lab.client().hold(&target, 12)?;
    assert_eq!(hold.so_far().by("exchange1"), 6);
    lab.servers()[0].unplug("eth0")?;
    becomes(&director, "exchange1", "down")?;
    let tally = lab.client().visit(&target, 12)?;
    assert_eq!((tally.by("exchange2"), tally.failed()), (12, 0), "{tally}");
    eventually(LIMIT, "its connections are reset", || hold.so_far().failed() >= 6)?;
    lab.servers()[1].unplug("eth0")?;
    becomes(&director, "exchange2", "down")?;
    assert_eq!(lab.client().call(&target)?, Err(Failure::Refused), "at once: nobody is left");
    for server in lab.servers() {
        server.plug("eth0")?;
        becomes(&director, server.name(), "up")?;
    }
    assert_eq!(lab.client().visit(&target, 12)?.made(), 12);
    Ok(())
}

const SOURCES: u16 = 250;
const SYNS: u16 = 80;

/// Sends SYNs from many addresses, and takes no notice of what comes back.
fn flood(host: &Host, family: Family) -> Result<()> {
    let sources = family.choose("ip daddr 198.51.100.0/24", "ip6 daddr 2001:db8:1::/64");
    let chain = format!("type filter hook prerouting priority -300; {sources} drop;");
    host.feed("nft -f -", &format!("table inet deaf {{ chain in {{ {chain} }}; }}"))?;
    let domain = family.choose(AddressFamily::Inet, AddressFamily::Inet6);
    let sent = host.enter(|| {
        for (source, number) in (0..SOURCES).flat_map(|source| (0..SYNS).map(move |it| (source, it))) {
            let socket = socket(domain, SockType::Stream, SockFlag::SOCK_NONBLOCK, None)?;
            let source = SocketAddr::new(family.client(source), 20_000 + number);
            bind(socket.as_raw_fd(), &SockaddrStorage::from(source))?;
            let vip = SockaddrStorage::from(family.at(PORTS[usize::from(number) % PORTS.len()]));
            match connect(socket.as_raw_fd(), &vip) {
                Err(Errno::EINPROGRESS) => {}
                other => return other.and(Err(Errno::EISCONN)),
            }
        }
        Ok(())
    })?;
    sent.map_err(|error| lab::Error::System {
        doing: "sending SYNs".to_owned(),
        source: nix::Error::into(error),
    })
}

fn a_flood_leaves_no_trace_and_clients_are_served_meanwhile(family: Family) -> Outcome {
    let (lab, director, _servers) = Lab::exchange()?.serve(&services("", EVEN))?;
    let sources = family.choose("ip saddr 198.51.100.0/24", "ip6 saddr 2001:db8:1::/64");
    for server in lab.servers() {
        let chain = format!("type filter hook prerouting priority 0; {sources} counter;");
        server.feed("nft -f -", &format!("table inet witness {{ chain in {{ {chain} }}; }}"))?;
    }
    let target = Target::ports(family.vip(), &PORTS).from([family.client(300)]);
    let load = lab.client().load(&target)?;
    flood(lab.client().host(), family)?;
    load.more(30)?;
    let tally = load.stop()?;
    assert_eq!((tally.failed(), tally.servers.len()), (0, 2), "{tally}");
    let answered = proxied(director.host(), "syn_received")?;
    assert_eq!(answered, u64::from(SOURCES) * u64::from(SYNS) + tally.made());
    assert_eq!(tracked(&director, family)?, usize::try_from(tally.made())?);
    for server in lab.servers() {
        let seen = server.run("nft list table inet witness")?;
        assert!(seen.contains("counter packets 0 "), "something of the flood reached it: {seen}");
    }
    Ok(())
}

fn a_real_server_calls_the_vip_without_proof(family: Family) -> Outcome {
    let (lab, director, _servers) = Lab::exchange()?.serve(&services("", EVEN))?;
    let tally = Client::new(lab.servers()[0].clone()).visit(&Target::new(family.at(25)), 6)?;
    assert_eq!([tally.by("exchange1"), tally.by("exchange2"), tally.failed()], [3, 3, 0], "{tally}");
    assert_eq!(proxied(director.host(), "syn_received")?, 0);
    Ok(())
}

fn closed_and_undeclared_ports_refuse_at_once(family: Family) -> Outcome {
    let (lab, director, _servers) = Lab::exchange()?.serve(&services("", EVEN))?;
    director.cli(&["port", "disable", "mail", "tcp/80"])?;
    for port in [80, 465] {
        assert_eq!(lab.client().call(&Target::new(family.at(port)))?, Err(Failure::Refused), "{port}");
    }
    director.cli(&["port", "enable", "mail", "tcp/80"])?;
    assert_eq!(lab.client().visit(&Target::ports(family.vip(), &PORTS), 6)?.made(), 6);
    Ok(())
}

fn protection_comes_and_goes_with_reloads_and_connections_stay(family: Family) -> Outcome {
    let (lab, director, _servers) = Lab::exchange()?.serve(&services("", EVEN))?;
    let with = director.configuration()?;
    let without = with.replace("syn_protection: true", "syn_protection: false");
    let target = Target::ports(family.vip(), &PORTS);
    let mut held = vec![lab.client().hold(&target, 6)?];
    for text in [&without, &with] {
        director.reload(text)?;
        held.push(lab.client().hold(&target, 6)?);
    }
    for hold in held {
        hold.more(30)?;
        let held = hold.stop()?;
        assert_eq!(held.failed(), 0, "{held}");
    }
    assert_eq!(proxied(director.host(), "cookie_valid")?, 12);
    Ok(())
}

lab::both_families!(
    a_real_server_calls_the_vip_without_proof,
    protection_comes_and_goes_with_reloads_and_connections_stay,
    clients_are_served_by_weight_and_each_connection_counts_once,
    clients_stay_with_their_server,
    closed_and_undeclared_ports_refuse_at_once,
    connections_of_a_dead_server_are_reset_and_new_ones_go_elsewhere,
    a_flood_leaves_no_trace_and_clients_are_served_meanwhile,
);
