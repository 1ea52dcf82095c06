//! The last events, and their numbers, over restarts.

use crate::state::{StateError, Store};
use crate::status::{EventStatus, EventsStatus, LevelStatus};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::Path;
use std::time::SystemTime;

/// So many events are kept.
pub const KEPT: usize = 1_000;

/// Numbers that a run has to itself, until it has ended well and said how many it used: no number has two meanings, also
/// if it is killed.
const RESERVED: u64 = 1_000_000_000;

/// The last events.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Ring {
    last: u64,
    events: VecDeque<EventStatus>,
}

/// An event that has no number yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) level: LevelStatus,
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// The events of earlier runs, and the file for those of this one.
#[derive(Debug)]
pub struct Past {
    pub(super) store: Store<Ring>,
    pub(super) ring: Ring,
}

impl Past {
    /// What is in the state folder. From now on a run that does not end well leaves a gap in the numbers.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        let (mut store, mut ring): (_, Ring) = Store::open(folder, "events.json")?;
        let last = ring.last;
        ring.last = last.saturating_add(RESERVED);
        store.save(&ring)?;
        ring.last = last;
        Ok(Self { store, ring })
    }
}

impl Ring {
    pub(super) fn push(&mut self, at: SystemTime, Entry { level, kind, text }: Entry) {
        self.last = self.last.saturating_add(1);
        if self.events.len() >= KEPT {
            self.events.pop_front();
        }
        let at = humantime::format_rfc3339_millis(at).to_string();
        self.events.push_back(EventStatus { number: self.last, at, level, kind: kind.to_owned(), text });
    }

    pub(super) fn events(&self, after: Option<u64>, limit: usize) -> EventsStatus {
        let skipped = match after {
            Some(after) => self.events.partition_point(|event| event.number <= after),
            None => self.events.len().saturating_sub(limit),
        };
        let events = self.events.iter().skip(skipped).take(limit).cloned().collect();
        EventsStatus { last: self.last, events }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(events: &EventsStatus) -> Vec<u64> {
        events.events.iter().map(|it| it.number).collect()
    }

    fn push(ring: &mut Ring, text: String) {
        ring.push(SystemTime::UNIX_EPOCH, Entry { level: LevelStatus::Info, kind: "peer", text });
    }

    #[test]
    fn the_last_thousand_are_kept_and_can_be_read_on() {
        let mut ring = Ring::default();
        assert_eq!(ring.events(None, 10), EventsStatus::default());
        (1..=KEPT as u64 + 5).for_each(|number| push(&mut ring, number.to_string()));
        assert_eq!(ring.events.len(), KEPT);
        assert_eq!(numbers(&ring.events(None, 2)), [1004, 1005]);
        assert_eq!(numbers(&ring.events(Some(1003), 10)), [1004, 1005]);
        assert_eq!(
            numbers(&ring.events(Some(0), 2)),
            [6, 7],
            "those before are gone, which the numbers tell"
        );
        assert!(numbers(&ring.events(Some(1005), 10)).is_empty());
        assert_eq!(ring.events(Some(u64::MAX), 10).last, 1005);
    }

    #[test]
    fn numbers_go_on_after_a_restart_and_leave_a_gap_after_a_crash() -> Result<(), StateError> {
        let folder = tempfile::TempDir::new().unwrap();
        let Past { mut store, mut ring } = Past::open(folder.path())?;
        push(&mut ring, "first".to_owned());
        push(&mut ring, "second".to_owned());
        store.save(&ring)?;

        let mut killed = Past::open(folder.path())?.ring;
        assert_eq!(numbers(&killed.events(Some(1), 10)), [2]);
        push(&mut killed, "nobody will know".to_owned());
        assert_eq!(killed.last, 3);

        let mut ring = Past::open(folder.path())?.ring;
        assert_eq!(ring.last, 2 + RESERVED);
        push(&mut ring, "fourth".to_owned());
        assert_eq!(numbers(&ring.events(Some(2), 10)), [3 + RESERVED]);
        assert_eq!(numbers(&ring.events(None, 10)), [1, 2, 3 + RESERVED]);
        Ok(())
    }
}
