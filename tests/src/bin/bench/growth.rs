//! From one service to ten thousand: loading them, changing one weight among them, holding them in memory.

use crate::Outcome;
use crate::daemon::{Daemon, name};
use lab::figures::{Samples, milliseconds, print_table};
use lab::{Host, Lab};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Services and VIPs of each case.
const SIZES: [(usize, usize); 5] = [(1, 1), (1_000, 10), (1_000, 1_000), (MANY, 10), (MANY, MANY)];

/// Services from which on a case is repeated less often.
const MANY: usize = 10_000;

/// Repetitions of a case, and of one with [`MANY`] services.
const ROUNDS: (usize, usize) = (5, 3);

/// Weight changes of each case by the API, in all rounds together.
const CALLS: usize = 210;

/// The same by the command.
const COMMANDS: usize = 30;

/// Time after a start in which the director still announces addresses, and the kernel tells of them.
const SETTLING: Duration = Duration::from_millis(1500);

/// The services whose weights are changed, in turn.
const CHANGED: usize = 5;

/// Services that a reload changes.
const RELOADED: usize = 1_000;

/// Reloads of each case in a round: to other weights and back, and without a change.
const RELOADS: usize = 4;

/// Where the VIPs are; the director's own address is the last.
const NETWORK: &str = "10.64.255.254/16";

/// A number of services with two servers each, spread over a number of VIPs.
struct Case {
    services: usize,
    vips: usize,
    start: Samples,
    first_run: Samples,
    call: Samples,
    command: Samples,
    reload: Samples,
    same: Samples,
    memory: Samples,
    peak: Samples,
}

/// Measures all cases in turns, and prints the medians.
pub(crate) fn measure(lab: &Lab) -> Outcome {
    let host = &lab.directors()[0];
    host.run(&format!("ip address add {NETWORK} dev eth0"))?;
    let mut cases = SIZES.map(|(services, vips)| Case::new(services, vips));
    for round in 0..ROUNDS.0 {
        for case in cases.iter_mut().filter(|case| round < case.rounds()) {
            case.run(host)?;
        }
    }
    host.run(&format!("ip address del {NETWORK} dev eth0"))?;

    let table = |columns: fn(&Case) -> Vec<String>| {
        let row = |case: &Case| {
            let mut row = vec![case.services.to_string(), case.vips.to_string()];
            row.extend(columns(case));
            row
        };
        cases.iter().map(row).collect::<Vec<_>>()
    };
    println!("\nLoading services with two servers each into an empty kernel");
    print_table(
        &["services", "VIPs", "process start to API ms", "of it first run ms", "memory MiB", "at most MiB"],
        &table(|case| {
            let times = [&case.start, &case.first_run].map(|times| milliseconds(times.median()));
            let memory = [&case.memory, &case.peak].map(|memory| format!("{:.1}", memory.median()));
            [times, memory].concat()
        }),
    );
    println!("\nOne weight change among them, until the kernel has it");
    print_table(
        &["services", "VIPs", "API call ms", "p99", "max", "`director weight` ms", "max"],
        &table(|case| {
            let (call, command) = (&case.call, &case.command);
            [call.median(), call.percentile(99), call.largest(), command.median(), command.largest()]
                .map(milliseconds)
                .to_vec()
        }),
    );
    println!("\nReloading the file, until the kernel has it");
    print_table(
        &["services", "VIPs", "up to 1,000 services changed ms", "longest", "nothing changed ms", "longest"],
        &table(|case| {
            let (reload, same) = (&case.reload, &case.same);
            [reload.median(), reload.largest(), same.median(), same.largest()].map(milliseconds).to_vec()
        }),
    );
    Ok(())
}

impl Case {
    fn new(services: usize, vips: usize) -> Self {
        let none = Samples::default;
        Self {
            services,
            vips,
            start: none(),
            first_run: none(),
            call: none(),
            command: none(),
            reload: none(),
            same: none(),
            memory: none(),
            peak: none(),
        }
    }

    fn rounds(&self) -> usize {
        if self.services < MANY { ROUNDS.0 } else { ROUNDS.1 }
    }

    /// Loads the services, changes weights, and leaves the kernel as it was.
    fn run(&mut self, host: &Host) -> Outcome {
        let (daemon, start) = Daemon::start(host, &self.configuration(1))?;
        self.start.add_time(start);
        let first_run = daemon.status()?["reconcile"]["last_seconds"].as_f64();
        self.first_run.add(first_run.ok_or("the status lacks the time of the first run")? * 1e3);
        sleep(SETTLING);
        for number in 0..CALLS / self.rounds() {
            let (service, weight) = self.change(number);
            let begin = Instant::now();
            daemon.call(service, weight)?;
            self.call.add_time(begin.elapsed());
        }
        for number in 0..COMMANDS / self.rounds() {
            let (service, weight) = self.change(number);
            let begin = Instant::now();
            daemon.command(service, weight)?;
            self.command.add_time(begin.elapsed());
        }
        for number in 0..RELOADS {
            let configuration = self.configuration(2 - number % 2);
            self.reload.add_time(daemon.reload(&configuration)?);
            self.same.add_time(daemon.reload(&configuration)?);
        }
        self.memory.add(daemon.memory("VmRSS")?);
        self.peak.add(daemon.memory("VmHWM")?);
        self.verify(host, &daemon)?;
        daemon.stop()
    }

    /// A service and a weight that it has not: all in turn get weight 0, then all get 1, and so on.
    fn change(&self, number: usize) -> (usize, u16) {
        let changed = self.services.min(CHANGED);
        (number % changed * (self.services / changed), u16::from(number / changed % 2 == 1))
    }

    /// Fails unless the kernel schedules by a weight that was set, either way.
    fn verify(&self, host: &Host, daemon: &Daemon) -> Outcome {
        let service = self.services / 2;
        for (set, way) in
            [(Daemon::call as fn(&Daemon, usize, u16) -> Outcome, "API"), (Daemon::command, "command")]
        {
            for (weight, servers) in [(0, 1), (1, 2)] {
                set(daemon, service, weight)?;
                let found = scheduled(host, service)?;
                if found.len() != servers {
                    let name = name(service);
                    return Err(format!("{name}, weight {weight} by {way}: the kernel has {found:?}").into());
                }
            }
        }
        Ok(())
    }

    /// The file; the first [`RELOADED`] services have a server of this weight.
    fn configuration(&self, weight: usize) -> String {
        let mut text = format!(
            "version: 1\n\
             nodes:\n  lb1:\n    \
             public: {{ interface: eth0, address: {NETWORK} }}\n    \
             private: {{ interface: eth1, address: 10.0.1.33/24 }}\n\
             gateway: 10.0.1.254\n\
             api: {{ socket: {} }}\n\
             servers: {{ exchange1: {{ address: 10.0.1.1 }}, exchange2: {{ address: 10.0.1.2 }} }}\n\
             services:\n",
            Daemon::socket().display()
        );
        for number in 0..self.services {
            let (vip, port) = (number % self.vips, 1024 + number / self.vips);
            let weight = if number < RELOADED { weight } else { 1 };
            let _ = writeln!(
                text,
                "  {}: {{ vip: 10.64.{}.{}, ports: {{ tcp: {port} }}, servers: {{ exchange1: {{}}, exchange2: {{ weight: {weight} }} }} }}",
                name(number),
                vip / 250,
                1 + vip % 250
            );
        }
        text
    }
}

/// The destinations in the slots that the kernel takes turns by.
fn scheduled(host: &Host, service: usize) -> Outcome<BTreeSet<String>> {
    let chain = host.run(&format!("nft list chain inet director svc-{}-4", name(service)))?;
    let number = |word: &str| {
        let mut words = chain.split_whitespace().skip_while(|other| *other != word);
        words.nth(1).and_then(|number| number.parse::<u32>().ok())
    };
    let (slots, first) = (number("mod").ok_or("the chain lacks numgen")?, number("offset").unwrap_or(0));
    let mut destinations = BTreeSet::new();
    for slot in first..first + slots {
        let answer = host.feed("nft -f -", &format!("get element inet director slots {{ {slot} }}"))?;
        let element = answer.split_once("elements = {").and_then(|(_, element)| element.split_once(" : "));
        let destination = element.and_then(|(_, destination)| destination.split_whitespace().next());
        destinations.insert(destination.ok_or("the slot is empty")?.to_owned());
    }
    Ok(destinations)
}
