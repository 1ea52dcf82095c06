//! Health of real servers: probes, and the verdicts that come of them.
//!
//! [`monitor`] turns outcomes of probes into a verdict (rise, fall, reason in words) and [`schedule`] says which
//! target is probed when; both take `now` and touch neither socket nor clock. [`probe`] makes one attempt, a file
//! for each kind; [`prober`] joins the three at the edge and publishes verdicts.
//!
//! The crate knows targets only: which server of which service stands behind one, and what a verdict is good
//! for, is decided by who asks. A probe that cannot decide has failed.

#![forbid(unsafe_code)]

pub mod monitor;
pub mod probe;
pub mod prober;
pub mod schedule;
mod target;

pub use monitor::{Monitor, Outcome, Policy, Start, Transition, Verdict};
pub use prober::{Limits, Verdicts};
pub use target::{Kind, Target, TargetId, Targets};
