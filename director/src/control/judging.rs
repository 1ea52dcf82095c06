//! Probing: what is probed, and what is done when a verdict changes.

use super::telling::Telling;
use super::{Control, Scope};
use crate::status::ProbeState;
use crate::targets::{self, Role, Starts, Users, VerdictMap};
use crate::verdicts::changes;
use crate::words::some_of;
use health::{TargetId, Verdict};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

impl Control {
    /// Has everything probed that the configuration names, from now on.
    pub(super) fn probe(&mut self, starts: &Starts) {
        let (model, node) = (&self.configuration.model, &self.configuration.node);
        self.users = targets::users(model);
        self.targets.send_replace(Arc::new(targets::targets(model, node, self.role, starts)));
    }

    /// The same after a change, which those that are probed already don't notice.
    pub(super) fn probe_on(&mut self) {
        let starts = targets::keep(&self.targets.borrow());
        self.probe(&starts);
    }

    /// Takes up a role.
    pub(super) fn play(&mut self, role: Role) {
        if self.role != role {
            self.role = role;
            self.probe_on();
        }
    }

    /// Takes up what probes say.
    pub(super) async fn judge(&mut self, verdicts: Arc<VerdictMap>) {
        let before = std::mem::replace(&mut self.verdicts, verdicts);
        let mut services = BTreeSet::new();
        let mut turned = false;
        for (id, old, new) in changes(&before, &self.verdicts) {
            let users = self.users.get(id).into_iter().flatten();
            services.extend(users.map(|(service, _)| service.clone()));
            turned |= old.map(|it| it.state) != new.map(|it| it.state);
            if let (Some(old), Some(new)) = (old, new) {
                tell(&mut self.telling, &self.users, id, old, new);
            }
        }
        if !services.is_empty() {
            // A failure stands in the status, and the next tick tries again.
            let _ = self.reconcile(Scope::Services(&services)).await;
        }
        if turned && let Err(error) = self.memory.set_verdicts(targets::remember(&self.verdicts)) {
            tracing::warn!(%error, "a restart would take failed servers for working ones, or working ones for failed");
        }
    }
}

/// Logs that a verdict turned.
fn tell(telling: &mut Telling, users: &Users, id: &TargetId, old: &Verdict, new: &Verdict) {
    if old.state == new.state || !telling.verdicts.take(Instant::now()) {
        return;
    }
    let users = users.get(id).into_iter().flatten();
    let users: Vec<String> = users.map(|(service, server)| format!("{service}/{server}")).collect();
    let (from, to) = (ProbeState::from(old.state).name(), ProbeState::from(new.state).name());
    tracing::info!(probe = %id, servers = some_of(&users), from, to, reason = &*new.reason, "verdict changed");
}
