//! Probes of the model to targets of the prober, and verdicts back to the health of servers.

#[cfg(test)]
mod tests;

use director_core::availability::Health;
use director_core::model::{Model, ProbeKind, ProbeSpec, RealServer, Service, StartState};
use health::{Kind, Policy, Start, Target, TargetId, Verdict};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Verdicts by target.
pub type VerdictMap = BTreeMap<TargetId, Verdict>;

/// What probes said when an earlier run ended: whether a target was up, by its name.
pub type LastVerdicts = BTreeMap<String, bool>;

/// Everything that is to be probed, each once however many services want it. Targets that are remembered start as
/// they were, others as their probe says.
#[must_use]
pub fn targets(model: &Model, remembered: &LastVerdicts) -> BTreeMap<TargetId, Target> {
    let mut targets = BTreeMap::new();
    for service in model.services.values() {
        for server in service.servers.values() {
            for probe in probes(model, service, server) {
                let Some(address) = address(service, server, probe) else { continue };
                let id = target_id(probe, address);
                let up = remembered.get(id.as_str()).copied().unwrap_or(probe.start == StartState::Up);
                let start = if up { Start::Up } else { Start::Down };
                let kind = match probe.kind {
                    ProbeKind::Tcp => Kind::Tcp,
                };
                let policy = Policy { rise: probe.rise, fall: probe.fall, start };
                let (interval, timeout) = (probe.interval, probe.timeout);
                targets.insert(id, Target { kind, address, source: None, interval, timeout, policy });
            }
        }
    }
    targets
}

/// What [`targets`] of the next run go on from.
#[must_use]
pub fn remember(verdicts: &VerdictMap) -> LastVerdicts {
    verdicts.iter().map(|(id, verdict)| (id.as_str().to_owned(), verdict.up)).collect()
}

/// True if a server may be treated otherwise for it: a verdict changed, or the reason of a failure.
#[must_use]
pub fn differ(before: &VerdictMap, after: &VerdictMap) -> bool {
    let matters = |verdict: &Verdict| (!verdict.up).then(|| verdict.reason.clone());
    before.len() != after.len()
        || before.iter().any(|(id, verdict)| after.get(id).map(matters) != Some(matters(verdict)))
}

/// The verdict of each probe of a server, by the probe's name; those without one yet are left out.
pub fn verdicts_of<'a>(
    model: &'a Model,
    service: &'a Service,
    server: &'a RealServer,
    verdicts: &'a VerdictMap,
) -> impl Iterator<Item = (&'a str, &'a Verdict)> {
    probes(model, service, server).filter_map(move |probe| {
        let id = target_id(probe, address(service, server, probe)?);
        Some((probe.name.as_str(), verdicts.get(&id)?))
    })
}

/// What the probes of a server say together.
#[must_use]
pub fn health_of(model: &Model, service: &Service, server: &RealServer, verdicts: &VerdictMap) -> Health {
    let mut failed = verdicts_of(model, service, server, verdicts).filter(|(_, verdict)| !verdict.up);
    failed.next().map_or(Health::Up, |(name, verdict)| Health::Down(format!("{name}: {}", verdict.reason)))
}

fn probes<'a>(
    model: &'a Model,
    service: &'a Service,
    server: &'a RealServer,
) -> impl Iterator<Item = &'a ProbeSpec> {
    service.probes_of(server).iter().filter_map(|name| model.probes.get(name))
}

/// Where a probe of a server goes: the server's own address unless the probe names another.
fn address(service: &Service, server: &RealServer, probe: &ProbeSpec) -> Option<SocketAddr> {
    let port = match probe.port {
        Some(port) => port,
        None => server.ports.map(service.ports.first()?.first),
    };
    let address = probe.address.or_else(|| server.addresses.first().copied())?;
    Some(SocketAddr::new(address, port))
}

fn target_id(probe: &ProbeSpec, address: SocketAddr) -> TargetId {
    TargetId::new(&format!("{}@{address}", probe.name))
}
