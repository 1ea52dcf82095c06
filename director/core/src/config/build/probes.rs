//! The probes: what all types have in common, and who uses them.

mod dns;
mod exec;
mod http;
mod keys;
mod names;
mod rdp;
mod smtp;
mod timing;
mod tls;
mod udp;

use super::ports::Placed;
use super::{entries, unknown_name};
use crate::config::decode::Spanned;
use crate::config::raw::{self, ProbeType};
use crate::config::report::{Diagnostics, Span};
use crate::config::values::Name;
use crate::model::{ProbeSource, ProbeSpec};
use health::Kind;
use std::collections::BTreeMap;
use std::sync::Arc;
use timing::{policy, timing};

/// The probes, and whether something uses them.
pub(super) struct Probes<'a>(BTreeMap<&'a str, Probe>);

struct Probe {
    /// `None`: an error in it was reported.
    spec: Option<ProbeSpec>,
    span: Span,
    used: bool,
}

pub(super) fn build<'a>(file: &'a raw::File, errors: &mut Diagnostics) -> Probes<'a> {
    let mut probes = BTreeMap::new();
    for entry in entries(file.probes.as_ref()) {
        let raw = entry.value.as_deref();
        let spec = raw.and_then(|raw| spec(&entry.name, raw, !entry.broken, errors));
        probes.insert(entry.name.as_str(), Probe { spec, span: entry.span, used: false });
    }
    Probes(probes)
}

/// `None`: an error in it was reported. `complete`: none was before.
fn spec(name: &str, raw: &raw::Probe, complete: bool, errors: &mut Diagnostics) -> Option<ProbeSpec> {
    let kind = raw.kind.as_ref()?;
    keys::check(raw, kind.value, complete, errors);
    let timing = timing(raw, errors);
    Some(ProbeSpec {
        name: name.to_owned(),
        kind: Arc::new(what_is_tried(raw, kind, complete, errors)?),
        port: raw.port.as_ref().map(|port| port.0),
        address: raw.address.as_ref().map(|address| address.value),
        source: source(raw, errors),
        mark: raw.mark.as_ref().map_or(0, |mark| mark.0),
        interval: timing.interval,
        retry: timing.retry,
        backup_interval: timing.backup_interval,
        jitter: timing.jitter,
        timeout: timing.timeout,
        policy: policy(raw),
        slow_weight: raw.slow_weight.as_ref().map_or(100, |share| share.0),
    })
}

fn what_is_tried(
    raw: &raw::Probe,
    kind: &Spanned<ProbeType>,
    complete: bool,
    errors: &mut Diagnostics,
) -> Option<Kind> {
    Some(match kind.value {
        ProbeType::Tcp => Kind::Tcp,
        ProbeType::Tls => Kind::Tls(tls::tls(raw, None, errors)),
        ProbeType::Http => Kind::Http(http::http(raw, false, errors)),
        ProbeType::Https => Kind::Http(http::http(raw, true, errors)),
        ProbeType::Smtp => Kind::Smtp(smtp::smtp(raw, complete, errors)),
        ProbeType::Rdp => Kind::Rdp(rdp::rdp(raw, errors)),
        ProbeType::Dns => Kind::Dns(dns::dns(raw, errors)),
        ProbeType::Udp => Kind::Udp(udp::udp(raw, errors)),
        ProbeType::Icmp => Kind::Icmp,
        ProbeType::Exec => Kind::Exec(exec::exec(raw, kind.span, complete, errors)?),
    })
}

fn source(raw: &raw::Probe, errors: &mut Diagnostics) -> ProbeSource {
    let Some(source) = &raw.source else { return ProbeSource::default() };
    if let (ProbeSource::Address(from), Some(to)) = (source.0, &raw.address)
        && from.is_ipv4() != to.is_ipv4()
    {
        let message = format!("a probe of {} cannot leave from {from}", to.value);
        errors.error_hint(source.span, message, "both must be IPv4, or both IPv6");
    }
    source.0
}

impl Probes<'_> {
    /// Notes that a service with these ports uses the probe `name`, and reports a name that does not exist, and a
    /// probe that has no port to go to.
    pub(super) fn use_probe(&mut self, name: &Spanned<Name>, ports: &[Placed], errors: &mut Diagnostics) {
        let Some(probe) = self.0.get_mut(name.0.as_str()) else {
            let meant = unknown_name("probe", &name.0, name.span, self.0.keys().copied(), errors);
            if let Some(probe) = meant.and_then(|meant| self.0.get_mut(meant)) {
                probe.used = true;
            }
            return;
        };
        probe.used = true;
        if let Some(spec) = &probe.spec {
            check_port(spec, name.span, ports, errors);
        }
    }

    pub(super) fn report_unused(&self, errors: &mut Diagnostics) {
        for (name, probe) in self.0.iter().filter(|(_, probe)| !probe.used) {
            let hint = "name it in a service, or take it out";
            errors.error_hint(probe.span, format!("nothing uses probe {name:?}"), hint);
        }
    }

    pub(super) fn into_specs(self) -> BTreeMap<String, ProbeSpec> {
        self.0.into_values().filter_map(|probe| probe.spec).map(|spec| (spec.name.clone(), spec)).collect()
    }
}

/// Reports that a probe needs a port of the service's, and there is none. `span`: where the service names the probe.
fn check_port(spec: &ProbeSpec, span: Span, ports: &[Placed], errors: &mut Diagnostics) {
    // Without any port, there was an error about that.
    let Some(protocol) = spec.default_port().filter(|_| !ports.is_empty()) else { return };
    if ports.iter().all(|it| it.range.protocol != protocol) {
        let protocol = protocol.name();
        let message =
            format!("probe {:?} has no port, and the service has no {protocol} port to probe", spec.name);
        errors.error_hint(span, message, "give the probe a port");
    }
}
