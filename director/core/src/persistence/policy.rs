//! What entries there may be.

use super::Client;
use crate::availability::Availability;
use crate::ids::{DestinationId, Registry, ServiceNumber};
use crate::model::{Granularity, Model, Network, RealServer, Service};
use crate::pool::{Offer, Offers};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Clients that operators bound to a server: by service, then an address of the client's network.
pub type Pins = BTreeMap<String, BTreeMap<IpAddr, String>>;

/// What entries there may be, of all services with persistence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    pub(super) services: BTreeMap<ServiceNumber, Policy>,
    /// Most entries of each family.
    pub limit: u32,
}

/// What entries a service may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The service's firewall mark.
    pub mark: u32,
    /// Life of an entry.
    pub timeout: Duration,
    /// Which clients are one.
    pub granularity: Granularity,
    /// Destination ids of its servers; true for those that take clients that return.
    pub destinations: BTreeMap<u32, bool>,
    /// Destination ids of clients that are bound to one, by the first address of their network.
    pub pins: BTreeMap<IpAddr, u32>,
}

impl Policies {
    /// The policies of a model whose services offer `offers`. Pins to what is not configured count as none; of
    /// several pins of one network the first counts.
    #[must_use]
    pub fn new(model: &Model, registry: &Registry, offers: &Offers, pins: &Pins) -> Self {
        let services = model.services.values().filter_map(|service| {
            let offer = Offer::of(offers, &service.name);
            let policy = Policy::new(service, registry, offer, pins.get(&service.name))?;
            Some((registry.service(&service.name)?, policy))
        });
        Self { services: services.collect(), limit: model.persistence_limit }
    }

    /// True if no service has persistence.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// The policy of the service that a destination id belongs to.
    #[must_use]
    pub fn of(&self, destination: u32) -> Option<&Policy> {
        self.services.get(&ServiceNumber::of_mark(destination)?)
    }

    /// The policies of all services.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.services.values()
    }

    /// Life of the entry that lives shortest; `None` if no service has persistence.
    #[must_use]
    pub fn shortest(&self) -> Option<Duration> {
        self.iter().map(|policy| policy.timeout).min()
    }
}

impl Policy {
    /// The policy of a service; `None` if it has no persistence.
    #[must_use]
    pub fn new(
        service: &Service,
        registry: &Registry,
        offer: &Offer,
        pins: Option<&BTreeMap<IpAddr, String>>,
    ) -> Option<Self> {
        let persistence = service.persistence?;
        let id = |server: &str| registry.server(&service.name, server).map(DestinationId::get);
        let admits =
            |server: &RealServer| offer.servers.get(&server.name).is_some_and(Availability::takes_returning);
        let destinations =
            service.servers.values().filter_map(|server| Some((id(&server.name)?, admits(server))));
        let mut policy = Self {
            mark: service.mark.get(),
            timeout: persistence.timeout,
            granularity: persistence.granularity,
            destinations: destinations.collect(),
            pins: BTreeMap::new(),
        };
        for (address, server) in pins.into_iter().flatten() {
            let serves = service.vips.iter().any(|vip| vip.is_ipv6() == address.is_ipv6())
                && service.servers.get(server).is_some_and(|it| it.address_for(*address).is_some());
            if let Some(id) = id(server).filter(|_| serves) {
                policy.pins.entry(policy.client(*address).address).or_insert(id);
            }
        }
        Some(policy)
    }

    /// The client that an address belongs to.
    #[must_use]
    pub fn client(&self, address: IpAddr) -> Client {
        let network = Network::new(address, self.bits(address)).map_or(address, Network::network);
        Client { address: network, mark: self.mark }
    }

    /// Leading bits of an address that count.
    #[must_use]
    pub fn bits(&self, address: IpAddr) -> u8 {
        self.granularity.bits(address.is_ipv6())
    }

    /// True if clients may return to that destination.
    #[must_use]
    pub fn admits(&self, destination: u32) -> bool {
        self.destinations.get(&destination).copied().unwrap_or(false)
    }
}
