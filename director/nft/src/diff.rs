//! The transaction that turns what is there into what shall be there.
//!
//! First goes what is in the way, then comes what is missing, so that a name or a key may be gone and come back
//! within one transaction: the only way to give an element other data, or a chain another hook.
//!
//! What stays is not touched, so its counters and timers live on. Elements come before the rules that look them
//! up: the kernel then checks a map once, when it is bound, and not for each element. The rules of base chains
//! come last: through them all else gets bound.

use crate::ir::{Chain, Element, Key, Ruleset};
use crate::observed::{Fingerprint, Observed, ObservedChain};
use crate::transaction::{Operation, Transaction};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// What to do to get from `from` to `to`. Empty if nothing differs.
///
/// Elements of dynamic maps belong to the kernel and are left alone. `to` must be whole: every chain and map that
/// its rules and elements name is in it.
#[must_use]
pub fn diff(from: &Observed, to: &Ruleset) -> Transaction {
    let work = Work::new(from, to);
    let mut operations = Vec::new();
    if !from.table || from.dormant {
        operations.push(Operation::AddTable);
    }
    work.flush_rules(&mut operations);
    work.delete_elements(&mut operations);
    work.delete_maps(&mut operations);
    work.delete_chains(&mut operations);
    work.add_maps(&mut operations);
    work.add_chains(&mut operations);
    work.add_elements(&mut operations);
    work.add_rules(&mut operations);
    Transaction { operations }
}

/// Removes the table with all that is in it, whether it is there or not.
#[must_use]
pub fn removal() -> Transaction {
    // Deleting a table that is not there is an error; adding one that is there is none.
    Transaction { operations: vec![Operation::AddTable, Operation::DeleteTable] }
}

struct Work<'a> {
    from: &'a Observed,
    to: &'a Ruleset,
    /// Maps to make, new or anew.
    maps: BTreeSet<&'a str>,
    /// Chains to make, new or anew.
    chains: BTreeSet<&'a str>,
    /// Chains whose rules must be added; those that are there must lose their old ones first.
    rules: BTreeSet<&'a str>,
    /// Elements in the way and elements that are missing, by map.
    elements: BTreeMap<&'a str, Elements<'a>>,
}

#[derive(Default)]
struct Elements<'a> {
    delete: Vec<&'a Key>,
    add: Vec<(&'a Key, &'a Element)>,
}

impl<'a> Work<'a> {
    fn new(from: &'a Observed, to: &'a Ruleset) -> Self {
        let mut work = Work {
            from,
            to,
            maps: BTreeSet::new(),
            chains: BTreeSet::new(),
            rules: BTreeSet::new(),
            elements: BTreeMap::new(),
        };
        for (name, map) in &to.maps {
            let there = from.maps.get(name).filter(|there| there.spec.as_ref() == Some(&map.spec));
            if there.is_none() {
                work.maps.insert(name);
            }
            if !map.spec.dynamic {
                let elements = there.into_iter().flat_map(|there| &there.elements);
                work.elements.insert(name, Elements::between(elements, &map.elements));
            }
        }
        for (name, chain) in &to.chains {
            let there = from.chains.get(name).filter(|there| there.base == chain.base);
            if there.is_none() {
                work.chains.insert(name);
            }
            if !there.is_some_and(|there| work.may_stay(there, chain)) {
                work.rules.insert(name);
            }
        }
        work
    }

    /// True if the chain's rules are the right ones and bind no map that goes.
    fn may_stay(&self, there: &ObservedChain, chain: &Chain) -> bool {
        there.rules.len() == chain.rules.len()
            && there.rules.iter().zip(&chain.rules).all(|(there, rule)| *there == Some(Fingerprint::of(rule)))
            && (self.maps.is_empty()
                || !chain
                    .rules
                    .iter()
                    .flat_map(|rule| &rule.statements)
                    .filter_map(|statement| statement.map())
                    .any(|map| self.maps.contains(map)))
    }

    fn flush_rules(&self, operations: &mut Vec<Operation>) {
        for (name, there) in &self.from.chains {
            let stays = self.to.chains.contains_key(name) && !self.rules.contains(name.as_str());
            if !stays && !there.rules.is_empty() {
                operations.push(Operation::FlushChain { name: name.clone() });
            }
        }
    }

    fn delete_elements(&self, operations: &mut Vec<Operation>) {
        for (name, elements) in &self.elements {
            if let Some(map) = self.to.maps.get(*name).filter(|_| !elements.delete.is_empty()) {
                operations.push(Operation::DeleteElements {
                    map: (*name).to_owned(),
                    spec: map.spec.clone(),
                    keys: elements.delete.iter().map(|key| (*key).clone()).collect(),
                });
            }
        }
    }

    /// Before chains: the elements of a map that goes may lead to a chain that goes.
    fn delete_maps(&self, operations: &mut Vec<Operation>) {
        for name in self.from.maps.keys() {
            if !self.to.maps.contains_key(name) || self.maps.contains(name.as_str()) {
                operations.push(Operation::DeleteMap { name: name.clone() });
            }
        }
    }

    fn delete_chains(&self, operations: &mut Vec<Operation>) {
        for name in self.from.chains.keys() {
            if !self.to.chains.contains_key(name) || self.chains.contains(name.as_str()) {
                operations.push(Operation::DeleteChain { name: name.clone() });
            }
        }
    }

    fn add_maps(&self, operations: &mut Vec<Operation>) {
        for name in &self.maps {
            if let Some(map) = self.to.maps.get(*name) {
                operations.push(Operation::AddMap { name: (*name).to_owned(), spec: map.spec.clone() });
            }
        }
    }

    fn add_chains(&self, operations: &mut Vec<Operation>) {
        for name in &self.chains {
            if let Some(chain) = self.to.chains.get(*name) {
                operations.push(Operation::AddChain { name: (*name).to_owned(), base: chain.base });
            }
        }
    }

    fn add_elements(&self, operations: &mut Vec<Operation>) {
        for (name, elements) in &self.elements {
            if let Some(map) = self.to.maps.get(*name).filter(|_| !elements.add.is_empty()) {
                operations.push(Operation::AddElements {
                    map: (*name).to_owned(),
                    spec: map.spec.clone(),
                    elements: elements.add.iter().map(|(key, it)| ((*key).clone(), (*it).clone())).collect(),
                });
            }
        }
    }

    fn add_rules(&self, operations: &mut Vec<Operation>) {
        for base in [false, true] {
            for name in &self.rules {
                let chain = self.to.chains.get(*name).filter(|chain| chain.base.is_some() == base);
                for rule in chain.iter().flat_map(|chain| &chain.rules) {
                    operations.push(Operation::AddRule { chain: (*name).to_owned(), rule: rule.clone() });
                }
            }
        }
    }
}

impl<'a> Elements<'a> {
    /// Walks both side by side. Other data or another comment for a key means both: delete and add.
    fn between(
        from: impl IntoIterator<Item = (&'a Key, &'a Element)>,
        to: impl IntoIterator<Item = (&'a Key, &'a Element)>,
    ) -> Self {
        let mut elements = Self::default();
        let (mut from, mut to) = (from.into_iter().peekable(), to.into_iter().peekable());
        loop {
            let order = match (from.peek(), to.peek()) {
                (None, None) => return elements,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((there, _)), Some((wanted, _))) => there.cmp(wanted),
            };
            let there = if order.is_le() { from.next() } else { None };
            let wanted = if order.is_ge() { to.next() } else { None };
            if there != wanted {
                elements.delete.extend(there.map(|(key, _)| key));
                elements.add.extend(wanted);
            }
        }
    }
}
