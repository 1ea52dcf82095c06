//! What is known of the traffic, and when the kernel's counters are read for it.
//!
//! Readings run beside the control loop, one at a time, and have numbers. Who needs fresh figures is told the number of
//! the reading that will have them, and all who wait share it.

use super::memory::Traffic;
use super::reading::{Look, Reading, Task, Tools};
use crate::traffic::{Connections, Flows, Rates, Readings};
use director_core::ids::ServiceNumber;
use director_core::persistence::Report;
use director_nft::netlink::Error;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// From one reading to the next: connections stay in the kernel's table for 10 s after their end at least.
const PERIOD: Duration = Duration::from_secs(5);

/// Share of the time that may go into readings: one in so many.
const DUTY: u32 = 20;

/// Figures that are not older are good enough to be shown.
const GAP: Duration = Duration::from_millis(500);

/// The figures, and the readings that they come from.
pub(super) struct Counting {
    connections: Connections,
    flows: Flows,
    rates: Rates,
    entries: Entries,
    evicted: BTreeMap<ServiceNumber, u64>,
    schedule: Schedule,
    /// At rest; a reading has them else.
    tools: Option<Tools>,
    sender: mpsc::Sender<(Tools, Reading)>,
    receiver: mpsc::Receiver<(Tools, Reading)>,
}

/// Persistence entries that there are.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// IPv4, IPv6.
    pub(super) by_family: [u64; 2],
    /// By destination id.
    pub(super) by_destination: BTreeMap<u32, u64>,
}

/// What the control loop has to know of a reading that is over.
pub(super) struct Outcome {
    /// The connections were read.
    pub(super) dumped: bool,
    pub(super) look: Option<Look>,
}

impl Counting {
    /// Goes on from what an earlier run has counted.
    pub(super) fn resume(traffic: Traffic) -> Result<Self, Error> {
        let (sender, receiver) = mpsc::channel(1);
        Ok(Self {
            connections: traffic.connections,
            flows: Flows::resume(traffic.totals),
            rates: Rates::default(),
            entries: Entries::default(),
            evicted: traffic.evicted,
            schedule: Schedule::new(Instant::now()),
            tools: Some(Tools::open()?),
            sender,
            receiver,
        })
    }

    pub(super) fn connections(&mut self) -> &mut Connections {
        &mut self.connections
    }

    pub(super) fn connections_so_far(&self) -> &Connections {
        &self.connections
    }

    pub(super) fn flows(&self) -> &Flows {
        &self.flows
    }

    pub(super) fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Persistence entries at the last round.
    pub(super) fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Persistence entries that made room for others so far, by service.
    pub(super) fn evicted(&self) -> &BTreeMap<ServiceNumber, u64> {
        &self.evicted
    }

    /// Takes the figures of a round over.
    pub(super) fn count_entries(&mut self, report: Report) {
        self.entries = Entries { by_family: report.entries, by_destination: report.by_destination };
        for (service, evicted) in report.evicted {
            let total = self.evicted.entry(service).or_default();
            *total = total.saturating_add(evicted);
        }
    }

    /// What the next run goes on from.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            connections: self.connections.clone(),
            totals: self.flows.totals().clone(),
            evicted: self.evicted.clone(),
        }
    }

    /// When readings are due, and which of them has what.
    pub(super) fn schedule(&mut self) -> &mut Schedule {
        &mut self.schedule
    }

    /// When the next reading shall begin; `None` while one is under way.
    pub(super) fn due(&self) -> Option<Instant> {
        self.schedule.due()
    }

    /// Begins a reading, unless one is under way.
    pub(super) fn begin(&mut self, task: Task) {
        let Some(mut tools) = self.tools.take() else { return };
        self.schedule.begin();
        self.connections.open();
        let sender = self.sender.clone();
        spawn_blocking(move || {
            let reading = tools.read(task);
            // Whoever is gone needs no outcome.
            let _ = sender.blocking_send((tools, reading));
        });
    }

    /// The reading that ends next; waits for ever if none is under way.
    pub(super) async fn done(&mut self) -> Option<(Tools, Reading)> {
        self.receiver.recv().await
    }

    /// A reading is over: takes over what it found.
    pub(super) fn end(&mut self, (tools, reading): (Tools, Reading)) -> Outcome {
        let Reading { began, cost, readings, found, look } = reading;
        self.tools = Some(tools);
        self.schedule.end(Instant::now(), cost);
        let whole = readings.is_some();
        self.connections.close(&readings.unwrap_or_else(Readings::default));
        let growth = self.connections.take_growth();
        match &found {
            Some(found) if whole => self.rates.add(began, &growth, &found.growth),
            _ => self.rates.forget(),
        }
        let dumped = found.is_some();
        found.into_iter().for_each(|found| self.flows.take(found));
        Outcome { dumped, look }
    }
}

/// When readings are due, and which of them has what is wanted. They are numbered from 1, and somebody wants the first.
#[derive(Debug)]
pub(super) struct Schedule {
    begun: u64,
    /// That many are over: equal to `begun`, or one less while one is under way.
    over: u64,
    /// Somebody waits for that one.
    wanted: u64,
    /// What earlier ones found is not good enough to be shown.
    good: u64,
    /// When the last one ended.
    ended: Instant,
    /// Time that it took.
    cost: Duration,
}

impl Schedule {
    fn new(now: Instant) -> Self {
        Self { begun: 0, over: 0, wanted: 1, good: 1, ended: now, cost: Duration::ZERO }
    }

    /// The first reading that begins from now on, which shall be soon: its number.
    pub(super) fn next(&mut self) -> u64 {
        self.wanted = self.begun + 1;
        self.wanted
    }

    /// What was read so far is no longer good enough to be shown.
    pub(super) fn distrust(&mut self) {
        self.good = self.begun + 1;
    }

    /// The number of the reading that has figures to be shown; `None` if those at hand are good.
    pub(super) fn awaited(&mut self, now: Instant) -> Option<u64> {
        let old = now >= self.ended + GAP.max(self.cost * DUTY);
        if self.over >= self.good && !old {
            return None;
        }
        if self.begun > self.over && self.begun >= self.good {
            return Some(self.begun);
        }
        Some(self.next())
    }

    /// How many readings are over.
    pub(super) fn over(&self) -> u64 {
        self.over
    }

    /// True while a reading is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.begun > self.over
    }

    /// Time that the last reading took.
    pub(super) fn cost(&self) -> Duration {
        self.cost
    }

    /// When the next reading shall begin; `None` while one is under way. Those of a large table come less often.
    fn due(&self) -> Option<Instant> {
        let pause = if self.wanted > self.begun { Duration::ZERO } else { PERIOD.max(self.cost * DUTY) };
        (!self.is_busy()).then(|| self.ended + pause)
    }

    fn begin(&mut self) {
        self.begun += 1;
    }

    fn end(&mut self, now: Instant, cost: Duration) {
        self.over = self.begun;
        self.ended = now;
        self.cost = cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reading was made, and ended just now.
    fn read_once() -> (Schedule, Instant) {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        assert_eq!((schedule.due(), schedule.awaited(now)), (Some(now), Some(1)));
        schedule.begin();
        schedule.end(now, Duration::from_millis(1));
        (schedule, now)
    }

    #[test]
    fn counters_are_read_every_five_seconds_and_when_somebody_looks() {
        let (mut schedule, now) = read_once();
        assert_eq!(schedule.due(), Some(now + PERIOD));
        assert_eq!(schedule.awaited(now + GAP / 2), None, "good enough");
        assert_eq!(schedule.due(), Some(now + PERIOD));
        assert_eq!(schedule.awaited(now + GAP), Some(2));
        assert_eq!(schedule.due(), Some(now), "at once");
        schedule.begin();
        assert_eq!((schedule.due(), schedule.awaited(now + GAP)), (None, Some(2)), "all share one");
        schedule.end(now + GAP, Duration::from_millis(1));
        assert_eq!(schedule.awaited(now + GAP), None);
    }

    #[test]
    fn an_override_outdates_what_is_shown_and_asks_for_no_reading() {
        let (mut schedule, now) = read_once();
        schedule.distrust();
        assert_eq!(schedule.due(), Some(now + PERIOD));
        assert_eq!(schedule.awaited(now), Some(2));
    }

    #[test]
    fn an_override_during_a_reading_outdates_that_one_too() {
        let (mut schedule, now) = read_once();
        schedule.begin();
        schedule.distrust();
        assert_eq!(schedule.awaited(now), Some(3));
        schedule.end(now, Duration::from_millis(1));
        assert_eq!((schedule.awaited(now), schedule.due()), (Some(3), Some(now)));
        schedule.begin();
        schedule.end(now, Duration::from_millis(1));
        assert_eq!(schedule.awaited(now), None);
    }

    #[test]
    fn readings_take_a_twentieth_of_the_time_unless_somebody_waits() {
        let (mut schedule, now) = read_once();
        schedule.begin();
        schedule.end(now, Duration::from_secs(1));
        assert_eq!(schedule.due(), Some(now + Duration::from_secs(20)));
        assert_eq!(schedule.awaited(now + PERIOD), None);
        schedule.next();
        assert_eq!(schedule.due(), Some(now));
    }
}
