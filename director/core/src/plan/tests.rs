//! Packets through planned rulesets: what is planned is what the words of the configuration promise.

mod live;
mod persistence;
mod ports;
mod protection;
mod schedulers;

use super::*;
use crate::availability::Health;
use crate::clocks::Clocks;
use crate::config::load;
use crate::model::Side;
use crate::overrides::{AtDeadline, Drain, Override, WeightOverride};
use crate::pool::{Demand, Observation, Pool};
use crate::ports::PortStates;
use director_nft::diff::diff;
use director_nft::fake::Fake;
use director_nft::ir::Reject;
use director_nft::observed::Observed;
use director_nft::trace::{Outcome, Packet, Tracer};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const FARM: &str = "
version: 1
nodes:
  lb1:
    public: {interface: eth0, addresses: [192.168.1.33/24, 'fd00:1::33/64']}
    private: {interface: eth1, addresses: [10.0.1.33/24, 'fd00:2::33/64']}
gateway: [10.0.1.254, 'fd00:2::254']
servers:
  exchange1: {addresses: [10.0.1.1, 'fd00:2::1']}
  exchange2: {addresses: [10.0.1.2, 'fd00:2::2']}
  old: {address: 10.0.1.3}
services:
  exchange:
    mark: 80
    vips: [192.168.1.35, 'fd00:1::35']
    ports: {tcp: [25, 80, 443]}
    persistence: {timeout: 10m, granularity: 24, granularity6: 64}
    servers: {exchange1: {weight: 2}, exchange2: {}, old: {}}
  web:
    mark: 0x51
    vip: 192.168.1.38
    ports: {both: [80, '1000-1010']}
    servers: {exchange1: {port: 8080}, exchange2: {ports: {80: 81}}}
management:
  admin: {vip: 192.168.1.36, server: exchange1, mark: 1}
outbound: {masquerade: [10.0.1.0/24], hairpin: true}
";

/// A farm whose servers can fail and be overridden, and a tracer that follows.
struct Farm {
    model: Model,
    registry: Registry,
    layout: Layout,
    health: BTreeMap<String, BTreeMap<String, Health>>,
    overrides: BTreeMap<String, BTreeMap<String, Override>>,
    ports: BTreeMap<String, PortStates>,
    offers: Offers,
    tracer: Tracer,
    now: Duration,
}

impl Farm {
    fn new(text: &str) -> Self {
        let model = load(text, "farm").unwrap_or_else(|report| panic!("{report}"));
        let mut registry = Registry::default();
        registry.assign(&model).unwrap();
        let layout = Layout::new(&model, 100, None);
        let mut farm = Self {
            model,
            registry,
            layout,
            health: BTreeMap::new(),
            overrides: BTreeMap::new(),
            ports: BTreeMap::new(),
            offers: Offers::new(),
            tracer: Tracer::new(&Ruleset::default()),
            now: Duration::ZERO,
        };
        farm.apply();
        farm
    }

    fn ruleset(&self) -> Ruleset {
        ruleset(&self.layout, &self.model, &self.model.nodes["lb1"], &self.registry, &self.offers)
    }

    fn apply(&mut self) {
        let nothing = (BTreeMap::new(), BTreeMap::new(), Demand::default(), PortStates::default());
        for service in self.model.services.values() {
            let observation = Observation {
                health: self.health.get(&service.name).unwrap_or(&nothing.0),
                overrides: self.overrides.get(&service.name).unwrap_or(&nothing.1),
                ports: self.ports.get(&service.name).unwrap_or(&nothing.3),
                demand: &nothing.2,
                now: Clocks::default(),
            };
            self.offers.insert(service.name.clone(), Pool::default().offer(service, &observation));
        }
        let ruleset = self.ruleset();
        self.tracer.replace(&ruleset);
    }

    /// Decides anew for a server of a service.
    fn set(&mut self, service: &str, server: &str, health: &Health, overridden: Override) {
        self.health.entry(service.to_owned()).or_default().insert(server.to_owned(), health.clone());
        self.overrides.entry(service.to_owned()).or_default().insert(server.to_owned(), overridden);
        self.apply();
    }

    fn send(
        &mut self,
        source: &str,
        destination: &str,
        protocol: u8,
        port: u16,
    ) -> director_nft::trace::Trace {
        let inside = source.starts_with("10.0.1.");
        let outwards = destination.starts_with("8.8.");
        let packet = Packet {
            input: if inside { "eth1" } else { "eth0" }.into(),
            output: if outwards { "eth0" } else { "eth1" }.into(),
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            protocol,
            source_port: 40_000,
            destination_port: port,
            mark: 0,
        };
        self.tracer.send(&packet, self.now)
    }

    /// Where a connection goes: `address` or `address:port`, or how it is refused.
    fn goes(&mut self, source: &str, destination: &str, protocol: u8, port: u16) -> String {
        let trace = self.send(source, destination, protocol, port);
        match (trace.outcome, trace.dnat) {
            (Outcome::Rejected(Reject::TcpReset), _) => "reset".into(),
            (Outcome::Rejected(Reject::PortUnreachable), _) => "unreachable".into(),
            (Outcome::Dropped, _) => "dropped".into(),
            (Outcome::Synproxy, _) => "synproxy".into(),
            (Outcome::Accepted, None) => "director".into(),
            (Outcome::Accepted, Some((address, None))) => address.to_string(),
            (Outcome::Accepted, Some((address, Some(port)))) => format!("{address} {port}"),
        }
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const DRAINED: Override = Override {
    weight: None,
    drain: Some(Drain { since: 0, deadline: None, at_deadline: AtDeadline::Keep, returning_clients: None }),
};

#[test]
fn packets_go_where_the_configuration_says() {
    let mut farm = Farm::new(FARM);
    let table: &[(&str, &str, u8, u16, &str)] = &[
        ("203.0.113.1", "192.168.1.35", TCP, 22, "reset"),
        ("203.0.113.1", "192.168.1.35", UDP, 25, "unreachable"),
        ("203.0.113.1", "192.168.1.35", ICMP, 0, "director"),
        ("203.0.113.1", "192.168.1.36", TCP, 3389, "10.0.1.1"),
        ("203.0.113.1", "192.168.1.36", UDP, 3389, "10.0.1.1"),
        ("203.0.113.1", "192.168.1.36", ICMP, 0, "director"),
        ("203.0.113.1", "192.168.1.33", TCP, 22, "director"),
        ("203.0.113.1", "192.168.1.38", TCP, 80, "10.0.1.1 8080"),
        ("203.0.113.1", "192.168.1.38", TCP, 80, "10.0.1.2 81"),
        ("203.0.113.1", "192.168.1.38", UDP, 1005, "10.0.1.1 8080"),
        ("203.0.113.1", "192.168.1.38", UDP, 1010, "10.0.1.2 1010"),
        ("203.0.113.1", "192.168.1.38", TCP, 1011, "reset"),
        ("2001:db8::1", "fd00:1::35", TCP, 22, "reset"),
        ("2001:db8::1", "fd00:1::35", UDP, 53, "unreachable"),
    ];
    for (row, (source, destination, protocol, port, expected)) in table.iter().enumerate() {
        assert_eq!(farm.goes(source, destination, *protocol, *port), *expected, "row {row}");
    }
}

#[test]
fn a_connection_carries_the_services_mark_and_its_servers_id() {
    let mut farm = Farm::new(FARM);
    let trace = farm.send("203.0.113.1", "192.168.1.35", TCP, 443);
    assert_eq!(trace.meta_mark, 80);
    assert_eq!(trace.ct_mark, farm.registry.server("exchange", "exchange1").unwrap().get());
    let trace = farm.send("203.0.113.1", "192.168.1.36", TCP, 443);
    assert_eq!(
        (trace.meta_mark, trace.ct_mark),
        (1, farm.registry.management("admin", "exchange1").unwrap().get())
    );
}

#[test]
fn shares_are_the_weights_over_a_turn() {
    let mut farm = Farm::new(FARM);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for client in 0..8 {
        *counts.entry(farm.goes(&format!("203.0.{client}.1"), "192.168.1.35", TCP, 80)).or_default() += 1;
    }
    assert_eq!(
        counts,
        BTreeMap::from([("10.0.1.1".into(), 4), ("10.0.1.2".into(), 2), ("10.0.1.3".into(), 2)])
    );
}

#[test]
fn only_servers_of_the_family_serve_it() {
    let mut farm = Farm::new(FARM);
    let mut seen: Vec<String> =
        (0..6).map(|client| farm.goes(&format!("2001:db8:{client}::1"), "fd00:1::35", TCP, 80)).collect();
    seen.sort();
    assert_eq!(seen, ["fd00:2::1", "fd00:2::1", "fd00:2::1", "fd00:2::1", "fd00:2::2", "fd00:2::2"]);
}

#[test]
fn clients_of_a_granularity_stay_together_over_all_ports_until_the_entry_ages_out() {
    let mut farm = Farm::new(FARM);
    let first = farm.goes("203.0.113.1", "192.168.1.35", TCP, 25);
    for (client, port) in [("203.0.113.9", 80), ("203.0.113.200", 443), ("203.0.113.1", 25)] {
        farm.now += Duration::from_secs(599);
        assert_eq!(farm.goes(client, "192.168.1.35", TCP, port), first, "refreshed by each new connection");
    }
    farm.now += Duration::from_secs(601);
    assert_ne!(farm.goes("203.0.113.1", "192.168.1.35", TCP, 25), first, "the next slot is another server's");
    let first = farm.goes("2001:db8::1", "fd00:1::35", TCP, 25);
    assert_eq!(farm.goes("2001:db8::ffff:1", "fd00:1::35", TCP, 443), first);
}

#[test]
fn a_drain_moves_persistent_clients_at_once_and_for_good() {
    let mut farm = Farm::new(FARM);
    assert_eq!(farm.goes("203.0.113.1", "192.168.1.35", TCP, 25), "10.0.1.1");
    farm.set("exchange", "exchange1", &Health::default(), DRAINED);
    let moved = farm.goes("203.0.113.1", "192.168.1.35", TCP, 25);
    assert_ne!(moved, "10.0.1.1");
    farm.set("exchange", "exchange1", &Health::default(), Override::default());
    assert_eq!(farm.goes("203.0.113.1", "192.168.1.35", TCP, 80), moved, "the entry was rewritten");
}

#[test]
fn without_expire_quiescent_template_persistent_clients_return_and_new_ones_do_not() {
    let text = FARM.replace("    mark: 80\n", "    mark: 80\n    expire_quiescent_template: false\n");
    let mut farm = Farm::new(&text);
    assert_eq!(farm.goes("203.0.113.1", "192.168.1.35", TCP, 25), "10.0.1.1");
    farm.set("exchange", "exchange1", &Health::default(), DRAINED);
    assert_eq!(farm.goes("203.0.113.2", "192.168.1.35", TCP, 80), "10.0.1.1");
    for client in 0..10 {
        assert_ne!(farm.goes(&format!("198.51.{client}.1"), "192.168.1.35", TCP, 80), "10.0.1.1");
    }
}

#[test]
fn without_any_server_connections_are_refused_and_service_resumes() {
    let mut farm = Farm::new(FARM);
    let down = Health::Down("refused".into());
    for service in ["exchange", "web"] {
        for server in farm.model.services[service].servers.clone().keys() {
            farm.set(service, server, &down, Override::default());
        }
    }
    assert_eq!(farm.goes("203.0.113.1", "192.168.1.35", TCP, 25), "reset");
    assert_eq!(farm.goes("2001:db8::1", "fd00:1::35", TCP, 25), "reset");
    assert_eq!(farm.goes("203.0.113.1", "192.168.1.38", UDP, 80), "unreachable");
    farm.set("exchange", "old", &Health::default(), Override::default());
    assert_eq!(farm.goes("203.0.113.1", "192.168.1.35", TCP, 25), "10.0.1.3");
    assert_eq!(farm.goes("2001:db8::1", "fd00:1::35", TCP, 25), "reset", "it has no IPv6 address");
}

#[test]
fn the_way_out_and_the_hairpin_are_masqueraded_and_clients_are_not() {
    let mut farm = Farm::new(FARM);
    assert!(farm.send("10.0.1.1", "8.8.8.8", TCP, 25).masquerade);
    assert!(farm.send("10.0.1.1", "192.168.1.35", TCP, 25).masquerade);
    assert!(!farm.send("203.0.113.1", "192.168.1.35", TCP, 25).masquerade);
}

#[test]
fn with_a_virtual_mac_address_servers_come_in_by_its_interface_too() {
    let redundancy = "redundancy: {vrid: 51, virtual_mac: true}\n";
    let mut farm = Farm::new(&format!("{FARM}{redundancy}"));
    let (model, mut node) = (farm.model.clone(), farm.model.nodes["lb1"].clone());
    let names = [Side::Public, Side::Private].map(|side| model.carrier(&node, side));
    assert_eq!(names, ["vrrp51-pub", "vrrp51-prv"]);
    for (input, expected) in [("eth1", true), ("vrrp51-prv", true), ("eth0", false), ("vrrp51-pub", false)] {
        let packet = Packet {
            input: input.into(),
            output: "eth1".into(),
            source: "10.0.1.1".parse().unwrap(),
            destination: "192.168.1.35".parse().unwrap(),
            protocol: TCP,
            source_port: 40_000,
            destination_port: 25,
            mark: 0,
        };
        assert_eq!(farm.tracer.send(&packet, farm.now).masquerade, expected, "{input}");
    }
    node.private.interface = node.public.interface.clone();
    assert_eq!(
        [Side::Public, Side::Private].map(|side| model.carrier(&node, side)),
        ["vrrp51-pub", "vrrp51-pub"]
    );
}

#[test]
fn a_model_without_a_way_out_has_no_postrouting_chain() {
    let text: String =
        FARM.lines().filter(|line| !line.starts_with("outbound")).flat_map(|line| [line, "\n"]).collect();
    assert!(!Farm::new(&text).ruleset().chains.contains_key("postrouting"));
}

#[test]
fn a_layout_never_shrinks_and_tells_when_it_is_too_small() {
    let model = load(FARM, "farm").unwrap();
    let large = Layout::new(&model, 5000, None);
    let next = Layout::new(&model, 10, Some(&large));
    assert_eq!(large, next);
    assert!(next.fits(8192) && !next.fits(8193));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A service's part, compared on its own, leads to the same ruleset as planning everything anew.
    #[test]
    fn parts_add_up_to_the_whole(changes in prop::collection::vec((0usize..3, 0u16..5, any::<bool>(), any::<bool>()), 1..8)) {
        let mut farm = Farm::new(FARM);
        let mut kernel = Fake::new();
        kernel.apply(&diff(&kernel.observe(), &farm.ruleset())).unwrap();
        for (server, weight, drained, down) in changes {
            let before = service(&farm.layout, &farm.model.services["exchange"], &farm.registry, &farm.offers["exchange"]);
            let name = ["exchange1", "exchange2", "old"][server];
            let health = if down { Health::Down("refused".into()) } else { Health::default() };
            farm.set("exchange", name, &health, Override { weight: Some(WeightOverride { weight, until: None }), drain: drained.then(Drain::default) });
            let after = service(&farm.layout, &farm.model.services["exchange"], &farm.registry, &farm.offers["exchange"]);
            kernel.apply(&diff(&Observed::from(&before), &after)).unwrap();
            prop_assert_eq!(kernel.ruleset(), &farm.ruleset());
        }
    }
}
