use super::super::{Candidate, slots};
use super::*;
use crate::model::Scheduler;
use proptest::prelude::*;
use std::collections::VecDeque;

const BY_LEAST: [Scheduler; 4] = [Scheduler::Lc, Scheduler::Wlc, Scheduler::Sed, Scheduler::Nq];

/// How many slots each server has that has this weight and these (active, inactive) connections.
fn shares(scheduler: Scheduler, servers: &[(u32, u32, u32)], expected: u32) -> Vec<usize> {
    let candidates: Vec<Candidate<'_>> = servers
        .iter()
        .map(|&(weight, active, inactive)| Candidate {
            name: "",
            share: if scheduler == Scheduler::Lc { weight.min(1) } else { weight } * WHOLE,
            full_share: weight * WHOLE,
            load: Load { active, inactive },
        })
        .collect();
    let mut shares = vec![0; servers.len()];
    slots(scheduler, &candidates, expected).into_iter().for_each(|owner| shares[owner] += 1);
    shares
}

/// The same, of servers that have only active connections.
fn active(scheduler: Scheduler, servers: &[(u32, u32)], expected: u32) -> Vec<usize> {
    let servers: Vec<_> = servers.iter().map(|(weight, active)| (*weight, *active, 0)).collect();
    shares(scheduler, &servers, expected)
}

#[test]
fn the_next_connection_goes_to_the_server_with_the_fewest() {
    assert_eq!(active(Scheduler::Lc, &[(1, 5), (9, 5), (1, 4)], 1), [0, 0, 64]);
    assert_eq!(active(Scheduler::Wlc, &[(1, 10), (1, 10), (2, 20), (4, 39)], 1), [0, 0, 0, 64]);
    assert_eq!(shares(Scheduler::Wlc, &[(1, 5, 600), (1, 6, 0)], 1), [0, 64]);
}

#[test]
fn equals_share_by_weight() {
    assert_eq!(active(Scheduler::Lc, &[(1, 0), (7, 0)], 1), [32, 32]);
    assert_eq!(active(Scheduler::Wlc, &[(1, 10), (1, 10), (2, 20), (4, 40)], 1), [8, 8, 16, 32]);
    assert_eq!(active(Scheduler::Nq, &[(1, 0), (1, 0), (1, 3)], 1), [32, 32, 0]);
}

#[test]
fn what_is_missing_comes_first_and_the_rest_by_weight() {
    // 8 for the second, then 4 each.
    assert_eq!(active(Scheduler::Wlc, &[(1, 10), (1, 2)], 16), [16, 48]);
}

#[test]
fn sed_takes_the_heaviest_of_idle_servers_and_wlc_all() {
    assert_eq!(active(Scheduler::Sed, &[(1, 0), (4, 0)], 1), [0, 64]);
    assert_eq!(active(Scheduler::Sed, &[(1, 0), (4, 2)], 1), [0, 64]);
    assert_eq!(active(Scheduler::Wlc, &[(1, 0), (3, 0)], 1), [16, 48]);
}

#[test]
fn nq_lets_no_server_idle() {
    assert_eq!(active(Scheduler::Nq, &[(1, 0), (8, 1)], 1), [64, 0]);
    assert_eq!(active(Scheduler::Nq, &[(1, 0), (1, 0), (8, 1)], 4), [16, 16, 32]);
    assert_eq!(active(Scheduler::Nq, &[(1, 1), (8, 1)], 1), [0, 64]);
}

#[test]
fn ovf_fills_the_heaviest_then_the_next() {
    assert_eq!(active(Scheduler::Ovf, &[(2, 0), (5, 0), (3, 0)], 1), [0, 64, 0]);
    assert_eq!(active(Scheduler::Ovf, &[(2, 0), (5, 5), (3, 0)], 1), [0, 0, 64]);
    assert_eq!(active(Scheduler::Ovf, &[(2, 0), (5, 3), (3, 0)], 4), [0, 32, 32]);
    assert_eq!(active(Scheduler::Ovf, &[(2, 2), (5, 9), (3, 3)], 4), [0, 0, 0]);
}

#[test]
fn all_of_them_go_by_weight_while_nobody_counts() {
    let expected = crate::pool::Demand::unknown().expected;
    for scheduler in [Scheduler::Wlc, Scheduler::Sed, Scheduler::Nq, Scheduler::Ovf] {
        assert_eq!(active(scheduler, &[(1, 0), (1, 0), (2, 0), (4, 0)], expected), [8, 8, 16, 32]);
    }
    assert_eq!(
        active(Scheduler::Wlc, &[(1, 900), (1, 0)], expected),
        [32, 32],
        "also if the loads are known"
    );
}

#[test]
fn few_connections_more_than_expected_flood_nobody() {
    let shares = active(Scheduler::Wlc, &[(1, 1000), (1, 999)], 1);
    assert!(shares[0] >= 30, "{shares:?}");
}

#[test]
fn there_is_room_for_many_servers_and_a_limit() {
    for (servers, slots) in [(1, 64), (32, 64), (33, 128), (4095, 1024)] {
        let shares = active(Scheduler::Wlc, &vec![(1, 0); servers], 1);
        assert_eq!(shares.iter().sum::<usize>(), slots);
    }
}

/// 200 connections a second for two minutes, half of them for 0.1 s and half for 10 s: the largest deviation from the
/// weight's part, as a part of that, at every tenth of a second after 20 s; mean and largest.
fn imbalance(scheduler: Scheduler, weights: &[u32], seed: u64) -> (f64, f64) {
    let mut random = Random(seed);
    let mut loads = vec![0_u32; weights.len()];
    let mut ends: VecDeque<Vec<usize>> = vec![Vec::new(); 101].into();
    let mut deviations = Vec::new();
    for step in 0..1200 {
        for server in ends.pop_front().unwrap() {
            loads[server] -= 1;
        }
        ends.push_back(Vec::new());
        let servers: Vec<_> = weights.iter().zip(&loads).map(|(weight, load)| (*weight, *load, 0)).collect();
        let candidates: Vec<Candidate<'_>> = servers
            .iter()
            .map(|&(weight, active, inactive)| Candidate {
                name: "",
                share: weight,
                full_share: weight,
                load: Load { active, inactive },
            })
            .collect();
        let slots = slots(scheduler, &candidates, 20);
        let at = random.below(slots.len());
        for slot in at..at + 10 + random.below(21) {
            let server = slots[slot % slots.len()];
            loads[server] += 1;
            let life = if random.below(2) == 0 { 0 } else { 99 };
            ends[life].push(server);
        }
        if step >= 200 {
            let part = f64::from(loads.iter().sum::<u32>()) / f64::from(weights.iter().sum::<u32>());
            let deviation = |(load, weight): (&u32, &u32)| {
                let ideal = part * f64::from(*weight);
                (f64::from(*load) - ideal).abs() / ideal
            };
            deviations.push(loads.iter().zip(weights).map(deviation).fold(0.0, f64::max));
        }
    }
    (deviations.iter().sum::<f64>() / deviations.len() as f64, deviations.into_iter().fold(0.0, f64::max))
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

proptest! {
    #[test]
    fn no_weight_no_slots(
        servers in prop::collection::vec((0_u32..9, 0_u32.., 0_u32..), 1..20),
        expected: u32,
    ) {
        for scheduler in BY_LEAST.into_iter().chain([Scheduler::Ovf]) {
            let shares = shares(scheduler, &servers, expected);
            for (share, (weight, active, _)) in shares.iter().zip(&servers) {
                prop_assert!(*share == 0 || *weight > 0);
                prop_assert!(*share == 0 || scheduler != Scheduler::Ovf || active < weight);
            }
            let any = servers.iter().any(|it| it.0 > 0 && (scheduler != Scheduler::Ovf || it.1 < it.0));
            prop_assert_eq!(shares.iter().sum::<usize>(), if any { 64 } else { 0 });
        }
    }

    #[test]
    fn whoever_has_less_gets_no_less(
        (low, high) in (0_u32..500, 0_u32..500),
        others in prop::collection::vec((1_u32..9, 0_u32..500), 0..9),
        expected in 0_u32..100,
    ) {
        for scheduler in BY_LEAST {
            let mut servers = vec![(3, low.min(high)), (3, low.max(high))];
            servers.extend(&others);
            let shares = active(scheduler, &servers, expected);
            prop_assert!(shares[0] + 1 >= shares[1], "{scheduler:?} {shares:?}");
        }
    }

    #[test]
    fn loads_by_weight_get_slots_by_weight(
        weights in prop::collection::vec(1_u32..20, 1..20),
        each in 0_u32..100,
        expected in 1_u32..100,
    ) {
        let servers: Vec<_> = weights.iter().map(|weight| (*weight, each * weight)).collect();
        let total = f64::from(weights.iter().sum::<u32>());
        for (share, weight) in active(Scheduler::Wlc, &servers, expected).into_iter().zip(weights) {
            prop_assert!((share as f64 - 64.0 * f64::from(weight) / total).abs() <= 1.0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn open_connections_come_to_the_weights(seed: u64) {
        for scheduler in [Scheduler::Wlc, Scheduler::Sed, Scheduler::Nq] {
            let (mean, most) = imbalance(scheduler, &[1, 1, 2, 4], seed);
            prop_assert!(mean <= 0.05 && most <= 0.1, "{scheduler:?}: mean {mean:.3}, most {most:.3}");
        }
        let (mean, most) = imbalance(Scheduler::Lc, &[1, 1, 1, 1], seed);
        prop_assert!(mean <= 0.05 && most <= 0.1, "lc: mean {mean:.3}, most {most:.3}");
    }
}
