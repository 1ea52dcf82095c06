//! What a virtual router tells people, and its words.

use super::{Link, Role};
use crate::vrrp::timing::{Interval, Priority};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Something that people may want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The role changed.
    Became(Role, Why),
    /// A lower Active is heard no more: this director takes over when the timer fires.
    Preempts {
        /// The Active.
        from: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// The Active adverts at another interval than before.
    Interval {
        /// The Active.
        from: IpAddr,
        /// How often.
        interval: Interval,
    },
    /// A Backup's timer was handled so late that it listens once more.
    Overslept(Duration),
    /// This link can't be used any more.
    LinkDown(Link),
    /// It can again.
    LinkUp(Link),
    /// No adverts by this link, though others have them.
    LinkSilent(Link),
    /// Adverts by this link again.
    LinkHeard(Link),
    /// Another director is Active too.
    DualActive {
        /// Which one.
        from: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// No more.
    DualActiveEnded,
    /// The operator's wish was refused.
    Refused(Refusal),
}

/// Why a role changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It takes part from now on.
    Started,
    /// It takes part no more.
    Stopped,
    /// The addresses are its own.
    Owner,
    /// The Active was silent on all links.
    Silence,
    /// The Active left.
    Left(IpAddr),
    /// The Active has a lower priority.
    Preempted {
        /// Which one.
        from: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// A better Active was heard.
    Outranked {
        /// Which one.
        by: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// It did not run for so long that the others must have taken over.
    Frozen(Duration),
    /// It is unfit, or lowered below a peer.
    Yielded {
        /// The better one; `None` if nothing is known of the peers.
        to: Option<IpAddr>,
    },
    /// The operator wants it.
    StoodDown {
        /// Who shall be Active; `None` if nothing is known of the peers.
        to: Option<IpAddr>,
    },
}

/// Why an operator's wish was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is nothing to give.
    NotActive,
    /// There is nobody to give to.
    NoPeers,
    /// To whom it belongs already.
    Itself,
    /// No peer is known to be well.
    NoFitPeer,
    /// Nothing is known of it.
    Unknown(IpAddr),
    /// It says that it is not well.
    Unfit(IpAddr),
    /// Connections would be lost.
    NotCaughtUp(IpAddr),
}

impl std::error::Error for Refusal {}

/// How people call routers and links.
pub trait Names {
    /// The router with that address on the first link.
    fn router(&self, address: IpAddr) -> String;
    /// A link.
    fn link(&self, link: Link) -> String;
}

/// Routers by address, links by number.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Names for Plain {
    fn router(&self, address: IpAddr) -> String {
        address.to_string()
    }

    fn link(&self, Link(link): Link) -> String {
        link.to_string()
    }
}

impl Why {
    /// The words, with routers as `names` calls them.
    #[must_use]
    pub fn words(&self, names: &dyn Names) -> String {
        let router = |address: &IpAddr| names.router(*address);
        match self {
            Self::Started => "started".to_owned(),
            Self::Stopped => "stopped".to_owned(),
            Self::Owner => "its priority is 255".to_owned(),
            Self::Silence => "no adverts on any link".to_owned(),
            Self::Left(from) => format!("{} left", router(from)),
            Self::Preempted { from, priority } => {
                format!("{} has only priority {priority}", router(from))
            }
            Self::Outranked { by, priority } => {
                format!("{} is Active with priority {priority}", router(by))
            }
            Self::Frozen(slept) => {
                format!("it did not run for {slept:.1?}, so others must have taken over")
            }
            Self::Yielded { to: Some(to) } => format!("{} is fitter", router(to)),
            Self::Yielded { to: None } => "it is not fit, and a peer may be".to_owned(),
            Self::StoodDown { to: Some(to) } => format!("the operator wants {} to be Active", router(to)),
            Self::StoodDown { to: None } => "the operator wants another director to be Active".to_owned(),
        }
    }
}

impl Refusal {
    /// The words, with routers as `names` calls them.
    #[must_use]
    pub fn words(&self, names: &dyn Names) -> String {
        let router = |address: &IpAddr| names.router(*address);
        match self {
            Self::NotActive => "this director is not Active: ask the one that is".to_owned(),
            Self::NoPeers => "this director has no peers".to_owned(),
            Self::Itself => "this director is Active already: name another one".to_owned(),
            Self::NoFitPeer => {
                "no peer is known to be fit and to hold the connections: see what 'director status' says \
                 of them, or use --force"
                    .to_owned()
            }
            Self::Unknown(to) => format!(
                "{} can't be reached, so nobody knows whether it is fit: see whether it runs, or use --force",
                router(to)
            ),
            Self::Unfit(to) => {
                format!("{} is not fit to be Active: see 'director status' there, or use --force", router(to))
            }
            Self::NotCaughtUp(to) => format!(
                "{} does not hold the connections yet: wait for it, or use --force and lose them",
                router(to)
            ),
        }
    }
}

impl Event {
    /// The words, with routers and links as `names` calls them.
    #[must_use]
    pub fn words(&self, names: &dyn Names) -> String {
        let router = |address: &IpAddr| names.router(*address);
        let link = |link: &Link| names.link(*link);
        match self {
            Self::Became(role, why) => format!("{role}: {}", why.words(names)),
            Self::Preempts { from, priority } => {
                format!("taking over from {}, which has only priority {priority}", router(from))
            }
            Self::Interval { from, interval } => {
                format!("{} adverts every {interval}: going by that", router(from))
            }
            Self::Overslept(late) => format!("woke {late:.1?} late: listening once more before taking over"),
            Self::LinkDown(down) => format!("link {} is down, or lacks this director's address", link(down)),
            Self::LinkUp(up) => format!("link {} is up again", link(up)),
            Self::LinkSilent(silent) => format!(
                "no adverts by link {}, though they come by another: see what is between",
                link(silent)
            ),
            Self::LinkHeard(heard) => format!("adverts by link {} again", link(heard)),
            Self::DualActive { from, priority } => {
                format!(
                    "{} is Active too, with priority {priority}: adverts were lost or refused",
                    router(from)
                )
            }
            Self::DualActiveEnded => "the only Active again, or no more".to_owned(),
            Self::Refused(refusal) => format!("not stepping down: {}", refusal.words(names)),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initialize => "Initialize",
            Self::Backup => "Backup",
            Self::Active => "Active",
        })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(&Plain))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(&Plain))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(&Plain))
    }
}
