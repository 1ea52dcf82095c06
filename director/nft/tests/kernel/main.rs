//! The netlink half against the running kernel, each test in a network namespace of its own.

#![cfg(feature = "netlink")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are not known as tests")]

mod conntrack;
mod conntrack_events;
mod dynamic;
mod elements;
mod events;
mod hash;
mod namespace;
mod protection;
mod rules;
mod transactions;
