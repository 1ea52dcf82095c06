//! The director: the daemon and its command line. All I/O is here; decisions are made in `director-core`.

pub mod api;
pub mod client;
pub mod command;
pub mod kernel;
pub mod metrics;
pub mod state;
pub mod options;
pub mod status;
pub mod table;
pub mod telemetry;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod sample;
