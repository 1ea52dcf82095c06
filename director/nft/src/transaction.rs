//! A transaction: operations that the kernel applies all together or not at all.

use crate::ir::{BaseChain, Element, Key, MapSpec, Rule};

/// One change to the table `inet director`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Makes the table, or wakes it; nothing happens if it is there and awake.
    AddTable,
    /// Removes the table with all that is in it.
    DeleteTable,
    /// Makes an empty chain. A name that is there fails the transaction.
    AddChain {
        /// Its name.
        name: String,
        /// Where it is hooked, if it is.
        base: Option<BaseChain>,
    },
    /// Removes a chain that nothing refers to, with its rules.
    DeleteChain {
        /// Its name.
        name: String,
    },
    /// Removes all rules of a chain.
    FlushChain {
        /// Its name.
        name: String,
    },
    /// Appends a rule.
    AddRule {
        /// The chain's name.
        chain: String,
        /// The rule.
        rule: Rule,
    },
    /// Makes an empty set or map. A name that is there fails the transaction.
    AddMap {
        /// Its name.
        name: String,
        /// What it is.
        spec: MapSpec,
    },
    /// Removes a set or map that no rule refers to, with its elements.
    DeleteMap {
        /// Its name.
        name: String,
    },
    /// Adds elements. A key that is there fails the transaction.
    AddElements {
        /// The map's name.
        map: String,
        /// The map's specification (what the elements' types are).
        spec: MapSpec,
        /// The elements.
        elements: Vec<(Key, Element)>,
    },
    /// Removes elements. A key that is not there fails the transaction.
    DeleteElements {
        /// The map's name.
        map: String,
        /// The map's specification.
        spec: MapSpec,
        /// Their keys.
        keys: Vec<Key>,
    },
}

/// Operations in the order they must be applied in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Applied first to last, all or none.
    pub operations: Vec<Operation>,
}

impl Transaction {
    /// True if there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}
