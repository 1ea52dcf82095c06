//! A plan in words and numbers.

use crate::control::offline::Plan;
use crate::kernel::address::AddressChange;
use director_nft::render;
use director_nft::transaction::{Operation, Transaction};
use serde::Serialize;
use std::fmt::{self, Display};

/// What would be done: commands in nft's, ip's and sysctl's words, and how many of each.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    ruleset: Vec<String>,
    addresses: Vec<String>,
    settings: Vec<String>,
    counts: Counts,
}

/// Changes to the ruleset by kind.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    chains_added: usize,
    chains_rewritten: usize,
    chains_removed: usize,
    rules_added: usize,
    maps_added: usize,
    maps_removed: usize,
    elements_added: usize,
    elements_removed: usize,
}

impl From<&Plan> for Summary {
    fn from(plan: &Plan) -> Self {
        let address = |change: &AddressChange| match change {
            AddressChange::Add { address, interface } => format!("ip address add {address} dev {interface}"),
            AddressChange::Remove { address, interface } => {
                format!("ip address del {address} dev {interface}")
            }
        };
        Self {
            ruleset: render::transaction(&plan.ruleset).lines().map(str::to_owned).collect(),
            addresses: plan.addresses.iter().map(address).collect(),
            settings: plan.settings.iter().map(|it| format!("sysctl -w {}={}", it.name, it.wanted)).collect(),
            counts: Counts::of(&plan.ruleset),
        }
    }
}

impl Counts {
    fn of(transaction: &Transaction) -> Self {
        let mut counts = Self::default();
        for operation in &transaction.operations {
            match operation {
                Operation::AddTable | Operation::DeleteTable => {}
                Operation::AddChain { .. } => counts.chains_added += 1,
                Operation::FlushChain { .. } => counts.chains_rewritten += 1,
                Operation::DeleteChain { .. } => counts.chains_removed += 1,
                Operation::AddRule { .. } => counts.rules_added += 1,
                Operation::AddMap { .. } => counts.maps_added += 1,
                Operation::DeleteMap { .. } => counts.maps_removed += 1,
                Operation::AddElements { elements, .. } => counts.elements_added += elements.len(),
                Operation::DeleteElements { keys, .. } => counts.elements_removed += keys.len(),
            }
        }
        counts
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ruleset, addresses, settings, counts } = self;
        if ruleset.is_empty() && addresses.is_empty() && settings.is_empty() {
            return writeln!(f, "nothing would change");
        }
        for command in ruleset.iter().chain(addresses).chain(settings) {
            writeln!(f, "{command}")?;
        }
        writeln!(
            f,
            "\nchains:    {} added, {} rewritten, {} removed",
            counts.chains_added, counts.chains_rewritten, counts.chains_removed
        )?;
        writeln!(f, "rules:     {} added", counts.rules_added)?;
        writeln!(f, "maps:      {} added, {} removed", counts.maps_added, counts.maps_removed)?;
        writeln!(f, "elements:  {} added, {} removed", counts.elements_added, counts.elements_removed)?;
        writeln!(f, "addresses: {} changed", addresses.len())?;
        writeln!(f, "settings:  {} changed", settings.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::SettingStatus;

    #[test]
    fn a_plan_is_commands_and_counts() {
        let operations =
            vec![Operation::AddTable, Operation::AddChain { name: "svc-a-4".into(), base: None }];
        let plan = Plan {
            ruleset: Transaction { operations },
            addresses: vec![AddressChange::Add {
                address: [192, 168, 1, 35].into(),
                interface: "eth0".into(),
            }],
            settings: vec![SettingStatus {
                name: "net.ipv4.ip_forward".into(),
                wanted: "1".into(),
                actual: Some("0".into()),
            }],
        };
        let expected = "\
add table inet director
add chain inet director svc-a-4
ip address add 192.168.1.35 dev eth0
sysctl -w net.ipv4.ip_forward=1

chains:    1 added, 0 rewritten, 0 removed
rules:     0 added
maps:      0 added, 0 removed
elements:  0 added, 0 removed
addresses: 1 changed
settings:  1 changed
";
        assert_eq!(Summary::from(&plan).to_string(), expected);
    }

    #[test]
    fn an_empty_plan_says_so() {
        let plan = Plan { ruleset: Transaction::default(), addresses: vec![], settings: vec![] };
        assert_eq!(Summary::from(&plan).to_string(), "nothing would change\n");
    }
}
