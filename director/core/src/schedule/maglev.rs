//! Maglev tables: a client's hash leads to a slot, and few slots change hands when servers come and go.
//!
//! Every server has its own order of preference among the slots, derived from its name alone. The servers take
//! turns by weight, each taking the slot that it likes best of those that are left.

use super::{Candidate, turns};
use director_nft::fnv::fnv1a;

/// Sizes of tables, and up to how many servers each is for. All are primes, so that a step of any length leads
/// through all slots.
///
/// From a hundred slots a server on, adding or removing one disturbs few of the others' slots, and shares are even.
/// Each slot is an element in the kernel, so few servers get a small table. A client's slot depends on the size, so
/// sizes are far apart.
const SIZES: [(usize, usize); 4] = [(4, 251), (20, 2039), (80, 8191), (usize::MAX, 32_749)];

/// The owner of each slot. One candidate at least has a share.
///
/// Servers that have no share at the moment take part with their full share. Then, with `fallback`, the slots they
/// took go to the others, by turns and preferences again: so a server that leaves moves nobody else's slots, and
/// gets its own back when it returns. It may have them back little by little: with a part of its full share it has
/// those that it likes best, and the others stay where they are.
pub(super) fn table(candidates: &[Candidate<'_>], fallback: bool) -> Vec<usize> {
    let whole = |it: &Candidate<'_>| it.share > 0 && it.share >= it.full_share;
    // Where nobody is back yet, shares are all there is to go by.
    let anybody = candidates.iter().any(whole);
    let place =
        |it: &Candidate<'_>| if it.share > 0 && !anybody { it.share } else { it.full_share.max(it.share) };
    let mut table = Table::new(candidates);
    table.fill(&candidates.iter().map(|it| u64::from(place(it))).collect::<Vec<_>>());
    let full = table.slots.clone();
    let leaves = |it: &Candidate<'_>| if it.share == 0 { fallback } else { it.share < place(it) };
    table.vacate(|owner| leaves(&candidates[owner]));
    let shares = candidates.iter().map(|it| if leaves(it) { 0 } else { u64::from(it.share) });
    table.fill(&shares.collect::<Vec<_>>());
    for (owner, it) in candidates.iter().enumerate().filter(|(_, it)| it.share > 0 && leaves(it)) {
        table.take_back(&full, owner, it.name);
    }
    table.slots.into_iter().flatten().collect()
}

struct Table<'a> {
    candidates: &'a [Candidate<'a>],
    slots: Vec<Option<usize>>,
}

impl<'a> Table<'a> {
    fn new(candidates: &'a [Candidate<'a>]) -> Self {
        let size =
            SIZES.iter().find(|(servers, _)| candidates.len() <= *servers).map_or(0, |(_, size)| *size);
        Self { candidates, slots: vec![None; size] }
    }

    /// Gives the slots that are free to candidates by `weights`, of which one at least is not 0.
    fn fill(&mut self, weights: &[u64]) {
        let size = self.slots.len();
        let mut free = self.slots.iter().filter(|slot| slot.is_none()).count();
        let mut preferences: Vec<Preference> =
            self.candidates.iter().map(|it| Preference::new(it.name, size)).collect();
        // A turn fits the table, so that everybody gets a slot of an empty one.
        for owner in turns::turn(weights, size).into_iter().cycle() {
            if free == 0 {
                return;
            }
            let preference = &mut preferences[owner];
            while self.slots[preference.slot].is_some() {
                preference.advance(size);
            }
            self.slots[preference.slot] = Some(owner);
            free -= 1;
        }
    }

    /// Gives `owner` its share of all slots: of those that it has in `full`, the ones that it likes best.
    fn take_back(&mut self, full: &[Option<usize>], owner: usize, name: &str) {
        let size = self.slots.len();
        let sum: u64 = self.candidates.iter().map(|it| u64::from(it.share)).sum();
        let share = size as u64 * u64::from(self.candidates[owner].share) / sum.max(1);
        let mut preference = Preference::new(name, size);
        let mut left = share.max(1);
        for _ in 0..size {
            if left == 0 {
                return;
            }
            if full[preference.slot] == Some(owner) {
                self.slots[preference.slot] = Some(owner);
                left -= 1;
            }
            preference.advance(size);
        }
    }

    fn vacate(&mut self, leaves: impl Fn(usize) -> bool) {
        for slot in &mut self.slots {
            *slot = slot.filter(|owner| !leaves(*owner));
        }
    }
}

/// Where a server is in its order of preference.
struct Preference {
    slot: usize,
    step: usize,
}

impl Preference {
    fn new(name: &str, size: usize) -> Self {
        let hash = spread(fnv1a(name.as_bytes()));
        let below = |hash: u64, limit: usize| usize::try_from(hash % limit.max(1) as u64).unwrap_or(0);
        Self { slot: below(hash, size), step: 1 + below(spread(hash), size.saturating_sub(1)) }
    }

    fn advance(&mut self, size: usize) {
        self.slot = (self.slot + self.step) % size;
    }
}

/// SplitMix64's step: names that differ in their last letter come out far apart.
fn spread(hash: u64) -> u64 {
    let mixed = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
