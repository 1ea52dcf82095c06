//! Two machines that share the VIP and the gateway.

mod directors;
mod keepaliveds;

pub(crate) use directors::Directors;
pub(crate) use keepaliveds::Keepaliveds;

use crate::Outcome;
use lab::Lab;

/// What can be done to lb1 (0) and lb2 (1). lb1 has the higher priority, and takes over whenever it can.
pub(crate) trait Product {
    fn start(&mut self, node: usize) -> Outcome;

    /// As the machine's operator would; returns when it has ended.
    fn stop(&mut self, node: usize) -> Outcome;

    /// With SIGKILL.
    fn kill(&mut self, node: usize) -> Outcome;

    /// lb1 is Active, and lb2 shall be.
    fn hand_over(&mut self) -> Outcome;

    /// Undoes [`Self::hand_over`].
    fn hand_back(&mut self) -> Outcome;

    /// Both are stopped: leaves nothing behind.
    fn clear(&mut self, lab: &Lab) -> Outcome;
}
