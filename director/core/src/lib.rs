//! The director's pure core: no I/O, no clock, no environment.
//!
//! [`config`] turns the YAML text into a [`model`]; [`schedule`] turns weights into slot tables;
//! [`availability`] decides which servers may get what, from configuration, health and overrides; [`ids`] gives
//! services and servers the numbers they keep; [`plan`] makes the nftables ruleset of it all, and
//! [`explain`] says what it does to a connection.

#![forbid(unsafe_code)]

pub mod availability;
pub mod clocks;
pub mod config;
pub mod explain;
pub mod ids;
pub mod model;
pub mod overrides;
pub mod persistence;
pub mod plan;
pub mod pool;
pub mod ports;
pub mod schedule;
