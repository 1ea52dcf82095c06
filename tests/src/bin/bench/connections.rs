//! New connections a second through the director, beside the least that can be written by hand, and routing.

use crate::Outcome;
use crate::hammer::{Count, Sink, hammer};
use lab::figures::{Samples, print_table};

use lab::farm::without_server;
use lab::{Director, Host, Lab, baseline};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::Duration;

const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 35);

const PORT: u16 = 25;

const SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 1, 1), Ipv4Addr::new(10, 0, 1, 2)];

/// How long a turn is, and before it the time until everything is warm.
const SLOT: Duration = Duration::from_millis(700);
const WARM: Duration = Duration::from_millis(150);

/// A way from the clients to the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Routing,
    ByHand,
    /// With an option of the service, and services beside it that nobody calls.
    Director {
        accounting: bool,
        option: &'static str,
        beside: &'static str,
    },
}

/// What all are compared with. It is there twice: the difference is the run's error.
const BY_HAND: [(&str, Way); 2] = [("nft by hand", Way::ByHand), ("nft by hand, once more", Way::ByHand)];

/// What the kernel does in any case, and what accounting and persistence add.
const WAYS: [(&str, Way); 5] = [
    ("plain routing", Way::Routing),
    ("director, accounting off", director(false, "")),
    ("director", director(true, "")),
    ("director, persistence, accounting off", director(false, PERSISTENCE)),
    ("director, persistence", director(true, PERSISTENCE)),
];

const fn director(accounting: bool, option: &'static str) -> Way {
    Way::Director { accounting, option, beside: "" }
}

const PERSISTENCE: &str = "persistence: { timeout: 10m }";

/// Every way to choose a server, with accounting off.
const SCHEDULERS: [(&str, Way); 10] = [
    scheduler("wrr", "scheduler: wrr"),
    scheduler("random", "scheduler: random"),
    scheduler("sh", "scheduler: sh"),
    scheduler("mh", "scheduler: mh"),
    scheduler("dh", "scheduler: dh"),
    scheduler("fo", "scheduler: fo"),
    scheduler("wlc", "scheduler: wlc"),
    ("wrr beside wlc", Way::Director { accounting: false, option: "", beside: COUNTING }),
    scheduler("wrr, persistence", PERSISTENCE),
    scheduler("wrr, rate limit not reached", "rate_limit: { connections: 1000000 }"),
];

/// A service whose connections are counted.
const COUNTING: &str = "other: { vip: 192.168.1.35, ports: { tcp: 26 }, scheduler: wlc, servers: { exchange1: {}, exchange2: {} } }";

const fn scheduler(name: &'static str, option: &'static str) -> (&'static str, Way) {
    (name, director(false, option))
}

/// What was measured of a way.
#[derive(Default)]
struct Figures {
    /// Connections a second.
    rate: Samples,
    /// Microseconds of CPU time a connection, on the clients' side.
    cpu: Samples,
    /// Beside the base in the same round.
    rate_ratio: Samples,
    cpu_ratio: Samples,
}

impl Figures {
    fn add(&mut self, count: &Count, base: &Count) {
        self.rate.add(count.rate());
        self.cpu.add(count.cpu_each());
        self.rate_ratio.add(count.rate() / base.rate());
        self.cpu_ratio.add(count.cpu_each() / base.cpu_each());
    }
}

/// Lets ways take turns, and prints what they carried.
pub(crate) fn measure(lab: &Lab) -> Outcome {
    let host = &lab.directors()[0];
    lab.client().host().run("ip route add 10.0.1.0/24 via 192.168.1.33")?;
    let _sinks = lab.servers().iter().map(|server| Sink::start(server, PORT)).collect::<Outcome<Vec<_>>>()?;
    let sources: Vec<_> = (101..=116).map(|host| SocketAddrV4::new([192, 168, 1, host].into(), 0)).collect();

    println!("\nNew connections, from 16 clients to one service with two servers");
    compare(lab, host, &sources, &WAYS)?;
    println!("\nNew connections by scheduler, accounting off");
    compare(lab, host, &sources, &SCHEDULERS)
}

/// Each way has a turn in each round, and is the first in as many rounds as any other.
fn compare(lab: &Lab, host: &Host, sources: &[SocketAddrV4], ways: &[(&str, Way)]) -> Outcome {
    let ways = [&BY_HAND, ways].concat();
    let mut figures: Vec<Figures> = ways.iter().map(|_| Figures::default()).collect();
    let mut failed = 0;
    for round in 0..2 * ways.len() {
        let mut counts: Vec<Count> = ways.iter().map(|_| Count::default()).collect();
        for turn in round..round + ways.len() {
            let turn = turn % ways.len();
            counts[turn] = ways[turn].1.carry(lab, host, sources)?;
        }
        for (figures, count) in figures.iter_mut().zip(&counts) {
            figures.add(count, &counts[0]);
            failed += count.failed;
        }
    }
    let row = |((name, _), figures): (&(&str, Way), &Figures)| {
        let mut row = vec![(*name).to_owned(), format!("{:.0}", figures.rate.median())];
        row.extend(beside(&figures.rate_ratio));
        row.push(format!("{:.2}", figures.cpu.median()));
        row.extend(beside(&figures.cpu_ratio));
        row
    };
    print_table(
        &["", "connections/s", "ratio", "middle half", "CPU us each", "ratio", "middle half"],
        &ways.iter().zip(&figures).map(row).collect::<Vec<_>>(),
    );
    if failed > 0 {
        println!("  {failed} connections failed or lost a packet: read these figures with suspicion");
    }
    Ok(())
}

/// The median, and the quartiles.
fn beside(ratio: &Samples) -> [String; 2] {
    let (low, high) = (ratio.percentile(25), ratio.percentile(75));
    [format!("{:.3}", ratio.median()), format!("{low:.3} - {high:.3}")]
}

impl Way {
    /// Sets it up, lets it carry connections for a [`SLOT`], and removes it.
    fn carry(self, lab: &Lab, host: &Host, sources: &[SocketAddrV4]) -> Outcome<Count> {
        let director = self.set_up(lab, host)?;
        let targets = match self {
            Self::Routing => SERVERS.map(|server| SocketAddrV4::new(server, PORT)).to_vec(),
            Self::ByHand | Self::Director { .. } => vec![SocketAddrV4::new(VIP, PORT)],
        };
        host.run("conntrack -F")?;
        let count = hammer(lab.client().host(), sources, &targets, WARM, SLOT)?;
        if let Some(mut director) = director {
            director.stop()?;
            director.flush()?;
        }
        baseline::remove(host, VIP.into())?;
        Ok(count)
    }

    fn set_up(self, lab: &Lab, host: &Host) -> Outcome<Option<Director>> {
        match self {
            Self::Routing => baseline::route(host)?,
            Self::ByHand => {
                // The director leaves it as it was told.
                host.set("net.netfilter.nf_conntrack_acct", "0")?;
                baseline::balance_by_hand(host, VIP.into(), &[PORT], &SERVERS.map(IpAddr::from))?;
            }
            Self::Director { accounting, option, beside } => {
                let configuration = lab.configuration(&format!(
                    "
                    services:
                      smtp:
                        vip: {VIP}
                        ports: {{ tcp: {PORT} }}
                        {option}
                        servers: {{ exchange1: {{}}, exchange2: {{}} }}
                      {beside}
                    kernel: {{ accounting: {accounting} }}
                    "
                ));
                // Two of the lab's servers are for others to use.
                let names = lab.servers().iter().skip(SERVERS.len()).map(Host::name);
                let configuration =
                    names.fold(configuration, |configuration, name| without_server(&configuration, name));
                return Ok(Some(lab.start_director(host.name(), &configuration)?));
            }
        }
        Ok(None)
    }
}
