//! Which addresses this director has: what the thread that holds them is ordered, and what became of that.

use super::memory::{Memory, OwnAddresses};
use crate::kernel::address::{AddressError, Addresses, Interface};
use crate::redundancy::virtual_mac::{self, Virtuals};
use crate::redundancy::{AddressReport, Addresses as Ordered, Handle, Placed, Router};
use crate::status::AddressStatus;
use crate::words::some_of;
use director_core::model::{Model, Node, Side};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Longest time that the thread is waited for: it puts a thousand addresses on in a tenth of that.
const WAIT: Duration = Duration::from_secs(1);

/// Addresses that this node has while it is Active, with their interface.
pub(super) fn wanted(model: &Model, node: &Node) -> BTreeSet<Placed> {
    let public = model.carrier(node, Side::Public);
    let private = model.carrier(node, Side::Private);
    let vips = model.public_addresses().into_iter().map(|address| (address, public.clone()));
    let gateways = model.gateways.iter().map(|address| (*address, private.clone()));
    vips.chain(gateways).collect()
}

/// What was ordered, and what of the reports was taken note of.
#[derive(Debug, Default)]
pub(super) struct AddressBook {
    ordered: Option<Arc<Ordered>>,
    repaired: u64,
    /// Ours, and there.
    placed: BTreeSet<Placed>,
}

/// What a report says that is new.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Addresses that had been there before, and that somebody else removed.
    pub(super) repaired: u64,
    /// What could not be done.
    pub(super) errors: Vec<String>,
}

impl AddressBook {
    /// Waits for the thread to know what is there.
    pub(super) async fn ready(&self, thread: &mut Handle) {
        // It says so later otherwise, and why not.
        let _ = timeout(WAIT, thread.addresses.wait_for(|report| report.known)).await;
    }

    /// Orders the addresses, and says with whom they are shared. What is to be put on is recorded before as ours, so
    /// that it can be taken off even after a kill; a failure to do so is returned, and changes nothing: a VIP that
    /// nobody will know as ours is better than none. To be called once the kernel has the ruleset.
    pub(super) async fn order(
        &mut self,
        wanted: BTreeSet<Placed>,
        links: BTreeSet<String>,
        router: Option<&Arc<Router>>,
        thread: &mut Handle,
        memory: &mut Memory,
    ) -> Option<String> {
        let report = Arc::clone(&thread.addresses.borrow());
        if !report.known {
            return None;
        }
        let ours = self.ours(memory.addresses(), &wanted, &report, router.is_some());
        let unrecorded = memory.set_addresses(ours.clone()).err();
        let addresses = Ordered { wanted, ours, links };
        let known = self.ordered.take().filter(|ordered| **ordered == addresses);
        let addresses = known.unwrap_or_else(|| Arc::new(addresses));
        self.ordered = Some(Arc::clone(&addresses));
        let is_new = thread.orders.send_if_modified(|orders| {
            let same = orders.addresses.as_ref().map(Arc::as_ptr) == Some(Arc::as_ptr(&addresses))
                && orders.router.as_ref().map(Arc::as_ptr) == router.map(Arc::as_ptr);
            (orders.addresses, orders.router) = (Some(Arc::clone(&addresses)), router.cloned());
            !same
        });
        if is_new {
            let about = |report: &Arc<AddressReport>| is_about(report, &addresses);
            // The report comes when it comes.
            let _ = timeout(WAIT, thread.addresses.wait_for(about)).await;
        }
        unrecorded.map(|error| error.to_string())
    }

    /// Takes up what the thread reports.
    pub(super) fn take(&mut self, report: &AddressReport, memory: &Memory) -> News {
        if !report.known {
            return News { repaired: 0, errors: report.errors.clone() };
        }
        let placed: BTreeSet<Placed> = report.present.intersection(memory.addresses()).cloned().collect();
        let added =
            placed.difference(&self.placed).map(|(address, name)| format!("{address} added to {name}"));
        let gone =
            self.placed.difference(&placed).map(|(address, name)| format!("{address} removed from {name}"));
        let words: Vec<String> = gone.chain(added).collect();
        if !words.is_empty() && self.ordered.is_some() {
            tracing::info!("addresses: {}", some_of(&words));
        }
        self.placed = placed;
        let repaired = report.repaired.saturating_sub(self.repaired);
        self.repaired = report.repaired;
        News { repaired, errors: report.errors.clone() }
    }

    /// What may be taken off, now that `wanted` is to be ordered. Alone, an address that is there and not known as ours
    /// is somebody else's. With others a Backup must be able to take off every one.
    fn ours(
        &self,
        before: &OwnAddresses,
        wanted: &BTreeSet<Placed>,
        report: &AddressReport,
        shared: bool,
    ) -> OwnAddresses {
        // What was taken off is ours no longer: should somebody else add it later, it isn't to be removed.
        let off = |placed: &Placed| {
            self.ordered.as_ref().is_some_and(|ordered| {
                is_about(report, ordered) && !ordered.wanted.contains(placed) && !report.left.contains(placed)
            })
        };
        let kept = before.iter().filter(|placed| wanted.contains(placed) || !off(placed));
        let new = wanted.iter().filter(|placed| shared || !report.present.contains(placed));
        kept.chain(new).cloned().collect()
    }
}

fn is_about(report: &AddressReport, ordered: &Arc<Ordered>) -> bool {
    report.known && report.ordered.as_ref().is_some_and(|about| Arc::ptr_eq(about, ordered))
}

/// The wanted addresses as the kernel has them.
pub(super) fn status(
    wanted: &BTreeSet<Placed>,
    report: &AddressReport,
    ours: &OwnAddresses,
) -> Vec<AddressStatus> {
    let show = |placed: &Placed| AddressStatus {
        address: placed.0,
        interface: placed.1.clone(),
        present: report.present.contains(placed),
        ours: ours.contains(placed),
    };
    wanted.iter().map(show).collect()
}

/// Takes away what the director added, interfaces too, when nobody holds it any more; says what could not be removed.
pub(super) async fn remove_all(memory: &mut Memory) -> Vec<String> {
    let mut errors = Vec::new();
    let left = match remove(memory.addresses(), &mut errors).await {
        Ok(left) => left,
        Err(error) => return vec![error.to_string()],
    };
    errors.extend(memory.set_addresses(left).err().map(|error| error.to_string()));
    errors.extend(virtual_mac::clear(&Virtuals::new()).await);
    errors
}

/// Those that are left.
async fn remove(ours: &OwnAddresses, errors: &mut Vec<String>) -> Result<OwnAddresses, AddressError> {
    let kernel = Addresses::open()?;
    let picture = kernel.picture().await?;
    let mut left = OwnAddresses::new();
    for (address, name) in ours {
        let Some(link) = picture.link(name) else { continue };
        if let Err(error) = kernel.remove(*address, &Interface { name, index: link.index }).await {
            errors.push(error.to_string());
            left.insert((*address, name.clone()));
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redundancy::{Lowered, Orders};
    use std::error::Error;
    use std::fs;
    use sync::vrrp::machine::Role;
    use tokio::sync::{mpsc, watch};

    fn all(text: &str) -> BTreeSet<Placed> {
        let placed = |word: &str| {
            let (address, interface) = word.split_once('@').unwrap();
            (address.parse().unwrap(), interface.to_owned())
        };
        text.split_whitespace().map(placed).collect()
    }

    fn report(ordered: Option<&Arc<Ordered>>, present: &str, left: &str) -> AddressReport {
        let ordered = ordered.cloned();
        AddressReport {
            known: true,
            ordered,
            present: all(present),
            left: all(left),
            ..AddressReport::default()
        }
    }

    fn ordered(wanted: &str) -> Arc<Ordered> {
        Arc::new(Ordered { wanted: all(wanted), ..Ordered::default() })
    }

    #[test]
    fn ours_is_what_was_not_there() {
        let book = AddressBook::default();
        let (none, wanted) = (OwnAddresses::new(), all("10.0.0.1@a 10.0.0.2@a"));
        let there = report(None, "10.0.0.1@a", "");
        assert_eq!(book.ours(&none, &wanted, &there, false), all("10.0.0.2@a"));
        assert_eq!(book.ours(&all("10.0.0.1@a"), &wanted, &there, false), wanted);
        assert_eq!(book.ours(&none, &wanted, &there, true), wanted);
    }

    #[test]
    fn ours_is_ours_until_it_is_known_to_be_off() {
        let before = all("10.0.0.1@a 10.0.0.2@a");
        let book = AddressBook { ordered: Some(ordered("10.0.0.1@a")), ..AddressBook::default() };
        let ours = |report: &AddressReport| book.ours(&before, &all(""), report, true);
        // Of an order before the last one, or of one that wanted it.
        assert_eq!(ours(&report(None, "", "")), before);
        assert_eq!(ours(&report(Some(&ordered("10.0.0.1@a")), "", "")), before);
        let last = book.ordered.as_ref();
        assert_eq!(ours(&report(last, "", "10.0.0.2@a")), before);
        assert_eq!(ours(&report(last, "", "")), all("10.0.0.1@a"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_vip_is_ordered_even_if_that_cannot_be_recorded() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let in_the_way = folder.path().join("addresses.json.new");
        fs::create_dir(&in_the_way)?;
        let (mut memory, _) = Memory::open(folder.path())?;
        let (orders, ordered) = watch::channel(Orders::default());
        let (_reports, addresses) = watch::channel(Arc::new(report(None, "", "")));
        let (_roles, role) = watch::channel(Role::Active);
        let lowered = watch::channel(Lowered::default()).0;
        let asks = mpsc::channel(1).0;
        let mut thread = Handle { orders, lowered, asks, role, addresses };
        let mut book = AddressBook::default();
        let vip = all("192.168.1.35@lo");
        let error = book
            .order(vip.clone(), BTreeSet::new(), None, &mut thread, &mut memory)
            .await
            .unwrap_or_default();
        assert!(error.contains("addresses.json"), "{error}");
        let expected = Ordered { wanted: vip.clone(), ours: vip.clone(), links: BTreeSet::new() };
        assert_eq!(ordered.borrow().addresses.as_deref(), Some(&expected));
        fs::remove_dir(&in_the_way)?;
        assert_eq!(book.order(vip.clone(), BTreeSet::new(), None, &mut thread, &mut memory).await, None);
        assert_eq!(Memory::open(folder.path())?.0.addresses(), &vip);
        Ok(())
    }
}
