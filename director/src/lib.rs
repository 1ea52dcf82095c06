//! The director: the daemon and its command line. All I/O is here; decisions are made in `director-core`.

pub mod command;
pub mod metrics;
pub mod status;
pub mod table;

#[cfg(test)]
mod sample;
