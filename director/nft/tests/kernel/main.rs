//! The netlink half against the running kernel, each test in a network namespace of its own.

#![cfg(feature = "netlink")]

mod conntrack;
mod elements;
mod events;
mod namespace;
mod rules;
mod transactions;
