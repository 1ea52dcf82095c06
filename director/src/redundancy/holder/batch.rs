//! Netlink operations under way. Nobody waits for them but who has to: the kernel may take its time while others change
//! links, and adverts go on meanwhile.

use super::plan::Step;
use crate::kernel::address::picture::Picture;
use crate::kernel::address::{AddressError, Addresses, Interface};
use crate::redundancy::Placed;
use std::time::Duration;
use tokio::task::JoinSet;

/// What the kernel did, or why it did not.
#[derive(Debug)]
pub(super) enum Landed {
    /// What there is.
    Picture(Result<Picture, AddressError>),
    /// The interface is up, or down.
    Raised { name: String, index: u32, up: bool, done: Result<(), AddressError> },
    /// The address is off.
    Removed { placed: Placed, index: u32, done: Result<(), AddressError> },
    /// The address is on, for so long; false: it was there.
    Added { placed: Placed, index: u32, lease: Option<Duration>, done: Result<bool, AddressError> },
    /// The address stays on, for so long.
    Renewed { placed: Placed, index: u32, lease: Option<Duration>, done: Result<(), AddressError> },
}

/// Some operations, which the kernel carries out in the order they were begun in.
#[derive(Debug, Default)]
pub(super) struct Batch {
    tasks: JoinSet<Landed>,
    landed: Vec<Landed>,
    /// One of them is more than a renewal.
    changes: bool,
}

impl Batch {
    /// Operations at a time: their answers must fit the socket's receive buffer.
    pub(super) const MOST: usize = 32;

    /// Nothing was begun, or all that was has been taken.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.landed.is_empty()
    }

    /// No more can be begun.
    pub(super) fn is_full(&self) -> bool {
        self.tasks.len() >= Self::MOST
    }

    /// All that was begun is over, and waits to be taken.
    pub(super) fn is_over(&self) -> bool {
        self.tasks.is_empty() && !self.landed.is_empty()
    }

    /// There is more in it than renewals.
    pub(super) fn changes(&self) -> bool {
        self.changes && !self.is_empty()
    }

    /// Begins to ask what there is. Must be called within a tokio runtime, as [`Self::begin`].
    pub(super) fn look(&mut self, kernel: &Addresses) {
        let kernel = kernel.clone();
        self.changes = true;
        self.tasks.spawn(async move { Landed::Picture(kernel.picture().await) });
    }

    /// Begins a step that is about the interface of that number.
    pub(super) fn begin(&mut self, kernel: &Addresses, step: Step, index: u32, lease: Option<Duration>) {
        let kernel = kernel.clone();
        self.changes |= !matches!(step, Step::Renew(_));
        self.tasks.spawn(async move {
            match step {
                Step::Raise(name, up) => {
                    let done = kernel.raise(&Interface { name: &name, index }, up).await;
                    Landed::Raised { name, index, up, done }
                }
                Step::Remove(placed) => {
                    let done = kernel.remove(placed.0, &Interface { name: &placed.1, index }).await;
                    Landed::Removed { placed, index, done }
                }
                Step::Add(placed) => {
                    let done = kernel.add(placed.0, &Interface { name: &placed.1, index }, lease).await;
                    Landed::Added { placed, index, lease, done }
                }
                Step::Renew(placed) => {
                    let done = kernel.renew(placed.0, &Interface { name: &placed.1, index }, lease).await;
                    Landed::Renewed { placed, index, lease, done }
                }
            }
        });
    }

    /// Waits until all that was begun is over. Cancel safe.
    pub(super) async fn over(&mut self) {
        while let Some(landed) = self.tasks.join_next().await {
            self.landed.extend(landed);
        }
    }

    /// What has become of them, once all are over.
    pub(super) fn take(&mut self) -> Vec<Landed> {
        self.changes = false;
        std::mem::take(&mut self.landed)
    }
}
