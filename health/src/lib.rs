//! Health of real servers: probes, and the verdicts that come of them.
//!
//! [`monitor`] turns outcomes of probes into a verdict (rise, fall, reason in words) and `schedule` says which
//! target is probed when; both take `now` and touch neither socket nor clock. [`probe`] makes one attempt, a file
//! for each kind, with what [`protocol`] knows of the servers' languages; [`prober`] joins the three at the edge and publishes verdicts.
//!
//! The crate knows targets only: which server of which service stands behind one, and what a verdict is good
//! for, is decided by who asks. A probe that cannot decide has failed.

#![forbid(unsafe_code)]

mod excerpt;
pub mod kind;
pub mod monitor;
mod outcome;
#[cfg(feature = "probe")]
pub mod probe;
#[cfg(feature = "probe")]
pub mod prober;
#[cfg(feature = "probe")]
pub mod program;
pub mod protocol;
#[cfg(feature = "probe")]
mod schedule;
mod target;

pub use kind::Kind;
pub use monitor::{Monitor, Policy, Start, State, Verdict};
pub use outcome::{Failure, Fault, Outcome, Passed};
#[cfg(feature = "probe")]
pub use prober::{Limits, Verdicts};
pub use target::{Origin, Pace, Target, TargetId, Targets};
