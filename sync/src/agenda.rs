//! What is due when.

use crate::vrrp::timing::Time;
use std::collections::{BTreeMap, BTreeSet};

/// One moment for each key at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agenda<K> {
    moments: BTreeMap<K, Time>,
    order: BTreeSet<(Time, K)>,
}

impl<K> Default for Agenda<K> {
    fn default() -> Self {
        Self { moments: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Agenda<K> {
    /// Sets or moves the moment of `key`.
    pub fn set(&mut self, key: K, at: Time) {
        if let Some(before) = self.moments.insert(key.clone(), at) {
            self.order.remove(&(before, key.clone()));
        }
        self.order.insert((at, key));
    }

    /// `key` is due no more.
    pub fn remove(&mut self, key: &K) {
        if let Some((key, at)) = self.moments.remove_entry(key) {
            self.order.remove(&(at, key));
        }
    }

    /// Nothing is due any more.
    pub fn clear(&mut self) {
        self.moments.clear();
        self.order.clear();
    }

    /// When `key` is due.
    #[must_use]
    pub fn at(&self, key: &K) -> Option<Time> {
        self.moments.get(key).copied()
    }

    /// When something is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes out what is due at `now`: the earliest first, one at a time.
    pub fn due(&mut self, now: Time) -> Option<K> {
        let (_, key) = self.order.first().filter(|(at, _)| *at <= now)?.clone();
        self.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_come_out_in_order_at_their_last_moment(
            sets in prop::collection::vec((0_u8..8, 0_u64..100), 0..40),
            gone in prop::collection::btree_set(0_u8..8, 0..4),
        ) {
            let mut agenda = Agenda::default();
            let mut expected = BTreeMap::new();
            for (key, at) in sets {
                agenda.set(key, Time::from_nanos(at));
                expected.insert(key, at);
            }
            for key in gone {
                agenda.remove(&key);
                expected.remove(&key);
            }
            for key in 0..8 {
                prop_assert_eq!(agenda.at(&key), expected.get(&key).map(|at| Time::from_nanos(*at)));
            }
            let mut cleared = agenda.clone();
            cleared.clear();
            prop_assert_eq!(cleared, Agenda::default());
            for now in 0..100 {
                while let Some(key) = agenda.due(Time::from_nanos(now)) {
                    prop_assert_eq!(expected.remove(&key), Some(now));
                }
                prop_assert!(agenda.deadline().is_none_or(|at| at.as_nanos() > now));
            }
            prop_assert!(expected.is_empty());
            prop_assert_eq!(agenda, Agenda::default());
        }
    }
}
