//! What a virtual router is told, and what it asks for.

use super::Event;
use crate::vrrp::timing::{Interval, Priority};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// One of the links that adverts go over, counted by whoever configures them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link(pub u8);

/// What a virtual router is told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How much this director wants to be Active, when nothing is wrong with it.
    pub priority: Priority,
    /// Its own address on the first link. Peers are known by theirs on that link, whichever link an advert came by:
    /// the addresses decide between equal priorities, and both sides must come to the same result.
    pub address: IpAddr,
    /// How often it adverts as the Active.
    pub interval: Interval,
    /// Whether it takes over from an Active of lower priority.
    pub preempt: Preempt,
    /// How long it hears such an Active before it does.
    pub preempt_delay: Duration,
    /// How long after the start it only listens, unless it hears an advert: links may need time to forward.
    pub startup_delay: Duration,
    /// At the start it takes one silent interval of its own for the absence of an Active, not three: whoever sets this
    /// expects to be the first. Adverts that are lost, or rarer than its own, make two Actives for a moment.
    pub starts_active: bool,
    /// How many others there are.
    pub peers: Peers,
    /// Links that adverts go over.
    pub links: BTreeSet<Link>,
}

/// Whether a director takes over from one of lower priority that works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preempt {
    /// No.
    Never,
    /// Yes.
    Always,
    /// Once it holds the connections: see [`Input::CaughtUp`].
    AfterSync,
}

/// How many other directors the virtual router has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// None: it stays Active whatever happens, there is nobody to yield to.
    None,
    /// One. When that one leaves nobody else can want the addresses, and the skew time is saved.
    One,
    /// More, or nobody knows.
    Several,
}

/// State of a virtual router (RFC 9568, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes no part.
    Initialize,
    /// Listens to the Active.
    Backup,
    /// Holds the addresses.
    Active,
}

/// How well this director could serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fitness {
    /// Nothing is wrong.
    Fit,
    /// Its priority is lower by so much.
    Lowered(u8),
    /// It can't: it is Active only if nobody else wants to be.
    Unfit,
}

impl Fitness {
    /// What it takes off the priority of a director that is fit.
    #[must_use]
    pub const fn lowered(self) -> u8 {
        match self {
            Self::Lowered(amount) => amount,
            Self::Fit | Self::Unfit => 0,
        }
    }
}

/// What is known of a peer by other means than adverts, since Backups don't send any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its priority as it is now.
    pub priority: Priority,
    /// What tracked targets take off it: see [`Fitness::Lowered`].
    pub lowered: u8,
    /// It could serve.
    pub fit: bool,
    /// It holds the connections.
    pub caught_up: bool,
    /// It is Active, as it says.
    pub active: bool,
    /// The operator made it step down, and it has not been Active since.
    pub stood_down: bool,
    /// It is Active since the operator made another one step down.
    pub chosen: bool,
}

/// An advert that was accepted: refused ones never come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The link it came by.
    pub link: Link,
    /// The sender's address on the first link: see [`Settings::address`].
    pub from: IpAddr,
    /// 0: it leaves.
    pub priority: u8,
    /// How often the sender adverts.
    pub interval: Interval,
    /// Who shall take over when it leaves, by address on the first link.
    pub successor: Option<IpAddr>,
}

/// What may happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Take part.
    Start,
    /// Take part no more.
    Shutdown,
    /// An advert came in.
    Advert(Heard),
    /// The moment of [`super::Machine::deadline`] has come. At any other moment it does nothing.
    Timer,
    /// A link gained or lost its carrier. One that is down makes the director unfit.
    Link(Link, bool),
    /// Tracked targets say so.
    Fitness(Fitness),
    /// The connections of the Active are here, or no more. To be said again after each change of role.
    CaughtUp(bool),
    /// What a peer says of itself, or that it can't be reached. As long as nothing was said, nothing is known. To be
    /// said again with each message of the peer: silence of an Active makes what was known void.
    Peer(IpAddr, Option<Peer>),
    /// The operator wants another director to be Active: `to`, or the best one.
    StepDown {
        /// Who shall be.
        to: Option<IpAddr>,
        /// Even if no fit one is known.
        force: bool,
    },
    /// Other settings from now on.
    Configure(Box<Settings>),
}

/// What is to be done, in this order, each before the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send an advert on all links.
    Advertise {
        /// 0 says that we leave.
        priority: u8,
        /// Who shall take over.
        successor: Option<IpAddr>,
    },
    /// Put the addresses on.
    Acquire,
    /// Take the addresses off.
    Release,
    /// Tell the neighbours that the addresses are here: a burst of gratuitous ARP and neighbour advertisements.
    Announce,
    /// Tell people.
    Note(Event),
}
