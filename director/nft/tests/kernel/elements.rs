//! Elements: ranges, comments and counters.

use crate::namespace::{chain, in_namespace, listed, loaded, mark_spec, marks};
use director_nft::diff::diff;
use director_nft::ir::{
    BaseChain, ChainKind, DataType, Datum, Element, ElementData, Expression, Hook, Key, KeyPart, Map,
    MapData, MapSpec, MarkTarget, Ruleset, Selector, Statement, Verdict,
};
use director_nft::observed::Observed;
use std::net::UdpSocket;

fn output() -> Option<BaseChain> {
    Some(BaseChain { kind: ChainKind::Filter, hook: Hook::Output, priority: 0 })
}

fn send_packet() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"x", ("127.0.0.1", 9)).unwrap();
}

#[test]
fn ranges_and_comments_are_listed_and_read_back() {
    in_namespace(|| {
        let spec = MapSpec {
            key: vec![DataType::Ipv4Addr, DataType::InetProto, DataType::InetService],
            data: MapData::Verdict,
            interval: true,
            ..MapSpec::default()
        };
        let address = KeyPart::Value(Datum::Ipv4([192, 168, 1, 35].into()));
        let tcp = KeyPart::Value(Datum::Proto(6));
        let range = KeyPart::Range(Datum::Port(5000), Datum::Port(5999));
        let one = KeyPart::Value(Datum::Port(80));
        let element = |text: &str| Element {
            data: Some(ElementData::Verdict(Verdict::Goto("svc".to_owned()))),
            comment: Some(text.to_owned()),
        };
        let mut ruleset = Ruleset::default();
        ruleset.chains.insert("svc".to_owned(), chain([]));
        ruleset.maps.insert(
            "ranges".to_owned(),
            Map {
                spec,
                elements: [
                    (Key(vec![address, tcp, range]), element("many ports")),
                    (Key(vec![address, tcp, one]), element("one port")),
                ]
                .into(),
            },
        );
        let mut nft = loaded(&ruleset);
        assert_eq!(nft.observe().unwrap(), Observed::from(&ruleset));
        let text = listed();
        assert!(text.contains("192.168.1.35 . tcp . 5000-5999 comment \"many ports\" : goto svc"), "{text}");
        assert!(text.contains("192.168.1.35 . tcp . 80 comment \"one port\" : goto svc"), "{text}");

        let mut fewer = ruleset.clone();
        fewer.maps.get_mut("ranges").unwrap().elements.remove(&Key(vec![address, tcp, range]));
        nft.apply(&diff(&Observed::from(&ruleset), &fewer)).unwrap();
        assert_eq!(nft.observe().unwrap(), Observed::from(&fewer));
        nft.apply(&diff(&Observed::from(&fewer), &ruleset)).unwrap();
        assert_eq!(nft.observe().unwrap(), Observed::from(&ruleset));
    });
}

#[test]
fn every_kind_of_data_is_listed_and_read_back() {
    in_namespace(|| {
        let map = |data: Vec<Datum>, types: Vec<DataType>| Map {
            spec: MapSpec { data: MapData::Values(types), ..mark_spec() },
            elements: [(
                Key::of([Datum::Mark(0x8000_1001)]),
                Element { data: Some(ElementData::Values(data)), comment: Some("exchange1".to_owned()) },
            )]
            .into(),
        };
        let four = Datum::Ipv4([10, 0, 1, 1].into());
        let six = Datum::Ipv6("fd00::1".parse().unwrap());
        let mut ruleset = Ruleset::default();
        ruleset.maps.insert("d4".to_owned(), map(vec![four], vec![DataType::Ipv4Addr]));
        ruleset.maps.insert("d6".to_owned(), map(vec![six], vec![DataType::Ipv6Addr]));
        let (port, service) = (Datum::Port(443), DataType::InetService);
        ruleset.maps.insert("p4".to_owned(), map(vec![four, port], vec![DataType::Ipv4Addr, service]));
        ruleset.maps.insert("p6".to_owned(), map(vec![six, port], vec![DataType::Ipv6Addr, service]));
        ruleset.maps.insert("m".to_owned(), marks([(0x10000, 0x8000_1001)]));
        let set = MapSpec { key: vec![DataType::InetService], size: Some(8), ..MapSpec::default() };
        let elements = [(Key::of([port]), Element::default())].into();
        ruleset.maps.insert("s".to_owned(), Map { spec: set, elements });
        let mut nft = loaded(&ruleset);
        assert_eq!(nft.observe().unwrap(), Observed::from(&ruleset));
        let text = listed();
        for expected in [
            "0x80001001 comment \"exchange1\" : 10.0.1.1 }",
            "0x80001001 comment \"exchange1\" : fd00::1 }",
            "0x80001001 comment \"exchange1\" : 10.0.1.1 . 443 }",
            "0x80001001 comment \"exchange1\" : fd00::1 . 443 }",
            "0x00010000 : 0x80001001 }",
            "elements = { 443 }",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    });
}

#[test]
fn elements_count_what_matches_them() {
    in_namespace(|| {
        let mut ruleset = Ruleset::default();
        let mut map = marks([(0, 5), (1, 6)]);
        map.spec.counter = true;
        ruleset.maps.insert("counted".to_owned(), map);
        let value = Expression::Map { key: vec![Selector::MetaMark], map: "counted".to_owned() };
        let mut hooked = chain([vec![Statement::SetMark { target: MarkTarget::Meta, value }]]);
        hooked.base = output();
        ruleset.chains.insert("out".to_owned(), hooked);
        let mut nft = loaded(&ruleset);
        assert_eq!(nft.observe().unwrap(), Observed::from(&ruleset));
        send_packet();
        let counters = nft.counters("counted").unwrap();
        assert!(counters[&Key::of([Datum::Mark(0)])].packets >= 1);
        assert!(counters[&Key::of([Datum::Mark(0)])].bytes >= 29);
        assert_eq!(counters[&Key::of([Datum::Mark(1)])].packets, 0);
        let one = [Key::of([Datum::Mark(0)]), Key::of([Datum::Mark(7)])];
        assert_eq!(nft.counters_in_passing("counted").unwrap(), counters);
        let counters_of = nft.counters_of("counted", &one).unwrap();
        assert_eq!(counters_of, [(one[0].clone(), counters[&one[0]])].into(), "the absent one is left out");
        assert_eq!(nft.counters("absent").unwrap_err().errno(), Some(libc::ENOENT));
    });
}

#[test]
fn a_range_falls_into_pieces_and_becomes_one_again_in_one_transaction() {
    in_namespace(|| {
        let spec = MapSpec {
            key: vec![DataType::Ipv6Addr, DataType::InetProto, DataType::InetService],
            data: MapData::Verdict,
            interval: true,
            ..MapSpec::default()
        };
        let ranges = |pieces: &[(u16, u16, &str)]| {
            let mut ruleset = Ruleset::default();
            for name in ["svc", "closed"] {
                ruleset.chains.insert(name.to_owned(), chain([]));
            }
            let element = |(first, last, to): &(u16, u16, &str)| {
                let port = if first == last {
                    KeyPart::Value(Datum::Port(*first))
                } else {
                    KeyPart::Range(Datum::Port(*first), Datum::Port(*last))
                };
                let address = KeyPart::Value(Datum::Ipv6("fd00:1::35".parse().unwrap()));
                let data = Some(ElementData::Verdict(Verdict::Goto((*to).to_owned())));
                let key = Key(vec![address, KeyPart::Value(Datum::Proto(17)), port]);
                (key, Element { data, comment: Some((*to).to_owned()) })
            };
            let elements = pieces.iter().map(element).collect();
            ruleset.maps.insert("ranges".to_owned(), Map { spec: spec.clone(), elements });
            ruleset
        };
        let steps = [
            ranges(&[(1000, 1010, "svc")]),
            ranges(&[(1000, 1003, "svc"), (1004, 1004, "closed"), (1005, 1010, "svc")]),
            ranges(&[(1000, 1002, "closed"), (1003, 1010, "svc")]),
            ranges(&[(1000, 1010, "closed")]),
            ranges(&[(1000, 1000, "svc"), (1001, 1009, "closed"), (1010, 1010, "svc")]),
            ranges(&[(1000, 1010, "svc")]),
        ];
        let mut nft = loaded(&steps[0]);
        for pair in steps.windows(2) {
            nft.apply(&diff(&Observed::from(&pair[0]), &pair[1])).unwrap();
            assert_eq!(nft.observe().unwrap(), Observed::from(&pair[1]));
        }
    });
}
