//! The ruleset in the kernel, over netlink.

use crate::dataplane::Kernel;
use director_nft::ir::{Key, Statement};
use director_nft::netlink::{DynamicElement, Error, Events, Nft, Put};
use director_nft::observed::Observed;
use director_nft::transaction::Transaction;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// So many elements are asked for one by one; for more, the whole map is read.
const FEW: usize = 64;

/// nf_tables of the network namespace that opened it.
pub struct NftKernel(Nft);

impl NftKernel {
    /// Opens a socket; needs CAP_NET_ADMIN.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open() -> Result<Self, Error> {
        Nft::open().map(Self)
    }

    /// Notifications of changes that are made neither through this object nor through `other`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn events(&self, other: &Nft) -> Result<Events, Error> {
        Events::open([&self.0, other])
    }

    /// To change single elements.
    pub fn nft(&mut self) -> &mut Nft {
        &mut self.0
    }
}

impl Kernel for NftKernel {
    type Error = Error;

    fn apply(&mut self, transaction: &Transaction) -> Result<(), Error> {
        self.0.apply(transaction)
    }

    fn observe(&mut self) -> Result<Observed, Error> {
        self.0.observe()
    }

    fn packets(&mut self, map: &str, keys: Option<&[Key]>) -> Result<BTreeMap<Key, u64>, Error> {
        let counters = match keys {
            Some(keys) if keys.len() <= FEW => self.0.counters_of(map, keys)?,
            Some(keys) => {
                let mut counters = self.0.counters(map)?;
                let keys: BTreeSet<&Key> = keys.iter().collect();
                counters.retain(|key, _| keys.contains(key));
                counters
            }
            None => self.0.counters(map)?,
        };
        Ok(counters.into_iter().map(|(key, counter)| (key, counter.packets)).collect())
    }

    fn supports(&mut self, statement: &Statement) -> Result<bool, Error> {
        self.0.supports(statement)
    }

    fn entries(&mut self, map: &str, most: usize) -> Result<Vec<DynamicElement>, Error> {
        let mut elements = Vec::new();
        self.0.each_dynamic(map, |element| {
            elements.push(element);
            if elements.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(elements)
    }

    fn put(&mut self, map: &str, elements: &[DynamicElement]) -> Result<(), Error> {
        self.0.put_dynamic(map, elements, Put::OnlyMissing).map(drop)
    }
}
