//! Which probes a server must pass, and how many of them.

use super::nodes::family;
use super::one_or_several;
use super::ports::Placed;
use super::services::Context;
use crate::config::decode::{List, Spanned};
use crate::config::raw::{self, Combination, ProbeUse};
use crate::config::report::{Diagnostics, Span};
use crate::model::{Checks, ProbeSource};
use std::net::IpAddr;
use std::sync::Arc;

const MAX_PROBES: usize = 64;

/// What a service, a server of it, or a sorry server says of probes.
pub(super) struct Wanted<'a> {
    one: Option<&'a Spanned<ProbeUse>>,
    several: Option<&'a Spanned<List<ProbeUse>>>,
    required: Option<&'a Spanned<Combination>>,
    /// Who says it, for messages.
    whose: &'static str,
}

impl<'a> Wanted<'a> {
    pub(super) fn service(raw: &'a raw::Service) -> Self {
        let (one, several, required) =
            (raw.probe.as_ref(), raw.probes.as_ref(), raw.probes_required.as_ref());
        Self { one, several, required, whose: "service" }
    }

    pub(super) fn server(raw: &'a raw::ServiceServer) -> Self {
        let (one, several, required) =
            (raw.probe.as_ref(), raw.probes.as_ref(), raw.probes_required.as_ref());
        Self { one, several, required, whose: "server" }
    }

    pub(super) fn sorry_server(raw: &'a raw::SorryServer) -> Self {
        let (one, several, required) =
            (raw.probe.as_ref(), raw.probes.as_ref(), raw.probes_required.as_ref());
        Self { one, several, required, whose: "sorry server" }
    }

    /// The checks of a server that says this, of a service with these ports. `complete`: nothing in the service was
    /// reported before.
    pub(super) fn checks(
        &self,
        ports: &[Placed],
        complete: bool,
        context: &mut Context<'_, 'a>,
    ) -> Arc<Checks> {
        let mut names: Vec<String> = Vec::new();
        let mut known = complete;
        for wanted in one_or_several(self.one, self.several) {
            let Some(name) = context.probes.use_probe(wanted, context.errors) else {
                known = false;
                continue;
            };
            if names.contains(&name) {
                report_twice(&name, wanted, context.errors);
                known = false;
                continue;
            }
            check_port(&name, wanted, ports, context);
            names.push(name);
        }
        if let Some(list) = self.several.filter(|_| names.len() > MAX_PROBES) {
            let message =
                format!("the {} has {} probes; at most {MAX_PROBES} are allowed", self.whose, names.len());
            context.errors.error(list.key, message);
        }
        let required = self.required(names.len(), known, context.errors);
        Arc::new(Checks { probes: names, required })
    }

    /// The same, where the checks of the service hold unless something else is said.
    pub(super) fn checks_or(
        &self,
        service: &Arc<Checks>,
        ports: &[Placed],
        complete: bool,
        context: &mut Context<'_, 'a>,
    ) -> Arc<Checks> {
        if self.one.is_some() || self.several.is_some() {
            return self.checks(ports, complete, context);
        }
        if self.required.is_none() {
            return Arc::clone(service);
        }
        let required = self.required(service.probes.len(), complete, context.errors);
        Arc::new(Checks { probes: service.probes.clone(), required })
    }

    /// How many of `count` probes must pass. `known`: there are not more, which were reported.
    fn required(&self, count: usize, known: bool, errors: &mut Diagnostics) -> usize {
        let Some(required) = self.required else { return count };
        if known && count == 0 {
            let message = format!("the {} has no probes to require", self.whose);
            errors.error_hint(required.key, message, "say which under `probe` or `probes`");
            return 0;
        }
        let number = match required.value {
            Combination::All => count,
            Combination::Any => count.min(1),
            Combination::AtLeast(number) => number as usize,
        };
        if known && number > count {
            let message = format!("{number} probes are required, but the {} has {count}", self.whose);
            errors.error(required.span, message);
        }
        number
    }
}

fn report_twice(name: &str, wanted: &Spanned<ProbeUse>, errors: &mut Diagnostics) {
    match wanted.value {
        ProbeUse::Named(_) => {
            let message = format!("probe {name:?} is in the list twice");
            errors.error_hint(wanted.span, message, "name it once");
        }
        ProbeUse::Inline { .. } => {
            let message = format!("this probe does the same as {name:?}, which is in the list before it");
            errors.error_hint(wanted.span, message, "take it out, or make it another");
        }
    }
}

/// Reports a probe that needs a port of the service's, if there is none.
fn check_port(name: &str, wanted: &Spanned<ProbeUse>, ports: &[Placed], context: &mut Context<'_, '_>) {
    // Without any port, there was an error about that.
    let protocol = context.probes.get(name).and_then(|spec| spec.default_port());
    let Some(protocol) = protocol.filter(|_| !ports.is_empty()) else { return };
    if ports.iter().any(|it| it.range.protocol == protocol) {
        return;
    }
    let probe = match wanted.value {
        ProbeUse::Named(_) => format!("probe {name:?}"),
        ProbeUse::Inline { .. } => "the probe".to_owned(),
    };
    let message = format!("{probe} has no port, and the service has no {} port to probe", protocol.name());
    context.errors.error_hint(wanted.span, message, "give the probe a port");
}

/// Reports that probes leave from an address of a family that `server`, which is named at `span`, has no address of.
pub(super) fn check_families(
    server: &str,
    span: Span,
    addresses: &[IpAddr],
    checks: &Checks,
    context: &mut Context<'_, '_>,
) {
    for spec in checks.probes.iter().filter_map(|name| context.probes.get(name)) {
        let ProbeSource::Address(source) = spec.source else { continue };
        let reachable = spec.address.is_some()
            || addresses.is_empty()
            || addresses.iter().any(|address| address.is_ipv4() == source.is_ipv4());
        if !reachable {
            let family = family(source);
            let message = format!(
                "probe {:?} leaves from {source}, and server {server:?} has no {family} address",
                spec.name
            );
            context.errors.error_hint(
                span,
                message,
                "give the server a probe of its own, or one without a source",
            );
        }
    }
}
