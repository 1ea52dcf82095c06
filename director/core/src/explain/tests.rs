use super::*;
use crate::availability::Health;
use crate::clocks::Clocks;
use crate::config::load;
use crate::overrides::{Drain, Override, ReturningClients};
use crate::persistence::Client;
use crate::plan::{Layout, ruleset};
use crate::pool::{Demand, Observation, Pool};
use crate::ports::PortStates;
use director_nft::ir::{Datum, Reject};
use director_nft::trace::{Outcome, Packet, Trace, Tracer};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const FARM: &str = "
version: 1
nodes:
  lb1:
    public: {interface: eth0, addresses: [192.168.1.33/24, 'fd00:1::33/64']}
    private: {interface: eth1, addresses: [10.0.1.33/24, 'fd00:2::33/64']}
servers:
  a: {addresses: [10.0.1.1, 'fd00:2::1']}
  b: {addresses: [10.0.1.2, 'fd00:2::2']}
  c: {addresses: [10.0.1.3, 'fd00:2::3']}
services:
  web:
    vips: [192.168.1.35, 'fd00:1::35']
    ports: {tcp: [80, 1000-1010], udp: 53}
OPTIONS
    servers: {a: {weight: 3}, b: {weight: 2}, c: {ports: {80: 8080}}}
management:
  admin: {vip: 192.168.1.36, server: b, mark: 7}
";

/// A farm, what its servers are like, and the ruleset that the kernel would have.
struct Farm {
    model: Model,
    registry: Registry,
    offers: BTreeMap<String, Offer>,
    tracer: Tracer,
}

impl Farm {
    /// A service with these options (indented lines), one server down and one drained as asked.
    fn new(options: &str, down: Option<&str>, drained: Option<(&str, ReturningClients)>) -> Self {
        let model =
            load(&FARM.replace("OPTIONS", options), "farm").unwrap_or_else(|report| panic!("{report}"));
        let mut registry = Registry::default();
        registry.assign(&model).unwrap();
        let health = down.map(|name| (name.to_owned(), Health::Down("refused".into()))).into_iter().collect();
        let drain = |clients| Drain { returning_clients: Some(clients), ..Drain::default() };
        let overrides = drained
            .map(|(name, clients)| (name.to_owned(), Override { weight: None, drain: Some(drain(clients)) }))
            .into_iter()
            .collect();
        let observation = Observation {
            health: &health,
            overrides: &overrides,
            ports: &PortStates::default(),
            demand: &Demand::default(),
            now: Clocks::default(),
        };
        let offer = Pool::default().offer(&model.services["web"], &observation);
        let offers = BTreeMap::from([("web".to_owned(), offer)]);
        let layout = Layout::new(&model, 10_000, None);
        let tracer = Tracer::new(&ruleset(&layout, &model, &model.nodes["lb1"], &registry, &offers));
        Self { model, registry, offers, tracer }
    }

    fn explain(&self, question: &Question, entry: Option<Entry>) -> Explanation {
        question.explain(question.place(&self.model), &self.registry, &self.offers["web"], entry, true)
    }

    fn send(&mut self, question: &Question) -> Trace {
        let packet = Packet {
            input: "eth0".into(),
            output: "eth1".into(),
            source: question.client,
            destination: question.address,
            protocol: question.protocol.number(),
            source_port: question.client_port.unwrap_or(0),
            destination_port: question.port,
            mark: 0,
        };
        self.tracer.send(&packet, Duration::ZERO)
    }

    fn client(&self, question: &Question) -> Client {
        Client { address: question.client, mark: self.model.services["web"].mark.get() }
    }

    /// The entry that the client's packets have made.
    fn entry(&self, question: &Question) -> Option<Entry> {
        let map = if question.client.is_ipv4() { "persist4" } else { "persist6" };
        let entries = self.tracer.entries(map, Duration::ZERO);
        entries.first().and_then(|(_, entry)| match entry.data {
            Some(Datum::Mark(destination)) => {
                Some(Entry { client: self.client(question), destination, left: entry.expires })
            }
            _ => None,
        })
    }
}

fn question(client: &str, address: &str, port: u16, protocol: Protocol) -> Question {
    let (client, address) = (client.parse().unwrap(), address.parse().unwrap());
    Question { client, client_port: Some(4000), address, port, protocol }
}

/// True if the explanation allows what the ruleset did.
fn agrees(explanation: &Explanation, trace: &Trace, called: u16) -> bool {
    let went_to = |destination: &Destination| {
        trace.dnat.is_some_and(|(address, port)| {
            address == destination.address && port.unwrap_or(called) == destination.port
        })
    };
    match &explanation.answer {
        Answer::Server(destination) => went_to(destination),
        Answer::OneOf { destinations } => destinations.iter().any(went_to),
        Answer::Refused => matches!(trace.outcome, Outcome::Rejected(_)),
        Answer::NotHandled => trace.dnat.is_none() && trace.outcome == Outcome::Accepted,
    }
}

const SCHEDULERS: [&str; 9] = [
    "rr",
    "wrr",
    "random",
    "sh",
    "mh",
    "dh",
    "fo",
    "mh\n    hash_port: true",
    "sh\n    hash_granularity: 24",
];

proptest! {
    #[test]
    fn what_is_explained_is_what_the_ruleset_does(
        scheduler in 0..SCHEDULERS.len(),
        persistent in any::<bool>(),
        down in prop::option::of(prop::sample::select(vec!["a", "b", "c"])),
        drained in prop::option::of((
            prop::sample::select(vec!["a", "b", "c"]),
            prop::sample::select(vec![ReturningClients::Stay, ReturningClients::Move]),
        )),
        v6 in any::<bool>(),
        client in 0u32..0x1_0000,
        port in prop::sample::select(vec![80, 1005, 53, 81]),
        udp in any::<bool>(),
    ) {
        let mut options = format!("    scheduler: {}", SCHEDULERS[scheduler]);
        if persistent {
            options += "\n    persistence: {timeout: 60s, granularity: 24, granularity6: 64}";
        }
        let mut farm = Farm::new(&options, down, drained);
        let client: IpAddr = if v6 {
            format!("2001:db8::{client:x}").parse().unwrap()
        } else {
            IpAddr::from((0xc633_0000_u32 | client).to_be_bytes())
        };
        let address = if v6 { "fd00:1::35" } else { "192.168.1.35" };
        let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
        let question = Question { client, client_port: Some(4000), address: address.parse().unwrap(), port, protocol };
        // A new client, then a returning one.
        for _ in 0..2 {
            let explanation = farm.explain(&question, farm.entry(&question));
            let trace = farm.send(&question);
            prop_assert!(agrees(&explanation, &trace, port), "{explanation:?}\n{trace:?}");
        }
    }
}

#[test]
fn a_hash_names_the_server_and_turns_name_the_shares() {
    let asked = question("198.51.100.7", "192.168.1.35", 80, Protocol::Tcp);
    let Answer::Server(_) = Farm::new("    scheduler: mh", None, None).explain(&asked, None).answer else {
        panic!("a hash decides");
    };
    let Answer::OneOf { destinations } = Farm::new("", None, None).explain(&asked, None).answer else {
        panic!("it is one of three");
    };
    let shares: Vec<(&str, f64, u16)> =
        destinations.iter().map(|it| (it.server.as_str(), it.percent.round(), it.port)).collect();
    assert_eq!(shares, [("a", 50.0, 80), ("b", 33.0, 80), ("c", 17.0, 8080)]);
}

#[test]
fn a_hash_of_the_clients_port_needs_to_know_it() {
    let farm = Farm::new("    scheduler: mh\n    hash_port: true", None, None);
    let mut asked = question("198.51.100.7", "192.168.1.35", 80, Protocol::Tcp);
    assert!(matches!(farm.explain(&asked, None).answer, Answer::Server(_)));
    asked.client_port = None;
    assert!(matches!(farm.explain(&asked, None).answer, Answer::OneOf { .. }));
}

#[test]
fn an_entry_decides_unless_its_server_may_not_be_returned_to() {
    let options = "    persistence: {timeout: 60s}";
    let asked = question("198.51.100.7", "192.168.1.35", 80, Protocol::Tcp);
    for (clients, returns) in [(ReturningClients::Stay, true), (ReturningClients::Move, false)] {
        let farm = Farm::new(options, None, Some(("b", clients)));
        let destination = farm.registry.server("web", "b").unwrap().get();
        let entry = Entry { client: farm.client(&asked), destination, left: Some(Duration::from_secs(5)) };
        let explanation = farm.explain(&asked, Some(entry));
        assert_eq!(matches!(&explanation.answer, Answer::Server(it) if it.server == "b"), returns);
        let text: String = explanation.steps.iter().map(|step| step.text.as_str()).collect();
        assert!(text.contains("drained by an operator"), "{text}");
    }
}

#[test]
fn other_places_are_told_apart() {
    let mut farm = Farm::new("", None, None);
    for (address, port, expected) in
        [("192.168.1.35", 81, Answer::Refused), ("192.168.1.99", 80, Answer::NotHandled)]
    {
        let asked = question("198.51.100.7", address, port, Protocol::Tcp);
        assert_eq!(farm.explain(&asked, None).answer, expected);
        let outcome = farm.send(&asked).outcome;
        assert_eq!(outcome == Outcome::Rejected(Reject::TcpReset), expected == Answer::Refused);
    }
    let asked = question("198.51.100.7", "192.168.1.36", 3389, Protocol::Tcp);
    assert!(
        matches!(farm.explain(&asked, None).answer, Answer::Server(it) if it.server == "b" && it.port == 3389)
    );
}

#[test]
fn what_limits_protects_and_translates_is_told() {
    let options = "    rate_limit: {connections: 10, burst: 20, granularity: 24}\n    syn_protection: true\n    full_nat: true";
    let farm = Farm::new(options, None, None);
    let asked = question("198.51.100.7", "192.168.1.35", 80, Protocol::Tcp);
    let told = |farm: &Farm, asked: &Question, protects| {
        let place = asked.place(&farm.model);
        let explanation = asked.explain(place, &farm.registry, &farm.offers["web"], None, protects);
        let steps = explanation.steps.into_iter().map(|step| format!("{}: {}", step.about, step.text));
        steps.collect::<Vec<_>>().join("\n")
    };
    let text = told(&farm, &asked, true);
    for expected in [
        "SYN protection: a client from outside gets a SYN/ACK from the director",
        "rate limit: client 198.51.100.7/24 may open 10 connections a second, 20 at once",
        "full NAT: the server sees the director's address",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let text = told(&farm, &asked, false);
    assert!(text.contains("this kernel has no SYN proxy: the service runs without"), "{text}");
    let udp = question("198.51.100.7", "192.168.1.35", 53, Protocol::Udp);
    assert!(!told(&farm, &udp, true).contains("SYN"));
    let mut farm = farm;
    farm.offers.insert("web".to_owned(), Offer::default());
    let text = told(&farm, &asked, true);
    assert!(text.contains("none while no server takes new clients") && !text.contains("full NAT"), "{text}");
}
