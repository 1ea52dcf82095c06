//! Live connections, counted from what the kernel tells about them. Pure: events and dumps in, counts out.
//!
//! Events alone would do if all of them came. Some never do: the kernel drops them when nobody reads fast enough, and
//! tells nothing of connections that were there before anybody listened. So a [`Census`] of all connections takes the
//! place of what was known, now and then. Events that waited to be read while it was taken are noted after it, in
//! their order: what they say is older or newer than the census, and the last one of each connection is right.

#[cfg(test)]
mod tests;

use director_core::ids::ServiceNumber;
use director_core::pool::Load;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A connection, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connection {
    /// The kernel's number of it.
    pub(super) id: u32,
    /// Destination id, or what else stands in its ct mark.
    pub(super) mark: u32,
    /// How far it is; `None` where an event does not say so.
    pub(super) phase: Option<Phase>,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It opens or is established; UDP flows always are.
    Active,
    /// It closes.
    Closing,
    /// It has ended, if the kernel remembers it or not.
    Over,
}

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// It is there.
    New(Connection),
    /// It is in this phase now.
    Changed(Connection),
    /// The kernel has forgotten it.
    Gone(Connection),
}

/// Connections of some services.
#[derive(Debug, Default)]
pub(super) struct Tally {
    services: BTreeSet<ServiceNumber>,
    connections: HashMap<u32, Entry>,
    loads: BTreeMap<u32, Load>,
    arrivals: BTreeMap<ServiceNumber, u64>,
    moved: BTreeSet<ServiceNumber>,
    /// A census was taken: before, counts mean nothing, and nothing moves.
    counted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    service: ServiceNumber,
    destination: u32,
    phase: Phase,
    /// The kernel has told something of it.
    told: bool,
}

/// What a census found out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Connections that were known otherwise, or not at all, or are gone. Some of them changed just then.
    pub(super) corrected: usize,
    /// Connections of which the kernel has told nothing so far.
    pub(super) silent: usize,
}

/// All connections that there are at a time.
#[derive(Debug, Default)]
pub(super) struct Census(Vec<Connection>);

impl Census {
    /// Adds one; it may be added twice.
    pub(super) fn add(&mut self, connection: Connection) {
        self.0.push(connection);
    }
}

impl Phase {
    /// By protocol number and `enum tcp_conntrack`.
    #[must_use]
    pub(super) fn of(protocol: u8, tcp_state: Option<u8>) -> Option<Self> {
        const TCP: u8 = 6;
        match (protocol, tcp_state) {
            (TCP, None) => None,
            // FIN_WAIT, CLOSE_WAIT, LAST_ACK
            (TCP, Some(4..=6)) => Some(Self::Closing),
            // TIME_WAIT, CLOSE
            (TCP, Some(7 | 8)) => Some(Self::Over),
            _ => Some(Self::Active),
        }
    }
}

impl Tally {
    /// Counts for these services; nothing is known yet.
    #[must_use]
    pub(super) fn new(services: BTreeSet<ServiceNumber>) -> Self {
        Self { services, ..Self::default() }
    }

    /// Takes an event over.
    pub(super) fn note(&mut self, event: Event) {
        let (Event::New(it) | Event::Changed(it) | Event::Gone(it)) = event;
        let Some(service) = self.service(it.mark) else { return };
        match event {
            Event::New(it) => {
                *self.arrivals.entry(service).or_default() += 1;
                self.set(service, it, true);
            }
            Event::Changed(it) => self.set(service, it, true),
            Event::Gone(it) => self.remove(it.id),
        }
    }

    /// Puts a census in the place of all that was known.
    pub(super) fn replace(&mut self, census: Census) -> Findings {
        let before = std::mem::take(&mut self.connections);
        let mut moved = std::mem::take(&mut self.moved);
        self.loads.clear();
        for it in census.0 {
            if let Some(service) = self.service(it.mark) {
                let told = before.get(&it.id).is_some_and(|before| before.told);
                self.set(service, it, told);
            }
        }
        let found = &self.connections;
        let gone = before.iter().filter(|(id, _)| !found.contains_key(id));
        let other = found.iter().filter(|(id, it)| before.get(id) != Some(it));
        let wrong: Vec<ServiceNumber> = gone.chain(other).map(|(_, it)| it.service).collect();
        let findings =
            Findings { corrected: wrong.len(), silent: found.values().filter(|it| !it.told).count() };
        if self.counted {
            moved.extend(wrong);
        } else {
            moved.extend(&self.services);
            self.counted = true;
        }
        self.moved = moved;
        findings
    }

    /// True if [`Self::take_moved`] has something.
    #[must_use]
    pub(super) fn has_moved(&self) -> bool {
        !self.moved.is_empty()
    }

    /// The services whose counts moved since the last call; at first all.
    pub(super) fn take_moved(&mut self) -> BTreeSet<ServiceNumber> {
        std::mem::take(&mut self.moved)
    }

    /// Connections of a destination.
    #[must_use]
    pub(super) fn load(&self, destination: u32) -> Load {
        self.loads.get(&destination).copied().unwrap_or_default()
    }

    /// New connections that the kernel has told of so far.
    #[must_use]
    pub(super) fn arrivals(&self, service: ServiceNumber) -> u64 {
        self.arrivals.get(&service).copied().unwrap_or(0)
    }

    fn service(&self, mark: u32) -> Option<ServiceNumber> {
        ServiceNumber::of_mark(mark).filter(|service| self.services.contains(service))
    }

    fn set(&mut self, service: ServiceNumber, it: Connection, told: bool) {
        let known = self.connections.get(&it.id).copied();
        let phase = it.phase.or(known.map(|known| known.phase)).unwrap_or(Phase::Active);
        if phase == Phase::Over {
            return self.remove(it.id);
        }
        let entry = Entry { service, destination: it.mark, phase, told };
        self.connections.insert(it.id, entry);
        if known.is_none_or(|known| Entry { told, ..known } != entry) {
            known.into_iter().for_each(|known| self.count(known, -1));
            self.count(entry, 1);
        }
    }

    fn remove(&mut self, id: u32) {
        if let Some(known) = self.connections.remove(&id) {
            self.count(known, -1);
        }
    }

    fn count(&mut self, entry: Entry, change: i32) {
        let load = self.loads.entry(entry.destination).or_default();
        let counter = if entry.phase == Phase::Active { &mut load.active } else { &mut load.inactive };
        *counter = counter.saturating_add_signed(change);
        if *load == Load::default() {
            self.loads.remove(&entry.destination);
        }
        if self.counted {
            self.moved.insert(entry.service);
        }
    }
}
