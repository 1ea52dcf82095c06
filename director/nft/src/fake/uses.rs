//! How many rules and elements refer to a chain or a map.

use crate::ir::{Element, Rule};
use std::collections::BTreeMap;

/// Counts of references, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Uses {
    chains: BTreeMap<String, usize>,
    maps: BTreeMap<String, usize>,
}

impl Uses {
    /// True if something leads to the chain.
    pub(super) fn chain(&self, name: &str) -> bool {
        self.chains.contains_key(name)
    }

    /// True if a rule looks something up in the map, or changes it.
    pub(super) fn map(&self, name: &str) -> bool {
        self.maps.contains_key(name)
    }

    pub(super) fn add_rule(&mut self, rule: &Rule) {
        for statement in &rule.statements {
            statement.target().inspect(|name| add(&mut self.chains, name));
            statement.map().inspect(|name| add(&mut self.maps, name));
        }
    }

    pub(super) fn remove_rule(&mut self, rule: &Rule) {
        for statement in &rule.statements {
            statement.target().inspect(|name| remove(&mut self.chains, name));
            statement.map().inspect(|name| remove(&mut self.maps, name));
        }
    }

    pub(super) fn add_element(&mut self, element: &Element) {
        element.target().inspect(|name| add(&mut self.chains, name));
    }

    pub(super) fn remove_element(&mut self, element: &Element) {
        element.target().inspect(|name| remove(&mut self.chains, name));
    }
}

fn add(counts: &mut BTreeMap<String, usize>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}

fn remove(counts: &mut BTreeMap<String, usize>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count -= 1;
        if *count == 0 {
            counts.remove(name);
        }
    }
}
