//! Who holds the addresses: a thread of its own, with real-time priority where that is allowed, so that nothing else
//! delays an advert, a take-over or a step down.
//!
//! ```text
//! control loop --- Orders (level) ---> thread: adverts, hellos, timers, addresses, announcements
//!              <-- role, AddressReport --'  |
//! API          --- Ask --------------------'|--- Happened ---> journal: log, events, notify
//! tracking     --- Lowered (level) ---------'
//! ```
//!
//! The thread decides nothing itself: [`sync::vrrp::machine`] says what to do. It waits for no file, no log and no
//! program.

pub mod asking;
pub(crate) mod clock;
mod hellos;
pub mod holder;
mod inlet;
pub mod journal;
pub mod keys;
mod links;
pub mod names;
mod notify;
mod part;
mod priority;
mod refusals;
mod router;
mod teller;
pub mod thread;
pub mod tracking;
pub mod virtual_mac;

pub use teller::{Teller, Told};

use crate::status::RedundancyStatus;
use director_core::model::{Node, Redundancy};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use sync::vrrp::authentication::Keyring;
use sync::vrrp::machine::{Event, Fitness, Refusal, Role};
use tokio::sync::{mpsc, oneshot, watch};

/// The newest sequences heard, by where and from whom: kept for the next run.
pub type Sequences = BTreeMap<String, BTreeMap<IpAddr, (u64, u64)>>;

/// An address and its interface.
pub type Placed = (IpAddr, String);

/// What the control loop wants. The thread compares it with what is, whenever it changes.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// What this director has while it is Active. `None`: the ruleset is not in the kernel yet, without which a VIP
    /// would answer with the host's own sockets; nothing is done until then, and no part is taken.
    pub addresses: Option<Arc<Addresses>>,
    /// With whom the addresses are shared; `None`: with nobody, it is always Active.
    pub router: Option<Arc<Router>>,
}

/// Addresses as ordered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// What the Active has.
    pub wanted: BTreeSet<Placed>,
    /// What may be taken off: everything that the director has put on, or is about to. Recorded in the state folder
    /// before it is ordered.
    pub ours: BTreeSet<Placed>,
    /// Interfaces that are there for these addresses alone: they are up while the addresses are held, else down.
    pub links: BTreeSet<String>,
}

/// This director's part in a virtual router.
#[derive(Debug, Clone)]
pub struct Router {
    /// What the file says.
    pub settings: Arc<Redundancy>,
    /// Every director of the file, by name; this one among them.
    pub nodes: Arc<BTreeMap<String, Node>>,
    /// This director's name.
    pub node: String,
    /// Keys for adverts and hellos; `None`: they are not signed.
    pub keyring: Option<Keyring>,
    /// Hash of the configuration's text: peers compare it.
    pub configuration: String,
}

/// What has become of [`Orders::addresses`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressReport {
    /// The kernel was asked: the rest of this says something.
    pub known: bool,
    /// What it is about.
    pub ordered: Option<Arc<Addresses>>,
    /// Addresses of this machine, on any interface.
    pub present: BTreeSet<Placed>,
    /// Those of [`Addresses::ours`] that are there, and are not to be.
    pub left: BTreeSet<Placed>,
    /// How often somebody else's removal was put right.
    pub repaired: u64,
    /// What could not be done; it is tried again.
    pub errors: Vec<String>,
}

/// What tracked targets say, for the thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lowered {
    /// All of it together.
    pub fitness: Fitness,
    /// What is not well, in words, each with what it lowers.
    pub reasons: Vec<String>,
}

impl Default for Lowered {
    fn default() -> Self {
        Self { fitness: Fitness::Fit, reasons: Vec::new() }
    }
}

/// A request to the thread.
#[derive(Debug)]
pub enum Ask {
    /// What it is and knows; `None` without a virtual router.
    Status(oneshot::Sender<Option<RedundancyStatus>>),
    /// Another director shall be Active: the named one, or the best.
    Failover {
        /// Name of the node.
        to: Option<String>,
        /// Even if no fit one is known.
        force: bool,
        /// Who is to be, if anybody is known.
        reply: oneshot::Sender<Result<Option<String>, FailoverError>>,
    },
    /// What the next run goes on with.
    Past(oneshot::Sender<thread::Past>),
    /// Take part no more: the addresses are off, and the others know, when this is answered. Without a virtual router
    /// the addresses stay.
    Leave(oneshot::Sender<()>),
}

/// The thread answers at once unless it hangs.
const LIMIT: Duration = Duration::from_secs(1);

/// No answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the thread that holds the addresses did not answer within {LIMIT:?}")]
pub struct Silent;

/// Why there was no planned failover. Nothing has changed then. [`asking::failover`] puts it into words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailoverError {
    /// One director alone.
    Alone,
    /// Not in the file.
    UnknownNode {
        /// What was asked for.
        name: String,
        /// A name that is close.
        suggestion: Option<String>,
    },
    /// The virtual router says no.
    Refused(Refusal),
}

/// Something that people may want to know, with the moment it happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    /// When.
    pub at: SystemTime,
    /// What.
    pub what: News,
}

/// What may happen.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// The virtual router says so.
    Router(Event),
    /// A peer says hello again, or for the first time.
    PeerHeard {
        /// Its name.
        node: String,
    },
    /// A peer says nothing any more.
    PeerSilent {
        /// Its name.
        node: String,
    },
    /// A peer says that it takes part no more.
    PeerStopped {
        /// Its name.
        node: String,
    },
    /// A peer has another configuration, or the same again.
    PeerConfiguration {
        /// Its name.
        node: String,
        /// It has the same.
        same: bool,
    },
    /// A tracked target is not well, or well again, in words.
    Tracked {
        /// It is well.
        well: bool,
        /// The words.
        text: String,
    },
    /// The thread can't do something, in words.
    Trouble {
        /// The words.
        text: String,
    },
}

/// What others hold of the thread.
#[derive(Debug, Clone)]
pub struct Handle {
    /// What the control loop wants.
    pub orders: watch::Sender<Orders>,
    /// What tracked targets say.
    pub lowered: watch::Sender<Lowered>,
    /// Requests.
    pub asks: mpsc::Sender<Ask>,
    /// What this director is; Active without a virtual router.
    pub role: watch::Receiver<Role>,
    /// What has become of the addresses.
    pub addresses: watch::Receiver<Arc<AddressReport>>,
}
