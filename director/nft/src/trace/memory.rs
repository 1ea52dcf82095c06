//! What the kernel remembers from packet to packet: dynamic elements, and where generators stand.

use crate::ir::{Datum, Key, Numgen, NumgenMode, Rate};
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
    /// Those of elements that are gone are worth nothing.
    buckets: BTreeMap<String, BTreeMap<Key, Bucket>>,
    generators: BTreeMap<Place, u32>,
    random: u64,
}

impl Memory {
    pub(super) fn keep(&mut self, map: impl Fn(&str) -> bool, chain: impl Fn(&str) -> bool) {
        self.maps.retain(|name, _| map(name));
        self.buckets.retain(|name, _| map(name));
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

    /// Adds the element or refreshes its time, and takes a token from its bucket. `true` if it has none; `false` also
    /// if there is no room for the element.
    pub(super) fn is_over(
        &mut self,
        map: &str,
        key: Key,
        life: Option<Duration>,
        size: Option<u32>,
        rate: Rate,
        now: Duration,
    ) -> bool {
        let known = self.find(map, &key, now).is_some();
        let Some((token, most)) = rate.nanoseconds() else { return false };
        if !self.update(map, key.clone(), None, life, size, now) {
            return false;
        }
        let full = Bucket { token, most, level: most, at: now };
        let buckets = self.buckets.entry(map.to_owned()).or_default();
        if !known {
            buckets.remove(&key);
        }
        buckets.entry(key).or_insert(full).is_over(now)
    }

    pub(super) fn delete(&mut self, map: &str, key: &Key) {
        if let Some(entries) = self.maps.get_mut(map) {
            entries.remove(key);
        }
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

/// Tokens as the kernel counts them: by the nanoseconds they take to come.
#[derive(Debug, Clone)]
struct Bucket {
    token: u64,
    most: u64,
    level: u64,
    /// When the level was that.
    at: Duration,
}

impl Bucket {
    fn is_over(&mut self, now: Duration) -> bool {
        let since = u64::try_from(now.saturating_sub(self.at).as_nanos()).unwrap_or(u64::MAX);
        let level = self.level.saturating_add(since).min(self.most);
        let left = level.checked_sub(self.token);
        self.level = left.unwrap_or(level);
        self.at = now;
        left.is_none()
    }
}

impl Entry {
    fn is_live(&self, now: Duration) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}
