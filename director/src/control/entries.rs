//! Persistence entries: when rounds begin, what becomes of them, and what operators ask for.

use super::Control;
use super::keeping::Done;
use super::reading::Look;
use crate::command::EntryChange;
use crate::command::error::CommandError;
use crate::dataplane::{Kernel, Synced};
use crate::persistence::{View, carry_out, element, entry, key};
use director_core::ids::Registry;
use director_core::model::{Model, Network, Service};
use director_core::persistence::{Action, Client, Entry, Live, Pins, Policies, Policy, Rekey};
use director_core::plan::persistence_map;
use director_core::pool::{Offer, Offers};
use director_nft::netlink::{DynamicElement, Error, Put};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::block_in_place;

/// Most clients that can be pinned, over all services.
const MOST_PINS: usize = 16_384;

/// Tables with more entries are moved to new keys by a round, beside the loop.
const MOST_MOVED: usize = 262_144;

impl Control {
    /// Has a round over all entries begin, if it is time: once it is known who has connections.
    pub(super) fn keep_entries(&mut self) {
        if self.keeper.due().is_none_or(|due| due > Instant::now()) {
            return;
        }
        if self.policies().is_empty() || self.families().is_empty() {
            self.counting.count_entries(director_core::persistence::Report::default());
            self.keeper.rest();
            return;
        }
        self.keeper.wait();
        self.counting.schedule().next();
    }

    /// What a reading of the connections shall find out for the round that waits.
    pub(super) fn look(&mut self) -> Option<Look> {
        if !self.keeper.is_waiting() {
            return None;
        }
        self.keeper.look();
        let (model, policies) = (Arc::clone(&self.configuration.model), self.policies());
        Some(Look { model, policies, live: Live::default() })
    }

    /// Begins the round that waits, with what a reading found out.
    pub(super) fn looked(&mut self, look: Look, dumped: bool) {
        let families = self.families();
        if !dumped {
            self.keeper.postpone();
        } else if !Arc::ptr_eq(&look.model, &self.configuration.model) || families.is_empty() {
            self.keeper.begin_anew();
        } else {
            let cost = self.counting.schedule().cost();
            self.keeper.begin(look.policies, look.live, families, cost);
        }
    }

    /// A round is over.
    pub(super) fn entries_kept(&mut self, done: Done) {
        if let Some(report) = self.keeper.end(done) {
            self.counting.count_entries(report);
        }
    }

    /// After the ruleset was brought up to date: pins whose servers take clients back from now on are put in place,
    /// and what may have been lost with a map is brought back.
    pub(super) fn entries_after_sync(&mut self, synced: Synced, changed: &Offers) {
        let anew = synced.whole && synced.operations > 0;
        if anew {
            self.keeper.hurry();
        }
        if self.memory.pins().is_empty() {
            return;
        }
        let policies = self.policies();
        let mut puts = Vec::new();
        for (name, service) in &self.configuration.model.services {
            let before = if anew { None } else { changed.get(name) };
            let Some(pins) = self.memory.pins().get(name).filter(|_| anew || before.is_some()) else {
                continue;
            };
            let policy =
                |offers: &Offers| Policy::new(service, &self.registry, Offer::of(offers, name), Some(pins));
            let Some(now) = policy(&self.offers) else { continue };
            let before = policy(changed).filter(|_| before.is_some());
            let comes = |id: u32| now.admits(id) && !before.as_ref().is_some_and(|before| before.admits(id));
            puts.extend(now.pins.iter().filter(|(_, id)| comes(**id)).map(|(address, id)| {
                let client = Client { address: *address, mark: now.mark };
                let entry = Entry { client, destination: *id, left: None };
                Action::Put { entry, only_missing: false }
            }));
        }
        if !puts.is_empty()
            && let Err(error) =
                block_in_place(|| carry_out(self.dataplane.kernel_mut().nft(), &policies, puts))
        {
            tracing::warn!(%error, "not every pinned client is back at its server; it is tried again");
            self.keeper.hurry();
        }
    }

    /// Before a configuration comes into force under which packets look entries up by other keys: puts entries under
    /// those keys. What can't be moved loses its clients, no more.
    pub(super) fn move_entries(&mut self, model: &Model, registry: &Registry) {
        let (none, nothing) = (Pins::new(), Offers::new());
        let after = Policies::new(model, registry, &nothing, &none);
        let before = self.policies();
        let moves = |policy: &Policy| {
            let id = policy.destinations.keys().next().copied();
            let earlier = id.and_then(|id| before.of(id));
            earlier.is_some_and(|it| it.mark != policy.mark || it.granularity != policy.granularity)
        };
        if !after.iter().any(moves) {
            return;
        }
        let families = self.families();
        let moved = block_in_place(|| -> Result<(), Error> {
            let kernel = self.dataplane.kernel_mut();
            let mut rekey = Rekey::new(&after);
            let mut entries = Vec::new();
            for ipv6 in families {
                entries.extend(kernel.entries(persistence_map(ipv6), MOST_MOVED)?.iter().filter_map(entry));
            }
            entries.iter().for_each(|entry| rekey.find(entry));
            entries.iter().for_each(|entry| rekey.compare(entry));
            carry_out(kernel.nft(), &after, rekey.finish())
        });
        if let Err(error) = moved {
            tracing::warn!(%error, "not every persistence entry could be kept for the new configuration");
        }
    }

    /// What it takes to look at the entries.
    pub(super) fn entries_view(&self) -> View {
        View {
            model: Arc::clone(&self.configuration.model),
            registry: Arc::clone(&self.registry),
            pins: self.memory.pins().clone(),
            table: Arc::new(crate::persistence::Kernel),
        }
    }

    /// Deletes or pins an entry.
    pub(super) fn change_entry(
        &mut self,
        service: &str,
        client: Network,
        change: &EntryChange,
    ) -> Result<(), CommandError> {
        let found = self.find_service(service)?;
        let policy = self.policy_of(found).ok_or_else(|| CommandError::NotPersistent(service.to_owned()))?;
        let client = this_client(found, &policy, client)?;
        match change {
            EntryChange::Delete => self.delete_entry(service, &policy, client)?,
            EntryChange::Pin { server } => self.pin(service, server, &policy, client)?,
            EntryChange::Unpin => self.unpin(service, &policy, client)?,
        }
        tracing::info!(
            service,
            client = shown(&policy, client),
            ?change,
            "persistence entry changed by an operator"
        );
        self.keeper.hurry();
        Ok(())
    }

    fn delete_entry(&mut self, service: &str, policy: &Policy, client: Client) -> Result<(), CommandError> {
        let named = || (service.to_owned(), shown(policy, client));
        if policy.pins.contains_key(&client.address) {
            let (service, client) = named();
            return Err(CommandError::Pinned { service, client });
        }
        let map = persistence_map(client.address.is_ipv6());
        let deleted =
            block_in_place(|| self.dataplane.kernel_mut().nft().delete_dynamic(map, &[key(&client)]));
        if deleted.map_err(refused)? == 0 {
            let (service, client) = named();
            return Err(CommandError::NoEntry { service, client });
        }
        self.keeper.forget(client);
        Ok(())
    }

    fn pin(
        &mut self,
        service: &str,
        server: &str,
        policy: &Policy,
        client: Client,
    ) -> Result<(), CommandError> {
        self.find(service, server)?;
        let found = self.configuration.model.services.get(service).and_then(|it| it.servers.get(server));
        let id = self.registry.server(service, server).map(director_core::ids::DestinationId::get);
        let (Some(_), Some(id)) = (found.and_then(|it| it.address_for(client.address)), id) else {
            let family = if client.address.is_ipv6() { "IPv6" } else { "IPv4" };
            return Err(CommandError::Client(format!("server {server:?} has no {family} address for it")));
        };
        let before = self.memory.pins().clone();
        let mut pins = before.clone();
        let of_service = pins.entry(service.to_owned()).or_default();
        of_service.retain(|address, _| policy.client(*address) != client);
        of_service.insert(client.address, server.to_owned());
        if pins.values().map(BTreeMap::len).sum::<usize>() > MOST_PINS {
            return Err(CommandError::TooManyPins(MOST_PINS));
        }
        self.memory.set_pins(pins).map_err(not_recorded)?;
        self.keeper.remember(&client);
        if policy.admits(id)
            && let Err(error) = self.put(policy, Entry { client, destination: id, left: None })
        {
            self.memory.set_pins(before).map_err(not_recorded)?;
            return Err(refused(error));
        }
        Ok(())
    }

    /// The client keeps its server, for as long as others do.
    fn unpin(&mut self, service: &str, policy: &Policy, client: Client) -> Result<(), CommandError> {
        let mut pins = self.memory.pins().clone();
        let of_service = pins.entry(service.to_owned()).or_default();
        let count = of_service.len();
        of_service.retain(|address, _| policy.client(*address) != client);
        if of_service.len() == count {
            return Err(CommandError::NotPinned {
                service: service.to_owned(),
                client: shown(policy, client),
            });
        }
        pins.retain(|_, clients| !clients.is_empty());
        self.memory.set_pins(pins).map_err(not_recorded)?;
        let map = persistence_map(client.address.is_ipv6());
        let there = block_in_place(|| self.dataplane.kernel_mut().nft().dynamic_element(map, &key(&client)));
        let there = there.map_err(refused)?.as_ref().and_then(entry);
        if let Some(pinned) = there.filter(|it| it.left.is_none()) {
            self.put(policy, Entry { left: Some(policy.timeout), ..pinned }).map_err(refused)?;
        }
        Ok(())
    }

    fn put(&mut self, policy: &Policy, entry: Entry) -> Result<(), Error> {
        let element: DynamicElement = element(&entry, policy.timeout);
        let map = persistence_map(entry.client.address.is_ipv6());
        block_in_place(|| self.dataplane.kernel_mut().nft().put_dynamic(map, &[element], Put::Replace))
            .map(drop)
    }

    fn policies(&self) -> Policies {
        Policies::new(&self.configuration.model, &self.registry, &self.offers, self.memory.pins())
    }

    fn policy_of(&self, service: &Service) -> Option<Policy> {
        let offer = Offer::of(&self.offers, &service.name);
        Policy::new(service, &self.registry, offer, self.memory.pins().get(&service.name))
    }

    /// Families that have a table of entries.
    fn families(&self) -> Vec<bool> {
        let maps: Vec<&str> = self.dataplane.layout().iter().flat_map(|it| it.persistence_maps()).collect();
        [false, true].into_iter().filter(|ipv6| maps.contains(&persistence_map(*ipv6))).collect()
    }
}

/// The client of a service that an operator means: one of its addresses, or its network.
fn this_client(service: &Service, policy: &Policy, given: Network) -> Result<Client, CommandError> {
    let (address, ipv6) = (given.address(), given.address().is_ipv6());
    let (family, name) = (if ipv6 { "IPv6" } else { "IPv4" }, &service.name);
    if !service.vips.iter().any(|vip| vip.is_ipv6() == ipv6) {
        return Err(CommandError::Client(format!("service {name:?} has no {family} clients")));
    }
    let client = policy.client(address);
    if given.is_host() || given.length() == policy.bits(address) && given.network() == client.address {
        return Ok(client);
    }
    let reason = format!(
        "{given} is no client of service {name:?}: its {family} clients are networks of {} bits, as {}",
        policy.bits(address),
        shown(policy, client)
    );
    Err(CommandError::Client(reason))
}

/// The client's network.
fn shown(policy: &Policy, client: Client) -> String {
    format!("{}/{}", client.address, policy.bits(client.address))
}

fn refused(error: Error) -> CommandError {
    CommandError::Kernel(error.to_string())
}

fn not_recorded(error: crate::state::StateError) -> CommandError {
    CommandError::State(error.to_string())
}
