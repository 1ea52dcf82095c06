//! Brings the kernel to what it shall be.

use super::purge::{self, Due};
use super::{Control, addresses, unix_now};
use crate::dataplane::{Skeleton, Synced};
use crate::decide::Situation;
use director_core::ids::DestinationId;
use director_core::model::Model;
use director_core::pool::{Offer, Offers, Pool};
use director_nft::netlink::Filter;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::block_in_place;

/// So many destinations are flushed without asking which of them have connections.
const FEW: usize = 8;

/// What may have changed.
#[derive(Clone, Copy)]
pub(super) enum Scope<'a> {
    /// All services, and what is around them.
    Everything,
    /// One service.
    Service(&'a str),
    /// Some services.
    Services(&'a BTreeSet<String>),
    /// Addresses and settings.
    Surroundings,
}

impl Control {
    /// Brings everything to what it shall be. Settings and addresses that can't be had stand in the status and are
    /// tried again; they are no reason to refuse a change.
    ///
    /// # Errors
    /// The ruleset is not as it shall be.
    pub(super) async fn reconcile(&mut self, scope: Scope<'_>) -> Result<(), String> {
        let started = Instant::now();
        let now = unix_now();
        self.decide(scope, now);
        let overrides = self.memory.overrides().values().flatten();
        let lapses = overrides.filter_map(|(_, it)| it.next_change(now));
        self.lapses = lapses.chain(self.pools.values().filter_map(Pool::next_change)).min();
        let ruleset = self.reconcile_ruleset();
        let mut errors: Vec<String> = ruleset.clone().err().into_iter().collect();
        let settings = self.settings.apply();
        self.note_repairs("setting", settings.repaired);
        errors.extend(settings.errors);
        // Without a ruleset a VIP would answer with the host's own sockets.
        if ruleset.is_ok() && self.addresses.uncertain() {
            let wanted = addresses::wanted(&self.configuration.model, &self.configuration.node);
            let addresses = self.addresses.keep(&wanted, &mut self.memory).await;
            self.note_repairs("address", addresses.repaired);
            errors.extend(addresses.errors);
        }
        let changed = ruleset.as_ref().is_ok_and(|synced| synced.operations > 0);
        self.history.reconciled(&errors, changed.then(|| started.elapsed()));
        ruleset.map(|_| ())
    }

    /// Decides anew what servers may get, and notes what changed by it.
    pub(super) fn decide(&mut self, scope: Scope<'_>, now: u64) {
        let model = &self.configuration.model;
        let (verdicts, overrides, demands) = (&self.verdicts, self.memory.overrides(), &self.demands);
        let ports = self.memory.ports();
        let situation = Situation { model, verdicts, overrides, ports, demands, now };
        match scope {
            Scope::Surroundings => {}
            Scope::Service(name) => {
                if let Some(service) = model.services.get(name) {
                    let offer = situation.offer(service, &mut self.pools);
                    note(&mut self.offers, &mut self.changed, name, offer);
                }
            }
            Scope::Services(names) => {
                for service in names.iter().filter_map(|name| model.services.get(name)) {
                    let offer = situation.offer(service, &mut self.pools);
                    note(&mut self.offers, &mut self.changed, &service.name, offer);
                }
            }
            Scope::Everything => {
                let decided = situation.offers(&mut self.pools);
                for (name, before) in std::mem::replace(&mut self.offers, decided) {
                    if self.offers.get(&name) != Some(&before) {
                        self.changed.entry(name).or_insert(before);
                    }
                }
            }
        }
    }

    pub(super) fn reconcile_ruleset(&mut self) -> Result<Synced, String> {
        let skeleton = Skeleton {
            model: Arc::clone(&self.configuration.model),
            node: Arc::clone(&self.configuration.node),
            registry: Arc::clone(&self.registry),
        };
        let (offers, connections) = (&self.offers, self.counting.connections());
        let synced = block_in_place(|| self.dataplane.sync(&skeleton, offers, &self.changed, connections));
        let synced = synced.map_err(|error| error.to_string())?;
        if synced.retired {
            // The kernel has them no longer.
            self.recorder.hurry(Instant::now());
        }
        if std::mem::take(&mut self.drift.repairing) && synced.operations > 0 {
            self.note_repairs("ruleset", 1);
            self.purge.add(Due::Untranslated, Instant::now());
        }
        let changed = std::mem::take(&mut self.changed);
        for (service, server) in purge::died(&changed, &self.offers) {
            if let Some(id) = self.registry.server(&service, &server) {
                self.purge.add(Due::Destination(id.get()), Instant::now());
            }
        }
        for (service, server) in purge::relieved(&self.configuration.model, &changed, &self.offers) {
            if let Some(id) = self.registry.server(service, server) {
                self.purge.add(Due::Flows(id.get()), Instant::now());
            }
        }
        self.end_closed(purge::closed(&changed, &self.offers));
        self.flush_connections();
        self.entries_after_sync(synced, &changed);
        log_changes(&changed, &self.offers);
        Ok(synced)
    }

    fn end_destinations(&mut self, ids: BTreeSet<u32>) {
        for id in ids {
            match block_in_place(|| self.conntrack.flush_mark(id, u32::MAX)) {
                Ok(()) => tracing::debug!(destination = format!("0x{id:08x}"), "connections ended"),
                Err(error) => tracing::error!(%error, "can't end connections of a dead server"),
            }
        }
    }

    fn note_repairs(&mut self, kind: &str, repairs: u64) {
        if repairs > 0 {
            tracing::warn!(kind, repairs, "put right what somebody else changed");
            *self.history.reconcile.drift_repairs.entry(kind.to_owned()).or_default() += repairs;
        }
    }

    /// Ends connections of servers that are gone: dead when an earlier run ended, or drained to the end, or no longer
    /// configured where their service says so (or said so in the configuration `before`, if it is gone too).
    pub(super) fn bury(&mut self, before: Option<&Model>) {
        let model = &self.configuration.model;
        let expires = |service: &str| {
            let service = model.services.get(service).or_else(|| before?.services.get(service));
            service.is_none_or(|service| service.quiescence.expire_nodest_conn)
        };
        let gone = self.registry.unconfigured(model).filter(|(service, _, _)| expires(service));
        let dead = self.offers.iter().flat_map(|(service, offer)| {
            let dead = offer.servers.iter().filter(|(_, it)| !it.keeps_connections);
            dead.filter_map(|(server, _)| self.registry.server(service, server))
        });
        let gone: BTreeSet<u32> = gone.map(|(_, _, id)| id).chain(dead).map(DestinationId::get).collect();
        if !gone.is_empty() {
            let reading = self.counting.schedule().next();
            self.purge.seek(gone, reading, true);
        }
    }

    /// A reading has told who has connections: ends those of servers that are gone.
    pub(super) fn end_found(&mut self) {
        if !self.purge.is_seeking() {
            return;
        }
        let (readings, flows) = (self.counting.schedule().over(), self.counting.flows());
        // Some may be back meanwhile.
        let registry = &self.registry;
        let keeps = self.offers.iter().flat_map(|(service, offer)| {
            let keeps = offer.servers.iter().filter(|(_, it)| it.keeps_connections);
            keeps.filter_map(|(server, _)| registry.server(service, server)).map(DestinationId::get)
        });
        let keeps: BTreeSet<u32> = keeps.collect();
        let ends = |id| flows.has_connections(id) && !keeps.contains(&id);
        let found = self.purge.found(readings, ends, Instant::now());
        if !found.is_empty() {
            tracing::info!(servers = found.len(), "ending connections of servers that are gone");
            self.end_destinations(found);
        }
    }

    /// Has connections ended whose ports are disabled, of these services.
    pub(super) fn end_closed(&mut self, services: Vec<String>) {
        let (mark, mask) = match services.as_slice() {
            [] => return,
            [service] => match self.registry.service(service) {
                Some(number) => number.destinations(),
                None => return,
            },
            // Each look walks the whole table.
            _ => (DestinationId::FLAG, DestinationId::FLAG),
        };
        self.purge.add(Due::Closed { mark, mask }, Instant::now());
    }

    /// Ends the connections whose time has come.
    pub(super) fn flush_connections(&mut self) {
        let due = self.purge.take(Instant::now());
        let destination = |what: &Due| match what {
            Due::Destination(id) => Some(*id),
            Due::Flows(_) | Due::Closed { .. } | Due::Untranslated => None,
        };
        let ids: BTreeSet<u32> = due.iter().filter_map(destination).collect();
        if ids.len() > FEW {
            let reading = self.counting.schedule().next();
            self.purge.seek(ids, reading, false);
        } else {
            self.end_destinations(ids);
        }
        for what in due {
            let ended = block_in_place(|| match what {
                Due::Destination(_) => Ok(0),
                Due::Flows(id) => purge::end_flows(&mut self.conntrack, id),
                Due::Closed { mark, mask } => {
                    let ended = self.offers.iter().filter(|(_, offer)| !offer.ended_ports.is_empty());
                    let ended = ended.filter_map(|(service, offer)| {
                        Some((self.registry.service(service)?, offer.ended_ports.as_slice()))
                    });
                    purge::end_closed(&mut self.conntrack, Filter::mark(mark, mask), &ended.collect())
                }
                Due::Untranslated => {
                    let addresses = self.configuration.model.public_addresses();
                    purge::end_untranslated(&mut self.conntrack, &addresses)
                }
            });
            match ended {
                Ok(0) => {}
                Ok(ended) => {
                    tracing::info!(ended, ?what, "connections that lead nowhere ended");
                    // There may be more than are ended at a time.
                    self.purge.add(what, Instant::now());
                }
                Err(error) => tracing::error!(%error, ?what, "can't end connections that lead nowhere"),
            }
        }
    }
}

/// Takes a new offer in place of the one before.
fn note(offers: &mut Offers, changed: &mut Offers, service: &str, offer: Offer) {
    let before = offers.insert(service.to_owned(), offer).unwrap_or_default();
    if offers.get(service) != Some(&before) {
        changed.entry(service.to_owned()).or_insert(before);
    }
}

/// Logs what changed for services and servers.
fn log_changes(before: &Offers, after: &Offers) {
    for (service, offer) in before {
        if let Some(now) = after.get(service)
            && (offer.serving, offer.quorum.held) != (now.serving, now.quorum.held)
        {
            let (serving, quorum) = (now.serving, now.quorum);
            tracing::info!(service, %serving, quorum.held, quorum.weight, "service changed");
        }
        for (server, earlier) in &offer.servers {
            let Some(now) = after.get(service).and_then(|offer| offer.servers.get(server)) else { continue };
            if earlier.state != now.state || earlier.weight != now.weight {
                let (state, weight, reason) = (now.state, now.weight.get(), &now.reason);
                tracing::info!(service, server, ?state, weight, reason, "server changed");
            }
        }
    }
}
