//! Probes of the model to targets of the prober.

#[cfg(test)]
mod tests;

use director_core::model::{Model, Node, ProbeSource, ProbeSpec, RealServer, Service};
use health::{Origin, Pace, Policy, Start, State, Target, TargetId, Verdict};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Verdicts by target.
pub type VerdictMap = BTreeMap<TargetId, Arc<Verdict>>;

/// What probes said when an earlier run ended: whether a target was up, by its name.
pub type LastVerdicts = BTreeMap<String, bool>;

/// What targets are before their first verdict, where that is not what their probe says.
pub type Starts = BTreeMap<TargetId, Start>;

/// What this director is among those that share the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// It has the addresses, and the traffic.
    #[default]
    Active,
    /// It waits.
    Backup,
}

/// Servers by what is probed for them: service and server.
pub type Users = BTreeMap<TargetId, Vec<(String, String)>>;

/// Everything that is to be probed, each once however many services want it. The role decides how often, and nothing
/// else.
#[must_use]
pub fn targets(model: &Model, node: &Node, role: Role, starts: &Starts) -> BTreeMap<TargetId, Target> {
    let mut targets = BTreeMap::new();
    for (id, address, probe, _) in wanted(model) {
        let start = starts.get(&id).copied().unwrap_or(probe.policy.start);
        targets.entry(id).or_insert_with(|| target(node, probe, address, role, start));
    }
    targets
}

/// The targets of one server, in the order of its probes, as an Active begins with them.
pub fn targets_of<'a>(
    model: &'a Model,
    node: &'a Node,
    service: &'a Service,
    server: &'a RealServer,
) -> impl Iterator<Item = (&'a ProbeSpec, Target)> {
    destinations(model, service, server)
        .map(move |(probe, address)| (probe, target(node, probe, address, Role::Active, probe.policy.start)))
}

/// Who the targets of [`targets`] are probed for.
#[must_use]
pub fn users(model: &Model) -> Users {
    let mut users = Users::new();
    for (id, _, _, (service, server)) in wanted(model) {
        users.entry(id).or_default().push((service.name.clone(), server.name.clone()));
    }
    users
}

/// What the next run goes on from. A target that nobody knows anything of starts as its probe says.
#[must_use]
pub fn remember(verdicts: &VerdictMap) -> LastVerdicts {
    let known = verdicts.iter().filter(|(_, verdict)| verdict.state != State::Unknown);
    known.map(|(id, verdict)| (id.as_str().to_owned(), verdict.is_up())).collect()
}

/// Targets begin as they were when an earlier run ended.
#[must_use]
pub fn resume(remembered: &LastVerdicts) -> Starts {
    let start = |up: bool| if up { Start::Up } else { Start::Down };
    remembered.iter().map(|(id, up)| (TargetId::new(id), start(*up))).collect()
}

/// Targets that go on being probed keep what they began as: another start would make other targets of them.
#[must_use]
pub fn keep(targets: &BTreeMap<TargetId, Target>) -> Starts {
    targets.iter().map(|(id, target)| (id.clone(), target.policy.start)).collect()
}

/// Verdicts that a change of the configuration moves: a probe of a server that goes to another address or port than
/// before begins with what it came to there. `before` and `after`: who was probed, and is. Others have none.
#[must_use]
pub fn moved(before: &Users, verdicts: &VerdictMap, after: &Users) -> VerdictMap {
    let mut known = BTreeMap::new();
    for (id, users) in before.iter().filter(|(id, _)| !after.contains_key(id)) {
        if let Some(verdict) = verdicts.get(id).filter(|verdict| verdict.state != State::Unknown) {
            known.extend(users.iter().map(|user| ((probe_of(id), user), verdict)));
        }
    }
    let fresh = after.iter().filter(|(id, _)| !before.contains_key(id));
    let moved = fresh.filter_map(|(id, users)| {
        let verdicts = users.iter().filter_map(|user| known.get(&(probe_of(id), user)));
        // What fails for one of several fails.
        Some((id.clone(), Arc::clone(verdicts.min_by_key(|verdict| verdict.is_up())?)))
    });
    moved.collect()
}

/// The name of what a probe tries on a server; `None`: there is no address or port to try it on.
#[must_use]
pub fn target_id(service: &Service, server: &RealServer, probe: &ProbeSpec) -> Option<TargetId> {
    Some(named(probe, probe.destination(service, server)?))
}

/// Everything that servers want probed, by service and server.
fn wanted(
    model: &Model,
) -> impl Iterator<Item = (TargetId, SocketAddr, &ProbeSpec, (&Service, &RealServer))> {
    let servers = model.services.values().flat_map(|service| {
        let servers = service.servers.values();
        servers.map(move |server| (service, server))
    });
    servers.flat_map(|(service, server)| {
        destinations(model, service, server)
            .map(move |(probe, address)| (named(probe, address), address, probe, (service, server)))
    })
}

/// The probes of a server that have somewhere to go, in their order, and where.
fn destinations<'a>(
    model: &'a Model,
    service: &'a Service,
    server: &'a RealServer,
) -> impl Iterator<Item = (&'a ProbeSpec, SocketAddr)> {
    let probes = server.checks.probes.iter().filter_map(|name| model.probes.get(name));
    probes.filter_map(move |probe| Some((probe, probe.destination(service, server)?)))
}

/// How `probe` is tried from `node` on an address.
#[must_use]
pub fn target(node: &Node, probe: &ProbeSpec, address: SocketAddr, role: Role, start: Start) -> Target {
    Target {
        kind: Arc::clone(&probe.kind),
        address,
        origin: Origin { source: source(node, probe, address), mark: probe.mark },
        pace: pace(probe, role),
        timeout: probe.timeout,
        policy: Policy { start, ..probe.policy },
    }
}

fn named(probe: &ProbeSpec, address: SocketAddr) -> TargetId {
    TargetId::new(&format!("{}@{address}", probe.name))
}

/// No probe's name has an `@`.
fn probe_of(id: &TargetId) -> &str {
    id.as_str().split('@').next().unwrap_or_default()
}

fn pace(probe: &ProbeSpec, role: Role) -> Pace {
    let (interval, retry) = match role {
        Role::Active => (probe.interval, probe.retry),
        Role::Backup => (probe.backup_interval, probe.retry.max(probe.backup_interval)),
    };
    Pace { interval, retry, jitter: probe.jitter }
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
