//! The virtual services.

use super::addresses::{Addresses, Owner};
use super::marks::Marks;
use super::nodes::{check_public, family};
use super::ports::{self, Claims, Placed};
use super::probes::Probes;
use super::servers::Servers;
use super::{entries, one_or_several, scheduler, unsupported};
use crate::config::decode::{Entry, Spanned};
use crate::config::raw;
use crate::config::report::Diagnostics;
use crate::model::{
    Model, Node, Persistence, Protocol, Quiescence, Quorum, RealServer, Role, Service, Weight,
};
use std::collections::BTreeMap;
use std::net::IpAddr;

const MAX_SERVICES: usize = 16_384;
const MAX_SERVERS: usize = 4_095;
const MAX_VIPS: usize = 256;
const MAX_PROBES: usize = 64;

/// What services refer to.
pub(super) struct Context<'c, 'a> {
    pub(super) nodes: &'c BTreeMap<String, Node>,
    pub(super) marks: &'c Marks<'a>,
    pub(super) servers: &'c mut Servers<'a>,
    pub(super) probes: &'c mut Probes<'a>,
    pub(super) addresses: &'c mut Addresses<'a>,
    pub(super) errors: &'c mut Diagnostics,
}

/// The services by name: all of them, if nothing was reported.
pub(super) fn build<'a>(file: &'a raw::File, context: &mut Context<'_, 'a>) -> BTreeMap<String, Service> {
    let entries = entries(file.services.as_ref());
    if let Some(extra) = entries.get(MAX_SERVICES) {
        let message = format!("there are {} services; at most {MAX_SERVICES} are allowed", entries.len());
        context.errors.error(extra.span, message);
    }
    let placed: Vec<Vec<Placed>> = entries
        .iter()
        .map(|entry| {
            let ports = entry.value.as_ref().and_then(|service| service.ports.as_ref());
            ports.map(|ports| ports::ranges(ports, context.errors)).unwrap_or_default()
        })
        .collect();
    let mut claims = Claims::default();
    let mut services = BTreeMap::new();
    for (entry, ports) in entries.iter().zip(&placed) {
        let Some(raw) = &entry.value else { continue };
        for vip in vips(raw) {
            claims.add(&entry.name, vip.value, ports);
        }
        if let Some(service) = service(entry, raw, ports, context) {
            services.insert(entry.name.clone(), service);
        }
    }
    claims.report_overlaps(context.errors);
    services
}

fn vips(raw: &raw::Service) -> impl Iterator<Item = &Spanned<IpAddr>> {
    one_or_several(raw.vip.as_ref(), raw.vips.as_ref())
}

fn service<'a>(
    entry: &'a Entry<raw::Service>,
    raw: &'a raw::Service,
    ports: &[Placed],
    context: &mut Context<'_, 'a>,
) -> Option<Service> {
    unsupported::service(raw, context.errors);
    let servers = servers(raw, ports, context);
    let vips = checked_vips(&entry.name, raw, &servers, context);
    let probes = probes(raw, ports, context);
    let default = Quiescence::default();
    let switch = |key: &Option<Spanned<bool>>, default| key.as_ref().map_or(default, |it| it.value);
    Some(Service {
        name: entry.name.clone(),
        mark: context.marks.service(&entry.name)?,
        vips,
        ports: ports.iter().map(|placed| placed.range).collect(),
        scheduler: scheduler::build(raw, context.errors),
        persistence: raw.persistence.as_ref().map(|raw| persistence(raw, context.errors)),
        quiescence: Quiescence {
            quiescent: switch(&raw.quiescent, default.quiescent),
            expire_quiescent_template: switch(
                &raw.expire_quiescent_template,
                default.expire_quiescent_template,
            ),
            expire_nodest_conn: switch(&raw.expire_nodest_conn, default.expire_nodest_conn),
        },
        probes,
        servers,
        quorum: Quorum::default(),
        slow_start: None,
        rate_limit: None,
        syn_protection: false,
        full_nat: false,
        disabled_ports: Vec::new(),
    })
}

fn servers<'a>(
    raw: &'a raw::Service,
    ports: &[Placed],
    context: &mut Context<'_, 'a>,
) -> BTreeMap<String, RealServer> {
    let entries = entries(raw.servers.as_ref());
    if let Some(extra) = entries.get(MAX_SERVERS) {
        let message = format!("the service has {} servers; at most {MAX_SERVERS} are allowed", entries.len());
        context.errors.error(extra.span, message);
    }
    if let Some(sorry) = raw.sorry_server.as_ref().and_then(|sorry| sorry.server.as_ref()) {
        context.servers.use_addresses(&sorry.0, sorry.span, context.errors);
    }
    let mut servers = BTreeMap::new();
    for entry in entries {
        let addresses =
            context.servers.use_addresses(&entry.name, entry.span, context.errors).map(<[_]>::to_vec);
        let Some(raw) = &entry.value else { continue };
        unsupported::service_server(raw, context.errors);
        let ports = ports::map(raw, ports, context.errors);
        let weight = raw.weight.as_ref().and_then(|weight| u16::try_from(weight.0).ok());
        if let Some(addresses) = addresses {
            let weight = weight.map_or(Weight::DEFAULT, Weight::new);
            servers.insert(
                entry.name.clone(),
                RealServer {
                    name: entry.name.clone(),
                    addresses,
                    ports,
                    weight,
                    role: Role::default(),
                    thresholds: None,
                },
            );
        }
    }
    servers
}

fn checked_vips<'a>(
    name: &'a str,
    raw: &'a raw::Service,
    servers: &BTreeMap<String, RealServer>,
    context: &mut Context<'_, 'a>,
) -> Vec<IpAddr> {
    // Servers that were reported may have any address.
    let all_known = servers.len() == entries(raw.servers.as_ref()).len()
        && servers.values().all(|server| !server.addresses.is_empty());
    let mut checked = Vec::new();
    for vip in vips(raw) {
        check_public("VIP", vip, context.nodes, context.errors);
        context.addresses.claim(vip.value, Owner::Service(name), vip.span, context.errors);
        if all_known && !servers.is_empty() && servers.values().all(|it| it.address_for(vip.value).is_none())
        {
            let family = family(vip.value);
            let message =
                format!("VIP {} has no server: none of the service has an {family} address", vip.value);
            context.errors.error_hint(vip.span, message, format!("give the servers {family} addresses too"));
        }
        checked.push(vip.value);
    }
    if let Some(list) = raw.vips.as_ref().filter(|_| checked.len() > MAX_VIPS) {
        let message = format!("the service has {} VIPs; at most {MAX_VIPS} are allowed", checked.len());
        context.errors.error(list.key, message);
    }
    checked
}

fn probes<'a>(raw: &'a raw::Service, ports: &[Placed], context: &mut Context<'_, 'a>) -> Vec<String> {
    // Without any port, there was an error about that.
    let unknown = if ports.is_empty() { Some(0) } else { None };
    let first_tcp = ports.iter().map(|it| it.range).find(|range| range.protocol == Protocol::Tcp);
    let first_port = first_tcp.map(|range| range.first).or(unknown);
    let mut names: Vec<String> = Vec::new();
    for name in one_or_several(raw.probe.as_ref(), raw.probes.as_ref()) {
        if names.contains(&name.0) {
            context.errors.error_hint(
                name.span,
                format!("probe {:?} is in the list twice", name.0),
                "name it once",
            );
            continue;
        }
        context.probes.use_probe(name, first_port, context.errors);
        names.push(name.0.clone());
    }
    if let Some(list) = raw.probes.as_ref().filter(|_| names.len() > MAX_PROBES) {
        let message = format!("the service has {} probes; at most {MAX_PROBES} are allowed", names.len());
        context.errors.error(list.key, message);
    }
    names
}

fn persistence(raw: &raw::Persistence, errors: &mut Diagnostics) -> Persistence {
    if let Some(timeout) = raw.timeout.as_ref().filter(|timeout| timeout.0.subsec_nanos() != 0) {
        errors.error(timeout.span, "the persistence timeout must be whole seconds");
    }
    Persistence {
        timeout: raw.timeout.as_ref().map_or(Model::DEFAULT_PERSISTENCE_TIMEOUT, |timeout| timeout.0),
        granularity_v4: raw.granularity.as_ref().map_or(32, |bits| bits.0),
        granularity_v6: raw.granularity6.as_ref().map_or(128, |bits| bits.0),
    }
}
