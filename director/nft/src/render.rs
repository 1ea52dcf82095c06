//! The ruleset as text, in the form `nft list ruleset` prints.

use crate::ir::Rule;

/// One rule on one line, comment included.
#[must_use]
pub fn rule(rule: &Rule) -> String {
    format!("{rule:?}")
}
