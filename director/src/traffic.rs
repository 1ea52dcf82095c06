//! What servers have carried: totals that never run backwards, and rates.
//!
//! Connections are counted by the kernel, in the elements of the destination maps. Packets and bytes come from
//! conntrack accounting: a periodic dump of the director's connections, of which the growth since the last one is
//! added. A connection stays in the kernel's table for at least 10 s after its last packet, so a shorter period
//! misses none.
//!
//! Both are read beside whoever keeps the totals, and may take a while: what a reading found is taken over when it is
//! there.

mod flows;
mod rates;
#[cfg(test)]
mod tests;

pub use flows::{Dump, Flows, Found, Live, Meter, Totals};
pub use rates::{Rate, Rates};

use director_core::plan;
use director_nft::ir::{Datum, Key, KeyPart};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Elements whose readings are of no use if they come from the reading under way.
    #[serde(skip)]
    touched: Option<BTreeMap<String, BTreeSet<Element>>>,
    /// What came to `totals` since somebody asked.
    #[serde(skip)]
    growth: BTreeMap<u32, u64>,
}

/// Destination id or mark, and port.
type Element = (u32, u16);

/// What the elements of maps had counted when they were read.
#[derive(Debug, Default)]
pub struct Readings(Vec<(String, Vec<(Element, u64)>)>);

impl Readings {
    /// Adds those of a map.
    pub fn add(&mut self, map: &str, packets: impl Iterator<Item = (Key, u64)>) {
        let readings = packets.filter_map(|(key, packets)| Some((identify(&key)?, packets)));
        self.0.push((map.to_owned(), readings.collect()));
    }
}

impl Connections {
    /// Takes a reading of an element over. A reading below the last one is of an element that was made anew.
    pub fn count(&mut self, map: &str, key: &Key, packets: u64) {
        if let Some(element) = identify(key) {
            self.touch(map, element);
            self.note(map, element, packets);
        }
    }

    /// An element was made, and counts from zero, or is gone. What it had counted must have been taken over.
    pub fn begin(&mut self, map: &str, key: &Key) {
        let Some((id, port)) = identify(key) else { return };
        self.touch(map, (id, port));
        if let Some(ports) = self.seen.get_mut(map).and_then(|readings| readings.get_mut(&id)) {
            ports.remove(&port);
        }
    }

    /// Somebody begins to read elements, and [`Self::close`] will take over what they found. Nothing else may read
    /// all elements meanwhile.
    pub fn open(&mut self) {
        self.touched = Some(BTreeMap::new());
    }

    /// Takes over what was read since [`Self::open`]. Elements that were counted, made or removed since then are left
    /// out: it is not known whether they were read before or after, and the next reading has them.
    pub fn close(&mut self, readings: &Readings) {
        let touched = self.touched.take().unwrap_or_default();
        for (map, readings) in &readings.0 {
            let touched = touched.get(map);
            for (element, packets) in readings {
                if !touched.is_some_and(|touched| touched.contains(element)) {
                    self.note(map, *element, *packets);
                }
            }
        }
    }

    /// Connections by destination id that came to the totals since the last call.
    pub fn take_growth(&mut self) -> BTreeMap<u32, u64> {
        std::mem::take(&mut self.growth)
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

    fn note(&mut self, map: &str, (id, port): Element, packets: u64) {
        if !self.seen.contains_key(map) {
            self.seen.insert(map.to_owned(), BTreeMap::new());
        }
        let Some(readings) = self.seen.get_mut(map) else { return };
        if packets == 0 && !readings.contains_key(&id) {
            return;
        }
        let last = readings.entry(id).or_default().insert(port, packets).unwrap_or(0);
        let growth = packets.checked_sub(last).unwrap_or(packets);
        if growth == 0 {
            return;
        }
        let counted = Counted::by(map);
        add(self.totals_of(counted), id, growth);
        if counted == Counted::Scheduled {
            add(&mut self.growth, id, growth);
        }
    }

    fn touch(&mut self, map: &str, element: Element) {
        let Some(touched) = &mut self.touched else { return };
        match touched.get_mut(map) {
            Some(elements) => drop(elements.insert(element)),
            None => drop(touched.insert(map.to_owned(), [element].into())),
        }
    }

    fn totals_of(&mut self, counted: Counted) -> &mut BTreeMap<u32, u64> {
        let [v4, v6] = &mut self.without_entry;
        match counted {
            Counted::Scheduled => &mut self.totals,
            Counted::WithoutEntry { ipv6: false } => v4,
            Counted::WithoutEntry { ipv6: true } => v6,
            Counted::OverLimit => &mut self.over_limit,
        }
    }
}

/// What a map's elements count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counted {
    Scheduled,
    WithoutEntry { ipv6: bool },
    OverLimit,
}

impl Counted {
    fn by(map: &str) -> Self {
        let overflow = [false, true].into_iter().find(|ipv6| map == plan::overflow_map(*ipv6));
        match overflow {
            Some(ipv6) => Self::WithoutEntry { ipv6 },
            None if map == plan::limited_map() => Self::OverLimit,
            None => Self::Scheduled,
        }
    }
}

fn add(sums: &mut BTreeMap<u32, u64>, id: u32, growth: u64) {
    let sum = sums.entry(id).or_default();
    *sum = sum.saturating_add(growth);
}

/// Destination id (or mark) and port of an element of a map that counts.
fn identify(key: &Key) -> Option<Element> {
    match key.0.as_slice() {
        [KeyPart::Value(Datum::Mark(id))] => Some((*id, 0)),
        [KeyPart::Value(Datum::Mark(id)), KeyPart::Value(Datum::Port(port))] => Some((*id, *port)),
        _ => None,
    }
}
