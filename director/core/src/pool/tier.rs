//! Which servers serve, and which wait for their turn.

use super::QuorumState;
use crate::availability::{Availability, State};
use crate::model::{Role, Service, Weight};
use std::collections::BTreeMap;
use std::fmt;

/// Who gets a service's new connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Serving {
    /// Regular servers.
    Regular {
        /// Their level.
        priority: u8,
    },
    /// The sorry servers.
    Sorry,
    /// Nobody: they are refused.
    #[default]
    Nobody,
}

impl fmt::Display for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Regular { priority } => write!(f, "regular, priority {priority}"),
            Self::Sorry => f.write_str("sorry"),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

/// Regular servers serve, those of the lowest level that has one able to, unless the quorum is lost and there is a
/// sorry server to take over. Without one a lost quorum changes nothing, as with keepalived. A level whose servers
/// are all overloaded is helped by the next one, and the last one by the sorry servers.
pub(super) fn choose(
    service: &Service,
    servers: &BTreeMap<String, Availability>,
    quorum: QuorumState,
) -> Serving {
    let able = || {
        let is_able = |name| servers.get(name).is_some_and(|it| it.share > 0);
        service.servers.values().filter(move |server| is_able(&server.name))
    };
    let lowest = able().filter_map(|server| match server.role {
        Role::Regular { priority } => Some(priority),
        Role::Sorry => None,
    });
    let sorry = able().any(|server| server.role == Role::Sorry);
    match lowest.min() {
        Some(priority) if quorum.held || !sorry => Serving::Regular { priority },
        _ if sorry => Serving::Sorry,
        _ => Serving::Nobody,
    }
}

/// Keeps new connections from servers whose turn it is not. What they have goes on.
pub(super) fn hold_back(
    service: &Service,
    servers: &mut BTreeMap<String, Availability>,
    serving: Serving,
    quorum: QuorumState,
) {
    let as_quiescent = !service.quiescence.expire_quiescent_template;
    for server in service.servers.values() {
        let Some(it) = servers.get_mut(&server.name) else { continue };
        match (serving, &server.role) {
            (Serving::Regular { priority: level }, Role::Regular { priority }) if priority == &level => {}
            (Serving::Regular { priority: level }, Role::Regular { priority }) => {
                it.full_weight = Weight::ZERO;
                if *priority > level {
                    wait(it, || format!("waits: priority {level} serves"), as_quiescent);
                }
            }
            (Serving::Regular { .. }, Role::Sorry) => {
                it.full_weight = Weight::ZERO;
                wait(it, || "waits: regular servers serve".to_owned(), false);
                it.admits_returning = false;
            }
            (Serving::Sorry, Role::Regular { .. }) => {
                it.full_weight = Weight::ZERO;
                if !quorum.held {
                    let reason = || {
                        format!("waits: the quorum is lost, {} of {}", quorum.weight, service.quorum.weight)
                    };
                    wait(it, reason, false);
                }
            }
            (Serving::Sorry, Role::Sorry) | (Serving::Nobody, _) => {}
        }
    }
}

/// Puts a server aside that could serve.
fn wait(it: &mut Availability, reason: impl FnOnce() -> String, admits_returning: bool) {
    if matches!(it.state, State::Up | State::Overloaded) {
        it.state = State::Standby;
        it.reason = reason();
        it.weight = Weight::ZERO;
        it.share = 0;
        it.admits_returning = admits_returning;
    }
}
