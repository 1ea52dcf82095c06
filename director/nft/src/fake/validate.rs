//! What the kernel checks when a transaction is whole: the ways from each base chain.

use super::Reason;
use crate::ir::{BaseChain, ChainKind, Hook, Reject, Ruleset, Statement};
use std::collections::BTreeMap;

/// `NFT_JUMP_STACK_SIZE`
const DEPTH_MAX: usize = 16;

/// Walks all ways from each base chain: none may be too long, none may lead to a statement that is not possible
/// at that hook.
pub(super) fn jumps(ruleset: &Ruleset) -> Result<(), Reason> {
    for (name, chain) in &ruleset.chains {
        if let Some(base) = chain.base {
            Walk { ruleset, base, seen: BTreeMap::new() }.chain(name, 0)?;
        }
    }
    Ok(())
}

struct Walk<'a> {
    ruleset: &'a Ruleset,
    base: BaseChain,
    /// How deep the chains lay when they were walked; no need to walk them again from higher up.
    seen: BTreeMap<&'a str, usize>,
}

impl<'a> Walk<'a> {
    fn chain(&mut self, name: &'a str, depth: usize) -> Result<(), Reason> {
        if depth == DEPTH_MAX {
            return Err(Reason::TooDeep(name.to_owned()));
        }
        if self.seen.get(name).is_some_and(|seen| *seen >= depth) {
            return Ok(());
        }
        self.seen.insert(name, depth);
        let rules = self.ruleset.chains.get(name).into_iter().flat_map(|chain| &chain.rules);
        for statement in rules.flat_map(|rule| &rule.statements) {
            self.possible(name, statement)?;
            if let Some(target) = statement.target() {
                self.chain(target, depth + 1)?;
            }
            if let Statement::Vmap { map, .. } = statement {
                let elements = self.ruleset.maps.get(map).into_iter().flat_map(|map| map.elements.values());
                for target in elements.filter_map(|element| element.target()) {
                    self.chain(target, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn possible(&self, chain: &str, statement: &Statement) -> Result<(), Reason> {
        let BaseChain { kind, hook, .. } = self.base;
        let possible = match statement {
            Statement::Dnat(_) => kind == ChainKind::Nat && matches!(hook, Hook::Prerouting | Hook::Output),
            Statement::Snat(_) => kind == ChainKind::Nat && matches!(hook, Hook::Postrouting | Hook::Input),
            Statement::Synproxy(_) => matches!(hook, Hook::Input | Hook::Forward),
            Statement::Masquerade => kind == ChainKind::Nat && hook == Hook::Postrouting,
            Statement::Reject(Reject::TcpReset | Reject::PortUnreachable) => hook != Hook::Postrouting,
            Statement::Match(_)
            | Statement::Vmap { .. }
            | Statement::SetMark { .. }
            | Statement::Update { .. }
            | Statement::Delete { .. }
            | Statement::Limit { .. }
            | Statement::Counter
            | Statement::SetEvents(_)
            | Statement::StripTimestamp
            | Statement::Verdict(_) => true,
        };
        if possible {
            Ok(())
        } else {
            Err(Reason::Unsupported(format!("{statement:?} in chain {chain} at hook {hook:?}")))
        }
    }
}
