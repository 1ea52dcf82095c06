//! The virtual router that the directors form.

use super::{Attachment, Node, ProbeSpec};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
pub use sync::announce::Announcements;
use sync::vrrp::machine::Preempt;
use sync::vrrp::packet::Checksum;
use sync::vrrp::timing::{Interval, Priority};

/// How the directors of a file agree on who is Active. The same on all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redundancy {
    /// The virtual router's identifier.
    pub vrid: NonZeroU8,
    /// How often the Active adverts.
    pub interval: Interval,
    /// What each node's priority is while nothing is wrong with it; every node of the file is here.
    pub priorities: BTreeMap<String, Priority>,
    /// Whether a node takes over from an Active of lower priority that works.
    pub preempt: Preempt,
    /// How long it hears that one before it does.
    pub preempt_delay: Duration,
    /// How long after the start a node only listens, unless it hears an advert.
    pub startup_delay: Duration,
    /// A node that starts waits for one interval only, not for three, if it hears nothing.
    pub starts_active: bool,
    /// Where adverts go, the first of them decides by which address a node is known; at least one.
    pub links: Vec<Side>,
    /// To whom adverts go.
    pub mode: Mode,
    /// The file with the keys that adverts are signed with; `None`: plain RFC 9568.
    pub key_file: Option<PathBuf>,
    /// The checksum that IPv4 adverts are sent with; both are taken.
    pub checksum: Checksum,
    /// The addresses move with the MAC address 00:00:5e:00:01:VRID.
    pub virtual_mac: bool,
    /// How the neighbours are told of a move.
    pub announcements: Announcements,
    /// What else must be well for a director to be Active.
    pub track: Vec<Track>,
    /// Program and arguments to run at each change of role; empty: none.
    pub notify: Vec<String>,
    /// UDP port of the directors' hellos.
    pub hello_port: u16,
}

/// One of a director's two interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Towards the clients.
    Public,
    /// Towards the real servers.
    Private,
}

/// The word of the file.
impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// To whom adverts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To each other node of the file, and from them alone.
    Unicast,
    /// To 224.0.0.18 or ff02::12, and from anybody on the link.
    Multicast,
}

/// Something that must be well for a director to be Active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Its name, for people: `eth2`, `ping 192.168.1.1`, a probe's name.
    pub name: String,
    /// What it is.
    pub what: Tracked,
    /// While it is not well the priority is lower by so much; `None`: the director is not fit to be Active then.
    pub lower: Option<u8>,
}

/// What is tracked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracked {
    /// A network interface: well while it has a carrier and is up.
    Interface(String),
    /// A host or program: well while the probe passes. The probe's intervals and rise and fall apply.
    Probe(Arc<ProbeSpec>, SocketAddr),
}

impl Side {
    /// `public` or `private`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }

    /// A director's interface on this side.
    #[must_use]
    pub const fn of(self, node: &Node) -> &Attachment {
        match self {
            Self::Public => &node.public,
            Self::Private => &node.private,
        }
    }
}

impl Redundancy {
    /// Default for [`Self::hello_port`].
    pub const DEFAULT_PORT: u16 = 3780;
}
