//! The probes by name.

use super::{entries, unknown_name};
use crate::config::decode::{Given, Record, Spanned, Words};
use crate::config::raw::{self, ProbeType, Start};
use crate::config::report::{Diagnostics, Span};
use crate::config::values::{Name, words};
use crate::model::{ProbeSource, ProbeSpec};
use health::{Kind, Policy};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);
const LATEST_FIRST: Duration = Duration::from_secs(1);
const RISE: u32 = 2;
const FALL: u32 = 3;

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
        let spec = entry.value.as_deref().and_then(|raw| spec(&entry.name, raw, errors));
        probes.insert(entry.name.as_str(), Probe { spec, span: entry.span, used: false });
    }
    Probes(probes)
}

fn spec(name: &str, raw: &raw::Probe, errors: &mut Diagnostics) -> Option<ProbeSpec> {
    let kind = raw.kind.as_ref()?;
    for given in raw.given() {
        check_key(given, kind.value, errors);
    }
    let interval = raw.interval.as_ref().map_or(INTERVAL, |interval| interval.0);
    let timeout = raw.timeout.as_ref().map_or(TIMEOUT.min(interval), |timeout| timeout.0);
    if let Some(place) = raw.timeout.as_ref().filter(|_| timeout > interval) {
        let message =
            format!("the timeout of {} is longer than the interval of {}", words(timeout), words(interval));
        errors.error_hint(place.span, message, "a probe must have ended when the next one starts");
    }
    if kind.value != ProbeType::Tcp {
        let what = format!("probe type {}", kind.word());
        super::unsupported::report(
            kind.span,
            &what,
            "type tcp with the same port finds out whether it is open",
            errors,
        );
        return None;
    }
    Some(ProbeSpec {
        name: name.to_owned(),
        kind: Arc::new(Kind::Tcp),
        port: raw.port.as_ref().map(|port| port.0),
        address: raw.address.as_ref().map(|address| address.value),
        source: ProbeSource::default(),
        mark: 0,
        interval,
        retry: interval,
        backup_interval: interval,
        jitter: interval.min(LATEST_FIRST),
        timeout,
        policy: Policy {
            rise: raw.rise.as_ref().map_or(RISE, |rise| rise.0),
            fall: raw.fall.as_ref().map_or(FALL, |fall| fall.0),
            start: match raw.start.as_ref().map(|start| start.value) {
                None | Some(Start::Up) => health::Start::Up,
                Some(Start::Down) => health::Start::Down,
            },
            slow: None,
            damping: None,
        },
        slow_weight: 100,
    })
}

/// Reports a key that this type of probe does not have, or that is not supported.
fn check_key(given: Given, kind: ProbeType, errors: &mut Diagnostics) {
    use ProbeType::{Dns, Exec, Http, Https, Rdp, Smtp, Tcp, Tls, Udp};
    let types: &[ProbeType] = match given.key {
        "port" => &[Tcp, Http, Https, Smtp, Rdp, Tls, Dns, Udp],
        "version" | "host" | "path" | "method" | "headers" | "status" | "body" => &[Http, Https],
        "verify" => &[Https, Tls, Smtp],
        "sni" => &[Https, Tls],
        "helo" | "starttls" => &[Smtp],
        "strict" => &[Rdp],
        "query" | "record" => &[Dns],
        "send" | "expect" => &[Udp],
        "command" => &[Exec],
        "jitter" | "slow" => {
            super::unsupported::report(given.span, given.key, "take it out", errors);
            return;
        }
        _ => return,
    };
    if !types.contains(&kind) {
        let message = format!("a probe of type {} has no {:?}", kind.word(), given.key);
        let types: Vec<_> = types.iter().map(|kind| kind.word()).collect();
        errors.error_hint(given.span, message, format!("it belongs to type {}", types.join(", ")));
    }
}

impl Probes<'_> {
    /// Notes that a service uses the probe `name`, and reports a name that does not exist. `first_port`: port that
    /// it probes at the service's servers unless it has one of its own; `None` if that cannot be known.
    pub(super) fn use_probe(
        &mut self,
        name: &Spanned<Name>,
        first_port: Option<u16>,
        errors: &mut Diagnostics,
    ) {
        let Some(probe) = self.0.get_mut(name.0.as_str()) else {
            let meant = unknown_name("probe", &name.0, name.span, self.0.keys().copied(), errors);
            if let Some(probe) = meant.and_then(|meant| self.0.get_mut(meant)) {
                probe.used = true;
            }
            return;
        };
        probe.used = true;
        if first_port.is_none() && probe.spec.as_ref().is_some_and(|spec| spec.port.is_none()) {
            let message = format!("probe {:?} has no port, and the service has no tcp port to probe", name.0);
            errors.error_hint(name.span, message, "give the probe a port");
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
