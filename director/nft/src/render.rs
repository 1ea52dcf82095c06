//! The ruleset as text: as `nft list table inet director` prints it, and so that `nft -f -` loads it.
//!
//! Some things can't be both, in nft 1.0.6: it lists but does not read a map's `gc-interval`, so that is printed
//! as a comment; it aborts on reading an `update` whose key concatenates an IPv6 address; it lists `icmpx
//! port-unreachable` as plain `reject`, but reads that as the same of ICMP where the rule knows the family; it lists
//! the events `helper`, `mark` and `secmark`, but takes them for keywords; and it lists time-outs rounded to the
//! kernel's ticks.

mod literal;
mod map;
mod rule;
mod transaction;

#[cfg(test)]
mod tests;

pub use map::key;
pub use rule::rule;
pub use transaction::{operation, transaction};

use crate::ir::{BaseChain, Chain, ChainKind, Hook, Ruleset, TABLE};

/// The whole table, as loaded afresh: counters stand at 0.
#[must_use]
pub fn ruleset(ruleset: &Ruleset) -> String {
    let maps = ruleset.maps.iter().map(|(name, map)| map::block(name, map));
    let chains = ruleset.chains.iter().map(|(name, chain)| chain_block(name, chain));
    let blocks: Vec<String> = maps.chain(chains).collect();
    format!("table inet {TABLE} {{\n{}}}\n", blocks.join("\n"))
}

fn chain_block(name: &str, chain: &Chain) -> String {
    let base = chain.base.map(|base| format!("\t\t{}\n", base_chain(base)));
    let rules: String = chain.rules.iter().map(|rule| format!("\t\t{}\n", self::rule(rule))).collect();
    format!("\tchain {name} {{\n{}{rules}\t}}\n", base.unwrap_or_default())
}

/// `type nat hook prerouting priority dstnat; policy accept;`
fn base_chain(base: BaseChain) -> String {
    let kind = match base.kind {
        ChainKind::Nat => "nat",
        ChainKind::Filter => "filter",
    };
    let hook = match base.hook {
        Hook::Prerouting => "prerouting",
        Hook::Input => "input",
        Hook::Forward => "forward",
        Hook::Output => "output",
        Hook::Postrouting => "postrouting",
    };
    format!("type {kind} hook {hook} priority {}; policy accept;", priority(base))
}

/// Priorities within 10 of one that has a name are told by that name.
fn priority(base: BaseChain) -> String {
    let named = [
        ("raw", -300, true),
        ("mangle", -150, true),
        ("dstnat", -100, base.hook == Hook::Prerouting),
        ("filter", 0, true),
        ("security", 50, true),
        ("srcnat", 100, base.hook == Hook::Postrouting),
    ];
    for (name, number, usable) in named {
        let distance = i64::from(base.priority) - number;
        match distance {
            _ if !usable => {}
            0 => return name.to_owned(),
            1..=10 => return format!("{name} + {distance}"),
            -10..=-1 => return format!("{name} - {}", -distance),
            _ => {}
        }
    }
    base.priority.to_string()
}
