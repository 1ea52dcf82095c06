//! Follows live connections: services whose connections moved are decided anew, and nothing else is looked at.

use super::reconcile::Scope;
use super::{Control, clocks};
use crate::live::PERIOD;
use director_core::pool::Demand;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::task::block_in_place;

/// Share of the time that may go into following: one in so many.
const DUTY: u32 = 5;

/// When to decide next.
#[derive(Debug, Default)]
pub(super) struct Pace {
    due: Option<Instant>,
    earliest: Option<Instant>,
}

impl Pace {
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Something moved: as soon as may be.
    pub(super) fn hasten(&mut self, now: Instant) {
        self.due = Some(self.earliest.map_or(now, |earliest| earliest.max(now)));
    }

    /// A decision was made; `again` is when to make the next if nothing moves.
    fn made(&mut self, start: Instant, end: Instant, again: Option<Duration>) {
        self.earliest = Some((start + PERIOD).max(end + (end - start) * (DUTY - 1)));
        self.due = again.map(|again| end + again);
    }
}

impl Control {
    /// Connections of services moved.
    pub(super) fn moved(&mut self) {
        let now = Instant::now();
        self.pace.hasten(now);
        self.balance(now);
    }

    /// Follows, if it is time to.
    pub(super) fn balance(&mut self, now: Instant) {
        if self.pace.due().is_none_or(|due| due > now) {
            return;
        }
        let mut moved = BTreeSet::new();
        for (service, demand) in self.live.take(now) {
            if self.demands.get(&service) != Some(&demand) {
                self.demands.insert(service.clone(), demand);
                moved.insert(service);
            }
        }
        self.decide(Scope::Services(&moved), clocks());
        if !self.changed.is_empty()
            && let Err(error) = self.reconcile_ruleset()
        {
            // The next tick tries again.
            self.history.reconciled(&[error], None);
        }
        self.pace.made(now, Instant::now(), self.live.settles());
    }

    /// Deals slots by weight: nobody follows from now on, and the last decision may be that one server gets all.
    pub(super) fn let_go(&mut self) {
        self.demands.values_mut().for_each(|demand| demand.expected = Demand::unknown().expected);
        self.decide(Scope::Services(&self.demands.keys().cloned().collect()), clocks());
        if !self.changed.is_empty()
            && let Err(error) = self.reconcile_ruleset()
        {
            tracing::error!(%error, "new connections go where there were few when the director stopped");
        }
    }

    /// Counts for the services that the configuration has now.
    ///
    /// # Errors
    /// In words; what was counted before still is.
    pub(super) fn watch_connections(&mut self) -> Result<(), crate::live::LiveError> {
        let services = &self.configuration.model.services;
        self.demands.retain(|service, _| services.contains_key(service));
        block_in_place(|| self.live.watch(&self.configuration.model, &self.registry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_once_and_then_ten_times_a_second() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.hasten(start);
        assert_eq!(pace.due(), Some(start));
        pace.made(start, start + Duration::from_millis(1), None);
        assert_eq!(pace.due(), None);
        pace.hasten(start + Duration::from_millis(20));
        assert_eq!(pace.due(), Some(start + PERIOD));
    }

    #[test]
    fn a_fifth_of_the_time_at_most() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let end = start + Duration::from_millis(100);
        pace.made(start, end, None);
        pace.hasten(end);
        assert_eq!(pace.due(), Some(start + Duration::from_millis(500)));
    }
}
