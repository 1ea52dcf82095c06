//! Which maps and chains a model needs, and how large the maps are.

use super::limit;
use super::maps::{GC_INTERVAL, address_type, dynamic, handshakes, ranges};
use super::names::{FAMILIES, FLOODED, FamilyNames, LIMITED, Profile, SLOTS, SOURCES, TRANSLATION};
use crate::model::{Model, PortMap, Protocol, Service};
use crate::pool::needs_loads;
use director_nft::ir::{DataType, EventMask, Map, MapData, MapSpec, Ruleset, Statement};
use director_nft::observed::Observed;
use std::collections::{BTreeMap, BTreeSet};

/// Smallest size of a map: room to grow without being made anew.
const SMALLEST: usize = 512;

/// The maps of a model, and the shared chains it needs.
///
/// A fixed size picks the kernel's cheaper hash, but is set once for a map's life: so sizes are rounded up
/// generously, and a layout that has become too small is told by [`Layout::fits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    specs: BTreeMap<&'static str, MapSpec>,
    profiles: BTreeSet<Profile>,
    /// Somebody has to know of connections as they come and go.
    listens: bool,
    /// There is, or was, SYN protection.
    proxied: bool,
    /// Sets of buckets for rate limits, by name: whether they are for IPv6.
    buckets: BTreeMap<String, bool>,
}

impl Layout {
    /// The layout for `model` whose services take `slots` slots now ([`super::slot_count`]). Maps get no smaller
    /// than `previous` has them, so that a shrinking model changes nothing.
    #[must_use]
    pub fn new(model: &Model, slots: usize, previous: Option<&Self>) -> Self {
        let mut layout = Self {
            specs: BTreeMap::new(),
            profiles: BTreeSet::new(),
            listens: model.services.values().any(needs_loads),
            proxied: previous.is_some_and(|it| it.proxied),
            buckets: BTreeMap::new(),
        };
        for names in &FAMILIES {
            layout.family(model, names);
        }
        let limited = model.services.values().filter(|service| service.rate_limit.is_some()).count();
        if limited > 0 {
            layout.add(LIMITED, &[DataType::Mark], MapData::Verdict, limited);
            layout.count(LIMITED);
        }
        let full_nat = model.services.values().filter(|service| service.full_nat).count();
        if full_nat > 0 {
            layout.add(SOURCES, &[DataType::Mark], MapData::Verdict, full_nat);
        }
        if model.services.values().any(is_protected) {
            layout.proxied = true;
            layout.specs.insert(FLOODED, handshakes(&[DataType::Mark]));
        }
        layout.add(SLOTS, &[DataType::Mark], MapData::Values(vec![DataType::Mark]), slots);
        if let Some(previous) = previous {
            layout.keep_sizes(|map| previous.specs.get(map));
        }
        layout
    }

    /// Leaves SYN protection out: the kernel has no SYN proxy.
    pub fn leave_unprotected(&mut self) {
        let ours = |names: &FamilyNames| {
            [names.shields, names.shield_ranges, names.handshakes, names.proofs, names.proven]
        };
        for map in FAMILIES.iter().flat_map(ours).chain([FLOODED]) {
            self.specs.remove(map);
        }
        self.proxied = false;
    }

    /// Keeps the sizes of maps that are there already: making a map anew loses its counters. And keeps what connections
    /// rest on that began under protection.
    pub fn adopt(&mut self, observed: &Observed) {
        self.proxied |= observed.chains.contains_key(TRANSLATION);
        self.keep_sizes(|map| observed.maps.get(map)?.spec.as_ref());
    }

    /// True if the slot map has room for `slots` slots.
    #[must_use]
    pub fn fits(&self, slots: usize) -> bool {
        self.specs.get(SLOTS).and_then(|spec| spec.size).is_some_and(|size| slots <= size as usize)
    }

    /// Names of the maps whose elements count: connections of a server, or clients of a service that found no room for
    /// an entry.
    pub fn counting_maps(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.specs.iter().filter(|(_, spec)| spec.counter).map(|(name, _)| *name)
    }

    /// Names of the maps that hold persistence entries.
    pub fn persistence_maps(&self) -> impl Iterator<Item = &'static str> + '_ {
        FAMILIES.iter().map(|names| names.persist).filter(|map| self.has(map))
    }

    /// Sets which events conntrack tells of a service's connections (`None`: of a management address's). Nothing while
    /// nobody listens: the kernel makes no events then. Otherwise a connection that nobody has to know of is
    /// spared telling.
    pub(super) fn events(&self, service: Option<&Service>) -> Option<Statement> {
        let wanted = if service.is_some_and(needs_loads) {
            EventMask::NEW | EventMask::DESTROY | EventMask::PROTOINFO
        } else {
            EventMask::default()
        };
        self.listens.then_some(Statement::SetEvents(wanted))
    }

    /// There is, or was, SYN protection.
    pub(super) fn proxied(&self) -> bool {
        self.proxied
    }

    pub(super) fn has(&self, map: &str) -> bool {
        self.specs.contains_key(map)
    }

    pub(super) fn profiles(&self) -> impl Iterator<Item = Profile> + '_ {
        self.profiles.iter().copied()
    }

    /// Every map of the layout, empty.
    pub(super) fn maps(&self) -> Ruleset {
        let maps = self
            .specs
            .iter()
            .map(|(name, spec)| ((*name).to_owned(), Map { spec: spec.clone(), elements: BTreeMap::new() }));
        let buckets = self.buckets.iter().map(|(name, ipv6)| {
            let key = [address_type(*ipv6), DataType::Mark];
            let spec = dynamic(&key, &[], limit::MAX_CLIENTS, GC_INTERVAL);
            (name.clone(), Map { spec, elements: BTreeMap::new() })
        });
        Ruleset { chains: BTreeMap::new(), maps: maps.chain(buckets).collect() }
    }

    fn family(&mut self, model: &Model, names: &FamilyNames) {
        use DataType::{InetProto, InetService, Mark};
        let needs = Needs::of(model, names.ipv6);
        if needs.addresses == 0 {
            return;
        }
        let address = address_type(names.ipv6);
        self.add(names.vips, &[address, InetProto, InetService], MapData::Verdict, needs.ports);
        if needs.ranges {
            self.specs.insert(names.ranges, ranges(address, MapData::Verdict));
        }
        self.add(names.addresses, &[address], MapData::Verdict, needs.addresses);
        self.add(names.dests, &[Mark], MapData::Values(vec![address]), needs.dests);
        self.count(names.dests);
        if needs.port_dests > 0 {
            let data = MapData::Values(vec![address, InetService]);
            self.add(names.port_dests, &[Mark, InetService], data, needs.port_dests);
            self.count(names.port_dests);
        }
        self.buckets.extend(needs.buckets.into_iter().map(|name| (name, names.ipv6)));
        if needs.shielded > 0 {
            let mark = MapData::Values(vec![Mark]);
            self.add(names.shields, &[address, InetProto, InetService], mark.clone(), needs.shields);
            if needs.shield_ranges {
                self.specs.insert(names.shield_ranges, ranges(address, mark));
            }
            self.specs.insert(names.handshakes, handshakes(&[address, InetService, Mark]));
            self.add(names.proven, &[Mark], MapData::Verdict, needs.shielded);
        }
        if needs.proofs > 0 {
            self.add(names.proofs, &[Mark], MapData::Verdict, needs.proofs);
        }
        if !needs.profiles.is_empty() {
            let spec = dynamic(&[address, Mark], &[Mark], model.persistence_limit, GC_INTERVAL);
            self.specs.insert(names.persist, spec);
            self.profiles.extend(needs.profiles);
            self.add(names.overflow, &[Mark], MapData::Verdict, needs.persistent);
            self.count(names.overflow);
        }
    }

    fn add(&mut self, name: &'static str, key: &[DataType], data: MapData, elements: usize) {
        let size = (elements + elements / 4).max(SMALLEST).next_power_of_two();
        let size = Some(u32::try_from(size).unwrap_or(u32::MAX));
        self.specs.insert(name, MapSpec { key: key.to_vec(), data, size, ..MapSpec::default() });
    }

    fn count(&mut self, name: &'static str) {
        if let Some(spec) = self.specs.get_mut(name) {
            spec.counter = true;
        }
    }

    /// Maps that packets fill have the size that the configuration says; all others are no smaller than in `there`.
    fn keep_sizes<'a>(&mut self, there: impl Fn(&str) -> Option<&'a MapSpec>) {
        for (name, spec) in self.specs.iter_mut().filter(|(_, spec)| !spec.dynamic) {
            spec.size = spec.size.max(there(name).and_then(|there| there.size));
        }
    }
}

/// What a family needs room for.
#[derive(Default)]
struct Needs {
    ports: usize,
    ranges: bool,
    addresses: usize,
    dests: usize,
    port_dests: usize,
    persistent: usize,
    profiles: BTreeSet<Profile>,
    buckets: BTreeSet<String>,
    shielded: usize,
    shields: usize,
    shield_ranges: bool,
    proofs: usize,
}

impl Needs {
    fn of(model: &Model, ipv6: bool) -> Self {
        let mut needs = Self {
            addresses: model.public_addresses().iter().filter(|address| address.is_ipv6() == ipv6).count(),
            dests: model.management.values().filter(|it| it.vip.is_ipv6() == ipv6).count(),
            ..Self::default()
        };
        for service in model.services.values() {
            let vips = service.vips.iter().filter(|vip| vip.is_ipv6() == ipv6).count();
            if vips == 0 {
                continue;
            }
            let mapped = maps_ports(service);
            let single = service.ports.iter().filter(|range| range.first == range.last).count();
            needs.ports += vips * single;
            needs.ranges |= single < service.ports.len();
            needs.dests += service.servers.len();
            if mapped {
                needs.port_dests += service.servers.len() * distinct_ports(service).len();
            }
            needs.buckets.extend(service.rate_limit.map(|limit| limit::buckets(ipv6, limit)));
            if is_protected(service) {
                needs.shielded += 1;
                needs.shields += vips * single;
                needs.shield_ranges |= single < service.ports.len();
                needs.proofs += usize::from(service.rate_limit.is_some());
            }
            if let Some(persistence) = service.persistence {
                needs.persistent += 1;
                needs.profiles.insert(Profile::of(persistence, ipv6, mapped));
            }
        }
        needs
    }
}

/// True if a server of the service has another port than the service.
pub(super) fn maps_ports(service: &Service) -> bool {
    service.servers.values().any(|server| server.ports != PortMap::Keep)
}

/// Every port of the service, whatever the protocol.
pub(super) fn distinct_ports(service: &Service) -> BTreeSet<u16> {
    service.ports.iter().flat_map(|range| range.first..=range.last).collect()
}

/// True if the service asks for SYN protection, and has a port that can be protected.
pub(super) fn is_protected(service: &Service) -> bool {
    service.syn_protection && service.ports.iter().any(|range| range.protocol == Protocol::Tcp)
}
