//! When which address is announced.

use super::Announcements;
use crate::agenda::Agenda;
use crate::vrrp::timing::Time;
use std::collections::BTreeMap;

/// Announcements to come of addresses that are here. Pure: whoever asks what is due sends it.
#[derive(Debug, Clone)]
pub struct Schedule<K> {
    terms: Announcements,
    stages: BTreeMap<K, Stage>,
    agenda: Agenda<K>,
}

/// How far an address has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// So many frames are left of a burst; a second one comes not before that moment.
    Burst { left: u8, second: Option<Time> },
    /// Nothing but refreshes is to come.
    Known,
}

impl<K: Ord + Clone> Schedule<K> {
    /// Of no address yet.
    #[must_use]
    pub fn new(terms: Announcements) -> Self {
        Self { terms, stages: BTreeMap::new(), agenda: Agenda::default() }
    }

    /// Other terms. A burst under way keeps its number of frames.
    pub fn set_terms(&mut self, now: Time, terms: Announcements) {
        if self.terms == terms {
            return;
        }
        self.terms = terms;
        let known = self.stages.iter().filter(|(_, stage)| **stage == Stage::Known);
        for (key, _) in known {
            match terms.refresh {
                Some(refresh) => self.agenda.set(key.clone(), now + refresh),
                None => self.agenda.remove(key),
            }
        }
    }

    /// The address is here since `now`, or its neighbours shall hear so once more: all of it begins anew, and the
    /// first frame is due at once.
    pub fn begin(&mut self, now: Time, key: K) {
        let second = self.terms.repeat.map(|repeat| now + repeat);
        self.stages.insert(key.clone(), Stage::Burst { left: self.terms.count, second });
        self.agenda.set(key, now);
    }

    /// The address is here no more.
    pub fn end(&mut self, key: &K) {
        self.stages.remove(key);
        self.agenda.remove(key);
    }

    /// No address is here any more.
    pub fn clear(&mut self) {
        self.stages.clear();
        self.agenda.clear();
    }

    /// When [`Self::due`] has something.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.agenda.deadline()
    }

    /// The next address that is to be announced at `now`, by one frame. Frames that are late move those after them.
    pub fn due(&mut self, now: Time) -> Option<K> {
        let key = self.agenda.due(now)?;
        let stage = self.stages.get_mut(&key)?;
        let next = match *stage {
            Stage::Burst { left: left @ 2.., second } => {
                *stage = Stage::Burst { left: left - 1, second };
                Some(now + self.terms.spacing)
            }
            Stage::Burst { second: Some(second), .. } => {
                *stage = Stage::Burst { left: self.terms.count, second: None };
                Some(second.max(now + self.terms.spacing))
            }
            Stage::Burst { second: None, .. } | Stage::Known => {
                *stage = Stage::Known;
                self.terms.refresh.map(|refresh| now + refresh)
            }
        };
        if let Some(next) = next {
            self.agenda.set(key.clone(), next);
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;

    fn at(milliseconds: u64) -> Time {
        Time::from_nanos(milliseconds * 1_000_000)
    }

    fn terms(count: u8, spacing: u64, repeat: Option<u64>, refresh: Option<u64>) -> Announcements {
        let span = Duration::from_millis;
        Announcements { count, spacing: span(spacing), repeat: repeat.map(span), refresh: refresh.map(span) }
    }

    /// Frames up to `until`, in milliseconds, if they are sent when they are due.
    fn frames(schedule: &mut Schedule<u8>, until: u64) -> Vec<(u64, u8)> {
        let mut sent = Vec::new();
        while let Some(now) = schedule.deadline().filter(|now| *now <= at(until)) {
            sent.extend(schedule.due(now).map(|key| (now.as_nanos() / 1_000_000, key)));
        }
        sent
    }

    #[test]
    fn bursts_repeat_and_refresh() {
        let mut schedule = Schedule::new(terms(3, 100, Some(5000), Some(60_000)));
        schedule.begin(at(1000), 7);
        let expected = [1000, 1100, 1200, 6000, 6100, 6200, 66_200, 126_200].map(|at| (at, 7));
        assert_eq!(frames(&mut schedule, 150_000), expected);
    }

    #[test]
    fn nothing_comes_after_the_last_burst_without_refreshes() {
        let mut schedule = Schedule::new(terms(2, 100, None, None));
        schedule.begin(at(0), 1);
        assert_eq!(frames(&mut schedule, 1_000_000), [(0, 1), (100, 1)]);
        schedule.set_terms(at(2000), terms(2, 100, None, Some(1000)));
        assert_eq!(frames(&mut schedule, 4500), [(3000, 1), (4000, 1)]);
        schedule.set_terms(at(4500), terms(2, 100, None, None));
        assert_eq!(schedule.deadline(), None);
    }

    #[test]
    fn a_second_burst_waits_for_the_first() {
        let mut schedule = Schedule::new(terms(3, 100, Some(50), None));
        schedule.begin(at(0), 1);
        let expected = [0, 100, 200, 300, 400, 500].map(|at| (at, 1));
        assert_eq!(frames(&mut schedule, 10_000), expected);
    }

    #[test]
    fn terms_change_only_what_they_say() {
        let refreshes = |refresh| terms(3, 100, None, Some(refresh));
        let mut schedule = Schedule::new(refreshes(1000));
        schedule.begin(at(0), 1);
        assert_eq!(frames(&mut schedule, 0), [(0, 1)]);
        schedule.set_terms(at(50), refreshes(2000));
        assert_eq!(frames(&mut schedule, 300), [(100, 1), (200, 1)], "the burst goes on");
        schedule.set_terms(at(300), refreshes(2000));
        assert_eq!(frames(&mut schedule, 3000), [(2200, 1)], "the same terms move nothing");
    }

    #[test]
    fn begins_anew() {
        let mut schedule = Schedule::new(terms(3, 100, None, None));
        schedule.begin(at(0), 1);
        assert_eq!(frames(&mut schedule, 100), [(0, 1), (100, 1)]);
        schedule.begin(at(150), 1);
        assert_eq!(frames(&mut schedule, 10_000), [(150, 1), (250, 1), (350, 1)]);
    }

    proptest! {
        #[test]
        fn each_address_gets_its_frames_and_none_too_soon(
            count in 0_u8..6,
            spacing in 1_u64..200,
            repeat in prop::option::of(1_u64..2000),
            refresh in prop::option::of(1_u64..5000),
            begins in prop::collection::btree_map(0_u8..5, 0_u64..3000, 1..5),
            // Whoever sends comes late.
            lateness in prop::collection::vec(0_u64..300, 1..10),
        ) {
            let terms = terms(count, spacing, repeat, refresh);
            let mut schedule = Schedule::new(terms);
            let mut starts: Vec<(u64, u8)> = begins.iter().map(|(key, at)| (*at, *key)).collect();
            starts.sort_unstable();
            let mut sent: BTreeMap<u8, Vec<Time>> = BTreeMap::new();
            let (mut now, mut turn) = (at(0), 0);
            while now <= at(20_000) {
                while starts.first().is_some_and(|(start, _)| at(*start) <= now) {
                    schedule.begin(now, starts.remove(0).1);
                }
                while let Some(key) = schedule.due(now) {
                    sent.entry(key).or_default().push(now);
                }
                let next = schedule.deadline().into_iter().chain(starts.first().map(|(start, _)| at(*start)));
                let Some(next) = next.min() else { break };
                now = next.max(now) + Duration::from_millis(lateness[turn % lateness.len()]);
                turn += 1;
            }
            let count = count.max(1);
            let bursts = usize::from(count) * if repeat.is_some() { 2 } else { 1 };
            for moments in sent.values() {
                let gaps: Vec<Duration> = moments.windows(2).map(|pair| pair[1].since(pair[0])).collect();
                for (place, gap) in gaps.iter().enumerate() {
                    let least = if place + 1 >= bursts { terms.refresh.unwrap() } else { terms.spacing };
                    prop_assert!(*gap >= least);
                }
                if let Some(repeat) = terms.repeat && moments.len() > usize::from(count) {
                    prop_assert!(moments[usize::from(count)].since(moments[0]) >= repeat);
                }
                prop_assert!(moments.len() >= bursts);
                prop_assert!(refresh.is_some() || moments.len() == bursts);
            }
            prop_assert_eq!(sent.len(), begins.len());
        }

        #[test]
        fn nothing_is_due_for_an_address_that_went(count in 1_u8..6, after in 0_u64..3 * SECOND) {
            let mut schedule = Schedule::new(terms(count, 100, Some(500), Some(1000)));
            schedule.begin(at(0), 1);
            schedule.begin(at(0), 2);
            let now = Time::from_nanos(after);
            while schedule.due(now).is_some() {}
            schedule.end(&1);
            prop_assert!(frames(&mut schedule, 10_000).iter().all(|(_, key)| *key == 2));
            schedule.begin(now, 3);
            schedule.end(&2);
            schedule.end(&3);
            prop_assert_eq!(schedule.deadline(), None);
            schedule.begin(now, 4);
            schedule.clear();
            prop_assert_eq!(schedule.deadline(), None);
        }
    }
}
