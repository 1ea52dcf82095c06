use super::*;
use crate::traffic::{Connections, Readings};
use director_nft::ir::{Datum, Key};
use proptest::prelude::*;

const ID: u32 = 0x8000_0001;

fn grown(connections: u64) -> BTreeMap<u32, u64> {
    BTreeMap::from([(ID, connections)])
}

fn carried(packets: u64) -> BTreeMap<u32, Totals> {
    BTreeMap::from([(ID, Totals { packets: [packets, 2 * packets], bytes: [100 * packets, packets] })])
}

/// Readings after these times, of so many connections and ten times as many packets a second.
fn constant(start: Instant, millis: &[u64], a_second: u64) -> (Rates, Instant) {
    let mut rates = Rates::default();
    let (mut now, mut reported) = (start, 0);
    rates.add(now, &grown(1 << 40), &carried(1 << 40));
    for wait in millis {
        now += Duration::from_millis(*wait);
        let so_far = u64::try_from((now - start).as_millis()).unwrap() * a_second / 1000;
        rates.add(now, &grown(so_far - reported), &carried(10 * (so_far - reported)));
        reported = so_far;
    }
    (rates, now)
}

#[test]
fn there_are_no_rates_before_two_readings_far_enough_apart() {
    let start = Instant::now();
    for millis in [&[][..], &[500, 500], &[4_999]] {
        let (rates, _) = constant(start, millis, 1_000);
        assert_eq!((rates.window(), rates.of(ID)), (None, None));
    }
    let (rates, _) = constant(start, &[500, 4_500], 1_000);
    assert_eq!(rates.window(), Some(WINDOW));
    let rate = rates.of(ID).unwrap();
    assert_eq!((rate.connections, rate.packets, rate.bytes), (1e3, [1e4, 2e4], [1e6, 1e4]));
    assert_eq!(rates.of(ID + 1), Some(Rate::default()));
}

#[test]
fn traffic_that_ends_is_forgotten() {
    let (mut rates, mut now) = constant(Instant::now(), &[5_000, 5_000], 1_000);
    for _ in 0..2 {
        now += WINDOW;
        rates.add(now, &BTreeMap::new(), &BTreeMap::new());
    }
    assert_eq!(rates.of(ID), Some(Rate::default()));
}

#[test]
fn a_missing_reading_leaves_no_rates_and_no_spike() {
    let (mut rates, mut now) = constant(Instant::now(), &[5_000, 5_000], 1_000);
    rates.forget();
    assert_eq!(rates.of(ID), None);
    now += Duration::from_secs(60);
    rates.add(now, &grown(60_000), &carried(600_000));
    assert_eq!(rates.of(ID), None);
    rates.add(now + WINDOW, &grown(5_000), &carried(50_000));
    assert_eq!(rates.of(ID).unwrap().connections, 1e3);
}

proptest! {
    #[test]
    fn constant_traffic_has_its_rate_however_often_it_is_read(
        millis in prop::collection::vec(1u64..6_000, 12..100),
        a_second in 0u64..100_000,
    ) {
        let (rates, _) = constant(Instant::now(), &millis, a_second);
        let (window, longest) = (rates.window(), Duration::from_millis(*millis.iter().max().unwrap()));
        if let (Some(window), Some(rate)) = (window, rates.of(ID)) {
            prop_assert!(window >= WINDOW && window <= 2 * (WINDOW + longest));
            // Up to one connection at each end falls out of the window or into it.
            prop_assert!((rate.connections - a_second as f64).abs() <= 0.2);
            prop_assert!((rate.packets[1] - 20.0 * a_second as f64).abs() <= 4.0);
        } else {
            prop_assert!(millis.iter().sum::<u64>() < 5_000);
        }
    }

    #[test]
    fn an_element_that_is_reset_makes_no_spike(
        readings in prop::collection::vec((0u64..50, any::<bool>()), 1..60),
    ) {
        let key = Key::of([Datum::Mark(ID)]);
        let (mut connections, mut rates) = (Connections::default(), Rates::default());
        let (mut now, mut element) = (Instant::now(), 1_000_000);
        for (packets, reset) in readings {
            element = if reset { packets } else { element + packets };
            let mut read = Readings::default();
            read.add("dests4", [(key.clone(), element)].into_iter());
            connections.open();
            connections.close(&read);
            rates.add(now, &connections.take_growth(), &BTreeMap::new());
            if let Some(rate) = rates.of(ID) {
                prop_assert!((0.0..=50.0).contains(&rate.connections), "{rate:?}");
            }
            now += Duration::from_secs(1);
        }
    }
}
