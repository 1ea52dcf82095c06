//! Ends connections of servers that are dead or gone.
//!
//! The kernel's entries are flushed by the destination id in their mark, and once more a moment later: a first
//! packet may have chosen the server just before the ruleset changed, and be recorded just after the flush.

use crate::decide::Offers;
use std::time::{Duration, Instant};

/// From the first flush to the second.
const AGAIN: Duration = Duration::from_millis(100);

/// Destination ids to flush, and when.
#[derive(Debug, Default)]
pub(super) struct Purge {
    due: Vec<(Instant, u32)>,
}

impl Purge {
    /// Flushes `id` now and once more.
    pub(super) fn add(&mut self, id: u32, now: Instant) {
        self.due.push((now, id));
        self.due.push((now + AGAIN, id));
    }

    /// When [`Self::take`] has something.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.iter().map(|(at, _)| *at).min()
    }

    /// The ids whose time has come.
    pub(super) fn take(&mut self, now: Instant) -> Vec<u32> {
        let (due, later) = self.due.drain(..).partition(|(at, _)| *at <= now);
        self.due = later;
        let due: Vec<(Instant, u32)> = due;
        due.into_iter().map(|(_, id)| id).collect()
    }
}

/// Servers of the services in `before` that kept their connections and shall not from now on, as (service, server).
pub(super) fn died(before: &Offers, after: &Offers) -> Vec<(String, String)> {
    let mut died = Vec::new();
    for (service, earlier) in before {
        for (server, now) in after.get(service).into_iter().flat_map(|offer| &offer.servers) {
            let kept = earlier.servers.get(server).is_none_or(|it| it.keeps_connections);
            if kept && !now.keeps_connections {
                died.push((service.clone(), server.clone()));
            }
        }
    }
    died
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_flushed_twice() {
        let now = Instant::now();
        let mut purge = Purge::default();
        purge.add(7, now);
        assert_eq!(purge.take(now), [7]);
        assert!(purge.take(now).is_empty());
        assert_eq!(purge.next(), Some(now + AGAIN));
        assert_eq!(purge.take(now + AGAIN), [7]);
        assert_eq!(purge.next(), None);
    }
}
