//! Keeps the VIPs and the virtual gateway on their interfaces, and tells the neighbours.

use super::memory::{Memory, OwnAddresses};
use crate::kernel::address::picture::Picture;
use crate::kernel::address::{AddressChange, AddressError, Addresses, Interface, plan};
use crate::status::AddressStatus;
use crate::words::some_of;
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
    /// Addresses that had been there before, and that somebody else removed.
    pub(super) repaired: u64,
    /// What could not be done.
    pub(super) errors: Vec<String>,
}

/// The addresses of this node.
#[derive(Debug)]
pub(super) struct AddressKeeper {
    kernel: Addresses,
    /// What is there may differ from what is wanted.
    uncertain: bool,
    /// Addresses that were in place after the last run.
    placed: BTreeSet<(IpAddr, String)>,
    /// To be announced (again), and when.
    announcements: Vec<(Instant, String, IpAddr)>,
}

impl AddressKeeper {
    pub(super) fn open() -> Result<Self, AddressError> {
        let kernel = Addresses::open()?;
        Ok(Self { kernel, uncertain: true, placed: BTreeSet::new(), announcements: Vec::new() })
    }

    /// Waits until somebody changed an address or a link.
    pub(super) async fn changed(&mut self) {
        self.kernel.changes().await;
        self.uncertain = true;
    }

    /// What is wanted may have changed.
    pub(super) fn distrust(&mut self) {
        self.uncertain = true;
    }

    /// True if [`Self::keep`] should look.
    pub(super) fn uncertain(&self) -> bool {
        self.uncertain
    }

    /// Adds what is missing, removes what is ours and no longer wanted.
    pub(super) async fn keep(&mut self, wanted: &[(IpAddr, String)], memory: &mut Memory) -> Kept {
        let kept = self
            .keep_now(wanted, memory)
            .await
            .unwrap_or_else(|error| Kept { errors: vec![error], ..Kept::default() });
        self.uncertain = !kept.errors.is_empty();
        kept
    }

    async fn keep_now(&mut self, wanted: &[(IpAddr, String)], memory: &mut Memory) -> Result<Kept, String> {
        let mut kept = Kept::default();
        let picture = self.kernel.picture().await.map_err(|error| error.to_string())?;
        let present: Vec<(IpAddr, String)> = picture.placed().into_iter().collect();
        let changes = plan(wanted, &present, memory.addresses());
        let mut ours = memory.addresses().clone();
        // Recorded before they are added, so that they are known as ours even after a kill.
        ours.extend(changes.iter().filter_map(|change| match change {
            AddressChange::Add { address, interface } => Some((*address, interface.clone())),
            AddressChange::Remove { .. } => None,
        }));
        // A VIP that nobody will know as ours is better than none.
        let unrecorded = memory.set_addresses(ours.clone()).err();
        let mut done = Vec::new();
        for change in changes {
            match self.carry_out(&change, &picture, &mut ours).await {
                Ok(repaired) => {
                    kept.repaired += u64::from(repaired);
                    done.push(words(&change));
                }
                Err(error) => kept.errors.push(error.to_string()),
            }
        }
        if !done.is_empty() {
            tracing::info!("addresses: {}", some_of(&done));
        }
        let unrecorded = memory.set_addresses(ours).err().or(unrecorded);
        kept.errors.extend(unrecorded.map(|error| error.to_string()));
        let present: BTreeSet<(IpAddr, String)> = present.into_iter().collect();
        self.placed =
            wanted.iter().filter(|it| present.contains(it) || self.placed.contains(it)).cloned().collect();
        Ok(kept)
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
            // The kernel takes 10 ms to close a packet socket: not on the control loop's time.
            tokio::task::spawn_blocking(move || {
                if let Err(error) = sync::announce::announce(&interface, &addresses) {
                    tracing::warn!(%error, "neighbours may not know yet where an address is");
                }
            });
        }
    }

    /// The wanted addresses as the kernel has them.
    pub(super) async fn status(
        &self,
        wanted: &[(IpAddr, String)],
        ours: &OwnAddresses,
    ) -> Vec<AddressStatus> {
        let present: BTreeSet<(IpAddr, String)> =
            self.kernel.picture().await.map(|picture| picture.placed()).unwrap_or_default();
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

    /// Says if the address had been in place before, and somebody else removed it.
    async fn carry_out(
        &mut self,
        change: &AddressChange,
        picture: &Picture,
        ours: &mut OwnAddresses,
    ) -> Result<bool, AddressError> {
        match change {
            AddressChange::Add { address, interface } => {
                let index = picture.link_for(*address, interface)?.index;
                self.kernel.add(*address, &Interface { name: interface, index }, None).await?;
                let now = Instant::now();
                for at in [now, now + AGAIN] {
                    self.announcements.push((at, interface.clone(), *address));
                }
                Ok(!self.placed.insert((*address, interface.clone())))
            }
            AddressChange::Remove { address, interface } => {
                if let Some(index) = picture.link(interface).map(|link| link.index) {
                    self.kernel.remove(*address, &Interface { name: interface, index }).await?;
                }
                ours.remove(&(*address, interface.clone()));
                Ok(false)
            }
        }
    }
}

fn words(change: &AddressChange) -> String {
    match change {
        AddressChange::Add { address, interface } => format!("{address} added to {interface}"),
        AddressChange::Remove { address, interface } => format!("{address} removed from {interface}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::sandbox;
    use std::error::Error;
    use std::fs;
    use std::process::Command;

    #[test]
    fn a_vip_is_added_even_if_that_cannot_be_recorded() {
        sandbox::test(|| {
            let up = "link set lo up".split(' ');
            assert!(Command::new("ip").args(up).status()?.success());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let folder = tempfile::tempdir()?;
                let in_the_way = folder.path().join("addresses.json.new");
                fs::create_dir(&in_the_way)?;
                let (mut memory, _) = Memory::open(folder.path())?;
                let mut keeper = AddressKeeper::open()?;
                let vip = [("192.168.1.35".parse::<IpAddr>()?, "lo".to_owned())];
                let errors = keeper.keep(&vip, &mut memory).await.errors;
                assert!(
                    matches!(errors.as_slice(), [error] if error.contains("addresses.json")),
                    "{errors:?}"
                );
                assert!(keeper.kernel.picture().await?.placed().contains(&vip[0]));
                fs::remove_dir(&in_the_way)?;
                assert!(keeper.uncertain() && keeper.keep(&vip, &mut memory).await.errors.is_empty());
                assert!(Memory::open(folder.path())?.0.addresses().contains(&vip[0]));
                Ok::<_, Box<dyn Error>>(())
            })
        });
    }
}
