//! What an explanation needs of the running director: names, what the service offers, the client's entry.

use crate::persistence::{entry, key};
use director_core::explain::{Explanation, Place, Question};
use director_core::ids::Registry;
use director_core::model::{Model, Service};
use director_core::persistence::{Entry, Policy};
use director_core::plan::persistence_map;
use director_core::pool::Offer;
use director_nft::netlink::{Error, Nft};
use std::net::IpAddr;
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
            Place::Service(service) => self.entry(service, question.client)?,
            Place::Management(_) | Place::Undeclared | Place::Elsewhere => None,
        };
        Ok(question.explain(place, &self.registry, &self.offer, entry, self.protects))
    }

    fn entry(&self, service: &Service, client: IpAddr) -> Result<Option<Entry>, Error> {
        let Some(policy) = Policy::new(service, &self.registry, &self.offer, None) else { return Ok(None) };
        let (map, key) = (persistence_map(client.is_ipv6()), key(&policy.client(client)));
        Ok(Nft::open()?.dynamic_element(map, &key)?.as_ref().and_then(entry))
    }
}
