//! Keeps the kernel's ruleset as the model wants it: whole after a start, a reload or somebody else's change, by
//! the service when only weights and states change.

#[cfg(test)]
mod tests;

use crate::traffic::Connections;
use director_core::ids::Registry;
use director_core::model::{Model, Node};
use director_core::plan::{self, Layout};
use director_core::pool::{Offer, Offers};
use director_nft::diff::{diff, removal};
use director_nft::ir::{Key, Statement};
use director_nft::netlink::DynamicElement;
use director_nft::observed::Observed;
use director_nft::transaction::{Operation, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Most persistence entries of a family that are carried over into a map of another size: reading takes a time that
/// grows with their square. Of further clients, those that have connections get their entries back.
const MOST_CARRIED: usize = 262_144;

/// The kernel's side, or a fake of it.
pub trait Kernel {
    /// What goes wrong there.
    type Error: std::error::Error + 'static;

    /// Applies all operations or none.
    ///
    /// # Errors
    /// The kernel refused, or its answer was lost.
    fn apply(&mut self, transaction: &Transaction) -> Result<(), Self::Error>;

    /// Reads the table back.
    ///
    /// # Errors
    /// The kernel can't be asked.
    fn observe(&mut self) -> Result<Observed, Self::Error>;

    /// Packets counted by elements of a map; all of them, or those of `keys`. Elements that are not there are
    /// left out.
    ///
    /// # Errors
    /// The kernel can't be asked.
    fn packets(&mut self, map: &str, keys: Option<&[Key]>) -> Result<BTreeMap<Key, u64>, Self::Error>;

    /// True if the kernel knows all that a statement is made of.
    ///
    /// # Errors
    /// The kernel can't be asked.
    fn supports(&mut self, statement: &Statement) -> Result<bool, Self::Error>;

    /// Elements of a map that packets fill, at most `most`.
    ///
    /// # Errors
    /// The kernel can't be asked.
    fn entries(&mut self, map: &str, most: usize) -> Result<Vec<DynamicElement>, Self::Error>;

    /// Puts elements into such a map; those that packets have made meanwhile stay as they are.
    ///
    /// # Errors
    /// The kernel refused; some may have been put then.
    fn put(&mut self, map: &str, elements: &[DynamicElement]) -> Result<(), Self::Error>;
}

/// What the ruleset is made of.
#[derive(Debug, Clone)]
pub struct Skeleton {
    /// The configuration.
    pub model: Arc<Model>,
    /// This director.
    pub node: Arc<Node>,
    /// Numbers of all names in `model`.
    pub registry: Arc<Registry>,
}

/// What a synchronisation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synced {
    /// The kernel's state was read and compared as a whole.
    pub whole: bool,
    /// Operations that were applied; 0 if all was as wanted.
    pub operations: usize,
    /// Counts of elements that went were taken over: the kernel has them no longer.
    pub retired: bool,
}

/// Why the ruleset is not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum SyncError<E: std::error::Error + 'static> {
    /// The kernel refused or could not be asked.
    #[error(transparent)]
    Kernel(E),
    /// The transaction was accepted, but what stands there now is something else.
    #[error("the kernel accepted the ruleset but shows another one, {0} operations away")]
    Unlike(usize),
}

/// The ruleset in the kernel.
#[derive(Debug)]
pub struct Dataplane<K> {
    kernel: K,
    /// What the kernel is known to hold; `None` if that is uncertain.
    applied: Option<Skeleton>,
    layout: Option<Layout>,
    /// Slots that `applied` takes.
    slots: usize,
    /// Services want SYN protection, and the kernel has none.
    unprotected: bool,
}

impl<K: Kernel> Dataplane<K> {
    /// A data plane whose present state is unknown.
    pub fn new(kernel: K) -> Self {
        Self { kernel, applied: None, layout: None, slots: 0, unprotected: false }
    }

    /// The kernel's side.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// True if services want SYN protection and run without it, because the kernel has none.
    pub fn unprotected(&self) -> bool {
        self.unprotected
    }

    /// The kernel's side, to change entries.
    pub fn kernel_mut(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// Forgets what the kernel is believed to hold: the next [`Self::sync`] reads it.
    pub fn distrust(&mut self) {
        self.applied = None;
    }

    /// Maps that count connections, and those with persistence entries.
    pub fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }

    /// Brings the kernel to `skeleton` with services as in `offers`, in one transaction. `before` has the
    /// former offers of the services that changed since the last call: if nothing else did, only their part
    /// is touched. Connection counts of elements that go are taken over into `connections` first.
    ///
    /// # Errors
    /// After an error the state is unknown, and the next call reads it.
    pub fn sync(
        &mut self,
        skeleton: &Skeleton,
        offers: &Offers,
        before: &Offers,
        connections: &mut Connections,
    ) -> Result<Synced, SyncError<K::Error>> {
        let part = match (&self.applied, &self.layout) {
            (Some(applied), Some(layout)) if applied.same(skeleton) => {
                Part::between(layout, skeleton, before, offers, self.slots)
            }
            _ => None,
        };
        // Until the kernel has said yes.
        self.applied = None;
        let synced = match part {
            Some(part) => {
                let retired = self.apply(&part.transaction, connections)?;
                self.slots = part.slots;
                Synced { whole: false, operations: part.transaction.operations.len(), retired }
            }
            None => self.whole(skeleton, offers, connections)?,
        };
        self.applied = Some(skeleton.clone());
        Ok(synced)
    }

    /// Maps whose elements count.
    pub fn counting_maps(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.layout.iter().flat_map(Layout::counting_maps)
    }

    /// Removes the table with all that is in it.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn remove(&mut self) -> Result<(), K::Error> {
        self.applied = None;
        if self.kernel.observe()?.table { self.kernel.apply(&removal()) } else { Ok(()) }
    }

    fn whole(
        &mut self,
        skeleton: &Skeleton,
        offers: &Offers,
        connections: &mut Connections,
    ) -> Result<Synced, SyncError<K::Error>> {
        let Skeleton { model, node, registry } = skeleton;
        let observed = self.kernel.observe().map_err(SyncError::Kernel)?;
        self.slots =
            model.services.values().map(|it| plan::slot_count(it, Offer::of(offers, &it.name))).sum();
        let mut layout = Layout::new(model, self.slots, self.layout.as_ref());
        let unprotected = !protects(&mut self.kernel, model);
        if unprotected && !self.unprotected {
            tracing::warn!("this kernel has no SYN proxy: services that ask for SYN protection run without");
        }
        self.unprotected = unprotected;
        if unprotected {
            layout.leave_unprotected();
        }
        layout.adopt(&observed);
        let ruleset = plan::ruleset(&layout, model, node, registry, offers);
        self.layout = Some(layout);
        let transaction = diff(&observed, &ruleset);
        let operations = transaction.operations.len();
        let mut retired = false;
        if operations > 0 {
            retired = self.apply(&transaction, connections)?;
            let result = self.kernel.observe().map_err(SyncError::Kernel)?;
            let rest = diff(&result, &ruleset).operations.len();
            if rest > 0 {
                return Err(SyncError::Unlike(rest));
            }
        }
        Ok(Synced { whole: true, operations, retired })
    }

    /// True if counts of elements that went were taken over.
    fn apply(
        &mut self,
        transaction: &Transaction,
        connections: &mut Connections,
    ) -> Result<bool, SyncError<K::Error>> {
        let mut gone = Vec::new();
        if transaction.is_empty() {
            return Ok(false);
        }
        for operation in &transaction.operations {
            let (map, keys) = match operation {
                Operation::DeleteElements { map, keys, .. } => (map, Some(keys.as_slice())),
                Operation::DeleteMap { name } => (name, None),
                Operation::AddTable
                | Operation::DeleteTable
                | Operation::AddChain { .. }
                | Operation::DeleteChain { .. }
                | Operation::FlushChain { .. }
                | Operation::AddRule { .. }
                | Operation::AddMap { .. }
                | Operation::AddElements { .. } => continue,
            };
            // Also maps of the layout before.
            if plan::counts(map) {
                gone.push((map, self.kernel.packets(map, keys).map_err(SyncError::Kernel)?));
            }
        }
        for (map, packets) in &gone {
            packets.iter().for_each(|(key, packets)| connections.count(map, key, *packets));
        }
        let entries = self.save_entries(transaction);
        self.kernel.apply(transaction).map_err(SyncError::Kernel)?;
        for (map, elements) in entries {
            if let Err(error) = self.kernel.put(&map, &elements) {
                tracing::warn!(map, %error, "not every persistence entry could be carried over");
            }
        }
        // Only now: what was refused goes on to count where it was.
        for (map, packets) in &gone {
            packets.keys().for_each(|key| connections.begin(map, key));
        }
        for operation in &transaction.operations {
            if let Operation::AddElements { map, elements, .. } = operation
                && plan::counts(map)
            {
                elements.iter().for_each(|(key, _)| connections.begin(map, key));
            }
        }
        Ok(gone.iter().any(|(_, packets)| packets.values().any(|packets| *packets > 0)))
    }
}

impl<K: Kernel> Dataplane<K> {
    /// Entries of maps that are about to be made anew: as many as will have room, those that live longest.
    fn save_entries(&mut self, transaction: &Transaction) -> BTreeMap<String, Vec<DynamicElement>> {
        let entries = |name: &str| [false, true].into_iter().any(|ipv6| plan::persistence_map(ipv6) == name);
        let anew = transaction.operations.iter().filter_map(|operation| {
            if let Operation::AddMap { name, spec } = operation { Some((name, spec.size)) } else { None }
        });
        let anew = anew.filter(|(name, _)| entries(name));
        let goes = |map: &String| {
            transaction.operations.iter().any(|it| matches!(it, Operation::DeleteMap { name } if name == map))
        };
        let mut saved = BTreeMap::new();
        for (map, size) in anew.filter(|(map, _)| goes(map)) {
            match self.kernel.entries(map, MOST_CARRIED) {
                Ok(mut elements) => {
                    elements.sort_by_key(|it| std::cmp::Reverse(it.expires.unwrap_or(Duration::MAX)));
                    elements.truncate(size.map_or(MOST_CARRIED, |size| size as usize / 10 * 9));
                    saved.insert(map.clone(), elements);
                }
                Err(error) => tracing::warn!(map, %error, "persistence entries could not be carried over"),
            }
        }
        saved
    }
}

impl Skeleton {
    fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.model, &other.model)
            && Arc::ptr_eq(&self.node, &other.node)
            && Arc::ptr_eq(&self.registry, &other.registry)
    }
}

/// The changes of some services.
struct Part {
    transaction: Transaction,
    /// Slots of all services after it.
    slots: usize,
}

impl Part {
    /// `None` if the layout has no room for it. `slots` is what all services took before.
    fn between(
        layout: &Layout,
        skeleton: &Skeleton,
        before: &Offers,
        after: &Offers,
        mut slots: usize,
    ) -> Option<Self> {
        let mut transaction = Transaction::default();
        for (name, before) in before {
            let service = skeleton.model.services.get(name)?;
            let after = Offer::of(after, name);
            slots =
                (slots + plan::slot_count(service, after)).checked_sub(plan::slot_count(service, before))?;
            let before = plan::service(layout, service, &skeleton.registry, before);
            let after = plan::service(layout, service, &skeleton.registry, after);
            transaction.operations.extend(diff(&Observed::from(&before), &after).operations);
        }
        layout.fits(slots).then_some(Self { transaction, slots })
    }
}

/// False if a service of the model wants SYN protection and the kernel has none. An answer other than yes is no reason
/// to refuse a configuration: it only means that services run as without protection.
pub fn protects<K: Kernel>(kernel: &mut K, model: &Model) -> bool {
    let mut supports = |statement| match kernel.supports(statement) {
        Ok(supported) => supported,
        Err(error) => {
            tracing::warn!(%error, ?statement, "can't ask the kernel what it supports");
            false
        }
    };
    !model.services.values().any(|it| it.syn_protection)
        || plan::SYN_PROTECTION_NEEDS.iter().all(&mut supports)
}
