use super::turns::gcd;
use super::*;
use crate::model::{ClientHash, Granularity};
use proptest::prelude::*;

const MH: Scheduler =
    Scheduler::Mh(ClientHash { granularity: Granularity { v4: 32, v6: 128 }, port: false, fallback: true });
const SH: Scheduler =
    Scheduler::Sh(ClientHash { granularity: Granularity { v4: 24, v6: 64 }, port: true, fallback: true });
const ALL: [Scheduler; 7] =
    [Scheduler::Rr, Scheduler::Wrr, Scheduler::Random, SH, MH, Scheduler::Dh, Scheduler::Fo];

/// Slots of servers with these names, weights and full weights.
fn table(scheduler: Scheduler, servers: &[(String, u16, u16)]) -> Vec<usize> {
    let candidates: Vec<Candidate<'_>> = servers
        .iter()
        .map(|(name, weight, full)| Candidate {
            name,
            share: u32::from(*weight),
            full_share: u32::from(*full),
            load: Load::default(),
        })
        .collect();
    slots(scheduler, &candidates, 0)
}

/// Slots of servers with these weights.
fn weighted(scheduler: Scheduler, weights: &[u16]) -> Vec<usize> {
    table(scheduler, &servers(weights))
}

fn servers(weights: &[u16]) -> Vec<(String, u16, u16)> {
    (1..).zip(weights).map(|(number, weight)| (format!("server{number:03}"), *weight, *weight)).collect()
}

/// Servers of the same weight, with names as people give them.
fn farm(prefix: &str, count: usize) -> Vec<(String, u16, u16)> {
    (1..=count).map(|number| (format!("{prefix}{number}"), 1, 1)).collect()
}

fn shares(slots: &[usize], owners: usize) -> Vec<usize> {
    let mut shares = vec![0; owners];
    slots.iter().for_each(|owner| shares[*owner] += 1);
    shares
}

/// Slots whose owner differs.
fn moved(before: &[usize], after: &[usize]) -> usize {
    assert_eq!(before.len(), after.len());
    before.iter().zip(after).filter(|(before, after)| before != after).count()
}

#[test]
fn equal_weights_take_turns() {
    assert_eq!(weighted(Scheduler::Wrr, &[7, 7, 7]), [0, 1, 2]);
}

#[test]
fn the_smtp_farm_interleaves_60_60_40() {
    assert_eq!(weighted(Scheduler::Wrr, &[60, 60, 40]), [0, 1, 2, 0, 1, 2, 0, 1]);
}

#[test]
fn a_heavy_server_gets_no_burst() {
    assert_eq!(weighted(Scheduler::Wrr, &[5, 1, 1]), [0, 0, 0, 1, 2, 0, 0]);
}

#[test]
fn fo_takes_the_highest_weight_and_the_first_of_equals() {
    assert_eq!(weighted(Scheduler::Fo, &[1, 5, 3]), [1]);
    assert_eq!(weighted(Scheduler::Fo, &[0, 5, 5]), [1]);
    assert_eq!(weighted(Scheduler::Fo, &[1, 0, 0]), [0]);
}

#[test]
fn no_weight_no_slots() {
    for scheduler in ALL {
        assert!(table(scheduler, &[("a".into(), 0, 1), ("b".into(), 0, 0)]).is_empty(), "{scheduler:?}");
        assert!(table(scheduler, &[]).is_empty(), "{scheduler:?}");
    }
}

#[test]
fn shares_that_do_not_fit_are_rounded() {
    let slots = weighted(Scheduler::Wrr, &[65535, 65534, 1]);
    assert!(slots.len() <= MAX_SLOTS);
    let shares = shares(&slots, 3);
    assert!(shares[2] >= 1, "{shares:?}");
    assert!(shares[0].abs_diff(shares[1]) <= 1, "{shares:?}");
}

#[test]
fn a_maglev_table_has_the_same_slots_in_every_version() {
    // Directors of two versions may be a pair, and clients shall keep their server through an upgrade.
    let slots = table(MH, &farm("exchange", 2));
    assert_eq!(slots.len(), 251);
    assert_eq!(slots[..16], [1, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 1]);
}

#[test]
fn tables_of_the_most_servers_fit() {
    let slots = table(MH, &farm("s", 4095));
    assert_eq!(slots.len(), 32_749);
    assert!(shares(&slots, 4095).into_iter().all(|share| (7..=8).contains(&share)));
}

/// For farms of 2 to 20: what moves when one of n + 1 goes from the file, or comes back, beside its own share.
#[test]
fn adding_or_removing_a_server_moves_few_clients_of_others() {
    for prefix in ["exchange", "web-", "smtp0", "10.0.1."] {
        for count in 1..20 {
            let (few, many) = (farm(prefix, count), farm(prefix, count + 1));
            let (before, after) = (table(MH, &many), table(MH, &few));
            if before.len() != after.len() {
                continue;
            }
            let share = before.iter().filter(|owner| **owner == count).count();
            let others = moved(&before, &after) - share;
            let part = others as f64 / before.len() as f64;
            println!("{prefix} {count} and 1: {part:.4} beside the share");
            assert!(part <= 0.05, "{prefix} {count} and 1: {part}");
        }
    }
}

/// One of 2 to 20 servers gets two to five times its weight.
#[test]
fn a_change_of_weight_moves_little_more_than_the_shares_differ_by() {
    for count in 2..=20 {
        for weight in 2..=5 {
            let before = farm("web", count);
            let mut after = before.clone();
            (after[0].1, after[0].2) = (weight, weight);
            let (before, after) = (table(MH, &before), table(MH, &after));
            let (had, have) = (shares(&before, count), shares(&after, count));
            let ideal: usize = had.iter().zip(&have).map(|(had, have)| have.saturating_sub(*had)).sum();
            let part = (moved(&before, &after) - ideal) as f64 / before.len() as f64;
            assert!(part <= 0.05, "{count} servers, weight {weight}: {part}");
        }
    }
}

proptest! {
    #[test]
    fn shares_are_exact_over_a_turn(numbers in prop::collection::vec(0u16..200, 1..20)) {
        let divisor = numbers.iter().map(|n| u64::from(*n)).fold(0, gcd).max(1);
        let exact: Vec<u64> = numbers.iter().map(|n| u64::from(*n) / divisor).collect();
        for scheduler in [Scheduler::Wrr, Scheduler::Random, SH, Scheduler::Dh] {
            let shares = shares(&weighted(scheduler, &numbers), numbers.len());
            prop_assert_eq!(shares.into_iter().map(|share| share as u64).collect::<Vec<_>>(), exact.clone());
        }
    }

    #[test]
    fn order_of_the_servers_changes_no_share(numbers in prop::collection::vec(0u16..500, 2..10), turn in 1usize..10) {
        let mut rotated = numbers.clone();
        rotated.rotate_left(turn % numbers.len());
        let mut before = shares(&weighted(Scheduler::Wrr, &numbers), numbers.len());
        before.rotate_left(turn % numbers.len());
        prop_assert_eq!(shares(&weighted(Scheduler::Wrr, &rotated), numbers.len()), before);
    }

    #[test]
    fn any_part_of_a_turn_is_fair(numbers in prop::collection::vec(1u16..30, 2..6), cut in any::<prop::sample::Index>()) {
        let slots = weighted(Scheduler::Wrr, &numbers);
        let cut = cut.index(slots.len()) + 1;
        let total: f64 = numbers.iter().map(|n| f64::from(*n)).sum();
        for (owner, share) in shares(&slots[..cut], numbers.len()).into_iter().enumerate() {
            let ideal = cut as f64 * f64::from(numbers[owner]) / total;
            prop_assert!((share as f64 - ideal).abs() <= numbers.len() as f64, "{owner}: {share} of {cut}, ideal {ideal}");
        }
    }

    #[test]
    fn fo_has_one_slot_of_the_highest_weight(numbers in prop::collection::vec(0u16..9, 1..9)) {
        let highest = numbers.iter().copied().max().unwrap_or(0);
        let slots = weighted(Scheduler::Fo, &numbers);
        prop_assert_eq!(slots.len(), usize::from(highest > 0));
        prop_assert!(slots.iter().all(|owner| numbers[*owner] == highest));
    }

    #[test]
    fn maglev_shares_are_the_weights(numbers in prop::collection::vec(1u16..100, 1..12)) {
        let slots = weighted(MH, &numbers);
        let total: f64 = numbers.iter().map(|n| f64::from(*n)).sum();
        for (owner, share) in shares(&slots, numbers.len()).into_iter().enumerate() {
            let ideal = slots.len() as f64 * f64::from(numbers[owner]) / total;
            let equal = numbers.iter().all(|n| *n == numbers[0]);
            // With unequal weights the table may end within a turn, and a turn that had to fit was rounded.
            let bound = if equal { 1.0 } else { 1.0 + numbers.len() as f64 };
            prop_assert!((share as f64 - ideal).abs() <= bound, "{owner}: {share}, ideal {ideal}");
        }
    }

    /// Drained, failed, or given weight 0: its own clients move, and nobody else's; and they come back.
    #[test]
    fn a_server_that_loses_its_weight_moves_its_own_slots_and_no_others(
        numbers in prop::collection::vec(1u16..100, 2..30),
        at in any::<prop::sample::Index>(),
    ) {
        let mut servers = servers(&numbers);
        let (leaver, full) = (at.index(servers.len()), table(MH, &servers));
        servers[leaver].1 = 0;
        let drained = table(MH, &servers);
        prop_assert_eq!(moved(&full, &drained), shares(&full, servers.len())[leaver]);
        prop_assert!(!drained.contains(&leaver));
        servers[leaver].1 = servers[leaver].2;
        prop_assert_eq!(table(MH, &servers), full);
    }

    /// While it starts slowly: it takes its own slots back, more of them with each step, and moves nobody else's.
    #[test]
    fn a_server_that_starts_slowly_takes_its_own_slots_back_little_by_little(
        numbers in prop::collection::vec(1u16..100, 2..12),
        at in any::<prop::sample::Index>(),
    ) {
        let mut servers: Vec<(String, u16, u16)> =
            servers(&numbers).into_iter().map(|(name, weight, full)| (name, weight * 32, full * 32)).collect();
        let (starter, full) = (at.index(servers.len()), table(MH, &servers));
        servers[starter].1 = 0;
        let mut before = table(MH, &servers);
        for parts in [1, 2, 5, 16, 31, 32] {
            servers[starter].1 = numbers[starter] * parts;
            let now = table(MH, &servers);
            for (before, now) in before.iter().zip(&now) {
                prop_assert!(before == now || *now == starter);
            }
            let total: f64 = servers.iter().map(|(_, share, _)| f64::from(*share)).sum();
            let ideal = now.len() as f64 * f64::from(servers[starter].1) / total;
            let has = shares(&now, servers.len())[starter] as f64;
            // As in the full table, where a turn that had to fit was rounded.
            prop_assert!(has >= 1.0 && (has - ideal).abs() <= 2.0 + numbers.len() as f64, "{parts}: {has}, ideal {ideal}");
            before = now;
        }
        prop_assert_eq!(before, full);
    }

    /// With others out as well, what those had left behind may change hands too, and nothing else.
    #[test]
    fn servers_that_stay_keep_the_slots_they_have_when_all_are_there(
        servers in prop::collection::vec((1u16..100, any::<bool>()), 2..30),
    ) {
        let weights: Vec<u16> = servers.iter().map(|(weight, _)| *weight).collect();
        let full = weighted(MH, &weights);
        let some: Vec<(String, u16, u16)> = self::servers(&weights)
            .into_iter()
            .zip(&servers)
            .map(|((name, weight, full), (_, up))| (name, if *up { weight } else { 0 }, full))
            .collect();
        let left = table(MH, &some);
        prop_assume!(!left.is_empty());
        for (before, after) in full.iter().zip(&left) {
            prop_assert!(!servers[*before].1 || before == after);
        }
        // What was left behind goes to the others by weight.
        let (had, have) = (shares(&full, weights.len()), shares(&left, weights.len()));
        let vacated: usize = (0..had.len()).filter(|owner| !servers[*owner].1).map(|owner| had[owner]).sum();
        let total: f64 = some.iter().map(|(_, weight, _)| f64::from(*weight)).sum();
        for (owner, (name, weight, _)) in some.iter().enumerate().filter(|(_, (_, weight, _))| *weight > 0) {
            let ideal = vacated as f64 * f64::from(*weight) / total;
            let more = (have[owner] - had[owner]) as f64;
            prop_assert!((more - ideal).abs() <= 1.0 + some.len() as f64, "{name}: {more}, ideal {ideal}");
        }
    }
}

proptest! {
    // Weights of all sizes make the largest tables.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn weight_zero_owns_none(mut numbers in prop::collection::vec(0u16.., 1..20), at in any::<prop::sample::Index>()) {
        let zero = at.index(numbers.len());
        numbers[zero] = 0;
        for scheduler in [Scheduler::Rr, Scheduler::Wrr, MH, Scheduler::Fo] {
            prop_assert!(!weighted(scheduler, &numbers).contains(&zero));
        }
    }

    #[test]
    fn every_weight_owns_a_slot_and_the_table_is_bounded(numbers in prop::collection::vec(0u16.., 1..50)) {
        for scheduler in [Scheduler::Wrr, MH] {
            let slots = weighted(scheduler, &numbers);
            prop_assert!(slots.len() <= MAX_SLOTS);
            for (owner, share) in shares(&slots, numbers.len()).into_iter().enumerate() {
                prop_assert_eq!(share > 0, numbers[owner] > 0);
            }
        }
    }

    #[test]
    fn a_change_of_weight_keeps_the_size_of_a_maglev_table(
        numbers in prop::collection::vec(0u16.., 1..30),
        others in prop::collection::vec(1u16.., 30),
    ) {
        let before = weighted(MH, &numbers);
        let after = weighted(MH, &others[..numbers.len()]);
        prop_assert!(before.is_empty() || before.len() == after.len());
    }
}

#[test]
fn without_fallback_a_server_that_takes_nothing_keeps_its_slots() {
    let hash = ClientHash { fallback: false, ..ClientHash::default() };
    for scheduler in [Scheduler::Sh(hash), Scheduler::Mh(hash)] {
        let all = farm("s", 4);
        let mut some = all.clone();
        some[2].1 = 0;
        assert_eq!(table(scheduler, &some), table(scheduler, &all));
        some.iter_mut().for_each(|it| it.1 = 0);
        assert!(table(scheduler, &some).is_empty(), "nobody is left");
    }
}
