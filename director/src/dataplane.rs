//! Keeps the kernel's ruleset as the model wants it: whole after a start, a reload or somebody else's change, by
//! the service when only weights and states change.

#[cfg(test)]
mod tests;

use crate::traffic::Connections;
use director_core::ids::Registry;
use director_core::model::{Model, Node};
use director_core::plan::{self, Layout, Servers};
use director_nft::diff::{diff, removal};
use director_nft::ir::{Key, Ruleset};
use director_nft::observed::Observed;
use director_nft::transaction::{Operation, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;

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
}

/// What the ruleset is made of.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The configuration.
    pub model: Arc<Model>,
    /// This director.
    pub node: Arc<Node>,
    /// Numbers of all names in `model`.
    pub registry: Arc<Registry>,
    /// What each server may get, by service.
    pub availability: BTreeMap<String, Servers>,
}

/// What a synchronisation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synced {
    /// The kernel's state was read and compared as a whole.
    pub whole: bool,
    /// Operations that were applied; 0 if all was as wanted.
    pub operations: usize,
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
    applied: Option<Wanted>,
    layout: Option<Layout>,
    /// Slots that `applied` takes.
    slots: usize,
}

impl<K: Kernel> Dataplane<K> {
    /// A data plane whose present state is unknown.
    pub fn new(kernel: K) -> Self {
        Self { kernel, applied: None, layout: None, slots: 0 }
    }

    /// Forgets what the kernel is believed to hold: the next [`Self::sync`] reads it.
    pub fn distrust(&mut self) {
        self.applied = None;
    }

    /// Maps that count connections, and those with persistence entries.
    pub fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }

    /// Brings the kernel from what it holds to `wanted`, in one transaction. Connection counts of elements that
    /// go are taken over into `connections` before.
    ///
    /// # Errors
    /// After an error the state is unknown, and the next call reads it.
    pub fn sync(
        &mut self,
        wanted: Wanted,
        connections: &mut Connections,
    ) -> Result<Synced, SyncError<K::Error>> {
        let part = match (&self.applied, &self.layout) {
            (Some(applied), Some(layout)) if same_skeleton(applied, &wanted) => {
                Part::between(layout, applied, &wanted, self.slots)
            }
            _ => None,
        };
        let synced = match part {
            Some(part) => self.apply(&part.transaction, connections).map(|()| {
                self.slots = part.slots;
                Synced { whole: false, operations: part.transaction.operations.len() }
            }),
            None => self.whole(&wanted, connections),
        };
        self.applied = synced.is_ok().then_some(wanted);
        synced
    }

    /// Takes the counts of all elements over into `connections`.
    ///
    /// # Errors
    /// The kernel can't be asked.
    pub fn count(&mut self, connections: &mut Connections) -> Result<(), K::Error> {
        let maps: Vec<&str> = self.layout.iter().flat_map(Layout::counting_maps).collect();
        for map in maps {
            for (key, packets) in self.kernel.packets(map, None)? {
                connections.count(map, &key, packets);
            }
        }
        Ok(())
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
        wanted: &Wanted,
        connections: &mut Connections,
    ) -> Result<Synced, SyncError<K::Error>> {
        let observed = self.kernel.observe().map_err(SyncError::Kernel)?;
        self.slots = slots(wanted);
        let mut layout = Layout::new(&wanted.model, self.slots, self.layout.as_ref());
        layout.adopt(&observed);
        let ruleset = ruleset(&layout, wanted);
        self.layout = Some(layout);
        let transaction = diff(&observed, &ruleset);
        let operations = transaction.operations.len();
        if operations > 0 {
            self.apply(&transaction, connections)?;
            let result = self.kernel.observe().map_err(SyncError::Kernel)?;
            let rest = diff(&result, &ruleset).operations.len();
            if rest > 0 {
                return Err(SyncError::Unlike(rest));
            }
        }
        Ok(Synced { whole: true, operations })
    }

    fn apply(
        &mut self,
        transaction: &Transaction,
        connections: &mut Connections,
    ) -> Result<(), SyncError<K::Error>> {
        if transaction.is_empty() {
            return Ok(());
        }
        let counting: Vec<&str> = self.layout.iter().flat_map(Layout::counting_maps).collect();
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
            if !counting.contains(&map.as_str()) {
                continue;
            }
            for (key, packets) in self.kernel.packets(map, keys).map_err(SyncError::Kernel)? {
                connections.retire(map, &key, packets);
            }
        }
        self.kernel.apply(transaction).map_err(SyncError::Kernel)
    }
}

/// The ruleset as `wanted` has it.
fn ruleset(layout: &Layout, wanted: &Wanted) -> Ruleset {
    plan::ruleset(layout, &wanted.model, &wanted.node, &wanted.registry, &wanted.availability)
}

/// The changes of those services whose servers' availability differs.
struct Part {
    transaction: Transaction,
    /// Slots of all services after it.
    slots: usize,
}

impl Part {
    /// `None` if the layout has no room for it. `slots` is what `from` takes.
    fn between(layout: &Layout, from: &Wanted, to: &Wanted, mut slots: usize) -> Option<Self> {
        let none = Servers::new();
        let mut transaction = Transaction::default();
        for (name, service) in &to.model.services {
            let before = from.availability.get(name).unwrap_or(&none);
            let after = to.availability.get(name).unwrap_or(&none);
            if before == after {
                continue;
            }
            slots = slots - plan::slot_count(service, before) + plan::slot_count(service, after);
            let before = plan::service(layout, service, &from.registry, before);
            let after = plan::service(layout, service, &to.registry, after);
            transaction.operations.extend(diff(&Observed::from(&before), &after).operations);
        }
        layout.fits(slots).then_some(Self { transaction, slots })
    }
}

fn same_skeleton(a: &Wanted, b: &Wanted) -> bool {
    Arc::ptr_eq(&a.model, &b.model) && Arc::ptr_eq(&a.node, &b.node) && Arc::ptr_eq(&a.registry, &b.registry)
}

/// Slots of all services together.
fn slots(wanted: &Wanted) -> usize {
    let none = Servers::new();
    let count = |(name, service)| plan::slot_count(service, wanted.availability.get(name).unwrap_or(&none));
    wanted.model.services.iter().map(count).sum()
}
