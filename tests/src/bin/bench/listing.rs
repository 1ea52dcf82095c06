//! Listing a full table of connections, and what the director can still do meanwhile.

use crate::Outcome;
use crate::daemon::{Daemon, name};
use lab::figures::{Samples, milliseconds, print_table};
use lab::{Host, Lab};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

/// Connections in the table.
const CONNECTIONS: usize = 100_000;

/// Source addresses that they come from.
const SOURCES: [u8; 16] = [101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116];

/// Repetitions.
const ROUNDS: usize = 5;

/// The director reads the table itself every 5 s.
const COUNTED: Duration = Duration::from_secs(11);

const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 35);

const PORT: u16 = 53;

/// Figures of one way to list.
#[derive(Default)]
struct Figures {
    time: Samples,
    /// Peak memory of the command in MiB.
    memory: Samples,
}

/// Fills the table, and prints how long it takes to list it and to end it.
pub(crate) fn measure(lab: &Lab) -> Outcome {
    let host = &lab.directors()[0];
    let (daemon, _) = Daemon::start(host, &configuration())?;
    host.set("net.netfilter.nf_conntrack_udp_timeout", "600")?;
    // They get what comes and leave it there.
    let bind = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT));
    let _sinks = lab.servers().iter().map(|server| Ok(server.enter(bind)??)).collect::<Outcome<Vec<_>>>()?;
    fill(lab.client().host())?;

    // The director counts them twice meanwhile, which takes memory.
    let (processor, begin) = (daemon.processor()?, Instant::now());
    thread::sleep(COUNTED);
    let counting = (daemon.processor()? - processor).as_secs_f64() / begin.elapsed().as_secs_f64();
    let mut otherwise = Samples::default();
    let begin = Instant::now();
    while begin.elapsed() < COUNTED {
        otherwise.add_time(change(&daemon)?);
    }
    let (mut status, mut watched) = (Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        let asked = thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let begin = Instant::now();
                daemon.status().map(|_| begin.elapsed()).map_err(|error| error.to_string())
            });
            while !asking.is_finished() {
                watched.add_time(change(&daemon)?);
            }
            Outcome::Ok(asking.join().map_err(|_| "asking panicked")??)
        });
        status.add_time(asked?);
    }
    let before = daemon.memory("VmHWM")?;
    let mut api = Samples::default();
    let mut commands = [Figures::default(), Figures::default()];
    let mut meanwhile = Samples::default();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let found = daemon.connections()?;
        api.add_time(begin.elapsed());
        check(found)?;
        for (figures, output) in commands.iter_mut().zip(["text", "json"]) {
            let begin = Instant::now();
            let (lines, memory) = daemon.list(output)?;
            figures.time.add_time(begin.elapsed());
            figures.memory.add(memory);
            check(lines - if output == "text" { 1 } else { 2 })?;
        }
        let listing = thread::scope(|scope| {
            let listing = scope.spawn(|| daemon.connections().map_err(|error| error.to_string()));
            while !listing.is_finished() {
                meanwhile.add_time(change(&daemon)?);
            }
            Outcome::Ok(listing.join().map_err(|_| "listing panicked")??)
        });
        check(listing?)?;
    }
    let after = daemon.memory("VmHWM")?;
    let begin = Instant::now();
    let ended = daemon.end_connections()?;
    let end = begin.elapsed();
    check(ended)?;
    daemon.stop()?;

    println!("\nListing {CONNECTIONS} connections, and ending them");
    let row = |name: &str, time: &Samples, memory: String| {
        let times = [time.median(), time.percentile(99), time.largest()].map(milliseconds);
        [vec![name.to_owned()], times.to_vec(), vec![memory]].concat()
    };
    let command =
        |name: &str, figures: &Figures| row(name, &figures.time, format!("{:.1}", figures.memory.largest()));
    let mut once = Samples::default();
    once.add_time(end);
    print_table(
        &["", "ms", "p99", "max", "memory at most MiB"],
        &[
            row("API", &api, format!("{after:.1} (before {before:.1})")),
            command("`director connections`", &commands[0]),
            command("the same, --output json", &commands[1]),
            row("a weight change meanwhile", &meanwhile, String::new()),
            row("the status, counted anew", &status, String::new()),
            row("a weight change meanwhile", &watched, String::new()),
            row("a weight change otherwise", &otherwise, String::new()),
            row("ending all, API", &once, String::new()),
        ],
    );
    println!("Counting them takes {:.1}% of a core.", 100.0 * counting);
    Ok(())
}

/// Time of a change by the API that changes nothing: what the control loop takes to answer.
fn change(daemon: &Daemon) -> Outcome<Duration> {
    let begin = Instant::now();
    daemon.call(0, 1)?;
    Ok(begin.elapsed())
}

fn check(found: usize) -> Outcome {
    // One may be there twice if the table grows.
    if found.abs_diff(CONNECTIONS) <= CONNECTIONS / 1000 {
        return Ok(());
    }
    Err(format!(
        "{found} connections instead of {CONNECTIONS}: is net.netfilter.nf_conntrack_max large enough?"
    )
    .into())
}

/// A datagram from each of as many source addresses and ports.
fn fill(client: &Host) -> Outcome {
    let first = 2_000;
    let ports = u16::try_from(CONNECTIONS / SOURCES.len())?;
    client.enter(|| -> std::io::Result<()> {
        for source in SOURCES {
            for port in first..first + ports {
                let from = SocketAddr::new(IpAddr::from([192, 168, 1, source]), port);
                UdpSocket::bind(from)?.send_to(b"x", (VIP, PORT))?;
            }
        }
        Ok(())
    })??;
    Ok(())
}

fn configuration() -> String {
    format!(
        "version: 1\n\
         nodes:\n  lb1:\n    \
         public: {{ interface: eth0, address: 192.168.1.33/24 }}\n    \
         private: {{ interface: eth1, address: 10.0.1.33/24 }}\n\
         gateway: 10.0.1.254\n\
         api: {{ socket: {} }}\n\
         servers: {{ exchange1: {{ address: 10.0.1.1 }}, exchange2: {{ address: 10.0.1.2 }} }}\n\
         services:\n  {}: {{ vip: {VIP}, ports: {{ udp: {PORT} }}, servers: {{ exchange1: {{}}, exchange2: {{}} }} }}\n",
        Daemon::socket().display(),
        name(0)
    )
}
