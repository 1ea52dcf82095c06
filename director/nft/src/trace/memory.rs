//! What the kernel remembers from packet to packet: dynamic elements, and where generators stand.

use crate::ir::{Datum, Key, Numgen, NumgenMode};
use std::collections::BTreeMap;
use std::time::Duration;

/// An element that packets made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The map's data; `None` in a set.
    pub data: Option<Datum>,
    /// When it times out, on the caller's clock; `None` for never.
    pub expires: Option<Duration>,
}

/// Chain, rule and statement: where a generator stands.
pub(super) type Place = (String, usize, usize);

#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    maps: BTreeMap<String, BTreeMap<Key, Entry>>,
    generators: BTreeMap<Place, u32>,
    random: u64,
}

impl Memory {
    pub(super) fn keep(&mut self, map: impl Fn(&str) -> bool, chain: impl Fn(&str) -> bool) {
        self.maps.retain(|name, _| map(name));
        self.generators.retain(|(name, _, _), _| chain(name));
    }

    pub(super) fn live(&self, map: &str, now: Duration) -> Vec<(Key, Entry)> {
        let entries = self.maps.get(map).into_iter().flatten();
        let live = entries.filter(|(_, entry)| entry.is_live(now));
        live.map(|(key, entry)| (key.clone(), entry.clone())).collect()
    }

    pub(super) fn find(&self, map: &str, key: &Key, now: Duration) -> Option<&Entry> {
        self.maps.get(map)?.get(key).filter(|entry| entry.is_live(now))
    }

    /// Adds the element, or refreshes its time and nothing else. `false` if there is no room for it.
    pub(super) fn update(
        &mut self,
        map: &str,
        key: Key,
        data: Option<Datum>,
        life: Option<Duration>,
        size: Option<u32>,
        now: Duration,
    ) -> bool {
        let entries = self.maps.entry(map.to_owned()).or_default();
        entries.retain(|_, entry| entry.is_live(now));
        let expires = life.map(|life| now.saturating_add(life));
        if let Some(entry) = entries.get_mut(&key) {
            entry.expires = expires;
            return true;
        }
        let room = size.is_none_or(|size| entries.len() < size as usize);
        if room {
            entries.insert(key, Entry { data, expires });
        }
        room
    }

    /// `false` if there is no such element.
    pub(super) fn delete(&mut self, map: &str, key: &Key, now: Duration) -> bool {
        let removed = self.maps.get_mut(map).and_then(|entries| entries.remove(key));
        removed.is_some_and(|entry| entry.is_live(now))
    }

    /// The generator's next number, offset included.
    pub(super) fn next(&mut self, place: Place, numgen: Numgen) -> u32 {
        let modulus = numgen.modulus.max(1);
        let number = match numgen.mode {
            NumgenMode::Increment => {
                let next = self.generators.entry(place).or_default();
                let number = *next;
                *next = (number + 1) % modulus;
                number
            }
            NumgenMode::Random => {
                let [.., a, b, c, d] = self.random().to_be_bytes();
                u32::from_be_bytes([a, b, c, d]) % modulus
            }
        };
        number.saturating_add(numgen.offset)
    }

    /// SplitMix64: traces can be repeated.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Entry {
    fn is_live(&self, now: Duration) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}
