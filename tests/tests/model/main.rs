//! Random sequences of what happens to a farm, on the real kernel, against a simple model of LVS: the seeds are
//! fixed, and after each step everything is compared.

mod reference;

use lab::farm::{VIP, VIP6};
use lab::{Director, Hold, Host, Lab, Server, Target, eventually};
use reference::{Allowed, Options, Reference};
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

const NAMES: [&str; 3] = ["web1", "web2", "web3"];
const STEPS: usize = 40;
const CLIENTS: u16 = 6;
/// Connections that are open at a time.
const MOST: usize = 12;
const LIMIT: Duration = Duration::from_secs(20);

type Outcome = Result<(), Box<dyn Error>>;

#[test]
fn a_plain_service_does_as_lvs() {
    let options = Options {
        persistent: false,
        quiescent: true,
        expire_quiescent_template: true,
        expire_nodest_conn: true,
    };
    lab::test(|| run(1, options));
}

#[test]
fn a_plain_service_that_leaves_connections_of_dead_servers_does_as_lvs() {
    let options = Options {
        persistent: false,
        quiescent: false,
        expire_quiescent_template: true,
        expire_nodest_conn: false,
    };
    lab::test(|| run(2, options));
}

#[test]
fn a_persistent_service_does_as_lvs() {
    let options = Options {
        persistent: true,
        quiescent: true,
        expire_quiescent_template: true,
        expire_nodest_conn: true,
    };
    lab::test(|| run(3, options));
}

#[test]
fn a_persistent_service_whose_clients_return_to_quiescent_servers_does_as_lvs() {
    let options = Options {
        persistent: true,
        quiescent: true,
        expire_quiescent_template: false,
        expire_nodest_conn: false,
    };
    lab::test(|| run(4, options));
}

#[test]
fn a_persistent_service_that_removes_failed_servers_does_as_lvs() {
    let options = Options {
        persistent: true,
        quiescent: false,
        expire_quiescent_template: false,
        expire_nodest_conn: true,
    };
    lab::test(|| run(5, options));
}

fn run(seed: u64, options: Options) -> Outcome {
    let mut farm = Farm::new(options)?;
    let mut dice = Dice(seed);
    for number in 0..STEPS {
        let step = farm.choose(&mut dice);
        farm.history.push(format!("{number}: {step:?}"));
        let outcome = farm.take(step).and_then(|()| farm.compare());
        outcome.map_err(|error| format!("seed {seed}: {error}\n{}", farm.history.join("\n")))?;
    }
    Ok(())
}

/// SplitMix64: the same steps for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit.max(1) as u64).unwrap_or(0)
    }
}

/// What may happen.
#[derive(Debug, Clone, Copy)]
enum Step {
    Open(IpAddr),
    Close(usize),
    /// Clients that were never seen, two turns through the weights.
    Burst,
    Fail(usize),
    Recover(usize),
    Weight(usize, u16),
    Reset(usize),
    Drain(usize),
    Enable(usize),
    /// The weights in the file move on by one server.
    Reload,
    Restart,
    Kill,
    Wait(Duration),
}

/// A connection that is open.
struct Connection {
    client: IpAddr,
    server: usize,
    hold: Hold,
}

struct Farm {
    lab: Lab,
    director: Director,
    probed: Vec<Option<Server>>,
    _servers: Vec<Server>,
    reference: Reference,
    connections: Vec<Connection>,
    /// Clients of bursts so far.
    strangers: u32,
    /// Connections so far by server, as the director counts them.
    totals: Vec<u64>,
    history: Vec<String>,
}

impl Farm {
    fn new(options: Options) -> Result<Self, Box<dyn Error>> {
        let lab = Lab::new(&NAMES)?;
        let on =
            |ports: &'static [u16]| lab.servers().iter().map(move |host| Server::start_on(host, ports, &[]));
        let probed: Vec<Option<Server>> =
            on(&[3389]).map(|server| server.map(Some)).collect::<Result<_, _>>()?;
        let servers = on(&[443]).collect::<Result<_, _>>()?;
        let weights = [3, 2, 1];
        let director = lab.start_director("lb1", &configuration(&lab, options, &weights))?;
        let reference = Reference::new(options, &weights);
        let (connections, history) = (Vec::new(), Vec::new());
        let totals = vec![0; NAMES.len()];
        Ok(Self {
            lab,
            director,
            probed,
            _servers: servers,
            reference,
            connections,
            strangers: 0,
            totals,
            history,
        })
    }

    fn choose(&self, dice: &mut Dice) -> Step {
        let server = dice.below(NAMES.len());
        let machine = self.reference.machines[server];
        match dice.below(20) {
            0..6 if self.connections.len() < MOST => Step::Open(client(dice.below(CLIENTS.into()))),
            6..8 if !self.connections.is_empty() => Step::Close(dice.below(self.connections.len())),
            8..10 => Step::Burst,
            10..12 if machine.up => Step::Fail(server),
            10..12 => Step::Recover(server),
            12..14 => Step::Weight(server, [0, 1, 2, 5][dice.below(4)]),
            14 => Step::Reset(server),
            15 if machine.drained => Step::Enable(server),
            15 => Step::Drain(server),
            16 => Step::Reload,
            17 => Step::Restart,
            18 => Step::Kill,
            _ => Step::Wait([1, 3, 6].map(Duration::from_secs)[dice.below(3)]),
        }
    }

    fn take(&mut self, step: Step) -> Outcome {
        match step {
            Step::Open(client) => return self.open(client),
            Step::Close(number) => {
                let connection = self.connections.swap_remove(number);
                let tally = connection.hold.stop()?;
                if tally.failed() > 0 {
                    return Err(format!("it did not close well: {tally}").into());
                }
                self.reference.closed(connection.client, connection.server, Instant::now());
            }
            Step::Burst => return self.burst(),
            Step::Fail(server) => {
                drop(self.probed[server].take());
                self.reference.machines[server].up = false;
            }
            Step::Recover(server) => {
                self.probed[server] = Some(Server::start_on(&self.host(server), &[3389], &[])?);
                self.reference.machines[server].up = true;
            }
            Step::Weight(server, weight) => {
                self.director.cli(&["weight", "web", NAMES[server], &weight.to_string()])?;
                self.reference.machines[server].set = Some(weight);
            }
            Step::Reset(server) => {
                self.director.cli(&["reset", "web", NAMES[server]])?;
                let machine = &mut self.reference.machines[server];
                (machine.set, machine.drained) = (None, false);
            }
            Step::Drain(server) => {
                self.director.cli(&["drain", "web", NAMES[server]])?;
                self.reference.machines[server].drained = true;
            }
            Step::Enable(server) => {
                self.director.cli(&["enable", "web", NAMES[server]])?;
                self.reference.machines[server].drained = false;
            }
            Step::Reload => {
                let mut weights: Vec<u16> = self.reference.machines.iter().map(|it| it.configured).collect();
                weights.rotate_left(1);
                self.director.reload(&configuration(&self.lab, self.reference.options, &weights))?;
                for (machine, weight) in self.reference.machines.iter_mut().zip(weights) {
                    machine.configured = weight;
                }
            }
            Step::Restart => {
                self.director.stop()?;
                self.director.start()?;
            }
            Step::Kill => {
                self.director.kill()?;
                self.director.start()?;
            }
            Step::Wait(time) => std::thread::sleep(time),
        }
        self.settle()
    }

    /// The director shows what the model says, and connections that must have ended have.
    fn settle(&mut self) -> Outcome {
        eventually(LIMIT, "the status says what the model says", || self.shows_the_model())?;
        let (mut kept, mut ended) = (Vec::new(), Vec::new());
        for connection in self.connections.drain(..) {
            let keeps = self.reference.keeps_connections(connection.server);
            if keeps { kept.push(connection) } else { ended.push(connection) }
        }
        self.connections = kept;
        for Connection { client, server, hold } in ended {
            eventually(LIMIT, "a connection of a dead server ends", || hold.so_far().failed() > 0)?;
            self.reference.closed(client, server, Instant::now());
        }
        Ok(())
    }

    fn shows_the_model(&self) -> bool {
        self.reference.machines.iter().zip(NAMES).all(|(machine, name)| {
            let weight = if machine.serves() { machine.weight() } else { 0 };
            self.director.server("web", name).is_ok_and(|shown| {
                shown["state"] == machine.state()
                    && shown["weight"] == weight
                    && shown["configured_weight"] == machine.configured
            })
        })
    }

    fn open(&mut self, client: IpAddr) -> Outcome {
        let allowed = self.reference.allowed(client, Instant::now());
        let vip = if client.is_ipv4() { VIP } else { VIP6 };
        let hold = self.lab.client().hold(&Target::new(SocketAddr::new(vip, 443)).from([client]), 1)?;
        let tally = hold.so_far();
        let server = NAMES.iter().position(|name| tally.by(name) > 0);
        let fits = match (&allowed, server) {
            (Allowed::Servers(servers), Some(server)) => servers.contains(&server),
            (Allowed::ServerOrRefusal(only), Some(server)) => *only == server,
            (Allowed::Refusal | Allowed::ServerOrRefusal(_), None) => tally.to_string().contains("Refused 1"),
            (Allowed::Servers(_), None) | (Allowed::Refusal, Some(_)) => false,
        };
        if !fits {
            return Err(format!("allowed was {allowed:?}, and this came of it: {tally}").into());
        }
        if let Some(server) = server {
            self.history.push(format!("    goes to {}", NAMES[server]));
            self.reference.opened(client, server, Instant::now());
            self.connections.push(Connection { client, server, hold });
        }
        Ok(())
    }

    /// New clients are shared out exactly by weight.
    fn burst(&mut self) -> Outcome {
        let weights: Vec<u64> = self
            .reference
            .machines
            .iter()
            .map(|it| if it.serves() { it.weight().into() } else { 0 })
            .collect();
        let turn: u64 = weights.iter().sum::<u64>() / weights.iter().copied().fold(0, gcd).max(1);
        let count = usize::try_from(turn.max(1) * 2)?;
        let clients: Vec<IpAddr> = (0..count)
            .map(|_| {
                self.strangers += 1;
                IpAddr::V6(Ipv6Addr::from(0x2001_0db8_0002_u128 << 80 | u128::from(self.strangers)))
            })
            .collect();
        let target = Target::new(SocketAddr::new(VIP6, 443)).from(clients);
        let tally = self.lab.client().visit(&target, count)?;
        let total = weights.iter().sum::<u64>().max(1);
        let expected: Vec<u64> = weights.iter().map(|weight| weight * count as u64 / total).collect();
        let got: Vec<u64> = NAMES.iter().map(|name| tally.by(name)).collect();
        if got != expected {
            return Err(
                format!("shares of {weights:?} are {expected:?}, and this came of it: {tally}").into()
            );
        }
        Ok(())
    }

    /// What holds after each step.
    fn compare(&mut self) -> Outcome {
        for Connection { client, server, hold } in &self.connections {
            hold.more(1)
                .map_err(|error| format!("{client} on {}: {error}; {}", NAMES[*server], hold.so_far()))?;
            if hold.so_far().failed() > 0 {
                return Err(format!("{client} on {} lost its connection", NAMES[*server]).into());
            }
        }
        for (number, name) in NAMES.iter().enumerate() {
            let total = self.count(name, "connections")?;
            if total < self.totals[number] {
                return Err(format!("{name} had {} connections, now {total}", self.totals[number]).into());
            }
            self.totals[number] = total;
        }
        eventually(LIMIT, "the open connections are counted", || {
            NAMES.iter().enumerate().all(|(number, name)| {
                let open = self.connections.iter().filter(|it| it.server == number).count() as u64;
                self.count(name, "active").is_ok_and(|active| active == open)
                    && self.count(name, "connections").is_ok_and(|total| total >= open)
            })
        })?;
        Ok(())
    }

    fn count(&self, server: &str, what: &str) -> Result<u64, Box<dyn Error>> {
        let count = self.director.server("web", server)?["traffic"][what].as_u64();
        Ok(count.ok_or_else(|| format!("{server} shows no {what}"))?)
    }

    fn host(&self, server: usize) -> Host {
        self.lab.host(NAMES[server])
    }
}

fn configuration(lab: &Lab, options: Options, weights: &[u16]) -> String {
    let Options { persistent, quiescent, expire_quiescent_template, expire_nodest_conn } = options;
    let persistence = match persistent {
        true => format!("persistence: {{ timeout: {}s }}", reference::TIMEOUT.as_secs()),
        false => String::new(),
    };
    let servers: Vec<String> =
        NAMES.iter().zip(weights).map(|(name, weight)| format!("{name}: {{ weight: {weight} }}")).collect();
    lab.configuration(&format!(
        "
        probes:
          alive: {{ type: tcp, port: 3389, interval: 200ms, timeout: 200ms, rise: 1, fall: 1 }}
        services:
          web:
            vips: [192.168.1.35, 'fd00:1::35']
            ports: {{ tcp: 443 }}
            {persistence}
            quiescent: {quiescent}
            expire_quiescent_template: {expire_quiescent_template}
            expire_nodest_conn: {expire_nodest_conn}
            probe: alive
            servers: {{ {} }}
        ",
        servers.join(", ")
    ))
}

/// Half of the clients of either family.
fn client(number: usize) -> IpAddr {
    let number = u16::try_from(number + 1).unwrap_or(1);
    if number % 2 == 0 {
        Ipv4Addr::new(198, 51, 100, number.to_be_bytes()[1]).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, number).into()
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
