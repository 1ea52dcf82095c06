//! What an explanation needs of the running director: names, what the service offers, the client's entry.

use director_core::explain::{Entry, Explanation, Place, Question};
use director_core::ids::Registry;
use director_core::model::Model;
use director_core::plan::persistence_key;
use director_core::pool::Offer;
use director_nft::ir::Datum;
use director_nft::netlink::{Error, Nft};
use std::sync::Arc;

/// A moment's picture of one place.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The configuration in force.
    pub model: Arc<Model>,
    /// Numbers of all names.
    pub registry: Arc<Registry>,
    /// What the service offers that was asked about; nothing if it is none.
    pub offer: Offer,
    /// Services that ask for SYN protection have it.
    pub protects: bool,
}

impl Moment {
    /// Explains a connection; asks the kernel for the client's entry, if the service is persistent.
    ///
    /// # Errors
    /// The kernel can't be asked.
    pub fn explain(&self, question: &Question) -> Result<Explanation, Error> {
        let place = question.place(&self.model);
        let entry = match place {
            Place::Service(service) => match persistence_key(service, question.client) {
                Some((map, key)) => Nft::open()?.dynamic_element(map, &key)?,
                None => None,
            },
            Place::Management(_) | Place::Undeclared | Place::Elsewhere => None,
        };
        let entry = entry.and_then(|entry| match entry.data.as_slice() {
            [Datum::Mark(destination)] => Some(Entry { destination: *destination, expires: entry.expires }),
            _ => None,
        });
        Ok(question.explain(place, &self.registry, &self.offer, entry, self.protects))
    }
}
