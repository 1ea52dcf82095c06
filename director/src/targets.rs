//! Probes of the model to targets of the prober, and verdicts back to the health of servers.

#[cfg(test)]
mod tests;

use director_core::availability::Health;
use director_core::model::{Model, Node, ProbeSource, ProbeSpec, RealServer, Service};
use health::{Origin, Pace, Policy, Start, Target, TargetId, Verdict};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Verdicts by target.
pub type VerdictMap = BTreeMap<TargetId, Arc<Verdict>>;

/// What probes said when an earlier run ended: whether a target was up, by its name.
pub type LastVerdicts = BTreeMap<String, bool>;

/// Everything that is to be probed, each once however many services want it. Targets that are remembered start as
/// they were, others as their probe says.
#[must_use]
pub fn targets(model: &Model, node: &Node, remembered: &LastVerdicts) -> BTreeMap<TargetId, Target> {
    let mut targets = BTreeMap::new();
    for service in model.services.values() {
        for server in service.servers.values() {
            for probe in probes(model, server) {
                let Some(address) = probe.destination(service, server) else { continue };
                let id = target_id(probe, address);
                let start = match remembered.get(id.as_str()) {
                    Some(true) => Start::Up,
                    Some(false) => Start::Down,
                    None => probe.policy.start,
                };
                let target = Target {
                    kind: Arc::clone(&probe.kind),
                    address,
                    origin: Origin { source: source(node, probe, address), mark: probe.mark },
                    pace: Pace { interval: probe.interval, retry: probe.retry, jitter: probe.jitter },
                    timeout: probe.timeout,
                    policy: Policy { start, ..probe.policy },
                };
                targets.insert(id, target);
            }
        }
    }
    targets
}

/// What [`targets`] of the next run go on from.
#[must_use]
pub fn remember(verdicts: &VerdictMap) -> LastVerdicts {
    verdicts.iter().map(|(id, verdict)| (id.as_str().to_owned(), verdict.is_up())).collect()
}

/// True if a server may be treated otherwise for it: a verdict changed, or the reason of a failure.
#[must_use]
pub fn differ(before: &VerdictMap, after: &VerdictMap) -> bool {
    let matters = |verdict: &Verdict| (!verdict.is_up()).then(|| Arc::clone(&verdict.reason));
    before.len() != after.len()
        || before.iter().any(|(id, verdict)| after.get(id).map(|it| matters(it)) != Some(matters(verdict)))
}

/// The verdict of each probe of a server, by the probe's name; those without one yet are left out.
pub fn verdicts_of<'a>(
    model: &'a Model,
    service: &'a Service,
    server: &'a RealServer,
    verdicts: &'a VerdictMap,
) -> impl Iterator<Item = (&'a str, &'a Verdict)> {
    probes(model, server).filter_map(move |probe| {
        let id = target_id(probe, probe.destination(service, server)?);
        Some((probe.name.as_str(), verdicts.get(&id)?.as_ref()))
    })
}

/// What the probes of a server say together.
#[must_use]
pub fn health_of(model: &Model, service: &Service, server: &RealServer, verdicts: &VerdictMap) -> Health {
    let mut failed = verdicts_of(model, service, server, verdicts).filter(|(_, verdict)| !verdict.is_up());
    failed.next().map_or(Health::Up, |(name, verdict)| Health::Down(format!("{name}: {}", verdict.reason)))
}

fn probes<'a>(model: &'a Model, server: &'a RealServer) -> impl Iterator<Item = &'a ProbeSpec> {
    server.checks.probes.iter().filter_map(|name| model.probes.get(name))
}

/// The address that a probe leaves from, of the family of where it goes; `None`: where the routes say.
fn source(node: &Node, probe: &ProbeSpec, to: SocketAddr) -> Option<IpAddr> {
    match probe.source {
        ProbeSource::Routes => None,
        ProbeSource::Address(address) => Some(address),
        ProbeSource::Private => {
            let own = node.private.addresses.iter().map(|network| network.address());
            own.into_iter().find(|own| own.is_ipv4() == to.is_ipv4())
        }
    }
}

fn target_id(probe: &ProbeSpec, address: SocketAddr) -> TargetId {
    TargetId::new(&format!("{}@{address}", probe.name))
}
