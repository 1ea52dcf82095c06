//! `make demo`: the Exchange farm at work, told in plain lines. Exits with 0 only if every step held.
#![expect(clippy::print_stdout, reason = "it tells a story")]

mod failover;

use lab::farm::{EXCHANGE_PORTS, VIP};
use lab::server::{RDP_PORT, TCP_PORTS, UDP_PORTS};
use lab::{Director, Hold, Lab, Load, Server, Tally, Target, eventually, sandbox};
use std::error::Error;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The example that administrators start from.
const CONFIGURATION: &str = include_str!("../../../../deploy/examples/exchange.yaml");

/// Connections that stay open during a step, with data moving.
const TRANSFERS: usize = 40;

/// How long the load is watched in each phase of a step.
const PHASE: Duration = Duration::from_millis(1500);
/// How long lb1's director is dead: started again it listens for 1.4 s, and lb2 takes over 2.6 s after the death at the
/// earliest, for the last advert may be a second old by then.
const DEATH: Duration = Duration::from_millis(500);

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    sandbox::main(|| {
        let begin = Instant::now();
        let mut story = Story::begin()?;
        story.step("Balance: a hundred clients call all seven ports", Story::balance)?;
        story.step("Stickiness: one client, ports 25, 80 and 443", Story::stick)?;
        story.step("Patching exchange1: weight 0, and back to 1, while transfers run", Story::patch)?;
        story.step("exchange1 dies, and is repaired", Story::die)?;
        story.step("exchange1 hangs: its ports open, and nobody is at home", Story::hang)?;
        story.step(
            "A new configuration under load: exchange1 gets three times exchange2's share",
            Story::reload,
        )?;
        story.step("kill -9 of lb1's director under load, and its restart", Story::crash)?;
        story.step("A planned failover under load: lb1 is restarted, and back", Story::update)?;
        story.step("The power of lb1 fails under load, and is back", Story::power_off)?;
        story.end(begin.elapsed())
    })
}

/// The farm, and what came of it so far.
struct Story {
    lab: Lab,
    servers: Vec<Server>,
    /// Active when a step begins, and when it ends.
    director: Director,
    /// The Backup, lb2.
    backup: Director,
    configuration: String,
    /// Clients that have not called yet.
    clients: Box<dyn Iterator<Item = IpAddr>>,
    steps: usize,
    held: bool,
    made: u64,
}

impl Story {
    fn begin() -> Result<Self, Box<dyn Error>> {
        println!("The Exchange farm in network namespaces:");
        println!("  clients -- 192.168.1.0/24 -- [ lb1 | lb2 ] -- 10.0.1.0/24 -- exchange1, exchange2");
        println!("            VIP 192.168.1.35          gateway 10.0.1.254");
        println!(
            "Configuration: deploy/examples/exchange.yaml, with probes every 500 ms so that you need not wait."
        );
        let configuration = changed(CONFIGURATION, "interval: 2s", "interval: 500ms")?;
        let configuration = changed(&configuration, "timeout: 1s", "timeout: 500ms")?;
        let configuration = changed(&configuration, "/etc/director/vrrp.key", &key_file()?)?;
        let lab = Lab::exchange()?;
        let servers = lab.start_servers()?;
        let director = lab.start_director("lb1", &configuration)?;
        let backup = lab.start_director("lb2", &configuration)?;
        director.turns("active")?;
        backup.turns("backup")?;
        failover::show_pair(&director)?;
        let clients =
            (1..=254).flat_map(|host| [[198, 51, 100, host], [203, 0, 113, host]]).map(IpAddr::from);
        Ok(Self {
            lab,
            servers,
            director,
            backup,
            configuration,
            clients: Box::new(clients),
            steps: 0,
            held: true,
            made: 0,
        })
    }

    /// Tells one step; a step that fails is told and ends the story badly, but does not end it.
    fn step(&mut self, title: &str, step: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        self.steps += 1;
        println!("\n{}. {title}", self.steps);
        let begin = Instant::now();
        match step(self) {
            Ok(()) => println!("   held ({:.1} s)", begin.elapsed().as_secs_f64()),
            Err(error) => {
                self.held = false;
                println!("   DID NOT HOLD: {error}");
            }
        }
        Ok(())
    }

    fn end(self, time: Duration) -> Outcome {
        println!("\n{} connections and {:.0} s later:", self.made, time.as_secs_f64());
        println!("{}", self.director.cli(&["status"])?);
        if std::env::var("KEEP").is_ok_and(|keep| !matches!(keep.as_str(), "" | "0")) {
            self.stay();
        }
        if self.held {
            println!("Every step held.");
            return Ok(());
        }
        Err("Not every step held.".into())
    }

    /// Leaves the farm to people until they press Ctrl-C.
    fn stay(&self) {
        let enter = sandbox::how_to_enter().unwrap_or_else(|| "nsenter ...".to_owned());
        println!("The farm stays until you press Ctrl-C. To enter it, from another terminal:");
        println!("  {enter}");
        println!("and there, for example:");
        println!("  ip netns exec client curl http://{VIP}/");
        println!("  ip netns exec lb1 nft list table inet director");
        println!("  {}", self.director.command_line("status"));
        println!("  {}", self.director.command_line("weight exchange exchange1 0"));
        loop {
            sleep(Duration::from_secs(3600));
        }
    }

    fn balance(&mut self) -> Outcome {
        let target = self.new_clients(100);
        let tally = self.lab.client().visit(&target, 700)?;
        self.tell("700 connections", &tally);
        expect(tally.failed() == 0, "no connection fails")?;
        expect(tally.by("exchange1") == 350 && tally.by("exchange2") == 350, "each server gets half")
    }

    fn stick(&mut self) -> Outcome {
        let client = self.clients.next();
        let mut server = None;
        for port in [25, 80, 443] {
            let target = Target::ports(VIP, &[port]).from(client);
            let tally = self.lab.client().visit(&target, 10)?;
            self.tell(&format!("port {port}"), &tally);
            expect(tally.failed() == 0, "no connection fails")?;
            let only = tally.only_server().map(str::to_owned);
            expect(
                only.is_some() && (server.is_none() || server == only),
                "it is the same server each time",
            )?;
            server = only;
        }
        Ok(())
    }

    fn patch(&mut self) -> Outcome {
        let (hold, load) = self.traffic()?;
        let held = hold.so_far();
        println!(
            "   {TRANSFERS} transfers are open: exchange1 {}, exchange2 {}",
            held.by("exchange1"),
            held.by("exchange2")
        );
        self.watch("weights 1 and 1", &load)?;

        self.director.cli(&["weight", "exchange", "exchange1", "0"])?;
        // Those that were on their way when the weight changed.
        load.more(20)?;
        let phase = self.watch("exchange1 has weight 0", &load)?;
        expect(phase.by("exchange1") == 0, "exchange1 gets no new connection")?;
        let before = hold.exchanges();
        hold.more(200)?;
        println!(
            "   transfers go on: {} exchanges of data meanwhile, {} failed",
            hold.exchanges() - before,
            hold.so_far().failed()
        );

        self.director.cli(&["weight", "exchange", "exchange1", "1"])?;
        let later = self.new_load()?;
        let phase = self.watch("exchange1 has weight 1 again (new clients)", &later)?;
        expect(phase.by("exchange1") > 0, "exchange1 gets connections again")?;
        self.nothing_failed(hold, [load, later])
    }

    fn die(&mut self) -> Outcome {
        let (hold, load) = self.traffic()?;
        self.watch("both are up", &load)?;
        let begin = Instant::now();
        self.servers.remove(0).stop();
        self.wait_for_state("down")?;
        println!(
            "   exchange1 is killed; the director has noticed after {:.1} s",
            begin.elapsed().as_secs_f64()
        );
        let meanwhile = load.stop()?;
        println!("   until then {} connections met the dead server", meanwhile.failed());
        let cut = hold.stop()?;
        println!("   transfers: {} of exchange1 were cut off with it; exchange2's went on", cut.failed());
        expect(cut.failed() == cut.by("exchange1"), "exchange2's transfers go on")?;

        let load = self.new_load()?;
        let phase = self.watch("exchange1 is out", &load)?;
        expect(
            phase.by("exchange1") == 0 && load.stop()?.failed() == 0,
            "nobody notices that it is missing",
        )?;

        self.repair()?;
        let (hold, load) = self.traffic()?;
        let phase = self.watch("exchange1 is repaired and back by itself", &load)?;
        expect(phase.by("exchange1") > 0, "exchange1 gets connections again")?;
        self.nothing_failed(hold, [load])
    }

    fn hang(&mut self) -> Outcome {
        self.servers.remove(0).stop();
        let host = &self.lab.servers()[0];
        let others: Vec<u16> = TCP_PORTS.into_iter().filter(|port| *port != RDP_PORT).collect();
        let hung = Server::start_on(host, &others, &UDP_PORTS)?;
        // The kernel opens connections for it that it never accepts.
        let silent = host.enter(|| TcpListener::bind(("::", RDP_PORT)))??;
        self.wait_for_state("down")?;
        let server = self.director.server("exchange", "exchange1")?;
        println!("   {}", server["reason"].as_str().unwrap_or_default());
        println!("   The same in detail (director probe exchange exchange1):");
        // It would not be up: an exit status of 1.
        let dialogue = self.director.try_cli(&["probe", "exchange", "exchange1"])?;
        for line in String::from_utf8_lossy(&dialogue.stdout).lines() {
            println!("     {line}");
        }
        expect(dialogue.status.code() == Some(1), "a probe by hand comes to the same verdict")?;
        let load = self.new_load()?;
        let phase = self.watch("exchange1 is out, though it takes connections", &load)?;
        expect(phase.by("exchange1") == 0 && load.stop()?.failed() == 0, "nobody is sent there")?;

        drop(silent);
        drop(hung);
        self.repair()
    }

    fn reload(&mut self) -> Outcome {
        let (hold, load) = self.traffic()?;
        self.watch("before", &load)?;
        let new = changed(&self.configuration, "exchange1: { weight: 1 }", "exchange1: { weight: 3 }")?;
        self.director.cli(&["reset", "exchange", "exchange1"])?;
        self.director.reload(&new)?;
        self.backup.reload(&new)?;
        self.watch("after, clients of before", &load)?;
        let target = self.new_clients(40);
        let tally = self.lab.client().visit(&target, 280)?;
        self.tell("after, 40 new clients on seven ports", &tally);
        expect(tally.by("exchange1") == 210 && tally.failed() == 0, "exchange1 gets three quarters of them")?;
        self.nothing_failed(hold, [load])
    }

    fn crash(&mut self) -> Outcome {
        let witness = Target::ports(VIP, &EXCHANGE_PORTS).from(self.clients.next());
        let before = self.lab.client().visit(&witness, 7)?;
        let (hold, load) = self.traffic()?;
        self.watch("before", &load)?;
        self.director.kill()?;
        self.watch_for(DEATH, "killed; the kernel carries on without it", &load)?;
        let begin = Instant::now();
        self.director.start()?;
        println!(
            "   started again after {:.0} ms, before lb2 missed it",
            begin.elapsed().as_secs_f64() * 1000.0
        );
        self.director.turns("active")?;
        self.watch("after", &load)?;
        let after = self.lab.client().visit(&witness, 7)?;
        expect(
            before.only_server().is_some() && before.only_server() == after.only_server(),
            "a client keeps its server",
        )?;
        println!("   a client of before still has its server: {}", after.only_server().unwrap_or("none"));
        self.nothing_failed(hold, [load])
    }

    /// Transfers that stay open and a load of short connections, both from new clients.
    fn traffic(&mut self) -> Result<(Hold, Load), Box<dyn Error>> {
        let target = self.new_clients(8);
        let hold = self.lab.client().hold(&target, TRANSFERS)?;
        Ok((hold, self.new_load()?))
    }

    /// Short connections from new clients.
    fn new_load(&mut self) -> lab::Result<Load> {
        let target = self.new_clients(8).parallel(4).pause(Duration::from_millis(3));
        self.lab.client().load(&target)
    }

    /// All ports of the service, from clients that have not called before.
    fn new_clients(&mut self, count: usize) -> Target {
        Target::ports(VIP, &EXCHANGE_PORTS).from(self.clients.by_ref().take(count))
    }

    /// Lets the load go on for a while, and tells what came of it in that time.
    fn watch(&self, what: &str, load: &Load) -> lab::Result<Tally> {
        self.watch_for(PHASE, what, load)
    }

    fn watch_for(&self, span: Duration, what: &str, load: &Load) -> lab::Result<Tally> {
        let before = load.so_far();
        sleep(span);
        // At least some, on the slowest machine.
        load.more(10)?;
        let phase = load.so_far().since(&before);
        self.tell_phase(what, &phase);
        Ok(phase)
    }

    fn tell_phase(&self, what: &str, tally: &Tally) {
        println!("   {what}: {tally}");
    }

    /// Tells about connections, and adds them to the sum.
    fn tell(&mut self, what: &str, tally: &Tally) {
        self.tell_phase(what, tally);
        self.made += tally.made();
    }

    /// Ends the traffic of a step in which no connection may fail.
    fn nothing_failed(&mut self, hold: Hold, loads: impl IntoIterator<Item = Load>) -> Outcome {
        let held = hold.stop()?;
        let (mut made, mut failed) = (held.made(), held.failed());
        for load in loads {
            let tally = load.stop()?;
            made += tally.made();
            failed += tally.failed();
        }
        self.made += made;
        println!("   in all: {made} connections made, {failed} failed");
        expect(failed == 0, "no connection fails")
    }

    /// Starts exchange1 as it should be, and waits for the director to see it.
    fn repair(&mut self) -> Outcome {
        self.servers.insert(0, Server::start(&self.lab.servers()[0])?);
        Ok(self.wait_for_state("up")?)
    }

    fn wait_for_state(&self, state: &str) -> lab::Result<()> {
        eventually(Duration::from_secs(20), &format!("exchange1 is {state}"), || {
            self.director.server("exchange", "exchange1").is_ok_and(|server| server["state"] == state)
        })
    }
}

/// A text with something replaced that must be in it.
fn changed(text: &str, from: &str, to: &str) -> Result<String, String> {
    if text.contains(from) { Ok(text.replace(from, to)) } else { Err(format!("the example has no {from:?}")) }
}

/// A key file in the sandbox, as the example wants one: its path.
fn key_file() -> io::Result<String> {
    let path = format!("{}/vrrp.key", sandbox::DIRECTORY);
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(b"1 a-demonstration-has-no-secrets\n")?;
    Ok(path)
}

fn expect(holds: bool, what: &str) -> Outcome {
    if holds { Ok(()) } else { Err(format!("it is not true that {what}").into()) }
}
