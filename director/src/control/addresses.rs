//! Keeps the VIPs and the virtual gateway on their interfaces, and tells the neighbours.

use super::memory::{Memory, OwnAddresses};
use crate::kernel::address::{AddressChange, AddressError, Addresses, plan};
use crate::status::AddressStatus;
use director_core::model::{Model, Node};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The announcement is repeated once: a frame may get lost.
const AGAIN: Duration = Duration::from_secs(1);

/// Addresses that this node shall have, with their interface.
pub(super) fn wanted(model: &Model, node: &Node) -> Vec<(IpAddr, String)> {
    let public = model.public_addresses().into_iter().map(|address| (address, node.public.interface.clone()));
    let private = model.gateways.iter().map(|address| (*address, node.private.interface.clone()));
    public.chain(private).collect()
}

/// What [`AddressKeeper::keep`] did.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Addresses that were added or removed.
    pub(super) changed: u64,
    /// Of these: addresses that had been there before, and that somebody else removed.
    pub(super) repaired: u64,
    /// What could not be done.
    pub(super) errors: Vec<String>,
}

/// The addresses of this node.
#[derive(Debug)]
pub(super) struct AddressKeeper {
    kernel: Addresses,
    /// Addresses that were in place after the last run.
    placed: BTreeSet<(IpAddr, String)>,
    /// To be announced (again), and when.
    announcements: Vec<(Instant, String, IpAddr)>,
}

impl AddressKeeper {
    pub(super) fn open() -> Result<Self, AddressError> {
        Ok(Self { kernel: Addresses::open()?, placed: BTreeSet::new(), announcements: Vec::new() })
    }

    /// Waits until somebody changed an address or a link.
    pub(super) async fn changed(&mut self) {
        self.kernel.changed().await;
    }

    /// Adds what is missing, removes what is ours and no longer wanted.
    pub(super) async fn keep(&mut self, wanted: &[(IpAddr, String)], memory: &mut Memory) -> Kept {
        let mut kept = Kept::default();
        let present = match self.kernel.list().await {
            Ok(present) => present,
            Err(error) => {
                kept.errors.push(error.to_string());
                return kept;
            }
        };
        let changes = plan(wanted, &present, memory.addresses());
        for change in changes {
            if let Err(error) = self.carry_out(&change, memory, &mut kept).await {
                kept.errors.push(error);
            }
        }
        self.placed.retain(|address| wanted.contains(address));
        self.placed.extend(wanted.iter().filter(|address| present.contains(address)).cloned());
        kept
    }

    /// When [`Self::announce`] has something to do.
    pub(super) fn announce_at(&self) -> Option<Instant> {
        self.announcements.iter().map(|(at, _, _)| *at).min()
    }

    /// Sends the announcements whose time has come.
    pub(super) fn announce(&mut self, now: Instant) {
        let mut due: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        self.announcements.retain(|(at, interface, address)| {
            if *at <= now {
                due.entry(interface.clone()).or_default().push(*address);
            }
            *at > now
        });
        for (interface, addresses) in due {
            if let Err(error) = sync::announce::announce(&interface, &addresses) {
                tracing::warn!(%error, "neighbours may not know yet where an address is");
            }
        }
    }

    /// The wanted addresses as the kernel has them.
    pub(super) async fn status(
        &self,
        wanted: &[(IpAddr, String)],
        ours: &OwnAddresses,
    ) -> Vec<AddressStatus> {
        let present = self.kernel.list().await.unwrap_or_default();
        let show = |it: &(IpAddr, String)| AddressStatus {
            address: it.0,
            interface: it.1.clone(),
            present: present.contains(it),
            ours: ours.contains(it),
        };
        wanted.iter().map(show).collect()
    }

    /// Takes away what the director added; says what could not be removed.
    pub(super) async fn remove_all(&mut self, memory: &mut Memory) -> Vec<String> {
        self.keep(&[], memory).await.errors
    }

    async fn carry_out(
        &mut self,
        change: &AddressChange,
        memory: &mut Memory,
        kept: &mut Kept,
    ) -> Result<(), String> {
        let mut ours = memory.addresses().clone();
        match change {
            AddressChange::Add { address, interface } => {
                let it = (*address, interface.clone());
                ours.insert(it.clone());
                memory.set_addresses(ours).map_err(|error| error.to_string())?;
                self.kernel.add(*address, interface).await.map_err(|error| error.to_string())?;
                kept.repaired += u64::from(self.placed.contains(&it));
                self.placed.insert(it);
                let now = Instant::now();
                for at in [now, now + AGAIN] {
                    self.announcements.push((at, interface.clone(), *address));
                }
                tracing::info!(%address, interface, "address added");
            }
            AddressChange::Remove { address, interface } => {
                self.kernel.remove(*address, interface).await.map_err(|error| error.to_string())?;
                ours.remove(&(*address, interface.clone()));
                memory.set_addresses(ours).map_err(|error| error.to_string())?;
                tracing::info!(%address, interface, "address removed");
            }
        }
        kept.changed += 1;
        Ok(())
    }
}
