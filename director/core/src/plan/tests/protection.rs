//! Rate limits, SYN protection, full NAT, and packets of no connection.

use super::*;
use crate::model::{Granularity, RateLimit, RateUnit};
use director_nft::trace::Trace;

fn farm(change: impl FnOnce(&mut Model)) -> Farm {
    let mut farm = Farm::new(FARM);
    change(&mut farm.model);
    farm.layout = Layout::new(&farm.model, 100, None);
    farm.apply();
    farm
}

fn web(farm: &mut Farm, client: &str) -> Trace {
    farm.send(client, "192.168.1.38", TCP, 80)
}

#[test]
fn a_client_over_the_limit_is_refused_and_others_are_not() {
    for (granularity, neighbour_is_limited) in [(32, false), (24, true)] {
        let limit = RateLimit {
            connections: 60,
            per: RateUnit::Minute,
            burst: 3,
            granularity: Granularity { v4: granularity, v6: 64 },
        };
        let mut farm = farm(|model| model.services.get_mut("web").unwrap().rate_limit = Some(limit));
        let served = |farm: &mut Farm, client| web(farm, client).dnat.is_some();
        let client = "198.51.100.1";
        assert_eq!([(); 5].map(|()| served(&mut farm, client)), [true, true, true, false, false]);
        let refused = web(&mut farm, client);
        assert_eq!(refused.outcome, Outcome::Rejected(Reject::TcpReset));
        assert_eq!(served(&mut farm, "198.51.100.2"), !neighbour_is_limited);
        assert!(served(&mut farm, "203.0.113.1"));
        assert!(farm.send(client, "192.168.1.35", TCP, 443).dnat.is_some(), "another service");
        farm.now += Duration::from_secs(1);
        assert_eq!([(); 2].map(|()| served(&mut farm, client)), [true, false], "one a second comes in");
    }
}

#[test]
fn returning_clients_are_limited_too() {
    let limit =
        RateLimit { connections: 1, per: RateUnit::Day, burst: 2, granularity: Granularity::default() };
    let mut farm = farm(|model| model.services.get_mut("exchange").unwrap().rate_limit = Some(limit));
    for (client, vip) in [("198.51.100.1", "192.168.1.35"), ("2001:db8::1", "fd00:1::35")] {
        let mut served = || farm.send(client, vip, TCP, 443).dnat.is_some();
        assert_eq!([(); 3].map(|()| served()), [true, true, false], "{vip}");
    }
}

#[test]
fn another_rate_gives_clients_other_buckets() {
    let limit = |connections| {
        Some(RateLimit {
            connections,
            per: RateUnit::Hour,
            burst: connections,
            granularity: Granularity::default(),
        })
    };
    let mut farm = farm(|model| model.services.get_mut("web").unwrap().rate_limit = limit(2));
    let client = "198.51.100.1";
    let served = |farm: &mut Farm, count| (0..count).filter(|_| web(farm, client).dnat.is_some()).count();
    assert_eq!(served(&mut farm, 9), 2);
    for (rate, expected) in [(limit(5), 5), (None, 9), (limit(2), 2)] {
        farm.model.services.get_mut("web").unwrap().rate_limit = rate;
        farm.layout = Layout::new(&farm.model, 100, None);
        farm.apply();
        assert_eq!(served(&mut farm, 9), expected, "{rate:?}");
        farm.apply();
        assert_eq!(
            served(&mut farm, 9),
            if rate.is_some() { 0 } else { 9 },
            "the same rate: the same buckets"
        );
    }
}

/// The farm with protected services, and the VIPs as addresses of its own.
fn shielded(change: impl FnOnce(&mut Model)) -> Farm {
    let mut farm = farm(|model| {
        for name in ["exchange", "web"] {
            model.services.get_mut(name).unwrap().syn_protection = true;
        }
        change(model);
    });
    let own = ["192.168.1.33", "192.168.1.35", "192.168.1.38", "fd00:1::35"];
    farm.tracer = farm.tracer.clone().with_own(own.map(|address| address.parse().unwrap()));
    farm
}

/// What a client's packets of no connection come to: a SYN, an ACK of the handshake, and the kernel's own SYN.
fn handshake(farm: &mut Farm, client: &str, vip: &str, port: u16) -> [Trace; 3] {
    let packet = Packet {
        input: "eth0".into(),
        output: "eth1".into(),
        source: client.parse().unwrap(),
        destination: vip.parse().unwrap(),
        protocol: TCP,
        source_port: 40_000,
        destination_port: port,
        mark: 0,
    };
    let syn = farm.tracer.send(&packet, farm.now);
    let ack = farm.tracer.send_stray(&packet, farm.now);
    let own = Packet { input: String::new(), ..packet };
    [syn, ack, farm.tracer.send_own(&own, farm.now)]
}

const PROVED: [Outcome; 3] = [Outcome::Synproxy, Outcome::Synproxy, Outcome::Accepted];

#[test]
fn a_client_of_a_protected_service_proves_itself_before_it_gets_a_server() {
    let mut farm = shielded(|_| {});
    let calls = [
        ("198.51.100.1", "192.168.1.35", 443, "exchange", "10.0.1.1"),
        ("2001:db8::1", "fd00:1::35", 25, "exchange", "fd00:2::1"),
        ("198.51.100.1", "192.168.1.38", 80, "web", "10.0.1.1"),
        ("198.51.100.1", "192.168.1.38", 1005, "web", "10.0.1.2"),
    ];
    for (client, vip, port, service, server) in calls {
        let traces = handshake(&mut farm, client, vip, port);
        assert_eq!(traces.each_ref().map(|trace| trace.outcome), PROVED, "{vip} {port}");
        assert_eq!(traces.each_ref().map(|trace| trace.ct_mark & 0x8000_0000 != 0), [false, false, true]);
        let mark = farm.model.services[service].mark.get();
        assert_eq!(traces.each_ref().map(|trace| trace.meta_mark), [mark; 3], "{vip} {port}");
        assert_eq!(traces[2].dnat.map(|(address, _)| address.to_string()).as_deref(), Some(server));
    }
    let map = persistence_map(false);
    assert_eq!(
        farm.tracer.entries(map, farm.now).len(),
        1,
        "an entry for the client, made when it was proved"
    );
}

#[test]
fn only_clients_and_protected_ports_with_a_server_are_asked_for_proof() {
    let mut farm = shielded(|model| model.services.get_mut("web").unwrap().syn_protection = false);
    let direct = |farm: &mut Farm, client, vip, protocol, port| {
        let trace = farm.send(client, vip, protocol, port);
        (trace.outcome, trace.dnat.is_some())
    };
    assert_eq!(direct(&mut farm, "198.51.100.1", "192.168.1.38", TCP, 80), (Outcome::Accepted, true));
    assert_eq!(direct(&mut farm, "198.51.100.1", "192.168.1.38", UDP, 80), (Outcome::Accepted, true));
    assert_eq!(direct(&mut farm, "10.0.1.2", "192.168.1.35", TCP, 80), (Outcome::Accepted, true), "hairpin");
    let reset = Outcome::Rejected(Reject::TcpReset);
    assert_eq!(direct(&mut farm, "198.51.100.1", "192.168.1.35", TCP, 22), (reset, false), "undeclared");
    for server in ["exchange1", "exchange2"] {
        farm.set("exchange", server, &Health::Down("refused".into()), Override::default());
    }
    assert_eq!(direct(&mut farm, "2001:db8::1", "fd00:1::35", TCP, 25), (reset, false), "no server");
    assert_eq!(direct(&mut farm, "198.51.100.1", "192.168.1.35", TCP, 25), (Outcome::Synproxy, false));
}

#[test]
fn a_packet_of_no_connection_is_answered_with_a_reset_unless_it_may_end_a_handshake() {
    let mut farm = shielded(|_| {});
    let reset = Outcome::Rejected(Reject::TcpReset);
    for (client, vip) in [("198.51.100.1", "192.168.1.35"), ("2001:db8::1", "fd00:1::35")] {
        assert_eq!(handshake(&mut farm, client, vip, 25)[1].outcome, Outcome::Synproxy);
        let packet = Packet {
            input: "eth0".into(),
            output: "eth1".into(),
            source: client.parse().unwrap(),
            destination: vip.parse().unwrap(),
            protocol: TCP,
            source_port: 40_001,
            destination_port: 25,
            mark: 0,
        };
        assert_eq!(farm.tracer.send_stray(&packet, farm.now).outcome, reset, "it has sent no SYN");
        let handshaking = Packet { source_port: 40_000, ..packet };
        farm.now += Duration::from_secs(6);
        assert_eq!(farm.tracer.send_stray(&handshaking, farm.now).outcome, reset, "too late");
    }
}

#[test]
fn in_a_flood_every_packet_may_end_a_handshake() {
    let mut farm = shielded(|_| {});
    let mut ruleset = farm.ruleset();
    ruleset.maps.get_mut("handshakes4").unwrap().spec.size = Some(1);
    farm.tracer.replace(&ruleset);
    handshake(&mut farm, "203.0.113.1", "192.168.1.35", 25);
    let traces = handshake(&mut farm, "198.51.100.1", "192.168.1.35", 25);
    assert_eq!(traces.map(|trace| trace.outcome), PROVED);
}

#[test]
fn a_client_over_the_limit_is_refused_when_it_proves_itself_and_counts_once() {
    let limit =
        RateLimit { connections: 1, per: RateUnit::Day, burst: 2, granularity: Granularity::default() };
    let mut farm = shielded(|model| {
        for service in model.services.values_mut() {
            service.rate_limit = Some(limit);
        }
    });
    let reset = Outcome::Rejected(Reject::TcpReset);
    for (client, vip) in [("198.51.100.1", "192.168.1.35"), ("2001:db8::1", "fd00:1::35")] {
        for _ in 0..2 {
            let traces = handshake(&mut farm, client, vip, 443);
            assert_eq!(traces.map(|trace| trace.outcome), PROVED);
        }
        assert_eq!(handshake(&mut farm, client, vip, 443)[1].outcome, reset, "{vip}");
    }
    let udp = |farm: &mut Farm| farm.send("198.51.100.1", "192.168.1.38", UDP, 80).outcome;
    assert_eq!(
        [(); 3].map(|()| udp(&mut farm)),
        [Outcome::Accepted, Outcome::Accepted, Outcome::Rejected(Reject::PortUnreachable)]
    );
}

#[test]
fn without_a_syn_proxy_in_the_kernel_a_service_runs_unprotected() {
    let mut farm = shielded(|_| {});
    let protected = farm.ruleset();
    farm.layout.leave_unprotected();
    let ruleset = farm.ruleset();
    for service in farm.model.services.values_mut() {
        service.syn_protection = false;
    }
    farm.layout = Layout::new(&farm.model, 100, None);
    assert_eq!(ruleset, farm.ruleset(), "as if nobody had asked for it");
    assert_ne!(ruleset, protected);
}

#[test]
fn connections_outlive_the_protection_that_they_began_under() {
    let mut farm = shielded(|_| {});
    let observed = Observed::from(&farm.ruleset());
    for service in farm.model.services.values_mut() {
        service.syn_protection = false;
    }
    let translates = |farm: &Farm| farm.ruleset().chains.contains_key("synproxy");
    let before = farm.layout.clone();
    farm.layout = Layout::new(&farm.model, 100, Some(&before));
    assert!(translates(&farm), "after a reload");
    farm.layout = Layout::new(&farm.model, 100, None);
    assert!(!translates(&farm), "nobody has ever asked for it");
    farm.layout.adopt(&observed);
    assert!(translates(&farm), "after a restart");
}

#[test]
fn the_kernel_would_take_the_protection_of_every_service() {
    let mut kernel = Fake::new();
    let limit = RateLimit {
        connections: 9,
        per: RateUnit::Second,
        burst: 9,
        granularity: Granularity { v4: 24, v6: 64 },
    };
    for limit in [Some(limit), None] {
        let farm = shielded(|model| model.services.get_mut("web").unwrap().rate_limit = limit);
        kernel.apply(&diff(&kernel.observe(), &farm.ruleset())).unwrap();
        assert_eq!(kernel.ruleset(), &farm.ruleset());
    }
}

#[test]
fn connections_with_full_nat_come_from_the_gateway_and_others_from_the_client() {
    let full_nat = |model: &mut Model| model.services.get_mut("web").unwrap().full_nat = true;
    let mut with_gateway = farm(|model| {
        full_nat(model);
        model.gateways = vec!["10.0.1.254".parse().unwrap()];
    });
    let trace = web(&mut with_gateway, "198.51.100.1");
    assert_eq!((trace.snat, trace.masquerade), (Some("10.0.1.254".parse().unwrap()), false));
    let other = with_gateway.send("198.51.100.1", "192.168.1.35", TCP, 443);
    assert_eq!((other.snat, other.masquerade), (None, false));
    let mut without = farm(|model| {
        full_nat(model);
        model.gateways.clear();
    });
    let trace = web(&mut without, "198.51.100.1");
    assert_eq!((trace.snat, trace.masquerade), (None, true));
}

#[test]
fn servers_packets_of_no_connection_are_answered_only_where_it_is_configured() {
    for configured in [false, true] {
        let mut farm = farm(|model| model.outbound.reset_invalid = configured);
        let mut stray = |input: &str, source: &str, destination: &str, protocol| {
            let packet = Packet {
                input: input.into(),
                output: if input == "eth0" { "eth1" } else { "eth0" }.into(),
                source: source.parse().unwrap(),
                destination: destination.parse().unwrap(),
                protocol,
                source_port: 443,
                destination_port: 4000,
                mark: 0,
            };
            farm.tracer.send_stray(&packet, Duration::ZERO).outcome
        };
        let expected = |outcome| if configured { outcome } else { Outcome::Accepted };
        let reset = expected(Outcome::Rejected(Reject::TcpReset));
        assert_eq!(stray("eth1", "10.0.1.1", "198.51.100.1", TCP), reset);
        assert_eq!(stray("eth1", "fd00:2::1", "2001:db8::1", TCP), reset);
        assert_eq!(stray("eth1", "10.0.1.1", "198.51.100.1", UDP), expected(Outcome::Dropped));
        assert_eq!(stray("eth0", "198.51.100.1", "10.0.1.1", TCP), Outcome::Accepted);
    }
}
