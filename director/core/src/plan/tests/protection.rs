//! Rate limits, full NAT, and packets of no connection.

use super::*;
use crate::model::{RateLimit, RateUnit};
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
            granularity_v4: granularity,
            granularity_v6: 64,
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
        RateLimit { connections: 1, per: RateUnit::Day, burst: 2, granularity_v4: 32, granularity_v6: 128 };
    let mut farm = farm(|model| model.services.get_mut("exchange").unwrap().rate_limit = Some(limit));
    for (client, vip) in [("198.51.100.1", "192.168.1.35"), ("2001:db8::1", "fd00:1::35")] {
        let mut served = || farm.send(client, vip, TCP, 443).dnat.is_some();
        assert_eq!([(); 3].map(|()| served()), [true, true, false], "{vip}");
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
