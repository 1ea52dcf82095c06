//! An atomic in-memory kernel, for tests of everything that makes transactions.
//!
//! It applies a transaction as a whole or not at all, and refuses what the kernel refuses: names that are missing
//! or taken, elements that clash, things that are in use, types that do not fit, jumps that go in circles.

mod elements;
mod types;
mod uses;
mod validate;

#[cfg(test)]
mod tests;

use crate::ir::{BaseChain, Chain, ChainKind, Hook, Map, MapSpec, Rule, Ruleset};
use crate::observed::Observed;
use crate::render;
use crate::transaction::{Operation, Transaction};
use std::collections::BTreeMap;
use uses::Uses;

/// `NFT_NAME_MAXLEN` less the terminator.
const NAME_MAX: usize = 255;
/// Priority of connection tracking; nat chains must come after it.
const CONNTRACK: i32 = -200;

/// A kernel that holds at most the table `inet director`.
#[derive(Debug, Clone, Default)]
pub struct Fake {
    table: bool,
    ruleset: Ruleset,
    uses: Uses,
}

/// Why a transaction was not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("operation {index}, {operation}: {reason}")]
pub struct FakeError {
    /// Position of the operation in the transaction, from 0; their number if all were well but not their outcome.
    pub index: usize,
    /// The operation in words.
    pub operation: String,
    /// What the kernel would say.
    pub reason: Reason,
}

/// What the kernel would say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// `ENOENT`
    #[error("no such {0}")]
    Missing(String),
    /// `EEXIST`
    #[error("{0} exists")]
    Exists(String),
    /// `EBUSY`: something refers to it.
    #[error("{0} is in use")]
    Busy(String),
    /// `EINVAL`: types or attributes do not go together.
    #[error("invalid: {0}")]
    Invalid(String),
    /// `EOPNOTSUPP`: not at this place.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// `ENFILE`: the map holds as many elements as it may.
    #[error("{0} is full")]
    Full(String),
    /// `EMLINK`: chains lead through more than 16 others, or in circles.
    #[error("too many jumps from chain {0}")]
    TooDeep(String),
}

impl Fake {
    /// A kernel without the table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies all operations, or none.
    ///
    /// # Errors
    /// The first operation that the kernel would refuse. Nothing has changed then.
    pub fn apply(&mut self, transaction: &Transaction) -> Result<(), FakeError> {
        let mut next = self.clone();
        for (index, operation) in transaction.operations.iter().enumerate() {
            next.operation(operation).map_err(|reason| FakeError {
                index,
                operation: render::operation(operation),
                reason,
            })?;
        }
        validate::jumps(&next.ruleset).map_err(|reason| FakeError {
            index: transaction.operations.len(),
            operation: "commit".to_owned(),
            reason,
        })?;
        *self = next;
        Ok(())
    }

    /// What can be read back. Elements of dynamic maps are not read.
    #[must_use]
    pub fn observe(&self) -> Observed {
        let mut observed = Observed { table: self.table, ..Observed::from(&self.ruleset) };
        for map in observed.maps.values_mut().filter(|map| map.spec.as_ref().is_some_and(|it| it.dynamic)) {
            map.elements.clear();
        }
        observed
    }

    /// What the table holds; empty if there is none.
    #[must_use]
    pub fn ruleset(&self) -> &Ruleset {
        &self.ruleset
    }

    fn operation(&mut self, operation: &Operation) -> Result<(), Reason> {
        if !self.table && *operation != Operation::AddTable {
            return Err(Reason::Missing("table".to_owned()));
        }
        match operation {
            Operation::AddTable => self.table = true,
            Operation::DeleteTable => *self = Self::new(),
            Operation::AddChain { name, base } => self.add_chain(name, *base)?,
            Operation::DeleteChain { name } => self.delete_chain(name)?,
            Operation::FlushChain { name } => self.flush_chain(name)?,
            Operation::AddRule { chain, rule } => self.add_rule(chain, rule)?,
            Operation::AddMap { name, spec } => self.add_map(name, spec)?,
            Operation::DeleteMap { name } => self.delete_map(name)?,
            Operation::AddElements { map, spec, elements } => self.add_elements(map, spec, elements)?,
            Operation::DeleteElements { map, spec, keys } => self.delete_elements(map, spec, keys)?,
        }
        Ok(())
    }

    fn add_chain(&mut self, name: &str, base: Option<BaseChain>) -> Result<(), Reason> {
        check_name(name)?;
        if base.is_some_and(|base| {
            base.kind == ChainKind::Nat && (base.hook == Hook::Forward || base.priority <= CONNTRACK)
        }) {
            return Err(Reason::Unsupported(format!("nat chain {name} at this hook or priority")));
        }
        if self.ruleset.chains.contains_key(name) {
            return Err(Reason::Exists(format!("chain {name}")));
        }
        self.ruleset.chains.insert(name.to_owned(), Chain { base, rules: Vec::new() });
        Ok(())
    }

    fn delete_chain(&mut self, name: &str) -> Result<(), Reason> {
        self.flush_chain(name)?;
        if self.uses.chain(name) {
            return Err(Reason::Busy(format!("chain {name}")));
        }
        self.ruleset.chains.remove(name);
        Ok(())
    }

    fn flush_chain(&mut self, name: &str) -> Result<(), Reason> {
        let chain = self.ruleset.chains.get_mut(name).ok_or_else(|| missing_chain(name))?;
        for rule in chain.rules.drain(..) {
            self.uses.remove_rule(&rule);
        }
        Ok(())
    }

    fn add_rule(&mut self, chain: &str, rule: &Rule) -> Result<(), Reason> {
        types::rule(&self.ruleset, rule)?;
        let chain = self.ruleset.chains.get_mut(chain).ok_or_else(|| missing_chain(chain))?;
        chain.rules.push(rule.clone());
        self.uses.add_rule(rule);
        Ok(())
    }

    fn add_map(&mut self, name: &str, spec: &MapSpec) -> Result<(), Reason> {
        check_name(name)?;
        types::spec(spec)?;
        if self.ruleset.maps.contains_key(name) {
            return Err(Reason::Exists(format!("map {name}")));
        }
        let map = Map { spec: spec.clone(), elements: BTreeMap::new() };
        self.ruleset.maps.insert(name.to_owned(), map);
        Ok(())
    }

    fn delete_map(&mut self, name: &str) -> Result<(), Reason> {
        if self.uses.map(name) {
            return Err(Reason::Busy(format!("map {name}")));
        }
        let map = self.ruleset.maps.remove(name).ok_or_else(|| missing_map(name))?;
        for element in map.elements.values() {
            self.uses.remove_element(element);
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), Reason> {
    if name.is_empty() || name.len() > NAME_MAX || name.contains('\0') {
        return Err(Reason::Invalid(format!("the name `{name}` does not have 1 to {NAME_MAX} bytes")));
    }
    Ok(())
}

/// The chain, if a rule or an element may lead to it.
fn check_target(ruleset: &Ruleset, name: &str) -> Result<(), Reason> {
    let chain = ruleset.chains.get(name).ok_or_else(|| missing_chain(name))?;
    if chain.base.is_some() {
        return Err(Reason::Unsupported(format!("a verdict to the base chain {name}")));
    }
    Ok(())
}

fn missing_chain(name: &str) -> Reason {
    Reason::Missing(format!("chain {name}"))
}

fn missing_map(name: &str) -> Reason {
    Reason::Missing(format!("map {name}"))
}
