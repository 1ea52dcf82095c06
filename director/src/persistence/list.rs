//! Listing entries.

use super::Row;
use crate::command::error::CommandError;
use crate::connections::Query;
use director_core::config::closest;
use director_core::ids::Registry;
use director_core::model::{Model, Network};
use director_core::persistence::{Client, Entry, Pins, Policies};
use director_core::plan::persistence_map;
use director_nft::netlink::{Error, Nft};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What it takes to look at entries.
#[derive(Debug, Clone)]
pub struct View {
    /// The configuration.
    pub model: Arc<Model>,
    /// Numbers of all names.
    pub registry: Arc<Registry>,
    /// Clients that are bound to a server.
    pub pins: Pins,
    /// The entries.
    pub table: Arc<dyn Table>,
}

/// The entries in the kernel, or others. Reading blocks while the kernel works.
pub trait Table: Debug + Send + Sync {
    /// Hands over the entries of a family, until `each` has seen enough.
    ///
    /// # Errors
    /// See [`Error`].
    fn each(&self, ipv6: bool, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Result<(), Error>;
}

/// The kernel's, of the network namespace that the process is in.
#[derive(Debug, Clone, Copy)]
pub struct Kernel;

impl Table for Kernel {
    fn each(&self, ipv6: bool, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Result<(), Error> {
        let read = Nft::open()?.each_dynamic(persistence_map(ipv6), |element| {
            super::entry(&element).map_or(ControlFlow::Continue(()), &mut *each)
        });
        match read {
            // No service has clients of that family.
            Err(error) if error.errno() == Some(Errno::ENOENT as i32) => Ok(()),
            result => result,
        }
    }
}

/// Entries that somebody asked for.
#[derive(Debug)]
pub struct Selection {
    table: Arc<dyn Table>,
    policies: Policies,
    /// Service and server by destination id.
    names: HashMap<u32, (Arc<str>, Arc<str>)>,
    /// Of these marks and servers only.
    mark: Option<u32>,
    server: Option<String>,
    clients: Option<Network>,
}

impl View {
    /// The entries that `query` describes.
    ///
    /// # Errors
    /// A service or server that there is not, or a service that has no entries.
    pub fn select(self, query: &Query) -> Result<Selection, CommandError> {
        let Self { model, registry, pins, table } = self;
        let mut mark = None;
        if let Some(name) = &query.service {
            let service = model.services.get(name).ok_or_else(|| {
                let suggestion = closest(name, model.services.keys().map(String::as_str)).map(str::to_owned);
                CommandError::UnknownService { name: name.clone(), suggestion }
            })?;
            service.persistence.ok_or_else(|| CommandError::NotPersistent(name.clone()))?;
            mark = Some(service.mark.get());
        }
        if let Some(server) = &query.server {
            let services = model.services.values().filter(|it| mark.is_none_or(|mark| it.mark.get() == mark));
            let names: BTreeSet<&str> =
                services.flat_map(|it| it.servers.keys().map(String::as_str)).collect();
            if !names.contains(server.as_str()) {
                let suggestion = closest(server, names).map(str::to_owned);
                let name = server.clone();
                return Err(match query.service.clone() {
                    Some(service) => CommandError::UnknownServer { service, name, suggestion },
                    None => CommandError::UnknownServerName { name, suggestion },
                });
            }
        }
        let mut names = HashMap::new();
        for service in model.services.values().filter(|service| service.persistence.is_some()) {
            let name: Arc<str> = service.name.as_str().into();
            for server in service.servers.keys() {
                if let Some(id) = registry.server(&service.name, server) {
                    names.insert(id.get(), (Arc::clone(&name), server.as_str().into()));
                }
            }
        }
        let policies = Policies::new(&model, &registry, &BTreeMap::new(), &pins);
        Ok(Selection { table, policies, names, mark, server: query.server.clone(), clients: query.client })
    }
}

impl Selection {
    /// Hands them over until `each` has seen enough, and then the pins that are not in place. Blocks while the kernel
    /// works.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn list(self, mut each: impl FnMut(&Row<'_>) -> ControlFlow<()>) -> Result<(), Error> {
        let mut pins: BTreeMap<Client, u32> = BTreeMap::new();
        for policy in self.policies.iter() {
            let clients = policy.pins.iter();
            pins.extend(clients.map(|(address, id)| (Client { address: *address, mark: policy.mark }, *id)));
        }
        let mut flow = ControlFlow::Continue(());
        for ipv6 in [false, true] {
            self.table.each(ipv6, &mut |entry| {
                let pin = pins.remove(&entry.client);
                flow = self.show(entry.client, Some(&entry), pin, &mut each);
                flow
            })?;
            if flow.is_break() {
                return Ok(());
            }
        }
        for (client, id) in pins {
            if self.show(client, None, Some(id), &mut each).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn show(
        &self,
        client: Client,
        entry: Option<&Entry>,
        pin: Option<u32>,
        each: &mut impl FnMut(&Row<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let named = |id: u32| self.names.get(&id).map(|(service, server)| (&**service, &**server));
        let destination = entry.map(|entry| entry.destination);
        let (there, pinned) = (destination.and_then(named), pin.and_then(named));
        let (server, pinned_to) = (there.map(|(_, server)| server), pinned.map(|(_, server)| server));
        let wanted = self.mark.is_none_or(|mark| client.mark == mark)
            && self.server.as_deref().is_none_or(|wanted| [server, pinned_to].contains(&Some(wanted)));
        let id = destination.or(pin);
        let bits = id.and_then(|id| self.policies.of(id)).map(|policy| policy.bits(client.address));
        let whole = if client.address.is_ipv6() { 128 } else { 32 };
        let network = Network::new(client.address, bits.unwrap_or(whole));
        let asked = match (self.clients, network) {
            (Some(clients), Some(network)) => {
                clients.contains(network.network()) || network.contains(clients.address())
            }
            _ => true,
        };
        if !wanted || !asked {
            return ControlFlow::Continue(());
        }
        let shown = network.map_or_else(|| client.address.to_string(), |network| network.to_string());
        each(&Row {
            client: shown.into(),
            service: there.or(pinned).map(|(service, _)| service.into()),
            server: server.map(Into::into),
            expires_seconds: entry.and_then(|entry| entry.left).map(|left| left.as_secs()),
            pinned_to: pinned_to.map(Into::into),
            destination,
        })
    }
}
