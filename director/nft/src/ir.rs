//! The ruleset as plain data: ordered, comparable, free of handles and of netlink.
//!
//! One table, `inet director`. Statements and expressions stand at the level of nft's syntax, so that the text
//! rendering, the packet tracer and the netlink lowering each read them without guessing. Only what the
//! director uses exists here.

mod element;
mod flags;
mod map;
mod rule;

pub use element::{Datum, Element, ElementData, Key, KeyPart, Verdict};
pub use flags::{CtStates, EventMask, TcpFlags};
pub use map::{DataType, Map, MapData, MapSpec};
pub use rule::{
    Dnat, Expression, Family, Jhash, MarkTarget, Match, Numgen, NumgenMode, Rate, RateUnit, Reject, Rule,
    Selector, Statement, Synproxy,
};

use std::collections::BTreeMap;

/// Name of the only table the director owns, in family `inet`.
pub const TABLE: &str = "director";

/// The contents of the table `inet director`, or a part of them: chains that belong together and the elements
/// they need in shared maps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Chains by name (at most 255 bytes: `NFT_NAME_MAXLEN` less the terminator).
    pub chains: BTreeMap<String, Chain>,
    /// Named sets and maps by name.
    pub maps: BTreeMap<String, Map>,
}

/// A chain: hooked into the stack when it has a [`BaseChain`], else reached by `goto` or `jump` only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// Where the chain is hooked, if it is.
    pub base: Option<BaseChain>,
    /// Evaluated in order.
    pub rules: Vec<Rule>,
}

/// Where a base chain is hooked. Its policy is always `accept`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseChain {
    /// What the chain may do.
    pub kind: ChainKind,
    /// The point in the packet's way.
    pub hook: Hook,
    /// Order among chains of a hook, lowest first (`dstnat` is -100, `srcnat` is 100).
    pub priority: i32,
}

/// Type of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainKind {
    /// Sees the first packet of a connection only.
    Nat,
    /// Sees every packet.
    Filter,
}

/// Netfilter hook of family `inet`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Before routing.
    Prerouting,
    /// To a local socket.
    Input,
    /// Routed through.
    Forward,
    /// From a local socket.
    Output,
    /// Before leaving.
    Postrouting,
}

impl Ruleset {
    /// Moves the chains and maps of `part` into this ruleset. Rules of a chain that both have are appended, and
    /// elements of a map that both have are united; of specifications and elements that clash, `part`'s stay.
    pub fn merge(&mut self, part: Self) {
        for (name, chain) in part.chains {
            let mine = self.chains.entry(name).or_default();
            mine.base = chain.base.or(mine.base);
            mine.rules.extend(chain.rules);
        }
        for (name, map) in part.maps {
            match self.maps.entry(name) {
                std::collections::btree_map::Entry::Vacant(vacant) => {
                    vacant.insert(map);
                }
                std::collections::btree_map::Entry::Occupied(mut occupied) => {
                    let mine = occupied.get_mut();
                    mine.spec = map.spec;
                    mine.elements.extend(map.elements);
                }
            }
        }
    }
}
