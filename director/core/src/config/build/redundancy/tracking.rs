//! What else must be well for a director to be Active.

use crate::config::build::addresses::{Addresses, Owner};
use crate::config::build::probes::{FALL, Probes, RISE, check_timeout, source};
use crate::config::build::programs::{command, user};
use crate::config::decode::{Given, List, Record, Spanned};
use crate::config::raw::{Argument, ProbeUse, Track as Raw, TrackTarget};
use crate::config::report::{Diagnostics, Span};
use crate::config::values::InterfaceName;
use crate::model::{Node, ProbeSource, ProbeSpec, Side, Track, Tracked};
use health::kind::{Exec, ExitMeaning};
use health::{Kind, Policy};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const MAX: usize = 64;
const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(1);
/// A program goes to no address.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What is known of the rest of the file.
pub(super) struct Context<'c, 'a> {
    pub(super) nodes: &'c BTreeMap<String, Node>,
    /// Links that carry adverts.
    pub(super) links: &'c [Side],
    pub(super) addresses: &'c Addresses<'c>,
    pub(super) probes: &'c mut Probes<'a>,
    pub(super) errors: &'c mut Diagnostics,
}

pub(super) fn build<'a>(given: Option<&'a Spanned<List<Raw>>>, context: &mut Context<'_, 'a>) -> Vec<Track> {
    let given = given.map_or(&[][..], |list| &list.0);
    if let Some(extra) = given.get(MAX) {
        let message = format!("{} things are tracked; at most {MAX} are allowed", given.len());
        context.errors.error(extra.span, message);
    }
    let mut tracked: Vec<Track> = Vec::new();
    for item in given {
        let Some(track) = track(item, context) else { continue };
        if tracked.iter().any(|other| same(other, &track)) {
            let message = format!("{} is in the list twice", track.name);
            context.errors.error_hint(item.span, message, "name it once");
            continue;
        }
        tracked.push(unique(track, &tracked));
    }
    tracked
}

fn track<'a>(item: &'a Spanned<Raw>, context: &mut Context<'_, 'a>) -> Option<Track> {
    let raw = match &item.value {
        Raw::Interface(name) => return Some(interface(name, item.span, None, context)),
        Raw::Target(raw) => &**raw,
    };
    check_keys(raw, context.errors);
    let lower = raw.lower.as_ref().and_then(|lower| u8::try_from(lower.0).ok());
    if let Some(name) = &raw.interface {
        Some(interface(name, name.span, lower, context))
    } else if let Some(address) = &raw.ping {
        Some(ping(raw, address, lower, context))
    } else if let Some(list) = &raw.script {
        Some(script(raw, list, lower, context.errors))
    } else {
        probe(raw.probe.as_ref()?, lower, context)
    }
}

/// Reports keys that belong to something else that is tracked.
fn check_keys(raw: &TrackTarget, errors: &mut Diagnostics) {
    let what = match (&raw.interface, &raw.ping, &raw.script, &raw.probe) {
        (Some(_), ..) => "interface",
        (_, Some(_), ..) => "ping",
        (_, _, Some(_), _) => "script",
        (_, _, _, Some(_)) => "probe",
        (None, None, None, None) => return,
    };
    for Given { key, span } in raw.given() {
        let owners: &[&str] = match key {
            "interval" | "timeout" | "rise" | "fall" => &["ping", "script"],
            "source" => &["ping"],
            "user" => &["script"],
            _ => continue,
        };
        if !owners.contains(&what) {
            let hint = match what {
                "probe" => "it belongs into the probe itself".to_owned(),
                _ => format!("it belongs to {}", owners.join(" and ")),
            };
            errors.error_hint(span, format!("{key:?} means nothing beside {what:?}"), hint);
        }
    }
}

fn interface(name: &InterfaceName, span: Span, lower: Option<u8>, context: &mut Context<'_, '_>) -> Track {
    let carries_adverts = |node: &Node| context.links.iter().any(|side| side.of(node).interface == name.0);
    if !context.nodes.is_empty() && context.nodes.values().all(carries_adverts) {
        let message = format!("interface {:?} carries adverts, so it is tracked anyway", name.0);
        context.errors.error_hint(span, message, "without its carrier a director is not fit: take it out");
    }
    Track { name: name.0.clone(), what: Tracked::Interface(name.0.clone()), lower }
}

fn ping(
    raw: &TrackTarget,
    address: &Spanned<IpAddr>,
    lower: Option<u8>,
    context: &mut Context<'_, '_>,
) -> Track {
    check_destination(address.value, address.span, context);
    let source = source(raw.source.as_ref(), Some(address), context.errors);
    context.probes.note_source(raw.source.as_ref());
    let spec = spec(raw, format!("ping {}", address.value), Kind::Icmp, source, context.errors);
    target(spec, SocketAddr::new(address.value, 0), lower)
}

/// Reports an address that says nothing about the network around the directors.
fn check_destination(address: IpAddr, span: Span, context: &mut Context<'_, '_>) {
    let owner = context.addresses.owner(address);
    if let Some(owner) = owner.filter(|owner| !matches!(owner, Owner::Server(_))) {
        let message = format!("{address} is an address of {owner}: directors have it themselves");
        let hint = "track what none of them is, as the router that clients come by";
        context.errors.error_hint(span, message, hint);
    } else if matches!(address, IpAddr::V6(it) if it.is_unicast_link_local()) {
        let message = format!("{address} is a link-local address, which is good on one link only");
        context.errors.error_hint(span, message, "give an address that is routed, as fd00::1");
    }
}

fn script(raw: &TrackTarget, list: &List<Argument>, lower: Option<u8>, errors: &mut Diagnostics) -> Track {
    let words = command(list, "[/usr/local/bin/check, -v]", errors);
    let program = words.first().and_then(|program| program.rsplit('/').next()).unwrap_or_default();
    let name = format!("script {program}");
    let exec = Exec {
        // Programs of probes have tokens there, this one has nothing to put in their place.
        command: words.iter().map(|word| word.replace('%', "%%")).collect(),
        user: user(raw.user.as_ref(), errors),
        exit: ExitMeaning::Plain,
    };
    let spec = spec(raw, name, Kind::Exec(exec), ProbeSource::default(), errors);
    target(spec, SocketAddr::new(NOWHERE, 0), lower)
}

/// How a host or a program is tried.
fn spec(
    raw: &TrackTarget,
    name: String,
    kind: Kind,
    source: ProbeSource,
    errors: &mut Diagnostics,
) -> ProbeSpec {
    let interval = raw.interval.as_ref().map_or(INTERVAL, |interval| interval.0);
    let timeout = raw.timeout.as_ref().map_or(TIMEOUT.min(interval), |timeout| timeout.0);
    if let Some(given) = &raw.timeout {
        check_timeout(timeout, given.span, interval, "interval", errors);
    }
    ProbeSpec {
        name,
        kind: Arc::new(kind),
        port: None,
        address: None,
        source,
        mark: 0,
        interval,
        retry: interval,
        backup_interval: interval,
        jitter: Duration::ZERO,
        timeout,
        policy: Policy {
            rise: raw.rise.as_ref().map_or(RISE, |rise| rise.0),
            fall: raw.fall.as_ref().map_or(FALL, |fall| fall.0),
            start: health::Start::Up,
            slow: None,
            damping: None,
        },
        slow_weight: 100,
    }
}

/// `None`: it was reported, or an error in the probe was.
fn probe<'a>(
    wanted: &'a Spanned<ProbeUse>,
    lower: Option<u8>,
    context: &mut Context<'_, 'a>,
) -> Option<Track> {
    let name = context.probes.use_probe(wanted, context.errors)?;
    let spec = context.probes.get(&name)?.clone();
    let Some(address) = spec.address else {
        let message = format!("probe {name:?} has no address to go to");
        context.errors.error_hint(wanted.span, message, "here no server gives it one: add `address` to it");
        return None;
    };
    if spec.default_port().is_some() {
        let message = format!("probe {name:?} has no port");
        context.errors.error_hint(wanted.span, message, "here no service gives it one: add `port` to it");
    }
    // Of other addresses of the directors, probes are checked by themselves.
    if let Some(Owner::Node(_)) = context.addresses.owner(address) {
        check_destination(address, wanted.span, context);
    }
    let port = spec.port.unwrap_or(0);
    Some(target(spec, SocketAddr::new(address, port), lower))
}

fn target(spec: ProbeSpec, address: SocketAddr, lower: Option<u8>) -> Track {
    Track { name: spec.name.clone(), what: Tracked::Probe(Arc::new(spec), address), lower }
}

/// True if both are the same interface, host, program with its arguments, or probe.
fn same(a: &Track, b: &Track) -> bool {
    match (script_command(a), script_command(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a.name == b.name,
        _ => false,
    }
}

/// Scripts whose programs have the same name are told apart by a number.
fn unique(track: Track, others: &[Track]) -> Track {
    let begin = format!("{}/", track.name);
    let alike = |other: &&Track| other.name == track.name || other.name.starts_with(&begin);
    match others.iter().filter(|other| script_command(other).is_some()).filter(alike).count() {
        0 => track,
        before => Track { name: format!("{}/{}", track.name, before + 1), ..track },
    }
}

fn script_command(track: &Track) -> Option<&[String]> {
    if let Tracked::Probe(spec, _) = &track.what
        && let Kind::Exec(exec) = &*spec.kind
        && spec.address.is_none()
    {
        return Some(&exec.command);
    }
    None
}
