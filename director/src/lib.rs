//! The director: the daemon and its command line. All I/O is here; decisions are made in `director-core`.

pub mod api;
pub mod cli;
pub mod client;
pub mod command;
pub mod configuration;
pub mod connections;
pub mod control;
pub mod daemon;
pub mod dataplane;
pub mod decide;
pub mod explain;
pub mod kernel;
pub mod live;
pub mod metrics;
pub mod options;
pub mod persistence;
pub mod redundancy;
pub mod state;
pub mod status;
pub mod table;
pub mod targets;
pub mod telemetry;
mod telling;
pub mod traffic;
pub mod trial;
pub mod verdicts;
mod words;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod sample;
