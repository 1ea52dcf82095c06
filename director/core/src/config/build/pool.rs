//! The servers of a service: regular ones, those that say sorry, and how many must be up.

use super::checks::{self, Wanted};
use super::entries;
use super::nodes::family;
use super::ports::{self, Placed};
use super::servers::User;
use super::services::Context;
use crate::config::decode::Spanned;
use crate::config::raw;
use crate::config::report::Diagnostics;
use crate::config::values::Number;
use crate::model::{PortMap, Quorum, Ramp, RealServer, Role, SlowStart, Thresholds, Weight};
use std::collections::BTreeMap;
use std::net::IpAddr;

const MAX_SERVERS: usize = 4_095;

/// The servers of a service by name, sorry servers among them. `complete`: nothing in the service was reported before.
pub(super) fn servers<'a>(
    raw: &'a raw::Service,
    complete: bool,
    user: User<'a>,
    ports: &[Placed],
    context: &mut Context<'_, 'a>,
) -> BTreeMap<String, RealServer> {
    let mut servers = BTreeMap::new();
    regular(raw, complete, user, ports, &mut servers, context);
    sorry(raw, complete, user, ports, &mut servers, context);
    servers
}

fn regular<'a>(
    raw: &'a raw::Service,
    complete: bool,
    user: User<'a>,
    ports: &[Placed],
    servers: &mut BTreeMap<String, RealServer>,
    context: &mut Context<'_, 'a>,
) {
    let service_checks = Wanted::service(raw).checks(ports, complete, context);
    let entries = entries(raw.servers.as_ref());
    let sorry = raw.sorry_server.as_ref().map_or(0, |list| list.0.len());
    let count = entries.len() + sorry;
    if let Some(place) = raw.servers.as_ref().filter(|_| count > MAX_SERVERS) {
        let place = entries.get(MAX_SERVERS).map_or(place.key, |extra| extra.span);
        let message = format!("the service has {count} servers; at most {MAX_SERVERS} are allowed");
        context.errors.error(place, message);
    }
    for entry in entries {
        let addresses = context.servers.use_addresses(&entry.name, entry.span, user, context.errors);
        let Some(raw) = &entry.value else { continue };
        let checks = Wanted::server(raw).checks_or(&service_checks, ports, complete, context);
        let ports = ports::map(raw, ports, context.errors);
        let thresholds = raw.thresholds.as_ref().and_then(|it| thresholds(it, context.errors));
        let Some(addresses) = addresses else { continue };
        checks::check_families(&entry.name, entry.span, &addresses, &checks, context);
        let priority = raw.priority.as_ref().and_then(|it| u8::try_from(it.0).ok()).unwrap_or_default();
        let server = RealServer {
            name: entry.name.clone(),
            addresses,
            ports,
            weight: weight(raw.weight.as_ref()),
            role: Role::Regular { priority },
            checks,
            thresholds,
        };
        servers.insert(entry.name.clone(), server);
    }
}

fn sorry<'a>(
    raw: &'a raw::Service,
    complete: bool,
    user: User<'a>,
    ports: &[Placed],
    servers: &mut BTreeMap<String, RealServer>,
    context: &mut Context<'_, 'a>,
) {
    for sorry in raw.sorry_server.iter().flat_map(|list| &list.0) {
        let checks = Wanted::sorry_server(sorry).checks(ports, complete, context);
        let Some(name) = &sorry.server else { continue };
        let addresses = context.servers.use_addresses(&name.0, name.span, user, context.errors);
        let regular = entries(raw.servers.as_ref()).iter().find(|entry| entry.name == name.0);
        if let Some(regular) = regular {
            let message =
                format!("{:?} is a server of the service already, in line {}", name.0, regular.span.line);
            context.errors.error_hint(name.span, message, "a sorry server serves while those do not");
            continue;
        }
        let Some(addresses) = addresses else { continue };
        checks::check_families(&name.0, name.span, &addresses, &checks, context);
        let server = RealServer {
            name: name.0.clone(),
            addresses,
            ports: sorry.port.as_ref().map_or(PortMap::Keep, |port| PortMap::All(port.0)),
            weight: weight(sorry.weight.as_ref()),
            role: Role::Sorry,
            checks,
            thresholds: None,
        };
        if servers.insert(name.0.clone(), server).is_some() {
            let message = format!("sorry server {:?} is in the list twice", name.0);
            context.errors.error_hint(name.span, message, "name it once");
        }
    }
}

fn weight(raw: Option<&Spanned<Number<0, 65_535>>>) -> Weight {
    raw.and_then(|weight| u16::try_from(weight.0).ok()).map_or(Weight::DEFAULT, Weight::new)
}

fn thresholds(raw: &raw::Thresholds, errors: &mut Diagnostics) -> Option<Thresholds> {
    let upper = raw.upper.as_ref()?.0;
    if let Some(lower) = raw.lower.as_ref().filter(|lower| lower.0 > upper) {
        let message = format!("the lower threshold of {} is above the upper one of {upper}", lower.0);
        errors.error(lower.span, message);
    }
    // LVS's: fewer than three quarters.
    let default = upper - upper / 4;
    Some(Thresholds { upper, lower: raw.lower.as_ref().map_or(default, |lower| lower.0) })
}

/// Reports VIPs of a family that no server has, or no sorry server where there are some.
pub(super) fn check_families(
    raw: &raw::Service,
    vips: &[&Spanned<IpAddr>],
    servers: &BTreeMap<String, RealServer>,
    errors: &mut Diagnostics,
) {
    // Servers that were reported may have any address.
    let sorry = raw.sorry_server.as_ref().map_or(0, |list| list.0.len());
    let all_known = servers.len() == entries(raw.servers.as_ref()).len() + sorry
        && servers.values().all(|server| !server.addresses.is_empty());
    if !all_known {
        return;
    }
    let (sorry, regular): (Vec<_>, Vec<_>) = servers.values().partition(|server| server.role == Role::Sorry);
    for (what, servers) in [("server", regular), ("sorry server", sorry)] {
        for vip in vips.iter().filter(|_| !servers.is_empty()) {
            if servers.iter().any(|server| server.address_for(vip.value).is_some()) {
                continue;
            }
            let family = family(vip.value);
            let message =
                format!("VIP {} has no {what}: none of the service has an {family} address", vip.value);
            errors.error_hint(vip.span, message, format!("give the {what}s {family} addresses too"));
        }
    }
}

pub(super) fn quorum(raw: &raw::Service, errors: &mut Diagnostics) -> Quorum {
    let default = Quorum::default();
    let weight = raw.quorum.as_ref().map_or(default.weight, |quorum| quorum.0);
    let hysteresis = raw.hysteresis.as_ref().map_or(default.hysteresis, |hysteresis| hysteresis.0);
    if let Some(place) = raw.hysteresis.as_ref().filter(|_| hysteresis >= weight) {
        let message = format!("the hysteresis of {hysteresis} is not below the quorum of {weight}");
        let hint = "the quorum is lost below quorum minus hysteresis: it could never be lost";
        errors.error_hint(place.span, message, hint);
    } else if let Some(place) = &raw.quorum
        && let Some(sum) = sum_of_weights(raw)
        && sum < u64::from(weight) + u64::from(hysteresis)
    {
        let needed = match hysteresis {
            0 => weight.to_string(),
            _ => format!("{weight}, gained at {},", u64::from(weight) + u64::from(hysteresis)),
        };
        let message =
            format!("a quorum of {needed} can never be reached: the weights of the servers come to {sum}");
        errors.error_hint(place.span, message, "lower it, or raise the weights");
    }
    Quorum { weight, hysteresis }
}

/// `None`: a weight was reported.
fn sum_of_weights(raw: &raw::Service) -> Option<u64> {
    let servers = raw.servers.as_ref()?;
    servers
        .0
        .iter()
        .map(|entry| {
            let server = entry.value.as_ref().filter(|_| !entry.broken)?;
            Some(u64::from(weight(server.weight.as_ref()).get()))
        })
        .sum()
}

/// `None`: an error in it was reported.
pub(super) fn slow_start(raw: &raw::Climb, errors: &mut Diagnostics) -> Option<SlowStart> {
    let over = raw.over.as_ref()?;
    if over.0.subsec_nanos() != 0 {
        errors.error(over.span, "the time of a slow start must be whole seconds");
    }
    let ramp = match raw.ramp.as_ref().map(|ramp| ramp.value) {
        None | Some(raw::Ramp::Linear) => Ramp::Linear,
        Some(raw::Ramp::Doubling) => Ramp::Doubling,
    };
    Some(SlowStart { duration: over.0, ramp })
}
