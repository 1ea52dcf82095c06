use super::*;
use director_nft::netlink::{Flow, Traffic, Tuple};
use proptest::prelude::*;

const ID: u32 = 0x8000_0001;

fn key(id: u32) -> Key {
    Key::of([Datum::Mark(id)])
}

fn flow(id: u32, tcp_state: Option<u8>, packets: u64) -> Flow {
    let tuple = Tuple {
        source: [10, 0, 0, 1].into(),
        destination: [10, 0, 0, 2].into(),
        source_port: 1000,
        destination_port: 80,
    };
    let traffic =
        [Traffic { packets, bytes: packets * 100 }, Traffic { packets: 2 * packets, bytes: packets }];
    Flow {
        id,
        mark: ID,
        protocol: 6,
        original: tuple,
        reply: tuple,
        tcp_state,
        status: 0,
        timeout: None,
        traffic: Some(traffic),
    }
}

fn dump((meter, flows): &mut (Meter, Flows), shown: &[Flow]) {
    let mut dump = meter.dump();
    shown.iter().for_each(|flow| dump.add(flow));
    flows.take(dump.finish());
}

#[test]
fn connections_grow_with_the_readings() {
    let mut connections = Connections::default();
    for packets in [3, 3, 10] {
        connections.count("dests4", &key(ID), packets);
    }
    connections.count("dests6", &key(ID), 5);
    assert_eq!(connections.total(ID), 15);
}

#[test]
fn an_element_that_is_made_anew_counts_from_zero() {
    let mut connections = Connections::default();
    connections.count("dests4", &key(ID), 10);
    connections.count("dests4", &key(ID), 4);
    assert_eq!(connections.total(ID), 14, "flushed by somebody else and made again");
    connections.count("dests4", &key(ID), 6);
    connections.begin("dests4", &key(ID));
    connections.count("dests4", &key(ID), 7);
    assert_eq!(connections.total(ID), 23, "drained and enabled again");
}

#[test]
fn connections_without_room_for_an_entry_count_by_family_and_mark() {
    let mut connections = Connections::default();
    connections.count("overflow4", &key(80), 3);
    connections.count("overflow6", &key(80), 2);
    connections.count("overflow6", &key(80), 4);
    connections.begin("overflow6", &key(80));
    connections.count("overflow6", &key(80), 1);
    assert_eq!((connections.without_entry(80), connections.total(80)), ([3, 5], 0));
    assert_eq!(connections.without_entry(81), [0, 0]);
}

#[test]
fn connections_over_the_rate_limit_count_by_mark() {
    let mut connections = Connections::default();
    connections.count("limited", &key(80), 3);
    connections.count("limited", &key(80), 5);
    assert_eq!((connections.over_limit(80), connections.over_limit(81), connections.total(80)), (5, 0, 0));
}

#[test]
fn ports_of_a_destination_add_up() {
    let mut connections = Connections::default();
    for port in [25, 80] {
        connections.count("dests4-ports", &Key::of([Datum::Mark(ID), Datum::Port(port)]), 4);
    }
    assert_eq!(connections.total(ID), 8);
}

#[test]
fn counting_goes_on_from_what_was_saved() {
    let mut connections = Connections::default();
    connections.count("dests4", &key(ID), 10);
    let saved = serde_json::to_string(&connections).unwrap();
    let mut resumed: Connections = serde_json::from_str(&saved).unwrap();
    resumed.count("dests4", &key(ID), 12);
    assert_eq!(resumed.total(ID), 12, "the kernel went on counting meanwhile");
}

#[test]
fn flows_grow_from_dump_to_dump_and_keep_what_is_gone() {
    let mut flows = <(Meter, Flows)>::default();
    dump(&mut flows, &[]);
    dump(&mut flows, &[flow(1, Some(3), 5), flow(2, Some(7), 1)]);
    dump(&mut flows, &[flow(1, Some(3), 8)]);
    dump(&mut flows, &[]);
    assert_eq!(flows.1.totals()[&ID].packets, [9, 18]);
    assert_eq!(flows.1.totals()[&ID].bytes, [900, 9]);
}

#[test]
fn a_dump_that_breaks_off_counts_nothing() {
    let mut flows = <(Meter, Flows)>::default();
    dump(&mut flows, &[flow(1, None, 1)]);
    flows.0.dump().add(&flow(1, None, 5));
    assert_eq!(flows.1.totals().get(&ID), None);
    dump(&mut flows, &[flow(1, None, 6)]);
    assert_eq!(flows.1.totals()[&ID].packets, [5, 10]);
}

#[test]
fn what_ran_before_the_first_dump_is_not_counted_again() {
    let before = Flows::resume(BTreeMap::from([(ID, Totals { packets: [100, 0], bytes: [0, 0] })]));
    let mut flows = (Meter::default(), before);
    dump(&mut flows, &[flow(1, Some(3), 50)]);
    dump(&mut flows, &[flow(1, Some(3), 51)]);
    assert_eq!(flows.1.totals()[&ID].packets, [101, 2]);
}

#[test]
fn a_flow_shown_twice_counts_once() {
    let mut flows = <(Meter, Flows)>::default();
    dump(&mut flows, &[]);
    dump(&mut flows, &[flow(1, Some(3), 5), flow(1, Some(3), 5)]);
    assert_eq!(flows.1.totals()[&ID].packets, [5, 10]);
    assert_eq!(flows.1.live(ID), Live { active: 1, inactive: 0, open: 1 });
}

#[test]
fn established_tcp_is_active_and_all_else_is_not() {
    let mut flows = <(Meter, Flows)>::default();
    dump(&mut flows, &[flow(1, Some(3), 0), flow(2, Some(7), 0), flow(3, None, 0)]);
    assert_eq!(flows.1.live(ID), Live { active: 1, inactive: 2, open: 2 });
    dump(&mut flows, &[]);
    assert_eq!(flows.1.live(ID), Live::default());
}

/// A reading of one element of `dests4`.
fn reading(packets: u64) -> Readings {
    let mut readings = Readings::default();
    readings.add("dests4", [(key(ID), packets)].into_iter());
    readings
}

#[test]
fn a_late_reading_of_an_element_that_went_meanwhile_counts_nothing() {
    let mut connections = Connections::default();
    connections.open();
    connections.count("dests4", &key(ID), 10);
    connections.begin("dests4", &key(ID));
    connections.close(&reading(9));
    assert_eq!(connections.total(ID), 10);
    connections.open();
    connections.close(&reading(3));
    assert_eq!(connections.total(ID), 13, "the next reading counts again");
}

#[test]
fn growth_is_told_once() {
    let mut connections = Connections::default();
    connections.count("dests4", &key(ID), 10);
    connections.count("limited", &key(80), 5);
    assert_eq!(connections.take_growth(), BTreeMap::from([(ID, 10)]));
    connections.open();
    connections.close(&reading(10));
    assert_eq!(connections.take_growth(), BTreeMap::new());
}

/// What may happen to an element while it is read late, or not at all.
#[derive(Debug, Clone)]
enum Step {
    Packets(u64),
    /// Counted, removed and made again by the director.
    Replace,
    Begin,
    Read,
    Finish,
    /// What was read is lost.
    Fail,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u64..20).prop_map(Step::Packets),
        1 => Just(Step::Replace),
        2 => Just(Step::Begin),
        2 => Just(Step::Read),
        2 => Just(Step::Finish),
        1 => Just(Step::Fail),
    ]
}

proptest! {
    #[test]
    fn no_connection_is_counted_twice_or_missed(steps in prop::collection::vec(step(), 1..80)) {
        let mut connections = Connections::default();
        // What the element says, what came in all; the reading under way, and what it found.
        let (mut element, mut all, mut open, mut found) = (0, 0, false, None);
        for step in steps {
            let before = connections.total(ID);
            match step {
                Step::Packets(packets) => {
                    element += packets;
                    all += packets;
                }
                Step::Replace => {
                    connections.count("dests4", &key(ID), element);
                    connections.begin("dests4", &key(ID));
                    element = 0;
                }
                Step::Begin if !open => {
                    connections.open();
                    (open, found) = (true, None);
                }
                Step::Read if open => found = Some(element),
                Step::Finish | Step::Fail if open => {
                    let read = found.take().filter(|_| matches!(step, Step::Finish));
                    connections.close(&read.map(reading).unwrap_or_default());
                    open = false;
                }
                Step::Begin | Step::Read | Step::Finish | Step::Fail => {}
            }
            prop_assert!((before..=all).contains(&connections.total(ID)));
        }
        if open {
            connections.close(&Readings::default());
        }
        connections.open();
        connections.close(&reading(element));
        prop_assert_eq!(connections.total(ID), all);
        prop_assert_eq!(connections.take_growth().values().sum::<u64>(), all);
    }

    #[test]
    fn totals_never_run_backwards(readings in prop::collection::vec(any::<u64>(), 1..50)) {
        let mut connections = Connections::default();
        let mut last = 0;
        for packets in readings {
            connections.count("dests4", &key(ID), packets);
            prop_assert!(connections.total(ID) >= last);
            last = connections.total(ID);
        }
    }

    #[test]
    fn flow_totals_never_run_backwards(readings in prop::collection::vec((0u32..5, 0u64..1 << 40), 1..50)) {
        let mut flows = <(Meter, Flows)>::default();
        let mut last = [0, 0];
        for (id, packets) in readings {
            dump(&mut flows, &[flow(id, None, packets)]);
            let now = flows.1.totals().get(&ID).copied().unwrap_or_default().packets;
            prop_assert!(now[0] >= last[0] && now[1] >= last[1]);
            last = now;
        }
    }
}
