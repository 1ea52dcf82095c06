//! Entries whose key is no longer what packets will look up.

use super::{Action, Client, Entry, Policies};
use std::collections::BTreeMap;
use std::time::Duration;

/// Moves entries to the keys that a new configuration gives them, where its granularity is coarser or a service has
/// another mark: [`Self::find`] every entry, then [`Self::compare`] every entry. Of several entries that come
/// together, the one with the longest time left stays; one that does not time out lives longest.
///
/// To be done before packets look the new keys up, so that no client finds nothing. A [`super::Pass`] deletes what is
/// left under the old keys; it moves entries too, but takes the first of several.
#[derive(Debug)]
pub struct Rekey<'a> {
    policies: &'a Policies,
    /// Destination id and time left by the new key.
    moved: BTreeMap<Client, (u32, Option<Duration>)>,
}

impl<'a> Rekey<'a> {
    /// Nothing found yet. `policies` are those that shall hold.
    #[must_use]
    pub fn new(policies: &'a Policies) -> Self {
        Self { policies, moved: BTreeMap::new() }
    }

    /// Notes an entry if it is to move.
    pub fn find(&mut self, entry: &Entry) {
        let Some(policy) = self.policies.of(entry.destination) else { return };
        let home = policy.client(entry.client.address);
        if home == entry.client || !policy.destinations.contains_key(&entry.destination) {
            return;
        }
        let left = entry.left.map(|left| left.min(policy.timeout));
        let best = self.moved.entry(home).or_insert((entry.destination, left));
        if longer(left, best.1) {
            *best = (entry.destination, left);
        }
    }

    /// True if none is to move.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.moved.is_empty()
    }

    /// Looks whether one is there already that lives longer.
    pub fn compare(&mut self, entry: &Entry) {
        if let Some((_, left)) = self.moved.get(&entry.client)
            && !longer(*left, entry.left)
        {
            self.moved.remove(&entry.client);
        }
    }

    /// What is to be done.
    pub fn finish(self) -> impl Iterator<Item = Action> {
        self.moved.into_iter().map(|(client, (destination, left))| Action::Put {
            entry: Entry { client, destination, left },
            only_missing: false,
        })
    }
}

fn longer(one: Option<Duration>, other: Option<Duration>) -> bool {
    match (one, other) {
        (None, other) => other.is_some(),
        (Some(_), None) => false,
        (Some(one), Some(other)) => one > other,
    }
}
