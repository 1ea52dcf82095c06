//! The numbers that services and servers keep.
//!
//! The ct mark of a connection names its server for as long as it lives, and slot keys and destination ids stand
//! in the kernel's maps, so a name must keep its number over reloads and restarts: the registry is part of the
//! state that survives them. Both directors number a file alike when they start from the same history.

use crate::model::Model;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// Identifies a real server of a service (or the one behind a management address) in the ct mark:
/// `0x80000000 | service << 12 | server`. Bits 27 to 30 are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationId(u32);

impl DestinationId {
    /// Set in every destination id and in nothing else that stands in the ct mark.
    pub const FLAG: u32 = 0x8000_0000;

    /// The value of the ct mark.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for DestinationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", self.0)
    }
}

/// Number of a service or management address: 0 to [`ServiceNumber::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceNumber(u16);

impl ServiceNumber {
    /// 15 bits.
    pub const MAX: u16 = 0x7fff;

    /// Key of the first slot in the shared slot map: every service has room for 32,768 slots in each family.
    #[must_use]
    pub fn first_slot(self, ipv6: bool) -> u32 {
        u32::from(self.0) << 16 | u32::from(ipv6) << 15
    }

    /// An id of the service that no server has, and so no destination: what leads there is refused.
    #[must_use]
    pub fn nobody(self) -> DestinationId {
        self.destination(0)
    }

    /// What the ids of all its servers have in common: their value in the bits of a mask.
    #[must_use]
    pub fn destinations(self) -> (u32, u32) {
        (self.destination(0).get(), !u32::from(MAX_SERVER))
    }

    /// The service of the destination that a ct mark names; `None` if it names none.
    #[must_use]
    pub fn of_mark(mark: u32) -> Option<Self> {
        let number = u16::try_from((mark ^ DestinationId::FLAG) >> 12).ok()?;
        (number <= Self::MAX).then_some(Self(number))
    }

    fn destination(self, server: u16) -> DestinationId {
        DestinationId(DestinationId::FLAG | u32::from(self.0) << 12 | u32::from(server))
    }
}

/// The names that have a number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    services: BTreeMap<String, Entry>,
}

/// Numbers of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    number: ServiceNumber,
    servers: BTreeMap<String, Machine>,
}

/// The machine behind a server's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Machine {
    number: u16,
    addresses: Vec<IpAddr>,
}

/// There are more names than numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no number is left for {0}")]
pub struct Exhausted(String);

/// Management addresses have names of their own: a slash can't stand in a service's name.
const MANAGEMENT: &str = "management/";

/// Highest number of a server within its service.
const MAX_SERVER: u16 = 0xfff;

impl Registry {
    /// Gives every service, server and management address of the model a number. Those that have one keep it,
    /// also while they are not configured: a server that comes back finds its connections. A server that has moved
    /// to another address is another machine with another number. Only when numbers run out, names that are no
    /// longer configured are forgotten.
    ///
    /// # Errors
    /// The model itself has more names than there are numbers.
    pub fn assign(&mut self, model: &Model) -> Result<(), Exhausted> {
        let mut wanted: BTreeMap<String, BTreeMap<&str, &[IpAddr]>> = BTreeMap::new();
        for (name, service) in &model.services {
            let servers = service.servers.values();
            let servers = servers.map(|server| (server.name.as_str(), server.addresses.as_slice()));
            wanted.insert(name.clone(), servers.collect());
        }
        for (name, it) in &model.management {
            let server = (it.server.as_str(), std::slice::from_ref(&it.address));
            wanted.insert(management_key(name), BTreeMap::from([server]));
        }
        let mut used: BTreeSet<u16> = self.services.values().map(|entry| entry.number.0).collect();
        if self.services.keys().filter(|name| !wanted.contains_key(*name)).count() + wanted.len()
            > usize::from(ServiceNumber::MAX) + 1
        {
            self.services.retain(|name, _| wanted.contains_key(name));
            used = self.services.values().map(|entry| entry.number.0).collect();
        }
        let mut free = (0..=ServiceNumber::MAX).filter(|number| !used.contains(number));
        for (name, servers) in wanted {
            if !self.services.contains_key(&name) {
                let number = ServiceNumber(free.next().ok_or_else(|| Exhausted(name.clone()))?);
                self.services.insert(name.clone(), Entry { number, servers: BTreeMap::new() });
            }
            if let Some(entry) = self.services.get_mut(&name) {
                entry.assign(&name, &servers)?;
            }
        }
        Ok(())
    }

    /// Number of a service.
    #[must_use]
    pub fn service(&self, service: &str) -> Option<ServiceNumber> {
        self.services.get(service).map(|entry| entry.number)
    }

    /// Destination id of a server of a service.
    #[must_use]
    pub fn server(&self, service: &str, server: &str) -> Option<DestinationId> {
        self.services.get(service)?.server(server)
    }

    /// Everything that has a number, configured or not: service, server and id. The service of a management address
    /// is `management/` and its name; servers at the address they had before they moved have a name with that
    /// address in it.
    pub fn destinations(&self) -> impl Iterator<Item = (&str, &str, DestinationId)> {
        self.services.iter().flat_map(|(service, entry)| {
            let servers = entry.servers.iter();
            servers.map(|(server, machine)| {
                (service.as_str(), server.as_str(), entry.number.destination(machine.number))
            })
        })
    }

    /// Servers that have a number but are not in `model`: service, server and id. Management addresses, and servers
    /// at the address they had before they moved, stand under names that none in `model` can have.
    pub fn unconfigured<'a>(
        &'a self,
        model: &'a Model,
    ) -> impl Iterator<Item = (&'a str, &'a str, DestinationId)> + 'a {
        let configured = |service: &str, server: &str| match service.strip_prefix(MANAGEMENT) {
            Some(name) => model.management.get(name).is_some_and(|it| it.server == server),
            None => model.services.get(service).is_some_and(|it| it.servers.contains_key(server)),
        };
        self.destinations().filter(move |(service, server, _)| !configured(service, server))
    }

    /// Destination id of the server behind a management address.
    #[must_use]
    pub fn management(&self, name: &str, server: &str) -> Option<DestinationId> {
        self.services.get(&management_key(name))?.server(server)
    }
}

impl Entry {
    fn assign(&mut self, service: &str, servers: &BTreeMap<&str, &[IpAddr]>) -> Result<(), Exhausted> {
        for (server, addresses) in servers {
            self.find(server, addresses);
        }
        let forgotten = self.servers.keys().filter(|name| !servers.contains_key(name.as_str())).count();
        if forgotten + servers.len() > usize::from(MAX_SERVER) {
            self.servers.retain(|name, _| servers.contains_key(name.as_str()));
        }
        let used: BTreeSet<u16> = self.servers.values().map(|machine| machine.number).collect();
        let mut free = (1..=MAX_SERVER).filter(|number| !used.contains(number));
        for (server, addresses) in servers {
            let addresses = addresses.to_vec();
            if let Some(machine) = self.servers.get_mut(*server) {
                machine.addresses = addresses;
            } else {
                let number = free.next().ok_or_else(|| Exhausted(format!("{service}/{server}")))?;
                self.servers.insert((*server).to_owned(), Machine { number, addresses });
            }
        }
        Ok(())
    }

    /// Sees to it that the machine at these addresses has the server's name, or none if it is new.
    fn find(&mut self, server: &str, addresses: &[IpAddr]) {
        if self.servers.get(server).is_none_or(|machine| machine.may_have(addresses)) {
            return;
        }
        if let Some(machine) = self.servers.remove(server) {
            self.servers.insert(former_key(server, &machine.addresses), machine);
        }
        if let Some(machine) = self.servers.remove(&former_key(server, addresses)) {
            self.servers.insert(server.to_owned(), machine);
        }
    }

    fn server(&self, server: &str) -> Option<DestinationId> {
        self.servers.get(server).map(|machine| self.number.destination(machine.number))
    }
}

impl Machine {
    /// True if it is the one at these addresses: it may have got or lost one of either family, not changed it.
    fn may_have(&self, addresses: &[IpAddr]) -> bool {
        let changed = |address: &&IpAddr| {
            let mut same_family = addresses.iter().filter(|it| it.is_ipv6() == address.is_ipv6()).peekable();
            same_family.peek().is_some() && !same_family.any(|it| it == *address)
        };
        self.addresses.iter().any(|address| addresses.contains(address))
            && !self.addresses.iter().any(|address| changed(&address))
    }
}

fn management_key(name: &str) -> String {
    format!("{MANAGEMENT}{name}")
}

/// A space can't stand in a server's name.
fn former_key(server: &str, addresses: &[IpAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    format!("{server} at {}", addresses.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    fn model(services: &[(&str, &[&str])]) -> Model {
        let mut text = String::from(
            "version: 1\nnodes:\n  lb1:\n    public: {interface: eth0, address: 192.168.1.33/24}\n    private: {interface: eth1, address: 10.0.1.33/24}\nservers:\n",
        );
        let servers: BTreeSet<&str> =
            services.iter().flat_map(|(_, servers)| servers.iter().copied()).collect();
        for server in &servers {
            let host = server.bytes().map(u32::from).sum::<u32>() % 200 + 1;
            text += &format!("  {server}: {{address: 10.0.1.{host}}}\n");
        }
        text += "services:\n";
        for (port, (service, servers)) in services.iter().enumerate() {
            text += &format!(
                "  {service}:\n    vip: 192.168.1.35\n    ports: {{tcp: {}}}\n    servers:\n",
                port + 1
            );
            for server in *servers {
                text += &format!("      {server}: {{}}\n");
            }
        }
        load(&text, "test").unwrap_or_else(|report| panic!("{report}"))
    }

    #[test]
    fn names_keep_their_numbers_whatever_comes_before_them() {
        let mut registry = Registry::default();
        registry.assign(&model(&[("mail", &["a", "b"])])).unwrap();
        let before = registry.server("mail", "b");
        registry.assign(&model(&[("aaa", &["a"]), ("mail", &["a", "aa", "b"])])).unwrap();
        assert_eq!(registry.server("mail", "b"), before);
        assert_ne!(registry.service("aaa"), registry.service("mail"));
    }

    #[test]
    fn a_name_that_comes_back_finds_its_number() {
        let mut registry = Registry::default();
        registry.assign(&model(&[("mail", &["a", "b"])])).unwrap();
        let before = registry.server("mail", "b");
        registry.assign(&model(&[("mail", &["a"])])).unwrap();
        let gone: Vec<_> = registry
            .unconfigured(&model(&[("mail", &["a"])]))
            .map(|(s, r, _)| (s.to_owned(), r.to_owned()))
            .collect();
        assert_eq!(gone, [("mail".to_owned(), "b".to_owned())]);
        registry.assign(&model(&[("mail", &["a", "c", "b"])])).unwrap();
        assert_eq!(registry.server("mail", "b"), before);
        assert_ne!(registry.server("mail", "c"), before);
    }

    #[test]
    fn a_server_that_moves_is_another_one() {
        let at = |address: &str| {
            let mut model = model(&[("mail", &["a", "b"])]);
            let addresses = address.split(',').map(|it| it.parse().unwrap()).collect();
            model.services.get_mut("mail").unwrap().servers.get_mut("a").unwrap().addresses = addresses;
            model
        };
        let mut registry = Registry::default();
        let mut number = |model: &Model| {
            registry.assign(model).unwrap();
            let gone: Vec<_> = registry.unconfigured(model).map(|(_, _, id)| id).collect();
            (registry.server("mail", "a").unwrap(), gone)
        };
        let (here, none) = number(&at("10.0.1.1"));
        assert!(none.is_empty());
        let (there, gone) = number(&at("10.0.1.9"));
        assert!(there != here && gone == [here]);
        assert_eq!(number(&at("10.0.1.9,fd00::9")), (there, vec![here]), "another family is no move");
        assert_eq!(number(&at("fd00::9")), (there, vec![here]));
        let (third, gone) = number(&at("10.0.1.9,fd00::8"));
        assert!(![here, there].contains(&third) && gone == [here, there]);
        assert_eq!(number(&at("10.0.1.1")), (here, vec![third, there]), "it is back, and finds its number");
    }

    #[test]
    fn ids_and_slots_cannot_be_mistaken_for_each_other() {
        let highest = ServiceNumber(ServiceNumber::MAX);
        assert_eq!(highest.first_slot(true) & DestinationId::FLAG, 0);
        assert_eq!(highest.destination(MAX_SERVER).get(), 0x87ff_ffff);
        assert_eq!(ServiceNumber::of_mark(0x87ff_ffff), Some(highest));
        assert_eq!(ServiceNumber::of_mark(0x07ff_ffff), None, "not ours");
        assert_eq!(ServiceNumber::of_mark(0x8800_0000), None, "bits 27 to 30 are zero");
        assert_eq!(ServiceNumber::of_mark(0x8800_0001), None);
        assert_eq!(ServiceNumber(1).first_slot(false) - ServiceNumber(0).first_slot(true), 1 << 15);
    }

    #[test]
    fn a_service_has_its_destinations_and_no_others() {
        let mut registry = Registry::default();
        registry.assign(&model(&[("mail", &["a", "b"]), ("web", &["a"])])).unwrap();
        let (value, mask) = registry.service("mail").unwrap().destinations();
        let found: Vec<_> = registry
            .destinations()
            .map(|(service, server, id)| (service, server, id.get() & mask == value))
            .collect();
        assert_eq!(found, [("mail", "a", true), ("mail", "b", true), ("web", "a", false)]);
    }
}
