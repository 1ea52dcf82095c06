//! What the daemon is told when it starts.

use std::path::PathBuf;

/// How to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOptions {
    /// The configuration file.
    pub config: PathBuf,
    /// This director's name in the file; `None`: the host name.
    pub node: Option<String>,
    /// Where overrides and numbers are kept.
    pub state_dir: PathBuf,
    /// Remove the ruleset, and the addresses that were added, when stopping.
    pub flush_on_exit: bool,
}
