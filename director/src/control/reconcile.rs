//! Brings the kernel to what it shall be.

use super::purge::Due;
use super::telling::Telling;
use super::{Control, addresses, clocks};
use crate::dataplane::{Skeleton, Synced};
use crate::decide::Situation;
use crate::redundancy::virtual_mac::{self, Virtuals};
use director_core::clocks::Clocks;
use director_core::pool::{Offer, Offers, Pool};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::block_in_place;

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

impl Scope<'_> {
    /// Addresses are compared too: there may be ten thousand, and weights have no part in them.
    fn is_around(self) -> bool {
        match self {
            Self::Everything | Self::Surroundings => true,
            Self::Service(_) | Self::Services(_) => false,
        }
    }
}

impl Control {
    /// Brings everything to what it shall be. Settings and addresses that can't be had stand in the status and are
    /// tried again; they are no reason to refuse a change.
    ///
    /// # Errors
    /// The ruleset is not as it shall be.
    pub(super) async fn reconcile(&mut self, scope: Scope<'_>) -> Result<(), String> {
        let started = Instant::now();
        let now = clocks();
        self.decide(scope, now);
        let overrides = self.memory.overrides().values().flatten();
        let lapses = overrides.filter_map(|(_, it)| it.next_change(now.wall));
        self.lapses = lapses.min();
        self.ramps = self.pools.values().filter_map(Pool::next_change).min();
        let ruleset = self.reconcile_ruleset();
        let mut errors: Vec<String> = ruleset.clone().err().into_iter().collect();
        let virtuals = virtual_mac::wanted(&self.configuration.model, &self.configuration.node);
        // Before their settings, and before addresses are ordered onto them.
        let doubt = std::mem::take(&mut self.virtuals_in_doubt) || virtual_mac::missing(&virtuals);
        if doubt {
            errors.extend(virtual_mac::make(&virtuals).await);
        }
        let settings = self.settings.apply();
        self.note_repairs("setting", settings.repaired);
        errors.extend(settings.errors);
        let mut failed = Vec::new();
        if scope.is_around() || self.addresses_in_doubt {
            failed = self.reconcile_addresses(&virtuals, ruleset.is_ok()).await;
            self.addresses_in_doubt = !failed.is_empty();
        }
        if doubt && ruleset.is_ok() {
            errors.extend(virtual_mac::clear(&virtuals).await);
        }
        self.virtuals_in_doubt = doubt && !errors.is_empty();
        errors.extend(failed);
        let changed = ruleset.as_ref().is_ok_and(|synced| synced.operations > 0);
        self.history.reconciled(&errors, changed.then(|| started.elapsed()));
        ruleset.map(|_| ())
    }

    /// Orders the addresses if the ruleset is there, without which a VIP would answer with the host's own sockets, and
    /// takes up what became of them. Returns what could not be done.
    async fn reconcile_addresses(&mut self, virtuals: &Virtuals, ruleset_is_there: bool) -> Vec<String> {
        let mut errors = Vec::new();
        if ruleset_is_there {
            let wanted = addresses::wanted(&self.configuration.model, &self.configuration.node);
            let (router, thread) = (self.router.as_ref(), &mut self.thread);
            let links = virtuals.keys().cloned().collect();
            errors.extend(self.addresses.order(wanted, links, router, thread, &mut self.memory).await);
        }
        let report = Arc::clone(&self.thread.addresses.borrow_and_update());
        let addresses = self.addresses.take(&report, &self.memory);
        self.note_repairs("address", addresses.repaired);
        errors.extend(addresses.errors);
        errors
    }

    /// Decides anew what servers may get, and notes what changed by it.
    pub(super) fn decide(&mut self, scope: Scope<'_>, now: Clocks) {
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
        self.end_connections(&changed);
        self.entries_after_sync(synced, &changed);
        log_changes(&changed, &self.offers, &mut self.telling);
        Ok(synced)
    }

    fn note_repairs(&mut self, kind: &str, repairs: u64) {
        if repairs > 0 {
            tracing::warn!(kind, repairs, "put right what somebody else changed");
            *self.history.reconcile.drift_repairs.entry(kind.to_owned()).or_default() += repairs;
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
fn log_changes(before: &Offers, after: &Offers, telling: &mut Telling) {
    let moment = Instant::now();
    for (service, offer) in before {
        if let Some(now) = after.get(service)
            && (offer.serving, offer.quorum.held) != (now.serving, now.quorum.held)
        {
            let (serving, quorum) = (now.serving, now.quorum);
            tracing::info!(service, %serving, quorum.held, quorum.weight, "service changed");
        }
        for (server, earlier) in &offer.servers {
            let Some(now) = after.get(service).and_then(|offer| offer.servers.get(server)) else { continue };
            let changed = earlier.state != now.state || earlier.weight != now.weight;
            if changed && telling.servers.take(moment) {
                let (state, weight, reason) = (now.state, now.weight.get(), &now.reason);
                tracing::info!(service, server, ?state, weight, reason, "server changed");
            }
        }
    }
}
