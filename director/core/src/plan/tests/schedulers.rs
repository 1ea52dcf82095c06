//! Whom the schedulers send where, beyond turns.

use super::*;
use crate::model::{ClientHash, Scheduler};
use director_nft::render;
use director_nft::transaction::Operation;

/// A service on two VIPs of each family, over four servers, with these options.
fn farm(options: &str) -> Farm {
    Farm::new(&format!(
        "
version: 1
nodes:
  lb1:
    public: {{interface: eth0, addresses: [192.168.1.33/24, 'fd00:1::33/64']}}
    private: {{interface: eth1, addresses: [10.0.1.33/24, 'fd00:2::33/64']}}
servers:
  a: {{addresses: [10.0.1.1, 'fd00:2::1']}}
  b: {{addresses: [10.0.1.2, 'fd00:2::2']}}
  c: {{addresses: [10.0.1.3, 'fd00:2::3']}}
  d: {{addresses: [10.0.1.4, 'fd00:2::4']}}
services:
  web:
    mark: 80
    vips: [{V4}, '{V6}', 192.168.1.36, 'fd00:1::36']
    ports: {{both: [80, 443]}}
    {options}
    servers: {{a: {{weight: 4}}, b: {{weight: 2}}, c: {{weight: 1}}, d: {{weight: 1}}}}
"
    ))
}

const V4: &str = "192.168.1.35";
const V6: &str = "fd00:1::35";
const FAMILIES: [&str; 2] = [V4, V6];

/// A client of the VIP's family; every 250 of them are in a network of their own.
fn client(vip: &str, number: usize) -> String {
    let (network, host) = (number / 250, 1 + number % 250);
    if vip == V4 { format!("198.51.{network}.{host}") } else { format!("2001:db8:{network:x}::{host:x}") }
}

impl Farm {
    /// The server of each of the first `count` clients, by the last part of its address.
    fn servers_of(&mut self, vip: &str, count: usize) -> Vec<usize> {
        (0..count).map(|number| self.server_of(&client(vip, number), vip, TCP, 80)).collect()
    }

    fn server_of(&mut self, source: &str, vip: &str, protocol: u8, port: u16) -> usize {
        number(&self.goes(source, vip, protocol, port))
    }

    /// From a source port of its own.
    fn server_of_port(&mut self, source: &str, vip: &str, source_port: u16) -> usize {
        let packet = Packet {
            input: "eth0".into(),
            output: "eth1".into(),
            source: source.parse().unwrap(),
            destination: vip.parse().unwrap(),
            protocol: TCP,
            source_port,
            destination_port: 80,
            mark: 0,
        };
        number(&self.tracer.send(&packet, self.now).dnat.unwrap().0.to_string())
    }

    fn rule(&self, vip: &str) -> String {
        let chain = &self.ruleset().chains[if vip == V4 { "svc-web-4" } else { "svc-web-6" }];
        render::rule(chain.rules.last().unwrap())
    }
}

/// The last part of a server's address.
fn number(address: &str) -> usize {
    let part = address.rsplit(['.', ':']).next();
    part.and_then(|part| part.parse().ok()).unwrap_or_else(|| panic!("{address}"))
}

/// Distances of the shares from 4 : 2 : 1 : 1, in standard deviations of as many throws of dice.
fn deviations(servers: &[usize]) -> Vec<f64> {
    let total = servers.len() as f64;
    let deviation = |(server, weight): (usize, f64)| {
        let part = weight / 8.0;
        let count = servers.iter().filter(|it| **it == server).count() as f64;
        (count - total * part).abs() / (total * part * (1.0 - part)).sqrt()
    };
    (1..).zip([4.0, 2.0, 1.0, 1.0]).map(deviation).collect()
}

#[test]
fn rules_say_how_the_kernel_comes_to_a_slot() {
    for (options, vip, expected) in [
        ("scheduler: random", V4, "numgen random mod 8"),
        ("scheduler: fo", V4, "numgen inc mod 1"),
        ("scheduler: sh", V4, "jhash ip saddr mod 8 seed 0x16d2ffe8"),
        ("scheduler: sh, hash_port: true", V4, "jhash ip saddr . th sport mod 8 seed 0x16d2ffe8"),
        ("scheduler: mh", V6, "jhash ip6 saddr mod 251 seed 0x16d2ffe8 offset 32768"),
        ("scheduler: mh, hash_granularity: 24", V4, "jhash ip saddr & 255.255.255.0 mod 251 seed 0x16d2ffe8"),
        (
            "scheduler: mh, hash_granularity6: 48, hash_port: true",
            V6,
            "jhash ip6 saddr & ffff:ffff:ffff:: . th sport mod 251 seed 0x16d2ffe8 offset 32768",
        ),
        ("scheduler: dh", V4, "jhash ip daddr mod 8 seed 0x16d2ffe8"),
        ("scheduler: dh", V6, "jhash ip6 daddr mod 8 seed 0x16d2ffe8 offset 32768"),
    ] {
        let farm = farm(&options.replace(", ", "\n    "));
        let (rule, pick) = (farm.rule(vip), if vip == V4 { "pick4" } else { "pick6" });
        let begin = format!("meta mark set 0x00000050 ct mark set {expected} goto {pick} comment \"web ");
        assert!(rule.starts_with(&begin), "{options}: {rule}");
        let mut kernel = Fake::new();
        kernel.apply(&diff(&kernel.observe(), &farm.ruleset())).unwrap();
    }
    assert!(farm("scheduler: mh").rule(V4).ends_with(" comment \"web mh, 251 slots\""));
}

#[test]
fn a_hashed_client_has_one_server_on_all_ports_and_at_all_times() {
    for scheduler in ["sh", "mh"] {
        let mut farm = farm(&format!("scheduler: {scheduler}"));
        for vip in FAMILIES {
            let first = farm.servers_of(vip, 500);
            farm.now += Duration::from_secs(100_000);
            for (number, server) in first.iter().enumerate() {
                let client = client(vip, number);
                for (protocol, port) in [(TCP, 80), (TCP, 443), (UDP, 80), (UDP, 443)] {
                    assert_eq!(farm.server_of(&client, vip, protocol, port), *server);
                }
                assert_eq!(
                    farm.server_of_port(&client, vip, 1024),
                    farm.server_of_port(&client, vip, 60_000)
                );
            }
        }
    }
}

#[test]
fn with_hash_port_connections_of_a_client_are_spread() {
    for scheduler in ["sh", "mh"] {
        let mut farm = farm(&format!("scheduler: {scheduler}\n    hash_port: true"));
        for vip in FAMILIES {
            let client = client(vip, 1);
            let servers: Vec<usize> =
                (0..4000).map(|port| farm.server_of_port(&client, vip, 20_000 + port)).collect();
            let again = farm.server_of_port(&client, vip, 20_000);
            assert_eq!(again, servers[0], "a connection that begins anew is the same one");
            assert!(deviations(&servers).iter().all(|it| *it < 4.0), "{:?}", deviations(&servers));
        }
    }
}

#[test]
fn clients_of_a_granularity_are_hashed_as_one() {
    for scheduler in ["sh", "mh"] {
        let options = format!("scheduler: {scheduler}\n    hash_granularity: 24\n    hash_granularity6: 48");
        let mut farm = farm(&options);
        for vip in FAMILIES {
            let servers = farm.servers_of(vip, 5000);
            assert!(servers.chunks(250).all(|network| network.iter().all(|server| *server == network[0])));
            assert!((1..=4).all(|server| servers.contains(&server)), "networks are spread");
        }
    }
}

#[test]
fn shares_are_the_weights_within_the_bounds_of_chance() {
    for scheduler in ["random", "sh", "mh"] {
        let mut farm = farm(&format!("scheduler: {scheduler}"));
        for vip in FAMILIES {
            let deviations = deviations(&farm.servers_of(vip, 4000));
            assert!(deviations.iter().all(|it| *it < 4.0), "{scheduler}: {deviations:?}");
        }
    }
}

#[test]
fn a_random_server_has_nothing_to_do_with_the_client() {
    let mut farm = farm("scheduler: random");
    let servers: Vec<usize> = (0..4000).map(|_| farm.server_of("203.0.113.1", V4, TCP, 80)).collect();
    assert!(deviations(&servers).iter().all(|it| *it < 4.0), "{:?}", deviations(&servers));
}

#[test]
fn under_mh_only_clients_of_the_servers_concerned_move_and_they_come_back() {
    let mut farm = farm("scheduler: mh");
    let down = Health::Down("refused".into());
    for vip in FAMILIES {
        let before = farm.servers_of(vip, 2000);
        for (name, number) in [("a", 1), ("b", 2), ("c", 3)] {
            for (health, overridden) in [(&Health::default(), DRAINED), (&down, Override::default())] {
                farm.set("web", name, health, overridden);
                let after = farm.servers_of(vip, 2000);
                for (client, (before, after)) in before.iter().zip(&after).enumerate() {
                    assert_eq!(before != after, *before == number, "client {client} of {name}");
                }
                farm.set("web", name, &Health::default(), Override::default());
                assert_eq!(farm.servers_of(vip, 2000), before);
            }
        }
    }
}

#[test]
fn a_change_under_mh_replaces_the_slots_that_change_hands_and_no_others() {
    let mut farm = farm("scheduler: mh");
    let part =
        |farm: &Farm| service(&farm.layout, &farm.model.services["web"], &farm.registry, &farm.offers["web"]);
    let before = part(&farm);
    farm.set("web", "d", &Health::default(), DRAINED);
    let transaction = diff(&Observed::from(&before), &part(&farm));
    let mut slots = [0, 0];
    for operation in &transaction.operations {
        if let Operation::DeleteElements { map, keys, .. } = operation {
            // Beside the slots, its destination in each family.
            if map == names::SLOTS { slots[0] += keys.len() } else { assert_eq!(keys.len(), 1) }
        } else if let Operation::AddElements { map, elements, .. } = operation {
            assert_eq!(map, names::SLOTS);
            slots[1] += elements.len();
        } else {
            panic!("{operation:?}");
        }
    }
    // An eighth of 251 in each family.
    assert!(slots[0] == slots[1] && (60..=66).contains(&slots[0]), "{slots:?}");
}

#[test]
fn under_sh_clients_of_a_server_that_is_gone_go_to_another_one() {
    let mut farm = farm("scheduler: sh\n    hash_fallback: true");
    let before = farm.servers_of(V4, 500);
    farm.set("web", "a", &Health::Down("refused".into()), Override::default());
    assert!(farm.servers_of(V4, 500).iter().all(|server| (2..=4).contains(server)));
    farm.set("web", "a", &Health::default(), Override::default());
    assert_eq!(farm.servers_of(V4, 500), before);
}

#[test]
fn under_fo_the_highest_weight_has_all_and_gets_them_back() {
    let mut farm = farm("scheduler: fo");
    let only = |farm: &mut Farm| -> Vec<usize> {
        let mut servers = [farm.servers_of(V4, 20), farm.servers_of(V6, 20)].concat();
        servers.dedup();
        servers
    };
    assert_eq!(only(&mut farm), [1]);
    farm.set("web", "a", &Health::Down("refused".into()), Override::default());
    assert_eq!(only(&mut farm), [2]);
    farm.set("web", "b", &Health::default(), DRAINED);
    assert_eq!(only(&mut farm), [3], "the first of equals");
    farm.set("web", "a", &Health::default(), Override::default());
    assert_eq!(only(&mut farm), [1]);
}

#[test]
fn under_dh_a_vip_has_one_server() {
    let mut farm = farm("scheduler: dh");
    for vip in [V4, V6, "192.168.1.36", "fd00:1::36"] {
        let clients = if vip.contains(':') { V6 } else { V4 };
        let mut servers: Vec<usize> =
            (0..50).map(|number| farm.server_of(&client(clients, number), vip, TCP, 443)).collect();
        servers.dedup();
        assert_eq!(servers.len(), 1, "{vip}");
    }
}

#[test]
fn a_persistent_client_stays_though_its_slot_changes_hands() {
    let mut farm = farm("scheduler: mh\n    persistence: {timeout: 10m}");
    farm.set("web", "a", &Health::default(), DRAINED);
    let before = farm.servers_of(V4, 200);
    farm.set("web", "a", &Health::default(), Override::default());
    assert_eq!(farm.servers_of(V4, 200), before, "entries come before the hash");
    farm.now += Duration::from_secs(601);
    let after = farm.servers_of(V4, 200);
    assert!(after.contains(&1));
    farm.set("web", "a", &Health::Down("refused".into()), Override::default());
    assert!(!farm.servers_of(V4, 200).contains(&1), "entries of a dead server are rewritten");
}

#[test]
fn both_directors_send_a_client_to_the_same_server_whatever_their_history() {
    for scheduler in ["sh", "mh", "dh"] {
        let mut one = farm(&format!("scheduler: {scheduler}"));
        let mut other = farm(&format!("scheduler: {scheduler}"));
        // One that has known other services and servers before.
        let old = load(&FARM.replace("exchange1", "d").replace("exchange2", "c"), "old").unwrap();
        other.registry = Registry::default();
        other.registry.assign(&old).unwrap();
        other.registry.assign(&other.model).unwrap();
        other.apply();
        assert_ne!(one.registry.server("web", "d"), other.registry.server("web", "d"));
        for vip in FAMILIES {
            assert_eq!(one.servers_of(vip, 500), other.servers_of(vip, 500));
        }
    }
}

#[test]
fn without_fallback_clients_of_a_server_that_takes_nothing_are_refused_and_nobody_moves() {
    for (options, persistent) in [("scheduler: mh", false), ("scheduler: sh", false), ("scheduler: mh", true)]
    {
        let options =
            format!("{options}{}", if persistent { "\n    persistence: {timeout: 60s}" } else { "" });
        let mut farm = farm(&options);
        let service = farm.model.services.get_mut("web").unwrap();
        let hash = ClientHash { fallback: false, ..ClientHash::default() };
        service.scheduler = if options.contains("mh") { Scheduler::Mh(hash) } else { Scheduler::Sh(hash) };
        farm.apply();
        let before = farm.servers_of(V4, 200);
        farm.now += Duration::from_secs(1000);
        farm.set("web", "a", &Health::Down("refused".into()), Override::default());
        for (number, server) in before.iter().enumerate() {
            // Twice: a client that was refused must not be remembered for it.
            for _ in 0..2 {
                let trace = farm.send(&client(V4, number), V4, TCP, 80);
                let went = trace.dnat.map(|(address, _)| self::number(&address.to_string()));
                assert_eq!(went, Some(*server).filter(|server| *server != 1), "{options}");
            }
        }
        farm.set("web", "a", &Health::default(), Override::default());
        assert_eq!(farm.servers_of(V4, 200), before);
    }
}
