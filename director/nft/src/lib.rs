//! The director's nf_tables ruleset as plain data, and everything that can be done with it.
//!
//! [`ir`] describes the one table `inet director`; [`render`] prints it as `nft list ruleset` would;
//! [`diff`] turns the difference between what is there and what shall be there into one
//! [`transaction::Transaction`]; [`fake`] is an atomic in-memory kernel and [`trace`] sends packets through a
//! ruleset, both for tests. Behind the feature `netlink`, the module of that name lowers transactions to the
//! kernel over libnftnl and libmnl: the only `unsafe` code of the product.

#![cfg_attr(not(feature = "netlink"), forbid(unsafe_code))]

pub mod diff;
pub mod fake;
pub mod fnv;
pub mod ir;
#[cfg(test)]
mod namespace;
#[cfg(feature = "netlink")]
pub mod netlink;
pub mod observed;
pub mod render;
pub mod trace;
pub mod transaction;
