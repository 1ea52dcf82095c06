//! The ruleset in the kernel, over netlink.

use crate::dataplane::Kernel;
use director_nft::ir::{Datum, Key, Statement};
use director_nft::netlink::{Error, Events, Nft};
use director_nft::observed::Observed;
use director_nft::transaction::Transaction;
use std::collections::{BTreeMap, BTreeSet};

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

    /// Notifications of changes that are not made through this object.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn events(&self) -> Result<Events, Error> {
        Events::open(&self.0)
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

    fn entries(&mut self, map: &str) -> Result<BTreeMap<u32, u64>, Error> {
        let mut entries = BTreeMap::new();
        for element in self.0.dynamic_elements(map)? {
            if let [Datum::Mark(id)] = element.data.as_slice() {
                *entries.entry(*id).or_insert(0) += 1;
            }
        }
        Ok(entries)
    }
}
