//! Ends connections that lead nowhere.
//!
//! Those of a server that is dead or gone are found by the destination id in their mark. Those that reached a VIP
//! while it had no rules (somebody flushed them, or the address was the host's own before) are not translated: each
//! would keep a client that does not change its port with the host's own sockets for as long as it sends. They may
//! have a mark: until it is answered, each packet of such a flow meets the rules, which can't translate it any more.
//! UDP flows of a sorry server that is no longer needed: a flow whose client goes on sending would never end by itself.
//!
//! Those of ports that are disabled: by the service in their mark, and the port that the client called.
//!
//! All is done once more a moment later: a first packet may have met the ruleset just before it changed, and be
//! recorded just after the flush.

use director_core::ids::ServiceNumber;
use director_core::model::{Model, PortRange, Protocol, Role};
use director_core::pool::{Offer, Offers, Serving};
use director_core::ports::subtract;
use director_nft::netlink::{Conntrack, Error, Filter, Flow};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// From the first flush to the second.
const AGAIN: Duration = Duration::from_millis(100);

/// So many connections are read before they are ended.
const BATCH: usize = 4096;

/// `IPS_DST_NAT`.
const TRANSLATED: u32 = 0x20;

/// Protocols that services have: tcp and udp.
const PROTOCOLS: [u8; 2] = [6, 17];

/// What to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Connections of the destination with this id.
    Destination(u32),
    /// UDP flows of the destination with this id.
    Flows(u32),
    /// Connections with this mark to ports that are disabled.
    Closed {
        /// Value of the mark's bits in `mask`.
        mark: u32,
        /// Bits that count.
        mask: u32,
    },
    /// Connections to public addresses that are not translated.
    Untranslated,
}

/// What to end, and when.
#[derive(Debug, Default)]
pub(super) struct Purge {
    due: Vec<(Instant, Due)>,
    sought: Vec<Sought>,
}

/// Many destinations, few of which may have connections: each flush walks the whole table.
#[derive(Debug)]
struct Sought {
    /// The first reading of the connections that tells which.
    reading: u64,
    ids: BTreeSet<u32>,
    /// They are ended once more a moment later.
    twice: bool,
}

impl Purge {
    /// Ends it now and once more.
    pub(super) fn add(&mut self, what: Due, now: Instant) {
        self.due.push((now, what));
        self.due.push((now + AGAIN, what));
    }

    /// Ends connections of those of many destinations that have some, as the reading with that number and all later
    /// ones tell: once, or now and once more.
    pub(super) fn seek(&mut self, ids: BTreeSet<u32>, reading: u64, twice: bool) {
        self.sought.push(Sought { reading, ids, twice });
    }

    /// True if [`Self::found`] may find some.
    pub(super) fn is_seeking(&self) -> bool {
        !self.sought.is_empty()
    }

    /// So many readings are over: the destinations that were sought and have connections.
    pub(super) fn found(&mut self, readings: u64, has: impl Fn(u32) -> bool, now: Instant) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        for sought in self.sought.extract_if(.., |sought| sought.reading <= readings) {
            let having = sought.ids.into_iter().filter(|id| has(*id));
            for id in having {
                found.insert(id);
                if sought.twice {
                    self.due.push((now + AGAIN, Due::Destination(id)));
                }
            }
        }
        found
    }

    /// When [`Self::take`] has something.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.iter().map(|(at, _)| *at).min()
    }

    /// What is due.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Due> {
        let (due, later) = self.due.drain(..).partition(|(at, _)| *at <= now);
        self.due = later;
        let due: Vec<(Instant, Due)> = due;
        due.into_iter().map(|(_, what)| what).collect()
    }
}

/// Ends UDP flows of a destination; how many. At most [`BATCH`] at a time.
///
/// # Errors
/// Conntrack refused; some may have ended.
pub(super) fn end_flows(conntrack: &mut Conntrack, id: u32) -> Result<usize, Error> {
    let filter = Filter { protocol: Some(Protocol::Udp.number()), ..Filter::mark(id, u32::MAX) };
    end(conntrack, &filter, |_| true)
}

/// Ends connections that `filter` lets through whose service has `ended` their port; how many. At most [`BATCH`] at a time.
///
/// # Errors
/// Conntrack refused; some may have ended.
pub(super) fn end_closed(
    conntrack: &mut Conntrack,
    filter: Filter,
    ended: &BTreeMap<ServiceNumber, &[PortRange]>,
) -> Result<usize, Error> {
    end(conntrack, &filter, |flow| is_closed(flow, ended))
}

fn is_closed(flow: &Flow, ended: &BTreeMap<ServiceNumber, &[PortRange]>) -> bool {
    let port = flow.original.destination_port;
    let ranges = ServiceNumber::of_mark(flow.mark).and_then(|service| ended.get(&service));
    ranges.is_some_and(|ranges| ranges.iter().any(|range| range.contains(flow.protocol, port)))
}

/// Services of which ports are disabled that were not in `before`.
pub(super) fn closed(before: &Offers, after: &Offers) -> Vec<String> {
    let more = |(name, before): &(&String, &Offer)| {
        after.get(*name).is_some_and(|after| !subtract(&after.ended_ports, &before.ended_ports).is_empty())
    };
    before.iter().filter(more).map(|(name, _)| name.clone()).collect()
}

/// Ends connections to `addresses` that are not translated; how many. At most [`BATCH`] at a time.
///
/// # Errors
/// Conntrack refused; some may have ended.
pub(super) fn end_untranslated(conntrack: &mut Conntrack, addresses: &[IpAddr]) -> Result<usize, Error> {
    let addresses: BTreeSet<IpAddr> = addresses.iter().copied().collect();
    let filter = Filter { status_without: TRANSLATED, ..Filter::default() };
    end(conntrack, &filter, |flow| {
        PROTOCOLS.contains(&flow.protocol) && addresses.contains(&flow.original.destination)
    })
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
        let sorry = service.servers.values().filter(|server| server.role == Role::Sorry);
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

fn end(conntrack: &mut Conntrack, filter: &Filter, wanted: impl Fn(&Flow) -> bool) -> Result<usize, Error> {
    let mut found = Vec::new();
    conntrack.visit(filter, |flow| {
        if wanted(flow) {
            found.push(flow.clone());
        }
        if found.len() < BATCH { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let mut ended = 0;
    for flow in &found {
        ended += usize::from(conntrack.delete(flow)?);
    }
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use director_core::config::load;
    use director_nft::netlink::Tuple;

    #[test]
    fn sorry_servers_are_relieved_by_regular_ones_only() {
        let text = "
version: 1
nodes: {lb1: {public: {interface: eth0, address: 192.168.1.33/24}, private: {interface: eth1, address: 10.0.1.33/24}}}
servers: {a: {address: 10.0.1.1}, b: {address: 10.0.1.2}}
services: {web: {vip: 192.168.1.35, ports: {tcp: 80}, servers: {a: {}}, sorry_server: {server: b}}}
";
        let model = load(text, "farm").unwrap_or_else(|report| panic!("{report}"));
        let serving = |serving| Offers::from([("web".to_owned(), Offer { serving, ..Offer::default() })]);
        let regular = serving(Serving::Regular { priority: 3 });
        let relieved = |before: &Offers, after: &Offers| {
            relieved(&model, before, after).map(|(_, server)| server.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(relieved(&serving(Serving::Sorry), &regular), ["b"]);
        assert!(relieved(&serving(Serving::Sorry), &serving(Serving::Nobody)).is_empty());
        assert!(relieved(&serving(Serving::Nobody), &regular).is_empty());
    }

    #[test]
    fn of_many_destinations_those_with_connections_are_found_by_the_reading_that_can_tell() {
        let now = Instant::now();
        let mut purge = Purge::default();
        purge.seek((1..100).collect(), 3, true);
        purge.seek([50, 200].into(), 4, false);
        assert!(purge.found(2, |_| true, now).is_empty());
        let has = |id| [7, 50, 200].contains(&id);
        assert_eq!(purge.found(3, has, now), [7, 50].into());
        assert_eq!(purge.take(now + AGAIN), [Due::Destination(7), Due::Destination(50)]);
        assert_eq!(purge.found(5, has, now), [50, 200].into());
        assert_eq!((purge.next(), purge.found(6, has, now).len()), (None, 0));
    }

    #[test]
    fn everything_is_ended_twice() {
        let now = Instant::now();
        let mut purge = Purge::default();
        let (seven, untranslated) = (Due::Destination(7), Due::Untranslated);
        purge.add(seven, now);
        purge.add(untranslated, now);
        assert_eq!(purge.take(now), [seven, untranslated]);
        assert!(purge.take(now).is_empty());
        assert_eq!(purge.next(), Some(now + AGAIN));
        assert_eq!(purge.take(now + AGAIN), [seven, untranslated]);
        assert_eq!(purge.next(), None);
    }

    #[test]
    fn a_connection_ends_by_its_service_and_the_port_that_was_called() {
        let tuple = |port| Tuple {
            source: [198, 51, 100, 7].into(),
            destination: [192, 168, 1, 35].into(),
            source_port: 40_000,
            destination_port: port,
        };
        let flow = |mark, protocol, port| Flow {
            id: 1,
            mark,
            protocol,
            original: tuple(port),
            reply: tuple(8080),
            tcp_state: None,
            status: 0,
            timeout: None,
            traffic: None,
        };
        let service = ServiceNumber::of_mark(0x8000_3001).unwrap();
        let ranges = [PortRange { protocol: Protocol::Tcp, first: 80, last: 82 }];
        let ended = BTreeMap::from([(service, &ranges[..])]);
        for (mark, protocol, port, ends) in [
            (0x8000_3001, 6, 80, true),
            (0x8000_3fff, 6, 82, true),
            (0x8000_3001, 6, 83, false),
            (0x8000_3001, 17, 80, false),
            (0x8000_2001, 6, 80, false),
            (0x0000_3001, 6, 80, false),
            (0x8000_3001, 6, 8080, false),
        ] {
            assert_eq!(is_closed(&flow(mark, protocol, port), &ended), ends, "{mark:x} {protocol} {port}");
        }
    }

    #[test]
    fn ports_that_become_disabled_are_told() {
        let offers = |ports: &[u16]| {
            let range = |port: &u16| PortRange { protocol: Protocol::Tcp, first: *port, last: *port };
            let ended_ports = ports.iter().map(range).collect();
            Offers::from([("web".to_owned(), Offer { ended_ports, ..Offer::default() })])
        };
        assert_eq!(closed(&offers(&[]), &offers(&[80])), ["web"]);
        assert_eq!(closed(&offers(&[80]), &offers(&[80, 81])), ["web"]);
        assert!(closed(&offers(&[80, 81]), &offers(&[80])).is_empty());
        assert!(closed(&offers(&[80]), &Offers::new()).is_empty());
    }
}
