//! Several machines on links that lose, delay and repeat adverts, among pauses, cuts, crashes and operators: whatever
//! happened, once it is calm there is one Active.

use super::*;
use crate::vrrp::timing::{Interval, silence};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;

const SCHEDULES: u64 = 10_000;
const LINKS: u8 = 2;

#[test]
fn one_active_after_any_storm() {
    let halves = [0..SCHEDULES / 2, SCHEDULES / 2..SCHEDULES];
    std::thread::scope(|scope| {
        for seeds in halves {
            scope.spawn(move || seeds.for_each(storm));
        }
    });
}

#[test]
fn one_broken_heartbeat_link_never_makes_two_actives() {
    for seed in 0..500 {
        let mut world = World::new(seed, Kind::HalfCut);
        world.run_for(world.longest * 10);
        let settled = world.changes;
        for _ in 0..20 {
            let link = usize::from(seed % 2 == 0);
            let (from, to) = (world.any_node(), world.any_node());
            world.cut[link][from][to] = world.random.random_bool(0.7);
            world.run_for(world.longest * 2);
            assert_eq!(world.actives(), 1, "seed {seed}");
        }
        assert_eq!(world.changes, settled, "seed {seed}: a role changed");
    }
}

fn storm(seed: u64) {
    let mut world = World::new(seed, Kind::Storm);
    for _ in 0..world.random.random_range(2..12) {
        world.strike();
        let span = world.longest.mul_f64(world.random.random_range(0.1..4.0));
        world.run_for(span);
    }
    world.calm();
    let patience = world.longest * 14 + world.slack;
    world.run_for(world.longest * 4 + world.slack);
    world.strict = true;
    world.run_for(patience);
    let settled = world.changes;
    world.run_for(world.longest * 4);
    assert_eq!(world.actives(), 1, "seed {seed}: {:#?}", world.nodes);
    assert_eq!(world.changes, settled, "seed {seed}: it does not settle");
    let active = world.nodes.iter().find(|node| node.holds).unwrap();
    for node in world.nodes.iter().filter(|node| node.running && !node.holds) {
        let wants = node.machine.settings.preempt == Preempt::Always
            && !node.machine.stood_down
            && !node.machine.peers.values().flatten().any(|peer| peer.chosen);
        assert!(
            !wants || node.machine.priority() <= active.machine.priority(),
            "seed {seed}: {:?} should have preempted",
            node.machine
        );
    }
    for node in &world.nodes {
        let intervals = world.now.as_nanos() / 10_000_000;
        assert!(node.adverts <= intervals * 6 + 100, "seed {seed}: a flood of {} adverts", node.adverts);
    }
}

#[derive(PartialEq)]
enum Kind {
    Storm,
    HalfCut,
}

#[derive(Debug)]
struct Node {
    machine: Machine,
    running: bool,
    paused: bool,
    inbox: Vec<Heard>,
    holds: bool,
    adverts: u64,
}

struct World {
    seed: u64,
    random: StdRng,
    now: Time,
    nodes: Vec<Node>,
    /// Adverts on their way: when, number, to whom.
    flying: BinaryHeap<Reverse<(Time, u64)>>,
    letters: BTreeMap<u64, (usize, Heard)>,
    number: u64,
    cut: [[[bool; 4]; 4]; LINKS as usize],
    loss: f64,
    copies: f64,
    latency: Duration,
    longest: Duration,
    slack: Duration,
    changes: u64,
    /// From here on, two Actives are a failure, but for the time that adverts fly.
    strict: bool,
    dual_since: Option<Time>,
}

impl World {
    fn new(seed: u64, kind: Kind) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let count = random.random_range(2..=4_usize);
        let base = [1, 2, 5, 10, 100][random.random_range(0..5)];
        let calm = kind == Kind::HalfCut;
        let slack = Duration::from_millis(u64::from(base) * random.random_range(0..20));
        let mut longest = Interval::MINIMUM;
        let nodes = (0..count).map(|at| {
            let factor = if calm { 1 } else { random.random_range(1..=2) };
            let interval = Interval::from_centiseconds(base * factor).unwrap();
            longest = longest.max(interval);
            let preempt = [Preempt::Never, Preempt::AfterSync, Preempt::Always];
            let settings = Settings {
                priority: Priority::new(random.random_range(1..=254)).unwrap(),
                address: address(at),
                interval,
                preempt: preempt[random.random_range(0..if calm { 2 } else { 3 })],
                preempt_delay: slack / random.random_range(1..4),
                startup_delay: slack / random.random_range(1..4),
                starts_active: !calm && random.random_bool(0.3),
                peers: if count == 2 { Peers::One } else { Peers::Several },
                links: (0..LINKS).map(Link).collect(),
            };
            let machine = Machine::new(settings, Time::default());
            Node { machine, running: true, paused: false, inbox: Vec::new(), holds: false, adverts: 0 }
        });
        let nodes = nodes.collect();
        let shortest = Duration::from_millis(u64::from(base) * 10);
        let mut world = Self {
            seed,
            random,
            now: Time::default(),
            nodes,
            flying: BinaryHeap::new(),
            letters: BTreeMap::new(),
            number: 0,
            cut: [[[false; 4]; 4]; LINKS as usize],
            loss: 0.0,
            copies: 0.0,
            latency: shortest / 4,
            longest: longest.duration(),
            slack,
            changes: 0,
            strict: calm,
            dual_since: None,
        };
        (0..count).for_each(|at| world.tell(at, Input::Start));
        world
    }

    fn any_node(&mut self) -> usize {
        self.random.random_range(0..self.nodes.len())
    }

    fn actives(&self) -> usize {
        self.nodes.iter().filter(|node| node.holds).count()
    }

    /// Something bad happens, or something good.
    fn strike(&mut self) {
        let (at, other) = (self.any_node(), self.any_node());
        let link = self.random.random_range(0..LINKS);
        let yes = self.random.random_bool(0.6);
        match self.random.random_range(0..13) {
            0 => self.loss = if yes { self.random.random_range(0.0..0.9) } else { 0.0 },
            1 => self.copies = self.random.random_range(0.0..0.5),
            2 => self.cut[usize::from(link)][at][other] = yes,
            3 => {
                for link in &mut self.cut {
                    (link[at][other], link[other][at]) = (yes, yes);
                }
            }
            4 | 5 => {
                if yes {
                    self.nodes[at].paused = true;
                } else {
                    self.wake(at);
                }
            }
            6 => self.crash(at),
            7 => self.start(at),
            8 => {
                self.tell(at, Input::Shutdown);
                self.run_for(self.longest);
                self.tell(at, Input::Start);
            }
            9 => self.carrier(at, link, !yes),
            10 => {
                let amount = self.random.random_range(0..255);
                let fitness = [Fitness::Fit, Fitness::Unfit, Fitness::Lowered(amount)];
                let fitness = fitness[self.random.random_range(0..3)];
                self.tell(at, Input::Fitness(fitness));
            }
            11 => self.exchange(at, other),
            _ => match self.random.random_range(0..3) {
                0 => {
                    let to = yes.then_some(address(other));
                    let force = self.random.random_bool(0.5);
                    self.tell(at, Input::StepDown { to, force });
                }
                1 => self.tell(at, Input::CaughtUp(yes)),
                _ => {
                    let mut settings = self.nodes[at].machine.settings.clone();
                    settings.priority = Priority::new(self.random.random_range(1..=254)).unwrap();
                    self.tell(at, Input::Configure(Box::new(settings)));
                }
            },
        }
    }

    /// Everything is repaired, but for who crashed; one at least runs.
    fn calm(&mut self) {
        (self.loss, self.copies) = (0.0, 0.0);
        self.cut = [[[false; 4]; 4]; LINKS as usize];
        for at in 0..self.nodes.len() {
            self.wake(at);
            (0..LINKS).for_each(|link| self.carrier(at, link, true));
            self.tell(at, Input::Fitness(Fitness::Fit));
        }
        if self.nodes.iter().all(|node| !node.running) {
            self.start(0);
        }
    }

    fn start(&mut self, at: usize) {
        if !self.nodes[at].running {
            let machine = Machine::new(self.nodes[at].machine.settings.clone(), self.now);
            self.nodes[at] =
                Node { machine, running: true, paused: false, inbox: Vec::new(), holds: false, adverts: 0 };
            self.tell(at, Input::Start);
        }
    }

    fn crash(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        (node.running, node.paused, node.holds) = (false, false, false);
        node.inbox.clear();
        self.check();
    }

    fn wake(&mut self, at: usize) {
        self.nodes[at].paused = false;
        if self.random.random_bool(0.5) {
            self.tell(at, Input::Timer);
        }
        for heard in std::mem::take(&mut self.nodes[at].inbox) {
            self.tell(at, Input::Advert(heard));
        }
    }

    fn carrier(&mut self, at: usize, link: u8, up: bool) {
        for other in 0..self.nodes.len() {
            let cut = &mut self.cut[usize::from(link)];
            (cut[at][other], cut[other][at]) = (!up, !up);
        }
        self.tell(at, Input::Link(Link(link), up));
    }

    /// The directors' own channel, if both are there.
    fn exchange(&mut self, at: usize, other: usize) {
        let there = self.nodes[other].running && !self.nodes[other].paused;
        let peer = &self.nodes[other].machine;
        let (priority, lowered) = (peer.priority(), peer.fitness.lowered());
        let peer = Peer {
            priority,
            lowered,
            fit: !peer.unfit(),
            caught_up: peer.caught_up,
            active: peer.role == Role::Active,
            stood_down: peer.stood_down,
            chosen: peer.status().chosen,
        };
        self.tell(at, Input::Peer(address(other), there.then_some(peer)));
    }

    /// Events in their order, for `span`.
    fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let awake = self.nodes.iter().enumerate().filter(|(_, node)| node.running && !node.paused);
            let timers = awake.filter_map(|(at, node)| Some((node.machine.deadline()?, at)));
            let timer = timers.min();
            let letter = self.flying.peek().map(|&Reverse(letter)| letter);
            let due = [timer.map(|(due, _)| due), letter.map(|(due, _)| due)].into_iter().flatten().min();
            let Some(due) = due.filter(|&due| due <= end) else { break };
            // A timer may be long due when its node wakes.
            self.now = self.now.max(due);
            match (letter, timer) {
                (Some((when, number)), _) if when == due => {
                    self.flying.pop();
                    let (to, heard) = self.letters.remove(&number).unwrap();
                    self.deliver(to, heard);
                }
                (_, Some((_, at))) => self.tell(at, Input::Timer),
                (_, None) => {}
            }
        }
        self.now = end;
        self.check();
    }

    fn deliver(&mut self, to: usize, heard: Heard) {
        if self.nodes[to].paused {
            self.nodes[to].inbox.push(heard);
        } else {
            self.tell(to, Input::Advert(heard));
        }
    }

    /// Hands over an input, does what comes out, and holds it against what must always be so.
    fn tell(&mut self, at: usize, input: Input) {
        let seed = self.seed;
        if !self.nodes[at].running || self.nodes[at].paused {
            return;
        }
        let slept = self.now.since(self.nodes[at].machine.sent);
        let interval = self.nodes[at].machine.settings.interval;
        let frozen = self.nodes[at].holds && slept >= silence(interval);
        let before = self.nodes[at].machine.role();
        let out = self.nodes[at].machine.handle(self.now, input.clone());
        if frozen {
            assert_eq!(out.first(), Some(&Output::Release), "seed {seed}: frozen, then {input:?}");
            assert!(
                !matches!(out.get(1), Some(Output::Advertise { priority: LEAVING, .. })),
                "seed {seed}: a frozen director says that it leaves"
            );
        }
        let mut released = false;
        for (position, output) in out.iter().enumerate() {
            match *output {
                Output::Acquire => {
                    assert!(!self.nodes[at].holds, "seed {seed}");
                    self.nodes[at].holds = true;
                }
                Output::Release => {
                    assert!(self.nodes[at].holds, "seed {seed}");
                    self.nodes[at].holds = false;
                    released = true;
                }
                Output::Announce => assert!(self.nodes[at].holds, "seed {seed}: announces what it has not"),
                Output::Advertise { priority, successor } => {
                    let takes = out[position..].contains(&Output::Acquire);
                    let fine = if priority == LEAVING {
                        released
                    } else {
                        self.nodes[at].holds || takes || released
                    };
                    assert!(fine, "seed {seed}: {input:?} gave {out:?}");
                    self.nodes[at].adverts += 1;
                    self.send(at, priority, successor);
                }
                Output::Note(event) => assert!(!event.to_string().is_empty()),
            }
        }
        let machine = &self.nodes[at].machine;
        assert_eq!(
            self.nodes[at].holds,
            machine.role() == Role::Active,
            "seed {seed}: {input:?} gave {out:?}"
        );
        let waits = match machine.role() {
            Role::Initialize => machine.deadline().is_none(),
            Role::Backup => machine.deadline().is_some() || machine.deaf(),
            Role::Active => machine.deadline().is_some(),
        };
        assert!(waits, "seed {seed}: {machine:?}");
        if input == Input::Timer {
            let now = self.now;
            assert!(machine.deadline().is_none_or(|next| next > now), "seed {seed}: a timer that spins");
        }
        self.changes += u64::from(machine.role() != before);
        self.check();
    }

    fn send(&mut self, from: usize, priority: u8, successor: Option<IpAddr>) {
        let interval = self.nodes[from].machine.settings.interval;
        for link in 0..LINKS {
            let heard = Heard { link: Link(link), from: address(from), priority, interval, successor };
            for to in (0..self.nodes.len()).filter(|&to| to != from) {
                if self.cut[usize::from(link)][from][to] || self.random.random_bool(self.loss) {
                    continue;
                }
                for _ in 0..1 + u8::from(self.random.random_bool(self.copies)) {
                    let delay = self.latency.mul_f64(self.random.random_range(0.01..1.0));
                    self.number += 1;
                    self.flying.push(Reverse((self.now + delay, self.number)));
                    self.letters.insert(self.number, (to, heard));
                }
            }
        }
    }

    fn check(&mut self) {
        if self.actives() < 2 || !self.strict {
            self.dual_since = None;
            return;
        }
        let since = *self.dual_since.get_or_insert(self.now);
        let both = self.now.since(since);
        assert!(both <= self.latency * 2, "seed {}: two Actives for {both:?}: {:#?}", self.seed, self.nodes);
    }
}

fn address(node: usize) -> IpAddr {
    Ipv4Addr::new(192, 168, 1, 33 + u8::try_from(node).unwrap()).into()
}
