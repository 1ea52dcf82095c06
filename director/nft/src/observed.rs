//! What stands in the kernel, as far as the kernel can tell it back.
//!
//! Rules come back as bytecode, so they are compared by the fingerprint that was stored with them; chains, maps
//! and elements are compared by value.

use crate::fnv::fnv1a;
use crate::ir::{BaseChain, Element, Key, MapSpec, Rule, Ruleset};
use std::collections::BTreeMap;

/// The table as it was read back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// False if there is no table `inet director` at all.
    pub table: bool,
    /// True if the table's chains are unhooked, by its flag `dormant`.
    pub dormant: bool,
    /// Chains by name.
    pub chains: BTreeMap<String, ObservedChain>,
    /// Sets and maps by name.
    pub maps: BTreeMap<String, ObservedMap>,
}

/// A chain as it was read back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedChain {
    /// Where it is hooked, if it is.
    pub base: Option<BaseChain>,
    /// The rules' fingerprints in order; `None` for a rule that carries none and so is not ours.
    pub rules: Vec<Option<Fingerprint>>,
}

/// A set or map as it was read back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedMap {
    /// `None` if it is of a kind that the director never makes.
    pub spec: Option<MapSpec>,
    /// Elements that user space put there. Not read for dynamic maps.
    pub elements: BTreeMap<Key, Element>,
}

/// Identifies a rule's text: FNV-1a, 64 bits, over its rendering (comment included).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// The fingerprint of a rule.
    #[must_use]
    pub fn of(rule: &Rule) -> Self {
        Self(fnv1a(crate::render::rule(rule).as_bytes()))
    }
}

impl From<&Ruleset> for Observed {
    /// What a kernel that holds exactly this ruleset would tell.
    fn from(ruleset: &Ruleset) -> Self {
        Self {
            table: true,
            dormant: false,
            chains: ruleset
                .chains
                .iter()
                .map(|(name, chain)| {
                    let rules = chain.rules.iter().map(|rule| Some(Fingerprint::of(rule))).collect();
                    (name.clone(), ObservedChain { base: chain.base, rules })
                })
                .collect(),
            maps: ruleset
                .maps
                .iter()
                .map(|(name, map)| {
                    let elements = map.elements.clone();
                    (name.clone(), ObservedMap { spec: Some(map.spec.clone()), elements })
                })
                .collect(),
        }
    }
}
