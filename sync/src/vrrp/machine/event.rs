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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is nothing to give.
    #[error("this director is not Active: ask the one that is")]
    NotActive,
    /// There is nobody to give to.
    #[error("this director has no peers")]
    NoPeers,
    /// To whom it belongs already.
    #[error("this director is Active already: name another one")]
    Itself,
    /// No peer is known to be well.
    #[error(
        "no peer is known to be fit and to hold the connections: see 'director status' there, or use --force"
    )]
    NoFitPeer,
    /// Nothing is known of it.
    #[error("{0} can't be reached, so nobody knows whether it is fit: see whether it runs, or use --force")]
    Unknown(IpAddr),
    /// It says that it is not well.
    #[error("{0} is not fit to be Active: see 'director status' there, or use --force")]
    Unfit(IpAddr),
    /// Connections would be lost.
    #[error("{0} does not hold the connections yet: wait for it, or use --force and lose them")]
    NotCaughtUp(IpAddr),
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
        match self {
            Self::Started => write!(f, "started"),
            Self::Stopped => write!(f, "stopped"),
            Self::Owner => write!(f, "its priority is 255"),
            Self::Silence => write!(f, "no adverts on any link"),
            Self::Left(from) => write!(f, "{from} left"),
            Self::Outranked { by, priority } => write!(f, "{by} is Active with priority {priority}"),
            Self::Frozen(slept) => {
                write!(f, "it did not run for {slept:.1?}, so others must have taken over")
            }
            Self::Yielded { to: Some(to) } => write!(f, "{to} is fitter"),
            Self::Yielded { to: None } => write!(f, "it is not fit, and a peer may be"),
            Self::StoodDown { to: Some(to) } => write!(f, "the operator wants {to} to be Active"),
            Self::StoodDown { to: None } => write!(f, "the operator wants another director to be Active"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Became(role, why) => write!(f, "{role}: {why}"),
            Self::Preempts { from, priority } => {
                write!(f, "taking over from {from}, which has only priority {priority}")
            }
            Self::Interval { from, interval } => write!(f, "{from} adverts every {interval}: going by that"),
            Self::Overslept(late) => {
                write!(f, "woke {late:.1?} late: listening once more before taking over")
            }
            Self::LinkSilent(Link(link)) => {
                write!(f, "no adverts by link {link}, though they come by another: see what is between")
            }
            Self::LinkHeard(Link(link)) => write!(f, "adverts by link {link} again"),
            Self::DualActive { from, priority } => {
                write!(f, "{from} is Active too, with priority {priority}: adverts were lost")
            }
            Self::DualActiveEnded => write!(f, "the only Active again, or no more"),
            Self::Refused(refusal) => write!(f, "not stepping down: {refusal}"),
        }
    }
}
