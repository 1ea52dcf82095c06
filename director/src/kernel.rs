//! What the director asks of the kernel beside the ruleset.

pub mod address;
pub mod ruleset;
pub mod settings;
pub mod watch;
