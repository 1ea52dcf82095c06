#![expect(clippy::disallowed_methods, reason = "any moment will do to start from")]

use super::*;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

fn id(number: usize) -> TargetId {
    TargetId::new(&format!("server{number}/tcp"))
}

fn every(interval: Duration) -> Pace {
    Pace { interval, retry: interval, jitter: interval.min(MS * 1000) }
}

fn paces() -> impl Strategy<Value = Pace> {
    (1_u32..3000, 1_u32..3000, 0_u32..2000).prop_map(|(interval, retry, jitter)| Pace {
        interval: MS * interval,
        retry: MS * retry,
        jitter: MS * jitter,
    })
}

/// Starts of each target until `end`, if the attempts that it makes last and end as `attempt` says of each by its
/// number.
fn run(
    schedule: &mut Schedule,
    mut now: Instant,
    end: Instant,
    attempt: impl Fn(&TargetId, usize) -> (Duration, bool),
) -> BTreeMap<TargetId, Vec<Instant>> {
    let mut starts: BTreeMap<TargetId, Vec<Instant>> = BTreeMap::new();
    let mut ends: BTreeSet<(Instant, TargetId, bool)> = BTreeSet::new();
    while now < end {
        while ends.first().is_some_and(|(at, ..)| *at <= now) {
            let (_, id, well) = ends.pop_first().unwrap();
            schedule.finish(&id, well);
        }
        while let Some(id) = schedule.start(now) {
            let starts = starts.entry(id.clone()).or_default();
            let (duration, well) = attempt(&id, starts.len());
            starts.push(now);
            ends.insert((now + duration, id, well));
        }
        let next_end = ends.first().map(|(at, ..)| *at);
        now = [schedule.wakeup(), next_end].into_iter().flatten().min().unwrap();
    }
    starts
}

proptest! {
    #[test]
    fn starts_are_an_interval_or_a_retry_apart_whatever_others_do(
        seed in any::<u64>(),
        paces in prop::collection::vec(paces(), 1..20),
        hung in 0_usize..20,
        well in prop::collection::vec(any::<bool>(), 7),
    ) {
        let now = Instant::now();
        let mut schedule = Schedule::new(seed, 100);
        for (number, pace) in paces.iter().enumerate() {
            schedule.insert(id(number), *pace, now);
        }
        let goes_well = |turn: usize| well[turn % well.len()];
        let starts = run(&mut schedule, now, now + MS * 5000, |target, turn| {
            (if *target == id(hung) { MS * 10_000 } else { MS / 2 }, goes_well(turn))
        });
        for (number, pace) in paces.iter().enumerate() {
            let starts = &starts[&id(number)];
            prop_assert!(starts[0] - now <= pace.jitter);
            if number == hung {
                prop_assert_eq!(starts.len(), 1);
                continue;
            }
            let gap = |turn| if goes_well(turn) { pace.interval } else { pace.retry };
            for (turn, pair) in starts.windows(2).enumerate() {
                prop_assert_eq!(pair[1] - pair[0], gap(turn));
            }
            prop_assert!(*starts.last().unwrap() + gap(starts.len() - 1) >= now + MS * 5000);
        }
    }

    #[test]
    fn never_more_than_the_limit_at_a_time_and_nobody_starves(seed in any::<u64>(), limit in 1_usize..5) {
        let now = Instant::now();
        let mut schedule = Schedule::new(seed, limit);
        for number in 0..10 {
            schedule.insert(id(number), every(MS * 100), now);
        }
        let starts = run(&mut schedule, now, now + MS * 10_000, |_, _| (MS * 100, true));
        let mut all: Vec<Instant> = starts.values().flatten().copied().collect();
        all.sort();
        prop_assert!(all.windows(limit + 1).all(|some| some[limit] - some[0] >= MS * 100));
        let counts: Vec<usize> = starts.values().map(Vec::len).collect();
        prop_assert_eq!(counts.len(), 10);
        prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
    }

    #[test]
    fn another_pace_comes_in_time_and_in_step(
        before in paces(),
        after in paces(),
        ran in 0_u32..8000,
        well in any::<bool>(),
    ) {
        let now = Instant::now();
        let mut schedule = Schedule::new(7, 100);
        schedule.insert(id(0), before, now);
        let changed = now + MS * ran;
        let old = run(&mut schedule, now, changed, |_, _| (MS / 2, well));
        // Whoever runs it has seen the attempt to its end.
        schedule.finish(&id(0), well);
        let due = schedule.wakeup().unwrap();
        schedule.set_pace(&id(0), after, changed);
        let next = schedule.wakeup().unwrap();

        let last = old.get(&id(0)).and_then(|starts| starts.last().copied());
        let period = if well || last.is_none() { after.interval } else { after.retry };
        prop_assert!(next >= changed && next - changed <= period);
        let step = nanos(if next > due { next - due } else { due - next });
        match last {
            Some(last) => prop_assert_eq!(nanos(next - last) % nanos(period), 0),
            None => prop_assert!(next <= due && step.is_multiple_of(nanos(period))),
        }
        // No later than it must be, and the same pace changes nothing.
        if let Some(last) = last && last + period >= changed {
            prop_assert_eq!(next, last + period);
        }
        schedule.set_pace(&id(0), after, changed);
        prop_assert_eq!(schedule.wakeup(), Some(next));
        prop_assert_eq!(schedule.waiting.len(), 1);
    }
}

#[test]
fn another_pace_while_an_attempt_is_under_way_counts_from_its_start() {
    let now = Instant::now();
    let mut schedule = Schedule::new(1, 1);
    schedule.insert(id(0), every(MS * 5000), now);
    let due = schedule.wakeup().unwrap();
    assert_eq!(schedule.start(due), Some(id(0)));
    schedule.set_pace(&id(0), Pace { retry: MS * 70, ..every(MS * 100) }, due + MS);
    assert_eq!(schedule.wakeup(), None);
    schedule.finish(&id(0), false);
    assert_eq!(schedule.wakeup(), Some(due + MS * 70));
    schedule.set_pace(&id(1), every(MS), now);
    assert_eq!(schedule.turns.len(), 1);
}

#[test]
fn targets_whose_pace_changes_together_stay_spread() {
    let now = Instant::now();
    let mut schedule = Schedule::new(1, 1000);
    let slow = Pace { jitter: MS * 10_000, ..every(MS * 10_000) };
    (0..100).for_each(|number| schedule.insert(id(number), slow, now));
    run(&mut schedule, now, now + MS * 25_000, |_, _| (MS, true));
    let later = now + MS * 25_000;
    (0..100).for_each(|number| schedule.set_pace(&id(number), every(MS * 1000), later));
    spread_over_a_second(&schedule, later);
}

#[test]
fn first_starts_are_spread() {
    let now = Instant::now();
    let mut schedule = Schedule::new(1, 1000);
    (0..100).for_each(|number| schedule.insert(id(number), every(MS * 5000), now));
    spread_over_a_second(&schedule, now);
}

fn spread_over_a_second(schedule: &Schedule, from: Instant) {
    let mut per_tenth = [0; 10];
    for (due, _) in &schedule.waiting {
        per_tenth[((*due - from).as_millis() / 100) as usize] += 1;
    }
    assert!(per_tenth.iter().all(|count| (1..=25).contains(count)), "{per_tenth:?}");
}

#[test]
fn missed_turns_are_left_out() {
    let now = Instant::now();
    let mut schedule = Schedule::new(1, 1);
    schedule.insert(id(0), every(MS * 100), now);
    let late = now + MS * 10_050;
    assert_eq!(schedule.start(late), Some(id(0)));
    schedule.finish(&id(0), true);
    assert_eq!(schedule.start(late), None);
    assert!(schedule.wakeup().unwrap() > late);
}

#[test]
fn an_attempt_that_overruns_its_time_starts_again_as_it_ends() {
    let now = Instant::now();
    let mut schedule = Schedule::new(1, 1);
    schedule.insert(id(0), Pace { jitter: Duration::ZERO, ..every(MS * 100) }, now);
    let starts = run(&mut schedule, now, now + MS * 1000, |_, _| (MS * 250, false));
    assert_eq!(starts[&id(0)], [now, now + MS * 250, now + MS * 500, now + MS * 750]);
}

#[test]
fn a_removed_target_gives_its_place_back() {
    let now = Instant::now();
    let mut schedule = Schedule::new(1, 1);
    schedule.insert(id(0), every(MS), now);
    schedule.insert(id(1), every(MS), now);
    let first = schedule.start(now + MS).unwrap();
    assert_eq!(schedule.start(now + MS), None);
    schedule.remove(&first);
    schedule.finish(&first, true);
    assert_ne!(schedule.start(now + MS), None);
    assert_eq!(schedule.turns.len(), 1);
}
