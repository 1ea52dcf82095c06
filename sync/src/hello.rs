//! Hellos: what directors tell each other besides adverts, which only the Active sends.
//!
//! Each director says hello to each other one over UDP, on every link: what it is, how well it could serve, which
//! configuration it has. So the Active knows whom it can yield to, and people are told when two configurations differ.
//! Nothing here decides who is Active: without hellos, as with another product, adverts do.
//!
//! | module | has |
//! |---|---|
//! | `codec` | [`Hello`] as bytes, and back |
//! | `channel` | [`Speaker`] signs and numbers, [`Listener`] verifies |
//! | `cadence` | [`Cadence`]: when to say it |
//! | `peers` | [`Peers`]: what is known of the others, and what is news |
//! | `discard` | why one was refused, and counters |

mod cadence;
mod channel;
mod codec;
mod discard;
mod peers;

pub use cadence::{Cadence, EVERY, SPACING};
pub use channel::{Listener, Received, Speaker};
pub use codec::LONGEST;
pub use discard::{Discard, Discards};
pub use peers::{Known, News, Outcome, Peers, SILENCE};

use crate::vrrp::machine::Role;
use crate::vrrp::timing::{Interval, Priority};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What a director says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its name in the configuration: 1 to 64 bytes.
    pub node: String,
    /// Another one at each start: tells two directors of one name apart.
    pub instance: u64,
    /// What it is.
    pub role: Role,
    /// Its priority now.
    pub priority: Priority,
    /// What tracked targets take off it.
    pub lowered: u8,
    /// It could serve.
    pub fit: bool,
    /// It holds the connections.
    pub caught_up: bool,
    /// The operator made it step down, and it has not been Active since.
    pub stood_down: bool,
    /// It is Active since the operator made another one step down.
    pub chosen: bool,
    /// Hash of its configuration: 1 to 64 hexadecimal digits.
    pub configuration: String,
    /// Version of its program: 1 to 64 bytes of printable ASCII.
    pub version: String,
    /// How often it adverts as the Active.
    pub interval: Interval,
    /// Whom it refuses, if it does.
    pub refuses: Option<Refused>,
}

/// A peer whose signed messages are refused, since they count from an earlier epoch than is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its name in the configuration: 1 to 64 bytes.
    pub node: String,
    /// The epoch that it must exceed to be heard.
    pub epoch: u64,
}

/// Who the directors are, and where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    /// This director's name.
    pub node: String,
    /// Its addresses.
    pub own: BTreeSet<IpAddr>,
    /// The others by name, each with its addresses: that on the first link, by which it is known, comes first.
    pub peers: BTreeMap<String, Vec<IpAddr>>,
}
