use super::*;
use proptest::prelude::*;

fn weights(numbers: &[u16]) -> Vec<Weight> {
    numbers.iter().copied().map(Weight::new).collect()
}

fn shares(slots: &[usize], owners: usize) -> Vec<usize> {
    (0..owners).map(|owner| slots.iter().filter(|slot| **slot == owner).count()).collect()
}

#[test]
fn equal_weights_take_turns() {
    assert_eq!(slots(Scheduler::Wrr, &weights(&[7, 7, 7])), [0, 1, 2]);
}

#[test]
fn the_smtp_farm_interleaves_60_60_40() {
    assert_eq!(slots(Scheduler::Wrr, &weights(&[60, 60, 40])), [0, 1, 2, 0, 1, 2, 0, 1]);
}

#[test]
fn a_heavy_server_gets_no_burst() {
    assert_eq!(slots(Scheduler::Wrr, &weights(&[5, 1, 1])), [0, 0, 0, 1, 2, 0, 0]);
}

#[test]
fn rr_ignores_weights_but_for_zero() {
    assert_eq!(slots(Scheduler::Rr, &weights(&[5, 0, 1])), [0, 2]);
}

#[test]
fn no_weight_no_slots() {
    assert!(slots(Scheduler::Wrr, &weights(&[0, 0])).is_empty());
    assert!(slots(Scheduler::Rr, &[]).is_empty());
}

#[test]
fn shares_that_do_not_fit_are_rounded() {
    let slots = slots(Scheduler::Wrr, &weights(&[65535, 65534, 1]));
    assert!(slots.len() <= MAX_SLOTS);
    let shares = shares(&slots, 3);
    assert!(shares[2] >= 1, "{shares:?}");
    assert!(shares[0].abs_diff(shares[1]) <= 1, "{shares:?}");
}

proptest! {
    #[test]
    fn shares_are_exact_over_a_turn(numbers in prop::collection::vec(0u16..200, 1..20)) {
        let slots = slots(Scheduler::Wrr, &weights(&numbers));
        let divisor = numbers.iter().map(|n| u64::from(*n)).fold(0, gcd).max(1);
        let exact: Vec<u64> = numbers.iter().map(|n| u64::from(*n) / divisor).collect();
        let shares: Vec<u64> = shares(&slots, numbers.len()).into_iter().map(|n| n as u64).collect();
        prop_assert_eq!(shares, exact);
    }

    #[test]
    fn weight_zero_owns_none(mut numbers in prop::collection::vec(0u16.., 1..20), at in any::<prop::sample::Index>()) {
        let zero = at.index(numbers.len());
        numbers[zero] = 0;
        for scheduler in [Scheduler::Rr, Scheduler::Wrr] {
            prop_assert!(!slots(scheduler, &weights(&numbers)).contains(&zero));
        }
    }

    #[test]
    fn every_weight_owns_a_slot_and_the_table_is_bounded(numbers in prop::collection::vec(0u16.., 1..50)) {
        let slots = slots(Scheduler::Wrr, &weights(&numbers));
        prop_assert!(slots.len() <= MAX_SLOTS);
        for (owner, share) in shares(&slots, numbers.len()).into_iter().enumerate() {
            prop_assert_eq!(share > 0, numbers[owner] > 0);
        }
    }

    #[test]
    fn order_of_the_servers_changes_no_share(numbers in prop::collection::vec(0u16..500, 2..10), turn in 1usize..10) {
        let mut rotated = numbers.clone();
        rotated.rotate_left(turn % numbers.len());
        let mut before = shares(&slots(Scheduler::Wrr, &weights(&numbers)), numbers.len());
        before.rotate_left(turn % numbers.len());
        prop_assert_eq!(shares(&slots(Scheduler::Wrr, &weights(&rotated)), numbers.len()), before);
    }

    #[test]
    fn any_part_of_a_turn_is_fair(numbers in prop::collection::vec(1u16..30, 2..6), cut in any::<prop::sample::Index>()) {
        let slots = slots(Scheduler::Wrr, &weights(&numbers));
        let cut = cut.index(slots.len()) + 1;
        let total: f64 = numbers.iter().map(|n| f64::from(*n)).sum();
        for (owner, share) in shares(&slots[..cut], numbers.len()).into_iter().enumerate() {
            let ideal = cut as f64 * f64::from(numbers[owner]) / total;
            prop_assert!((share as f64 - ideal).abs() <= numbers.len() as f64, "{owner}: {share} of {cut}, ideal {ideal}");
        }
    }
}
