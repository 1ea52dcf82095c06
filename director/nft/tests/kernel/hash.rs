//! Where the kernel's hash sends packets, the tracer says beforehand.

use crate::namespace::{in_namespace, loaded, run};
use director_nft::ir::{
    BaseChain, Chain, ChainKind, DataType, Datum, Dnat, Element, ElementData, Expression, Family, Hook,
    Jhash, Key, Map, MapData, MapSpec, MarkTarget, Match, Rule, Ruleset, Selector, Statement,
};
use director_nft::trace::{Packet, Tracer};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

const SERVERS: u32 = 7;
const OFFSET: u32 = 0x1_0000;
const CLIENTS: u32 = 1000;

/// The addresses of a family, all of them local.
struct Side {
    family: Family,
    vip: IpAddr,
    server: fn(u32) -> IpAddr,
    client: fn(u32) -> IpAddr,
}

const V4: Side = Side {
    family: Family::V4,
    vip: IpAddr::V4(Ipv4Addr::new(127, 255, 0, 1)),
    server: |number| Ipv4Addr::from_bits(0x7ffe_0001 + number).into(),
    // Spread over all of 127.0.0.0/8.
    client: |number| Ipv4Addr::from_bits(0x7f00_0001 | ((number.wrapping_mul(0x9e37_79b1) >> 9) << 1)).into(),
};

const V6: Side = Side {
    family: Family::V6,
    vip: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1)),
    server: |number| Ipv6Addr::from_bits(0x2001_0db8_fffe_0000_u128 << 64 | u128::from(number + 1)).into(),
    client: |number| {
        let mixed = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | mixed >> 33).into()
    },
};

/// What is sent to the VIP goes to one of the servers, as the hash of `key` says.
fn ruleset(hook: Hook, side: &Side, key: &[Selector], seed: u32) -> Ruleset {
    let (daddr, data_type) = match side.family {
        Family::V4 => (Selector::Ip4Daddr, DataType::Ipv4Addr),
        Family::V6 => (Selector::Ip6Daddr, DataType::Ipv6Addr),
    };
    let spec =
        MapSpec { key: vec![DataType::Mark], data: MapData::Values(vec![data_type]), ..MapSpec::default() };
    let elements = (0..SERVERS).map(|number| {
        let data = Some(ElementData::Values(vec![datum((side.server)(number))]));
        (Key::of([Datum::Mark(OFFSET + number)]), Element { data, comment: None })
    });
    let jhash = Jhash { key: key.to_vec(), modulus: SERVERS, seed, offset: OFFSET };
    let statements = vec![
        Statement::Match(Match::Value { selector: daddr, negate: false, value: datum(side.vip) }),
        Statement::SetMark { target: MarkTarget::Ct, value: Expression::Jhash(jhash) },
        Statement::Dnat(Dnat {
            family: side.family,
            key: vec![Selector::CtMark],
            map: "dests".into(),
            port: false,
        }),
    ];
    let base = Some(BaseChain { kind: ChainKind::Nat, hook, priority: -100 });
    let chain = Chain { base, rules: vec![Rule { statements, comment: None }] };
    Ruleset {
        chains: [("nat".to_owned(), chain)].into(),
        maps: [("dests".to_owned(), Map { spec, elements: elements.collect() })].into(),
    }
}

fn datum(address: IpAddr) -> Datum {
    match address {
        IpAddr::V4(address) => Datum::Ipv4(address),
        IpAddr::V6(address) => Datum::Ipv6(address),
    }
}

/// Sends a datagram from each client and compares who gets it with what the tracer says. No two calls may have the
/// same port: a client that calls again from its old one would belong to its old connection.
fn compare(side: &Side, port: u16, key: &[Selector], seed: u32) {
    // What leaves a local socket meets the output hook; the tracer knows routed packets only.
    let mut nft = loaded(&ruleset(Hook::Output, side, key, seed));
    let mut tracer = Tracer::new(&ruleset(Hook::Prerouting, side, key, seed));
    let servers: Vec<UdpSocket> = (0..SERVERS)
        .map(|number| {
            let socket = UdpSocket::bind(((side.server)(number), port)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let mut shares: BTreeMap<IpAddr, u32> = BTreeMap::new();
    for number in 0..CLIENTS {
        let socket = UdpSocket::bind(((side.client)(number), 0)).unwrap();
        let source = socket.local_addr().unwrap();
        let packet = Packet {
            input: "eth0".into(),
            output: "eth1".into(),
            source: source.ip(),
            destination: side.vip,
            protocol: 17,
            source_port: source.port(),
            destination_port: port,
            mark: 0,
        };
        let predicted = tracer.send(&packet, Duration::ZERO).dnat.unwrap().0;
        socket.send_to(b"?", (side.vip, port)).unwrap();
        // Loopback delivers before the call returns.
        let got = servers.iter().find(|server| received(server, source)).unwrap();
        assert_eq!(got.local_addr().unwrap().ip(), predicted, "{source} by {key:?}");
        *shares.entry(predicted).or_default() += 1;
    }
    if key.iter().any(|field| !matches!(field, Selector::Ip4Daddr | Selector::Ip6Daddr)) {
        let ideal = CLIENTS / SERVERS;
        assert!(shares.values().all(|share| share.abs_diff(ideal) < ideal / 3), "{key:?}: {shares:?}");
    } else {
        assert_eq!(shares.len(), 1, "one destination, one server");
    }
    nft.apply(&director_nft::diff::removal()).unwrap();
}

fn received(server: &UdpSocket, source: SocketAddr) -> bool {
    let mut buffer = [0; 8];
    server.recv_from(&mut buffer).is_ok_and(|(_, from)| from == source)
}

#[test]
fn the_tracer_knows_where_the_hash_sends_ipv4_clients() {
    in_namespace(|| {
        use Selector::{Ip4Daddr, Ip4Saddr, ThSport};
        compare(&V4, 1, &[Ip4Saddr { prefix: 32 }], 0x1234_5678);
        compare(&V4, 2, &[Ip4Saddr { prefix: 24 }], 0);
        compare(&V4, 3, &[Ip4Saddr { prefix: 23 }, ThSport], u32::MAX);
        compare(&V4, 4, &[Ip4Daddr], 1);
    });
}

#[test]
fn the_tracer_knows_where_the_hash_sends_ipv6_clients() {
    in_namespace(|| {
        use Selector::{Ip6Daddr, Ip6Saddr, ThSport};
        run("ip", &["-6", "route", "add", "local", "2001:db8::/32", "dev", "lo"]);
        run("sysctl", &["-qw", "net.ipv6.ip_nonlocal_bind=1"]);
        compare(&V6, 1, &[Ip6Saddr { prefix: 128 }], 0x1234_5678);
        compare(&V6, 2, &[Ip6Saddr { prefix: 64 }], 0);
        compare(&V6, 3, &[Ip6Saddr { prefix: 57 }, ThSport], u32::MAX);
        compare(&V6, 4, &[Ip6Daddr], 1);
    });
}
