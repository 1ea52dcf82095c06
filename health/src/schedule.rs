//! Which target is probed when.
//!
//! Attempts of a target start `interval` apart; the first starts at a moment drawn from the target's name and a
//! seed, within `min(interval, 1 s)`, so that targets don't fire together. A target has at most one attempt under
//! way: one that overruns its interval starts again as soon as it ends. All have a place of their own, so a
//! slow target delays no other, unless `limit` attempts are under way; then whoever waits longest is next.

use crate::TargetId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const LATEST_FIRST: Duration = Duration::from_secs(1);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Attempts to come. Every target that [`Self::start`] gives out must be given back to [`Self::finish`] or
/// removed.
#[derive(Debug)]
pub struct Schedule {
    seed: u64,
    limit: usize,
    turns: BTreeMap<TargetId, Turn>,
    /// Targets without an attempt under way, by when their next is due.
    waiting: BTreeSet<(Instant, TargetId)>,
}

#[derive(Debug)]
struct Turn {
    interval: Duration,
    /// Start of the next attempt.
    due: Instant,
}

impl Schedule {
    /// Nothing to probe yet; at most `limit` attempts (at least one) are under way at a time.
    #[must_use]
    pub fn new(seed: u64, limit: usize) -> Self {
        Self { seed, limit: limit.max(1), turns: BTreeMap::new(), waiting: BTreeSet::new() }
    }

    /// Adds a target, or starts one anew.
    pub fn insert(&mut self, id: TargetId, interval: Duration, now: Instant) {
        self.remove(&id);
        let interval = interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        let due = now + self.jitter(&id, interval.min(LATEST_FIRST));
        self.waiting.insert((due, id.clone()));
        self.turns.insert(id, Turn { interval, due });
    }

    /// Forgets a target, also one with an attempt under way.
    pub fn remove(&mut self, id: &TargetId) {
        if let Some(turn) = self.turns.remove(id) {
            self.waiting.remove(&(turn.due, id.clone()));
        }
    }

    /// A target to probe now. Call until it gives none; then again at [`Self::wakeup`] and after each
    /// [`Self::finish`].
    pub fn start(&mut self, now: Instant) -> Option<TargetId> {
        if self.is_full() || self.waiting.first()?.0 > now {
            return None;
        }
        let (due, id) = self.waiting.pop_first()?;
        let turn = self.turns.get_mut(&id)?;
        // Counted from when it was due, so that lateness does not add up; turns that were missed are left out.
        let next = due + turn.interval;
        turn.due = if next > now { next } else { now + turn.interval };
        Some(id)
    }

    /// The attempt of a target has ended.
    pub fn finish(&mut self, id: &TargetId) {
        if let Some(turn) = self.turns.get(id) {
            self.waiting.insert((turn.due, id.clone()));
        }
    }

    /// When the next attempt is due; `None` if nothing is until an attempt ends.
    #[must_use]
    pub fn wakeup(&self) -> Option<Instant> {
        if self.is_full() { None } else { self.waiting.first().map(|(due, _)| *due) }
    }

    fn is_full(&self) -> bool {
        self.turns.len().saturating_sub(self.waiting.len()) >= self.limit
    }

    fn jitter(&self, id: &TargetId, below: Duration) -> Duration {
        let hash = id.as_str().bytes().fold(self.seed, |hash, byte| mix(hash ^ u64::from(byte)));
        let nanos = u64::try_from(below.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(hash % nanos.max(1))
    }
}

/// A bijection that spreads its input over all bits (the finalizer of SplitMix64).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any moment will do to start from")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn id(number: usize) -> TargetId {
        TargetId::new(&format!("server{number}/tcp"))
    }

    /// Starts of each target until `end`, if attempts last as `duration` says.
    fn run(
        schedule: &mut Schedule,
        mut now: Instant,
        end: Instant,
        duration: impl Fn(&TargetId) -> Duration,
    ) -> BTreeMap<TargetId, Vec<Instant>> {
        let mut starts: BTreeMap<TargetId, Vec<Instant>> = BTreeMap::new();
        let mut ends: BTreeSet<(Instant, TargetId)> = BTreeSet::new();
        while now < end {
            while ends.first().is_some_and(|(at, _)| *at <= now) {
                schedule.finish(&ends.pop_first().unwrap().1);
            }
            while let Some(id) = schedule.start(now) {
                starts.entry(id.clone()).or_default().push(now);
                ends.insert((now + duration(&id), id));
            }
            let next_end = ends.first().map(|(at, _)| *at);
            now = [schedule.wakeup(), next_end].into_iter().flatten().min().unwrap();
        }
        starts
    }

    proptest! {
        #[test]
        fn starts_are_an_interval_apart_whatever_others_do(
            seed in any::<u64>(),
            intervals in prop::collection::vec(1_u32..3000, 1..20),
            slow in 0_usize..20,
        ) {
            let now = Instant::now();
            let mut schedule = Schedule::new(seed, 100);
            for (number, interval) in intervals.iter().enumerate() {
                schedule.insert(id(number), MS * *interval, now);
            }
            let starts = run(&mut schedule, now, now + MS * 5000, |target| {
                if *target == id(slow) { MS * 10_000 } else { MS / 2 }
            });
            for (number, interval) in intervals.iter().enumerate() {
                let starts = &starts[&id(number)];
                prop_assert!(starts[0] - now < (MS * *interval).min(MS * 1000));
                if number == slow {
                    prop_assert_eq!(starts.len(), 1);
                    continue;
                }
                prop_assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == MS * *interval));
                prop_assert!(*starts.last().unwrap() + MS * *interval >= now + MS * 5000);
            }
        }

        #[test]
        fn never_more_than_the_limit_at_a_time_and_nobody_starves(seed in any::<u64>(), limit in 1_usize..5) {
            let now = Instant::now();
            let mut schedule = Schedule::new(seed, limit);
            for number in 0..10 {
                schedule.insert(id(number), MS * 100, now);
            }
            let starts = run(&mut schedule, now, now + MS * 10_000, |_| MS * 100);
            let mut all: Vec<Instant> = starts.values().flatten().copied().collect();
            all.sort();
            prop_assert!(all.windows(limit + 1).all(|some| some[limit] - some[0] >= MS * 100));
            let counts: Vec<usize> = starts.values().map(Vec::len).collect();
            prop_assert_eq!(counts.len(), 10);
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
        }
    }

    #[test]
    fn first_starts_are_spread() {
        let now = Instant::now();
        let mut schedule = Schedule::new(1, 1000);
        (0..100).for_each(|number| schedule.insert(id(number), MS * 5000, now));
        let mut per_tenth = [0; 10];
        for (due, _) in &schedule.waiting {
            per_tenth[((*due - now).as_millis() / 100) as usize] += 1;
        }
        assert!(per_tenth.iter().all(|count| (1..=25).contains(count)), "{per_tenth:?}");
    }

    #[test]
    fn missed_turns_are_left_out() {
        let now = Instant::now();
        let mut schedule = Schedule::new(1, 1);
        schedule.insert(id(0), MS * 100, now);
        let late = now + MS * 10_050;
        assert_eq!(schedule.start(late), Some(id(0)));
        schedule.finish(&id(0));
        assert_eq!(schedule.start(late), None);
        assert!(schedule.wakeup().unwrap() > late);
    }

    #[test]
    fn a_removed_target_gives_its_place_back() {
        let now = Instant::now();
        let mut schedule = Schedule::new(1, 1);
        schedule.insert(id(0), MS, now);
        schedule.insert(id(1), MS, now);
        let first = schedule.start(now + MS).unwrap();
        assert_eq!(schedule.start(now + MS), None);
        schedule.remove(&first);
        schedule.finish(&first);
        assert_ne!(schedule.start(now + MS), None);
        assert_eq!(schedule.turns.len(), 1);
    }
}
