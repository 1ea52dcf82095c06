//! Persistence entries between packets.
//!
//! Packets make entries, renew them and use them; the kernel forgets them at the end of their time. What packets
//! can't do is done here, from time to time: an entry is held while a connection of its client lives, pins are kept
//! in place, entries of what is no longer configured go, and a table that fills up makes room.
//!
//! ```text
//! connections ─▶ Live ─┐
//! entries ─────────────┼─▶ Pass ─▶ actions, counts
//! Policies ────────────┘
//! ```
//!
//! All of it is plain data: the caller reads the kernel and carries the actions out. It knows entries as they were
//! when they were read, so an action may come late, never so that it harms: what packets have made meanwhile stays
//! ([`Action::Put::only_missing`], [`Action::Delete`]), and what is gone is not deleted twice.

mod live;
mod pass;
mod policy;
mod rekey;
#[cfg(test)]
mod tests;

pub use live::{Live, holds};
pub use pass::{Pass, Report};
pub use policy::{Pins, Policies, Policy};
pub use rekey::Rekey;

use std::net::IpAddr;
use std::time::Duration;

/// Whose entry it is, for what: the key of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client {
    /// The client's network: its first address.
    pub address: IpAddr,
    /// The service's firewall mark.
    pub mark: u32,
}

/// An entry as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is.
    pub client: Client,
    /// Where the client goes: a destination id.
    pub destination: u32,
    /// Time until it is gone; `None` if it stays.
    pub left: Option<Duration>,
}

/// What is to be done with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Makes it, in place of what is there.
    Put {
        /// The entry.
        entry: Entry,
        /// Leaves one that is there as it is.
        only_missing: bool,
    },
    /// Deletes it, unless it leads elsewhere by now.
    Delete(Entry),
}
