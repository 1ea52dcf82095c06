//! Connections that have to end: when that is decided, and carried out.

use super::Control;
use super::purge::{self, Due};
use director_core::ids::DestinationId;
use director_core::model::Model;
use director_core::pool::Offers;
use director_nft::netlink::Filter;
use std::collections::BTreeSet;
use std::time::Instant;
use tokio::task::block_in_place;

/// So many destinations are flushed without asking which of them have connections.
const FEW: usize = 8;

impl Control {
    /// The kernel has new offers in the place of those `before`: ends what no longer has a server or a port.
    pub(super) fn end_connections(&mut self, before: &Offers) {
        for (service, server) in purge::died(before, &self.offers) {
            if let Some(id) = self.registry.server(&service, &server) {
                self.purge.add(Due::Destination(id.get()), Instant::now());
            }
        }
        for (service, server) in purge::relieved(&self.configuration.model, before, &self.offers) {
            if let Some(id) = self.registry.server(service, server) {
                self.purge.add(Due::Flows(id.get()), Instant::now());
            }
        }
        self.end_closed(purge::closed(before, &self.offers));
        self.flush_connections();
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

    fn end_destinations(&mut self, ids: BTreeSet<u32>) {
        for id in ids {
            match block_in_place(|| self.conntrack.flush_mark(id, u32::MAX)) {
                Ok(()) => tracing::debug!(destination = format!("0x{id:08x}"), "connections ended"),
                Err(error) => tracing::error!(%error, "can't end connections of a dead server"),
            }
        }
    }
}
