//! Packets and bytes of connections, from dump to dump.

use director_nft::netlink::Flow;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// `TCP_CONNTRACK_ESTABLISHED`
const TCP_ESTABLISHED: u8 = 3;
/// `TCP_CONNTRACK_TIME_WAIT`
const TCP_TIME_WAIT: u8 = 7;
/// `TCP_CONNTRACK_CLOSE`
const TCP_CLOSE: u8 = 8;

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

/// Packets and bytes so far, and connections now, by destination id.
#[derive(Debug, Default)]
pub struct Flows {
    totals: BTreeMap<u32, Totals>,
    live: BTreeMap<u32, Live>,
}

/// Tells what connections have carried from one dump to the next.
#[derive(Debug, Default)]
pub struct Meter {
    /// Last reading of each connection, by the kernel's id of it.
    seen: HashMap<u32, Totals>,
    /// Growth is told from the second dump on: what the first one shows may have been counted before.
    primed: bool,
}

/// A dump in progress: [`Dump::add`] every connection, then [`Dump::finish`]. One that is dropped before was none.
#[derive(Debug)]
pub struct Dump<'a> {
    meter: &'a mut Meter,
    seen: HashMap<u32, Totals>,
    found: Found,
}

/// What a dump found, by destination id.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What was carried since the last dump, where anything was.
    pub growth: BTreeMap<u32, Totals>,
    /// Connections that there are.
    pub live: BTreeMap<u32, Live>,
}

impl Flows {
    /// Goes on from totals that an earlier run has reached.
    #[must_use]
    pub fn resume(totals: BTreeMap<u32, Totals>) -> Self {
        Self { totals, live: BTreeMap::new() }
    }

    /// Takes over what a dump found. Each one must be taken over once, in their order.
    pub fn take(&mut self, found: Found) {
        for (id, growth) in found.growth {
            self.totals.entry(id).or_default().add(growth);
        }
        self.live = found.live;
    }

    /// Totals by destination id.
    #[must_use]
    pub fn totals(&self) -> &BTreeMap<u32, Totals> {
        &self.totals
    }

    /// True if a destination had connections at the last dump.
    #[must_use]
    pub fn has_connections(&self, id: u32) -> bool {
        self.live.contains_key(&id)
    }

    /// Connections of a destination at the last dump.
    #[must_use]
    pub fn live(&self, id: u32) -> Live {
        self.live.get(&id).copied().unwrap_or_default()
    }
}

impl Meter {
    /// Starts a dump.
    #[must_use]
    pub fn dump(&mut self) -> Dump<'_> {
        let seen = HashMap::with_capacity(self.seen.len());
        Dump { meter: self, seen, found: Found::default() }
    }
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
        let live = self.found.live.entry(flow.mark).or_default();
        if flow.tcp_state == Some(TCP_ESTABLISHED) {
            live.active += 1;
        } else {
            live.inactive += 1;
        }
        live.open += u64::from(!matches!(flow.tcp_state, Some(TCP_TIME_WAIT | TCP_CLOSE)));
        if !self.meter.primed {
            return;
        }
        let growth = now.since(self.meter.seen.get(&flow.id).copied().unwrap_or_default());
        if growth != Totals::default() {
            self.found.growth.entry(flow.mark).or_default().add(growth);
        }
    }

    /// The dump is complete: connections that it did not show are gone.
    #[must_use]
    pub fn finish(self) -> Found {
        self.meter.seen = self.seen;
        self.meter.primed = true;
        self.found
    }
}

impl Totals {
    pub(super) fn add(&mut self, other: Self) {
        for way in [0, 1] {
            self.packets[way] = self.packets[way].saturating_add(other.packets[way]);
            self.bytes[way] = self.bytes[way].saturating_add(other.bytes[way]);
        }
    }

    /// Growth since an earlier reading. One below it is of a new connection under an old one's id.
    fn since(self, last: Self) -> Self {
        let growth = |last: u64, now: u64| now.checked_sub(last).unwrap_or(now);
        let ways = |last: [u64; 2], now: [u64; 2]| [growth(last[0], now[0]), growth(last[1], now[1])];
        Self { packets: ways(last.packets, self.packets), bytes: ways(last.bytes, self.bytes) }
    }
}
