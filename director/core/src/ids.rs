//! The numbers that services and servers keep.
//!
//! The ct mark of a connection names its server for as long as it lives, and slot keys and destination ids stand
//! in the kernel's maps, so a name must keep its number over reloads and restarts: the registry is part of the
//! state that survives them. Both directors number a file alike when they start from the same history.

use crate::model::Model;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

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
    servers: BTreeMap<String, u16>,
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
    /// also while they are not configured: a server that comes back finds its connections. Only when numbers run
    /// out, names that are no longer configured are forgotten.
    ///
    /// # Errors
    /// The model itself has more names than there are numbers.
    pub fn assign(&mut self, model: &Model) -> Result<(), Exhausted> {
        let mut wanted: BTreeMap<String, BTreeSet<&str>> = model
            .services
            .iter()
            .map(|(name, service)| (name.clone(), service.servers.keys().map(String::as_str).collect()))
            .collect();
        for (name, management) in &model.management {
            wanted.insert(management_key(name), BTreeSet::from([management.server.as_str()]));
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

    /// Servers that have a number but are not in `model`: service, server and id. Management addresses stand under
    /// a name that no service can have.
    pub fn unconfigured<'a>(
        &'a self,
        model: &'a Model,
    ) -> impl Iterator<Item = (&'a str, &'a str, DestinationId)> + 'a {
        let configured = |service: &str, server: &str| match service.strip_prefix(MANAGEMENT) {
            Some(name) => model.management.get(name).is_some_and(|it| it.server == server),
            None => model.services.get(service).is_some_and(|it| it.servers.contains_key(server)),
        };
        self.services.iter().flat_map(move |(service, entry)| {
            let servers = entry.servers.iter().filter(move |(server, _)| !configured(service, server));
            servers.map(|(server, number)| {
                (service.as_str(), server.as_str(), entry.number.destination(*number))
            })
        })
    }

    /// Destination id of the server behind a management address.
    #[must_use]
    pub fn management(&self, name: &str, server: &str) -> Option<DestinationId> {
        self.services.get(&management_key(name))?.server(server)
    }
}

impl Entry {
    fn assign(&mut self, service: &str, servers: &BTreeSet<&str>) -> Result<(), Exhausted> {
        let forgotten = self.servers.keys().filter(|name| !servers.contains(name.as_str())).count();
        if forgotten + servers.len() > usize::from(MAX_SERVER) {
            self.servers.retain(|name, _| servers.contains(name.as_str()));
        }
        let used: BTreeSet<u16> = self.servers.values().copied().collect();
        let mut free = (1..=MAX_SERVER).filter(|number| !used.contains(number));
        for server in servers {
            if !self.servers.contains_key(*server) {
                let number = free.next().ok_or_else(|| Exhausted(format!("{service}/{server}")))?;
                self.servers.insert((*server).to_owned(), number);
            }
        }
        Ok(())
    }

    fn server(&self, server: &str) -> Option<DestinationId> {
        self.servers.get(server).map(|number| self.number.destination(*number))
    }
}

fn management_key(name: &str) -> String {
    format!("{MANAGEMENT}{name}")
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
        for (number, server) in servers.iter().enumerate() {
            text += &format!("  {server}: {{address: 10.0.1.{}}}\n", number + 1);
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
    fn ids_and_slots_cannot_be_mistaken_for_each_other() {
        let highest = ServiceNumber(ServiceNumber::MAX);
        assert_eq!(highest.first_slot(true) & DestinationId::FLAG, 0);
        assert_eq!(highest.destination(MAX_SERVER).get(), 0x87ff_ffff);
        assert_eq!(ServiceNumber(1).first_slot(false) - ServiceNumber(0).first_slot(true), 1 << 15);
    }
}
