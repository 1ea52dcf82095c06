//! How much of a service must be up.

use crate::availability::{Availability, State};
use crate::model::{Role, Service};
use std::collections::BTreeMap;

/// How much of a service is up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuorumState {
    /// Sum of the weights of its regular servers that are up and not drained, of all levels.
    pub weight: u32,
    /// That is enough.
    pub held: bool,
}

impl QuorumState {
    /// `servers` as each is by itself, before any has to wait for others; `before` is the last state.
    ///
    /// Between loss and gain it stays as it was. At first it is held from the quorum itself on.
    pub(super) fn of(
        service: &Service,
        servers: &BTreeMap<String, Availability>,
        before: Option<Self>,
    ) -> Self {
        let weights = service.servers.values().filter_map(|server| {
            let it = servers.get(&server.name)?;
            let counts = matches!(server.role, Role::Regular { .. }) && it.state == State::Up;
            counts.then_some(u32::from(it.weight.get()))
        });
        let weight = weights.fold(0, u32::saturating_add);
        let quorum = service.quorum;
        let needed = match before.map(|before| before.held) {
            None => quorum.weight,
            Some(true) => quorum.weight.saturating_sub(quorum.hysteresis),
            Some(false) => quorum.weight.saturating_add(quorum.hysteresis),
        };
        Self { weight, held: weight >= needed.max(1) }
    }
}
