//! What servers have carried: totals that never run backwards.
//!
//! Connections are counted by the kernel, in the elements of the destination maps. Packets and bytes come from
//! conntrack accounting: a periodic dump of the director's connections, of which the growth since the last one is
//! added. A connection stays in the kernel's table for at least 10 s after its last packet, so a shorter period
//! misses none.

#[cfg(test)]
mod tests;

use director_core::plan;
use director_nft::ir::{Datum, Key, KeyPart};
use director_nft::netlink::Flow;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Totals of a destination, by direction: from clients, to clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Packets.
    pub packets: [u64; 2],
    /// Bytes.
    pub bytes: [u64; 2],
}

/// Connections of a destination that are in the kernel's table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Live {
    /// TCP connections in state ESTABLISHED.
    pub active: u64,
    /// All others.
    pub inactive: u64,
    /// Of both: those that are not over yet (TIME_WAIT and CLOSE are).
    pub open: u64,
}

/// Connections scheduled so far, by destination id; and by mark those that found no room for a persistence entry, and
/// those that were refused for the rate limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    totals: BTreeMap<u32, u64>,
    /// IPv4, IPv6.
    #[serde(default)]
    without_entry: [BTreeMap<u32, u64>; 2],
    #[serde(default)]
    over_limit: BTreeMap<u32, u64>,
    /// Last reading of every element, by map and the element's destination id or mark, and port (0 if it has none).
    seen: BTreeMap<String, BTreeMap<u32, BTreeMap<u16, u64>>>,
}

impl Connections {
    /// Takes a reading of an element over. A reading below the last one is of an element that was made anew.
    pub fn count(&mut self, map: &str, key: &Key, packets: u64) {
        let Some((id, port)) = identify(key) else { return };
        if !self.seen.contains_key(map) {
            self.seen.insert(map.to_owned(), BTreeMap::new());
        }
        let Some(readings) = self.seen.get_mut(map) else { return };
        let last = readings.entry(id).or_default().insert(port, packets).unwrap_or(0);
        let growth = packets.checked_sub(last).unwrap_or(packets);
        let total = self.totals_of(map).entry(id).or_default();
        *total = total.saturating_add(growth);
    }

    /// Takes the last reading of an element over that goes now.
    pub fn retire(&mut self, map: &str, key: &Key, packets: u64) {
        self.count(map, key, packets);
        self.begin(map, key);
    }

    /// An element was made, and counts from zero: somebody else may have removed the one of the last reading.
    pub fn begin(&mut self, map: &str, key: &Key) {
        let Some((id, port)) = identify(key) else { return };
        if let Some(ports) = self.seen.get_mut(map).and_then(|readings| readings.get_mut(&id)) {
            ports.remove(&port);
        }
    }

    /// Connections of a service so far that were refused because their client was over the rate limit.
    #[must_use]
    pub fn over_limit(&self, mark: u32) -> u64 {
        self.over_limit.get(&mark).copied().unwrap_or(0)
    }

    /// Connections of a persistent service so far that found no room for an entry: IPv4, IPv6.
    #[must_use]
    pub fn without_entry(&self, mark: u32) -> [u64; 2] {
        self.without_entry.each_ref().map(|totals| totals.get(&mark).copied().unwrap_or(0))
    }

    /// Connections of all services so far that found no room for an entry.
    #[must_use]
    pub fn all_without_entry(&self) -> u64 {
        self.without_entry.iter().flat_map(BTreeMap::values).sum()
    }

    /// Connections that a destination got so far.
    #[must_use]
    pub fn total(&self, id: u32) -> u64 {
        self.totals.get(&id).copied().unwrap_or(0)
    }

    /// What a map's elements count towards.
    fn totals_of(&mut self, map: &str) -> &mut BTreeMap<u32, u64> {
        let [v4, v6] = &mut self.without_entry;
        if map == plan::overflow_map(false) {
            v4
        } else if map == plan::overflow_map(true) {
            v6
        } else if map == plan::limited_map() {
            &mut self.over_limit
        } else {
            &mut self.totals
        }
    }
}

/// Destination id (or mark) and port of an element of a map that counts.
fn identify(key: &Key) -> Option<(u32, u16)> {
    match key.0.as_slice() {
        [KeyPart::Value(Datum::Mark(id))] => Some((*id, 0)),
        [KeyPart::Value(Datum::Mark(id)), KeyPart::Value(Datum::Port(port))] => Some((*id, *port)),
        _ => None,
    }
}

/// Packets and bytes so far, and connections now, by destination id.
#[derive(Debug, Default)]
pub struct Flows {
    totals: BTreeMap<u32, Totals>,
    live: BTreeMap<u32, Live>,
    /// Last reading of each connection, by the kernel's id of it.
    seen: HashMap<u32, Totals>,
    /// Totals are trusted from the second dump on: what the first one shows may have been counted before.
    primed: bool,
}

impl Flows {
    /// Goes on from totals that an earlier run has reached.
    #[must_use]
    pub fn resume(totals: BTreeMap<u32, Totals>) -> Self {
        Self { totals, ..Self::default() }
    }

    /// Starts a dump.
    #[must_use]
    pub fn dump(&mut self) -> Dump<'_> {
        Dump { flows: self, live: BTreeMap::new(), seen: HashMap::new() }
    }

    /// Totals by destination id.
    #[must_use]
    pub fn totals(&self) -> &BTreeMap<u32, Totals> {
        &self.totals
    }

    /// Destinations that had connections at the last dump.
    pub fn destinations(&self) -> impl Iterator<Item = u32> + '_ {
        self.live.keys().copied()
    }

    /// Connections of a destination at the last dump.
    #[must_use]
    pub fn live(&self, id: u32) -> Live {
        self.live.get(&id).copied().unwrap_or_default()
    }
}

/// `TCP_CONNTRACK_ESTABLISHED`
const TCP_ESTABLISHED: u8 = 3;
/// `TCP_CONNTRACK_TIME_WAIT`
const TCP_TIME_WAIT: u8 = 7;
/// `TCP_CONNTRACK_CLOSE`
const TCP_CLOSE: u8 = 8;

/// A dump in progress: [`Dump::add`] every connection, then [`Dump::finish`].
#[derive(Debug)]
pub struct Dump<'a> {
    flows: &'a mut Flows,
    live: BTreeMap<u32, Live>,
    seen: HashMap<u32, Totals>,
}

impl Dump<'_> {
    /// Takes a connection over. One that a dump shows twice counts once.
    pub fn add(&mut self, flow: &Flow) {
        let now = flow.traffic.map_or_else(Totals::default, |[there, back]| Totals {
            packets: [there.packets, back.packets],
            bytes: [there.bytes, back.bytes],
        });
        if self.seen.insert(flow.id, now).is_some() {
            return;
        }
        let live = self.live.entry(flow.mark).or_default();
        if flow.tcp_state == Some(TCP_ESTABLISHED) {
            live.active += 1;
        } else {
            live.inactive += 1;
        }
        live.open += u64::from(!matches!(flow.tcp_state, Some(TCP_TIME_WAIT | TCP_CLOSE)));
        if !self.flows.primed {
            return;
        }
        let last = self.flows.seen.get(&flow.id).copied().unwrap_or_default();
        let totals = self.flows.totals.entry(flow.mark).or_default();
        for way in [0, 1] {
            totals.packets[way] =
                totals.packets[way].saturating_add(growth(last.packets[way], now.packets[way]));
            totals.bytes[way] = totals.bytes[way].saturating_add(growth(last.bytes[way], now.bytes[way]));
        }
    }

    /// The dump is complete: connections that it did not show are gone.
    pub fn finish(self) {
        self.flows.live = self.live;
        self.flows.seen = self.seen;
        self.flows.primed = true;
    }
}

/// A reading below the last one is of a new connection under an old one's id.
fn growth(last: u64, now: u64) -> u64 {
    now.checked_sub(last).unwrap_or(now)
}
