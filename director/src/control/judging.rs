//! Probing: what is probed, and what is done when a verdict changes.

use super::{Control, Scope};
use crate::status::ProbeState;
use crate::targets::{self, Role, Starts, VerdictMap};
use crate::telling::Budget;
use crate::verdicts::{Change, changes};
use crate::words::some_of;
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
        let mut starts = targets::resume(&targets::remember(&self.moved));
        starts.extend(targets::keep(&self.targets.borrow()));
        self.probe(&starts);
    }

    /// Lets probes that the configuration sends elsewhere stand where they stood.
    pub(super) fn follow(&mut self) {
        let after = targets::users(&self.configuration.model);
        self.moved = targets::moved(&self.users, &self.verdicts, &after);
        if !self.moved.is_empty() {
            Arc::make_mut(&mut self.verdicts).extend(self.moved.clone());
        }
    }

    /// Takes up a role.
    pub(super) fn play(&mut self, role: Role) {
        if self.role != role {
            self.role = role;
            self.probe_on();
        }
    }

    /// Takes up what probes say.
    pub(super) async fn judge(&mut self, mut verdicts: Arc<VerdictMap>) {
        self.moved.retain(|id, _| !verdicts.contains_key(id));
        if !self.moved.is_empty() {
            Arc::make_mut(&mut verdicts).extend(self.moved.clone());
        }
        let before = std::mem::replace(&mut self.verdicts, verdicts);
        let mut services = BTreeSet::new();
        let mut turned = false;
        for change in changes(&before, &self.verdicts) {
            let users = self.users.get(change.id).map_or(&[][..], Vec::as_slice);
            services.extend(users.iter().map(|(service, _)| service.clone()));
            if change.turns() {
                turned = true;
                tell(&mut self.telling.verdicts, &change, users);
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
fn tell(lines: &mut Budget, change: &Change<'_>, users: &[(String, String)]) {
    let (Some(before), Some(after)) = (change.before, change.after) else { return };
    if lines.take(Instant::now()) {
        let users: Vec<String> =
            users.iter().map(|(service, server)| format!("{service}/{server}")).collect();
        let (from, to) = (ProbeState::from(before.state).name(), ProbeState::from(after.state).name());
        let (probe, servers, reason) = (change.id, some_of(&users), &*after.reason);
        tracing::info!(%probe, servers, from, to, reason, "verdict changed");
    }
}
