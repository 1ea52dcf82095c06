//! The virtual services.

use super::addresses::{Addresses, Owner};
use super::marks::Marks;
use super::nodes::check_public;
use super::ports::{self, Claims, Placed};
use super::probes::Probes;
use super::servers::{Servers, User};
use super::{entries, granularity, limits, one_or_several, pool, scheduler, unsupported};
use crate::config::decode::{Entry, Spanned};
use crate::config::raw;
use crate::config::report::Diagnostics;
use crate::model::{Model, Node, Persistence, Quiescence, Service};
use std::collections::BTreeMap;
use std::net::IpAddr;

const MAX_SERVICES: usize = 16_384;
const MAX_VIPS: usize = 256;

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
            ports.map(|ports| ports::of_service(ports, context.errors)).unwrap_or_default()
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
    let full_nat = raw.full_nat.as_ref().is_some_and(|it| it.value);
    let user = if full_nat { User::FullNat } else { User::Service(&entry.name) };
    let servers = pool::servers(raw, !entry.broken, user, ports, context);
    let vips = checked_vips(&entry.name, raw, context);
    pool::check_families(raw, &vips, &servers, context.errors);
    let default = Quiescence::default();
    let switch = |key: &Option<Spanned<bool>>, default| key.as_ref().map_or(default, |it| it.value);
    Some(Service {
        name: entry.name.clone(),
        mark: context.marks.service(&entry.name)?,
        vips: vips.into_iter().map(|vip| vip.value).collect(),
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
        servers,
        quorum: pool::quorum(raw, context.errors),
        slow_start: raw.slow_start.as_ref().and_then(|it| pool::slow_start(&it.0, context.errors)),
        rate_limit: raw.rate_limit.as_ref().and_then(|it| limits::rate_limit(it)),
        syn_protection: limits::syn_protection(raw, ports, context.errors),
        full_nat,
        disabled_ports: ports::disabled(raw, ports, context.errors),
    })
}

fn checked_vips<'a>(
    name: &'a str,
    raw: &'a raw::Service,
    context: &mut Context<'_, 'a>,
) -> Vec<&'a Spanned<IpAddr>> {
    let checked: Vec<_> = vips(raw).collect();
    for vip in &checked {
        check_public("VIP", vip, context.nodes, context.errors);
        context.addresses.claim(vip.value, Owner::Service(name), vip.span, context.errors);
    }
    if let Some(list) = raw.vips.as_ref().filter(|_| checked.len() > MAX_VIPS) {
        let message = format!("the service has {} VIPs; at most {MAX_VIPS} are allowed", checked.len());
        context.errors.error(list.key, message);
    }
    checked
}

fn persistence(raw: &raw::Persistence, errors: &mut Diagnostics) -> Persistence {
    if let Some(timeout) = raw.timeout.as_ref().filter(|timeout| timeout.0.subsec_nanos() != 0) {
        errors.error(timeout.span, "the persistence timeout must be whole seconds");
    }
    Persistence {
        timeout: raw.timeout.as_ref().map_or(Model::DEFAULT_PERSISTENCE_TIMEOUT, |timeout| timeout.0),
        granularity: granularity(raw.granularity.as_ref(), raw.granularity6.as_ref()),
    }
}
