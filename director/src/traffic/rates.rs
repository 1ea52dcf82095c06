//! Connections, packets and bytes a second, from what grew between readings.

#[cfg(test)]
mod tests;

use super::Totals;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Least time that a rate is measured over. Where readings come as often, the most is twice as much.
const WINDOW: Duration = Duration::from_secs(5);

/// What a destination carries a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    /// New connections.
    pub connections: f64,
    /// Packets from clients, to clients.
    pub packets: [f64; 2],
    /// Bytes from clients, to clients.
    pub bytes: [f64; 2],
}

/// Rates of all destinations.
#[derive(Debug, Default)]
pub struct Rates {
    /// Two sums, the older first: when the younger one is long enough, it takes the older one's place.
    sums: Option<[Sum; 2]>,
    shown: Option<Shown>,
}

/// What was carried since a moment, by destination id.
#[derive(Debug, Clone)]
struct Sum {
    since: Instant,
    connections: BTreeMap<u32, u64>,
    carried: BTreeMap<u32, Totals>,
}

#[derive(Debug)]
struct Shown {
    window: Duration,
    rates: BTreeMap<u32, Rate>,
}

impl Rates {
    /// A reading of that moment found that so many connections, packets and bytes have come since the last one. What
    /// the first one found may have come at any time, and counts for nothing.
    pub fn add(&mut self, now: Instant, connections: &BTreeMap<u32, u64>, carried: &BTreeMap<u32, Totals>) {
        let Some(sums) = &mut self.sums else {
            self.sums = Some([Sum::new(now), Sum::new(now)]);
            return;
        };
        sums.iter_mut().for_each(|sum| sum.add(connections, carried));
        let [older, younger] = sums;
        let long = |sum: &Sum| now.saturating_duration_since(sum.since) >= WINDOW;
        if long(younger) {
            *older = std::mem::replace(younger, Sum::new(now));
        }
        if long(older) {
            self.shown = Some(older.shown(now));
        }
    }

    /// A reading is missing: rates begin anew.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// The time that rates are measured over; `None` while there are none.
    #[must_use]
    pub fn window(&self) -> Option<Duration> {
        self.shown.as_ref().map(|shown| shown.window)
    }

    /// What a destination carries; `None` while there are no rates.
    #[must_use]
    pub fn of(&self, id: u32) -> Option<Rate> {
        self.shown.as_ref().map(|shown| shown.rates.get(&id).copied().unwrap_or_default())
    }
}

impl Sum {
    fn new(since: Instant) -> Self {
        Self { since, connections: BTreeMap::new(), carried: BTreeMap::new() }
    }

    fn add(&mut self, connections: &BTreeMap<u32, u64>, carried: &BTreeMap<u32, Totals>) {
        for (id, connections) in connections {
            let sum = self.connections.entry(*id).or_default();
            *sum = sum.saturating_add(*connections);
        }
        for (id, carried) in carried {
            self.carried.entry(*id).or_default().add(*carried);
        }
    }

    fn shown(&self, now: Instant) -> Shown {
        let window = now.saturating_duration_since(self.since);
        // No window is empty; a sum above 2^53 loses digits that nobody sees.
        let a_second = |sum: u64| sum as f64 / window.as_secs_f64();
        let mut rates: BTreeMap<u32, Rate> = BTreeMap::new();
        for (id, carried) in &self.carried {
            let rate = rates.entry(*id).or_default();
            rate.packets = carried.packets.map(a_second);
            rate.bytes = carried.bytes.map(a_second);
        }
        for (id, connections) in &self.connections {
            rates.entry(*id).or_default().connections = a_second(*connections);
        }
        Shown { window, rates }
    }
}
