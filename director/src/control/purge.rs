//! Ends connections of servers that are dead or gone, and UDP flows of sorry servers that are no longer needed: a
//! flow whose client goes on sending would never end by itself.
//!
//! The kernel's entries are flushed by the destination id in their mark, and once more a moment later: a first
//! packet may have chosen the server just before the ruleset changed, and be recorded just after the flush.

use crate::decide::Offers;
use director_core::model::{Model, Protocol, Role};
use director_core::pool::Serving;
use director_nft::netlink::{Conntrack, Error, Filter};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// From the first flush to the second.
const AGAIN: Duration = Duration::from_millis(100);

/// What of a destination ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Everything.
    Connections,
    /// Its UDP flows.
    Flows,
}

/// Destination ids to flush, and when.
#[derive(Debug, Default)]
pub(super) struct Purge {
    due: Vec<(Instant, u32, What)>,
}

impl Purge {
    /// Flushes `id` now and once more.
    pub(super) fn add(&mut self, id: u32, what: What, now: Instant) {
        self.due.push((now, id, what));
        self.due.push((now + AGAIN, id, what));
    }

    /// When [`Self::take`] has something.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.iter().map(|(at, _, _)| *at).min()
    }

    /// The ids whose time has come.
    pub(super) fn take(&mut self, now: Instant) -> Vec<(u32, What)> {
        let (due, later) = self.due.drain(..).partition(|(at, _, _)| *at <= now);
        self.due = later;
        let due: Vec<(Instant, u32, What)> = due;
        due.into_iter().map(|(_, id, what)| (id, what)).collect()
    }
}

/// Ends the UDP flows of a destination.
pub(super) fn end_flows(conntrack: &mut Conntrack, id: u32) -> Result<(), Error> {
    /// So many are read before they are ended.
    const PIECE: usize = 4_096;
    let filter = Filter { protocol: Some(Protocol::Udp.number()), ..Filter::mark(id, u32::MAX) };
    loop {
        let mut flows = Vec::new();
        conntrack.visit(&filter, |flow| {
            flows.push(flow.clone());
            if flows.len() < PIECE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let mut ended = 0;
        for flow in &flows {
            ended += usize::from(conntrack.delete(flow)?);
        }
        if flows.len() < PIECE || ended == 0 {
            return Ok(());
        }
    }
}

/// Sorry servers that served in `before` and make way for regular ones, as (service, server).
pub(super) fn relieved<'a>(
    model: &'a Model,
    before: &'a Offers,
    after: &'a Offers,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let regular = |serving| matches!(serving, Serving::Regular { .. });
    let services = before.iter().filter(move |(name, offer)| {
        offer.serving == Serving::Sorry && after.get(*name).is_some_and(|now| regular(now.serving))
    });
    services.filter_map(|(name, _)| model.services.get(name)).flat_map(|service| {
        let sorry = service.servers.values().filter(|server| matches!(server.role, Role::Sorry { .. }));
        sorry.map(|server| (service.name.as_str(), server.name.as_str()))
    })
}

/// Servers of the services in `before` that kept their connections and shall not from now on, as (service, server).
pub(super) fn died(before: &Offers, after: &Offers) -> Vec<(String, String)> {
    let mut died = Vec::new();
    for (service, earlier) in before {
        for (server, now) in after.get(service).into_iter().flat_map(|offer| &offer.servers) {
            let kept = earlier.servers.get(server).is_none_or(|it| it.keeps_connections);
            if kept && !now.keeps_connections {
                died.push((service.clone(), server.clone()));
            }
        }
    }
    died
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_flushed_twice() {
        let now = Instant::now();
        let mut purge = Purge::default();
        purge.add(7, What::Flows, now);
        assert_eq!(purge.take(now), [(7, What::Flows)]);
        assert!(purge.take(now).is_empty());
        assert_eq!(purge.next(), Some(now + AGAIN));
        assert_eq!(purge.take(now + AGAIN), [(7, What::Flows)]);
        assert_eq!(purge.next(), None);
    }
}
