//! Transactions: nft's commands, a line each, and short descriptions for errors.

use super::{base_chain, map, rule};
use crate::ir::{Key, TABLE};
use crate::transaction::{Operation, Transaction};
use std::fmt::Write as _;

/// nft's commands, a line each.
#[must_use]
pub fn transaction(transaction: &Transaction) -> String {
    let mut text = String::new();
    for operation in &transaction.operations {
        text.push_str(&command(operation));
        text.push('\n');
    }
    text
}

/// What an operation does, in few words: `add rule to chain svc-exchange-4`.
#[must_use]
pub fn operation(operation: &Operation) -> String {
    match operation {
        Operation::AddTable => format!("add table inet {TABLE}"),
        Operation::DeleteTable => format!("delete table inet {TABLE}"),
        Operation::AddChain { name, base: None } => format!("add chain {name}"),
        Operation::AddChain { name, base: Some(_) } => format!("add base chain {name}"),
        Operation::DeleteChain { name } => format!("delete chain {name}"),
        Operation::FlushChain { name } => format!("flush chain {name}"),
        Operation::AddRule { chain, .. } => format!("add rule to chain {chain}"),
        Operation::AddMap { name, spec } => format!("add {} {name}", map::noun(spec)),
        Operation::DeleteMap { name } => format!("delete map {name}"),
        Operation::AddElements { map, spec, elements } => {
            let first = elements.first().map(|(key, _)| key);
            format!("add {} to {} {map}", some_elements(elements.len(), first), map::noun(spec))
        }
        Operation::DeleteElements { map, spec, keys } => {
            format!("delete {} from {} {map}", some_elements(keys.len(), keys.first()), map::noun(spec))
        }
    }
}

fn some_elements(count: usize, first: Option<&Key>) -> String {
    match (count, first) {
        (1, Some(key)) => format!("element {}", map::key(key)),
        _ => format!("{count} elements"),
    }
}

fn command(operation: &Operation) -> String {
    match operation {
        Operation::AddTable => format!("add table inet {TABLE}"),
        Operation::DeleteTable => format!("delete table inet {TABLE}"),
        Operation::AddChain { name, base: None } => format!("add chain inet {TABLE} {name}"),
        Operation::AddChain { name, base: Some(base) } => {
            format!("add chain inet {TABLE} {name} {{ {} }}", base_chain(*base))
        }
        Operation::DeleteChain { name } => format!("delete chain inet {TABLE} {name}"),
        Operation::FlushChain { name } => format!("flush chain inet {TABLE} {name}"),
        Operation::AddRule { chain, rule } => {
            format!("add rule inet {TABLE} {chain} {}", rule::rule(rule))
        }
        Operation::AddMap { name, spec } => {
            let mut text = format!("add {} inet {TABLE} {name} {{", map::noun(spec));
            for attribute in map::attributes(spec).iter().filter(|it| !it.starts_with('#')) {
                let _ = write!(text, " {attribute};");
            }
            text + " }"
        }
        Operation::DeleteMap { name } => format!("delete map inet {TABLE} {name}"),
        Operation::AddElements { map, elements, .. } => {
            let elements = elements.iter().map(|(key, element)| map::element(key, element, false));
            element_command("add", map, elements)
        }
        Operation::DeleteElements { map, keys, .. } => {
            element_command("delete", map, keys.iter().map(map::key))
        }
    }
}

fn element_command(verb: &str, map: &str, elements: impl Iterator<Item = String>) -> String {
    let elements: Vec<String> = elements.collect();
    format!("{verb} element inet {TABLE} {map} {{ {} }}", elements.join(", "))
}
