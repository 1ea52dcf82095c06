//! Elements that packets make, and that user space changes meanwhile.

use crate::namespace::{chain, elements, in_namespace, listed, loaded};
use director_nft::ir::{
    BaseChain, ChainKind, DataType, Datum, Expression, Hook, Key, Map, MapData, MapSpec, MarkTarget, Ruleset,
    Selector, Statement,
};
use director_nft::netlink::{DynamicElement, Error, Nft, Put};
use director_nft::observed::Observed;
use std::net::{Ipv4Addr, UdpSocket};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const MAP: &str = "persist4";
/// What packets put into the map.
const MADE: u32 = 0x8000_1002;
/// What user space puts there.
const PUT: u32 = 0x8000_1001;
const MINUTES: Duration = Duration::from_secs(600);
const HOUR: Duration = Duration::from_secs(3600);

fn spec() -> MapSpec {
    MapSpec {
        key: vec![DataType::Ipv4Addr, DataType::Mark],
        data: MapData::Values(vec![DataType::Mark]),
        dynamic: true,
        timeout: true,
        size: Some(100_000),
        ..MapSpec::default()
    }
}

/// Every packet sent from here makes or refreshes an entry of its sender, for ten minutes.
fn persisting(spec: MapSpec) -> Ruleset {
    let mut ruleset = Ruleset::default();
    ruleset.maps.insert(MAP.to_owned(), Map { spec, elements: [].into() });
    let key = vec![Selector::Ip4Saddr { prefix: 32 }, Selector::MetaMark];
    let value = Expression::Value(Datum::Mark(MADE));
    let mut out = chain([vec![
        Statement::SetMark { target: MarkTarget::Ct, value },
        Statement::Update { map: MAP.to_owned(), key, timeout: Some(MINUTES), data: Some(Selector::CtMark) },
    ]]);
    out.base = Some(BaseChain { kind: ChainKind::Filter, hook: Hook::Output, priority: 0 });
    ruleset.chains.insert("out".to_owned(), out);
    ruleset
}

fn packet_from(client: Ipv4Addr) {
    let socket = UdpSocket::bind((client, 0)).unwrap();
    socket.send_to(b"x", ("127.0.0.1", 9)).unwrap();
}

fn client(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x7f01_0000 + number)
}

fn key(client: Ipv4Addr) -> Key {
    Key::of([Datum::Ipv4(client), Datum::Mark(0)])
}

fn entry(client: Ipv4Addr, timeout: Option<Duration>, expires: Option<Duration>) -> DynamicElement {
    DynamicElement { key: key(client), data: vec![Datum::Mark(PUT)], timeout, expires }
}

fn get(nft: &mut Nft, client: Ipv4Addr) -> DynamicElement {
    nft.dynamic_element(MAP, &key(client)).unwrap().unwrap()
}

/// What is there in order, but for those that answer the clients.
fn of_clients(nft: &mut Nft) -> Vec<DynamicElement> {
    let mut elements = elements(nft, MAP);
    elements.retain(|element| element.key >= key(client(0)));
    elements.sort_by(|a, b| a.key.cmp(&b.key));
    elements
}

/// True if about `wanted` is left.
fn left(element: &DynamicElement, wanted: Duration) -> bool {
    element.expires.is_some_and(|left| left <= wanted && left + Duration::from_secs(60) > wanted)
}

#[test]
fn elements_that_packets_made_are_listed_and_deleted() {
    in_namespace(|| {
        let ruleset = persisting(spec());
        let mut nft = loaded(&ruleset);
        assert_eq!(elements(&mut nft, MAP), []);
        packet_from(client(1));
        let entries = of_clients(&mut nft);
        assert_eq!(entries.len(), 1);
        assert_eq!((&entries[0].key, &entries[0].data), (&key(client(1)), &vec![Datum::Mark(MADE)]));
        assert_eq!(entries[0].timeout, Some(MINUTES));
        assert!(left(&entries[0], MINUTES), "{entries:?}");
        assert_eq!(nft.observe().unwrap(), Observed::from(&ruleset));
        assert_eq!(nft.dynamic_element(MAP, &key(client(2))).unwrap(), None);
        let keys = [key(client(2)), key(client(1)), key(client(1))];
        assert_eq!(nft.delete_dynamic(MAP, &keys).unwrap(), 1);
        assert_eq!(of_clients(&mut nft), []);
        packet_from(client(1));
        let stale = DynamicElement { data: vec![Datum::Mark(MADE + 1)], ..entries[0].clone() };
        assert_eq!(nft.delete_unchanged(MAP, &[stale]).unwrap(), 0, "packets made it anew");
        assert_eq!(of_clients(&mut nft).len(), 1);
        assert_eq!(nft.delete_unchanged(MAP, &entries).unwrap(), 1);
        assert_eq!(of_clients(&mut nft), []);
        assert_eq!(nft.delete_dynamic("absent", &keys).unwrap_err().errno(), Some(libc::ENOENT));
    });
}

#[test]
fn elements_are_put_with_what_is_left_of_their_time_or_for_ever() {
    for default_timeout in [None, Some(MINUTES)] {
        in_namespace(move || {
            let mut nft = loaded(&persisting(MapSpec { default_timeout, ..spec() }));
            let entries = [
                entry(client(1), Some(HOUR), None),
                entry(client(2), Some(HOUR), Some(HOUR / 2)),
                entry(client(3), Some(MINUTES), Some(HOUR)),
                entry(client(4), None, Some(HOUR)),
                entry(client(5), Some(Duration::MAX), None),
            ];
            assert_eq!(nft.put_dynamic(MAP, &entries, Put::Replace).unwrap(), 5);
            let one = get(&mut nft, client(1));
            assert!(one.timeout == Some(HOUR) && left(&one, HOUR), "{one:?}");
            assert_eq!(one.data, [Datum::Mark(PUT)]);
            let half = get(&mut nft, client(2));
            assert!(half.timeout == Some(HOUR) && left(&half, HOUR / 2), "{half:?}");
            let cut = get(&mut nft, client(3));
            assert!(cut.timeout == Some(MINUTES) && left(&cut, MINUTES), "{cut:?}");
            let pinned = get(&mut nft, client(4));
            assert_eq!((pinned.timeout, pinned.expires), (None, None));
            assert!(get(&mut nft, client(5)).timeout > Some(HOUR * 24 * 365));
            let text = listed();
            assert!(text.contains("127.1.0.1 . 0x00000000 timeout 1h expires"), "{text}");
            assert!(text.contains("127.1.0.4 . 0x00000000 : 0x80001001"), "{text}");

            let all = elements(&mut nft, MAP);
            assert_eq!(nft.put_dynamic(MAP, &all, Put::Replace).unwrap(), 5, "what was read can be put");
            let half = get(&mut nft, client(2));
            assert!(half.timeout == Some(HOUR) && left(&half, HOUR / 2), "{half:?}");
        });
    }
}

#[test]
fn packets_refresh_what_was_put_and_leave_what_is_pinned() {
    for default_timeout in [None, Some(HOUR)] {
        in_namespace(move || {
            let mut nft = loaded(&persisting(MapSpec { default_timeout, ..spec() }));
            let short = Some(Duration::from_secs(100));
            let entries = [entry(client(1), short, None), entry(client(2), None, None)];
            nft.put_dynamic(MAP, &entries, Put::Replace).unwrap();
            assert!(left(&get(&mut nft, client(1)), Duration::from_secs(100)));
            for number in 1..=3 {
                packet_from(client(number));
            }
            let refreshed = get(&mut nft, client(1));
            assert!(left(&refreshed, MINUTES) && refreshed.data == [Datum::Mark(PUT)], "{refreshed:?}");
            assert_eq!(get(&mut nft, client(2)), entries[1]);

            let made = get(&mut nft, client(3));
            assert_eq!(made.data, [Datum::Mark(MADE)]);
            let others = [1, 2, 3, 4].map(|number| entry(client(number), None, None));
            assert_eq!(nft.put_dynamic(MAP, &others, Put::OnlyMissing).unwrap(), 1);
            assert_eq!(get(&mut nft, client(3)).data, [Datum::Mark(MADE)]);
            assert_eq!(get(&mut nft, client(4)), others[3]);
            assert_eq!(nft.put_dynamic(MAP, &others, Put::Replace).unwrap(), 4);
            assert_eq!([1, 2, 3, 4].map(|number| get(&mut nft, client(number))), others);
        });
    }
}

#[test]
fn many_are_put_and_deleted_whatever_is_there() {
    in_namespace(|| {
        let mut nft = loaded(&persisting(spec()));
        let entries: Vec<_> = (0..5_000).map(|number| entry(client(number), None, None)).collect();
        let scattered: Vec<_> = entries.iter().step_by(3).cloned().collect();
        assert_eq!(nft.put_dynamic(MAP, &scattered, Put::Replace).unwrap(), scattered.len());
        let missing = entries.len() - scattered.len();
        assert_eq!(nft.put_dynamic(MAP, &entries[..600], Put::Replace).unwrap(), 600);
        assert_eq!(nft.put_dynamic(MAP, &entries, Put::OnlyMissing).unwrap(), missing - 400);
        let mut seen = 0;
        nft.each_dynamic(MAP, |_| {
            seen += 1;
            if seen == 1_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
        assert_eq!(seen, 1_000);
        assert_eq!(elements(&mut nft, MAP).len(), entries.len());
        let keys: Vec<_> = entries.iter().map(|entry| entry.key.clone()).collect();
        assert_eq!(nft.delete_dynamic(MAP, &keys[..1_000]).unwrap(), 1_000);
        assert_eq!(nft.delete_dynamic(MAP, &keys).unwrap(), 4_000);
        assert_eq!(elements(&mut nft, MAP), []);
    });
}

#[test]
fn a_full_map_takes_no_more_but_replaces() {
    in_namespace(|| {
        let mut nft = loaded(&persisting(MapSpec { size: Some(2), ..spec() }));
        let entries = [1, 2, 3].map(|number| entry(client(number), None, None));
        nft.put_dynamic(MAP, &entries[..2], Put::Replace).unwrap();
        let again = [entry(client(1), Some(HOUR), None), entry(client(2), None, None)];
        assert_eq!(nft.put_dynamic(MAP, &again, Put::Replace).unwrap(), 2);
        assert!(left(&get(&mut nft, client(1)), HOUR));
        let error = nft.put_dynamic(MAP, &entries[2..], Put::Replace).unwrap_err();
        assert!(matches!(&error, Error::Refused { hint, .. } if hint.contains("full")), "{error}");
        assert_eq!(elements(&mut nft, MAP).len(), 2);
        let foreign = DynamicElement { key: Key::of([Datum::Mark(1)]), ..entries[0].clone() };
        let error = nft.put_dynamic(MAP, &[foreign], Put::Replace).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    });
}

#[test]
fn elements_that_time_out_are_collected_and_pinned_ones_are_not() {
    in_namespace(|| {
        let gc_interval = Some(Duration::from_millis(10));
        let mut nft = loaded(&persisting(MapSpec { size: Some(2), gc_interval, ..spec() }));
        let short = Some(Duration::from_millis(20));
        let pinned = entry(client(1), None, None);
        let entries = [pinned.clone(), entry(client(2), short, None)];
        nft.put_dynamic(MAP, &entries, Put::Replace).unwrap();
        // There is room for the third one when the second one is collected.
        let third = [entry(client(3), None, None)];
        let deadline = Instant::now() + Duration::from_secs(10);
        while nft.put_dynamic(MAP, &third, Put::Replace).is_err() {
            assert!(Instant::now() < deadline, "nothing was collected");
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(get(&mut nft, client(1)), pinned);
        assert_eq!(nft.dynamic_element(MAP, &key(client(2))).unwrap(), None);
    });
}

#[test]
fn packets_and_user_space_change_the_same_elements() {
    in_namespace(|| {
        let mut nft = loaded(&persisting(spec()));
        let stop = AtomicBool::new(false);
        let sockets: Vec<_> = (0..300).map(|number| UdpSocket::bind((client(number), 0)).unwrap()).collect();
        let keys: Vec<_> = (0..300).map(|number| key(client(number))).collect();
        thread::scope(|scope| {
            scope.spawn(|| {
                let deadline = Instant::now() + Duration::from_secs(5);
                while !stop.load(Ordering::Relaxed) && Instant::now() < deadline {
                    for socket in &sockets {
                        socket.send_to(b"x", ("127.0.0.1", 9)).unwrap();
                    }
                }
            });
            for round in 0..20 {
                let timeout = (round % 2 == 0).then_some(HOUR);
                let entries: Vec<_> = (0..300).map(|number| entry(client(number), timeout, None)).collect();
                let put = nft.put_dynamic(MAP, &entries, Put::Replace).unwrap();
                assert_eq!(put, entries.len());
                assert!(nft.delete_dynamic(MAP, &keys).unwrap() >= 1);
                assert!(nft.put_dynamic(MAP, &entries, Put::OnlyMissing).unwrap() <= entries.len());
            }
            stop.store(true, Ordering::Relaxed);
        });
        let pinned: Vec<_> = (0..300).map(|number| entry(client(number), None, None)).collect();
        assert_eq!(nft.put_dynamic(MAP, &pinned, Put::Replace).unwrap(), pinned.len());
        assert_eq!(
            [0, 99, 299].map(|number| get(&mut nft, client(number))),
            [0, 99, 299].map(|at| pinned[at].clone())
        );
        let keys: Vec<_> = (0..300).map(|number| key(client(number))).collect();
        assert_eq!(nft.delete_dynamic(MAP, &keys).unwrap(), keys.len());
        assert_eq!(of_clients(&mut nft), [], "none of which there were two");
    });
}
