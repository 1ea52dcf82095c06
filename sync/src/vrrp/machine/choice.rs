//! Whether the operator wants the Active to be what it is.

use super::{Machine, Peer};
use std::net::IpAddr;

/// What an Active knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// Adverts decided, or their absence.
    None,
    /// That one left, and has yet to say why.
    Open(IpAddr),
    /// The operator made that one step down.
    Made(IpAddr),
}

impl Choice {
    /// A peer says what it is, or can't be reached. What it said before it left tells nothing.
    pub(super) fn hear(&mut self, from: IpAddr, peer: Option<Peer>) {
        *self = match (*self, peer) {
            (Self::Open(left) | Self::Made(left), Some(peer)) if left == from && !peer.active => {
                if peer.stood_down { Self::Made(left) } else { Self::None }
            }
            (Self::Open(left), None) if left == from => Self::None,
            (same, _) => same,
        }
    }
}

impl Machine {
    /// The operator made another one step down for this Active, or it may yet turn out so. Until it is worse off than
    /// it was then: the operator did not choose that.
    pub(super) fn stays(&mut self) -> bool {
        let ails = self.ails();
        if ails > self.ailment {
            self.choice = Choice::None;
        }
        self.ailment = ails.min(self.ailment);
        self.choice != Choice::None
    }
}
