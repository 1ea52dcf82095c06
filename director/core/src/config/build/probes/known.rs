//! The probes of the file: those that have a name, and those that are defined where they are used. Of the latter,
//! equal ones are one probe, so that a server that several services probe alike is probed once.

use super::spec;
use crate::config::build::addresses::{Addresses, Owner};
use crate::config::build::{entries, unknown_name};
use crate::config::decode::Spanned;
use crate::config::raw::{self, ProbeUse};
use crate::config::report::{Diagnostics, Span};
use crate::config::values::Name;
use crate::model::{ProbeSource, ProbeSpec};
use health::Kind;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The probes, and whether something uses them.
#[derive(Default)]
pub(in crate::config::build) struct Probes<'a> {
    named: BTreeMap<&'a str, Named>,
    inline: BTreeMap<String, ProbeSpec>,
    /// The names of all of them by what they do, which stands under the beginning of a derived name. Their own names are empty there.
    alike: BTreeMap<String, Vec<(ProbeSpec, String)>>,
    /// Addresses that probes leave from.
    sources: Vec<(IpAddr, Span)>,
    /// Addresses that probes go to in place of the server's.
    destinations: Vec<(IpAddr, Span)>,
}

struct Named {
    /// `None`: an error in it was reported.
    spec: Option<ProbeSpec>,
    span: Span,
    used: bool,
}

pub(in crate::config::build) fn build<'a>(file: &'a raw::File, errors: &mut Diagnostics) -> Probes<'a> {
    let mut probes = Probes::default();
    for entry in entries(file.probes.as_ref()) {
        let raw = entry.value.as_deref();
        let unnamed = raw.and_then(|raw| spec(raw, !entry.broken, errors));
        let spec = unnamed.map(|unnamed| {
            let spec = ProbeSpec { name: entry.name.clone(), ..unnamed.clone() };
            probes.alike.entry(stem(&unnamed)).or_default().push((unnamed, entry.name.clone()));
            spec
        });
        if let Some(raw) = raw {
            probes.note_addresses(raw);
        }
        probes.named.insert(entry.name.as_str(), Named { spec, span: entry.span, used: false });
    }
    probes
}

impl<'a> Probes<'a> {
    /// The name of a probe that something uses. `None`: it was reported.
    pub(in crate::config::build) fn use_probe(
        &mut self,
        wanted: &'a Spanned<ProbeUse>,
        errors: &mut Diagnostics,
    ) -> Option<String> {
        match &wanted.value {
            ProbeUse::Named(name) => self.use_name(name, wanted.span, errors),
            ProbeUse::Inline { probe, complete } => self.define(probe, *complete, errors),
        }
    }

    fn use_name(&mut self, name: &Name, span: Span, errors: &mut Diagnostics) -> Option<String> {
        let Some(probe) = self.named.get_mut(name.0.as_str()) else {
            let meant = unknown_name("probe", &name.0, span, self.named.keys().copied(), errors);
            if let Some(probe) = meant.and_then(|meant| self.named.get_mut(meant)) {
                probe.used = true;
            }
            return None;
        };
        probe.used = true;
        Some(name.0.clone())
    }

    /// The name of the first probe that does the same, or a derived one.
    fn define(&mut self, raw: &raw::Probe, complete: bool, errors: &mut Diagnostics) -> Option<String> {
        let unnamed = spec(raw, complete, errors)?;
        self.note_addresses(raw);
        let stem = stem(&unnamed);
        let alike = self.alike.entry(stem.clone()).or_default();
        if let Some((_, name)) = alike.iter().find(|(other, _)| *other == unnamed) {
            return Some(name.clone());
        }
        let name = match alike.iter().filter(|(_, name)| self.inline.contains_key(name)).count() {
            0 => stem,
            before => format!("{stem}/{}", before + 1),
        };
        self.inline.insert(name.clone(), ProbeSpec { name: name.clone(), ..unnamed.clone() });
        alike.push((unnamed, name.clone()));
        Some(name)
    }

    fn note_addresses(&mut self, raw: &raw::Probe) {
        self.destinations.extend(raw.address.as_ref().map(|address| (address.value, address.span)));
        self.note_source(raw.source.as_ref());
    }

    /// Remembers where something leaves from, for [`Self::check_sources`].
    pub(in crate::config::build) fn note_source(&mut self, source: Option<&Spanned<raw::Source>>) {
        if let Some(source) = source
            && let ProbeSource::Address(address) = source.0
        {
            self.sources.push((address, source.span));
        }
    }

    /// The probe of that name; `None` if there is none, or an error in it was reported.
    pub(in crate::config::build) fn get(&self, name: &str) -> Option<&ProbeSpec> {
        match self.named.get(name) {
            Some(named) => named.spec.as_ref(),
            None => self.inline.get(name),
        }
    }

    /// Reports probes that leave from an address which not every one of `nodes` directors has at all times.
    pub(in crate::config::build) fn check_sources(
        &self,
        addresses: &Addresses<'_>,
        nodes: usize,
        errors: &mut Diagnostics,
    ) {
        for (address, span) in &self.sources {
            let why = match addresses.owner(*address) {
                Some(Owner::Server(_)) => "which the director does not have",
                Some(Owner::Node(_)) if nodes > 1 => "which no other director has",
                Some(Owner::Gateway | Owner::Service(_) | Owner::Management(_)) if nodes > 1 => {
                    "which only one director has at a time"
                }
                _ => continue,
            };
            let owner = addresses.owner(*address).map(|owner| owner.to_string()).unwrap_or_default();
            let message = format!("{address} is an address of {owner}, {why}");
            errors.error_hint(*span, message, "`source: private` is each director's own address");
        }
    }

    /// Reports probes that go to an address at which no server can answer.
    pub(in crate::config::build) fn check_destinations(
        &self,
        addresses: &Addresses<'_>,
        errors: &mut Diagnostics,
    ) {
        for (address, span) in &self.destinations {
            let own = match addresses.owner(*address) {
                Some(owner @ (Owner::Gateway | Owner::Service(_) | Owner::Management(_))) => Some(owner),
                _ => None,
            };
            if let Some(owner) = own {
                let message = format!("{address} is an address of {owner}, which the director itself has");
                errors.error_hint(
                    *span,
                    message,
                    "a probe goes to a real server: take it out to probe each one",
                );
            } else if matches!(address, IpAddr::V6(it) if it.is_unicast_link_local()) {
                let message = format!("{address} is a link-local address, which is good on one link only");
                errors.error_hint(*span, message, "give an address that is routed, as fd00::1");
            }
        }
    }

    pub(in crate::config::build) fn report_unused(&self, errors: &mut Diagnostics) {
        for (name, probe) in self.named.iter().filter(|(_, probe)| !probe.used) {
            let hint = "name it in a service, or take it out";
            errors.error_hint(probe.span, format!("nothing uses probe {name:?}"), hint);
        }
    }

    pub(in crate::config::build) fn into_specs(self) -> BTreeMap<String, ProbeSpec> {
        let named = self.named.into_values().filter_map(|probe| probe.spec);
        named.chain(self.inline.into_values()).map(|spec| (spec.name.clone(), spec)).collect()
    }
}

/// How the name of a probe without one begins: its type, and what tells it from others of the type, as
/// `http/www.example.org:8080`. No name of the file has a slash. It depends on nothing but the probe, so that a
/// server's verdict stays when services come and go.
fn stem(spec: &ProbeSpec) -> String {
    let (kind, about) = match &*spec.kind {
        Kind::Tcp => ("tcp", None),
        Kind::Tls(tls) => ("tls", tls.server_name.as_deref()),
        Kind::Http(http) => (if http.tls.is_some() { "https" } else { "http" }, http.host.as_deref()),
        Kind::Smtp(_) => ("smtp", None),
        Kind::Rdp(_) => ("rdp", None),
        Kind::Dns(dns) => ("dns", Some(dns.query.as_str())),
        Kind::Udp(_) => ("udp", None),
        Kind::Icmp => ("icmp", None),
        Kind::Exec(exec) => ("exec", exec.command.first().and_then(|program| program.rsplit('/').next())),
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.:".contains(c) { c } else { '_' };
    let about: Option<String> = about.map(|about| about.chars().take(64).map(plain).collect());
    match (about, spec.port) {
        (Some(about), Some(port)) => format!("{kind}/{about}:{port}"),
        (Some(about), None) => format!("{kind}/{about}"),
        (None, Some(port)) => format!("{kind}/{port}"),
        (None, None) => format!("{kind}/inline"),
    }
}
