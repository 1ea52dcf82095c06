//! Which servers may get what: from configuration, health and overrides.

use crate::model::{Quiescence, RealServer, Weight};
use serde::{Deserialize, Serialize};

/// What the probes of a server say together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Health {
    /// All of them pass, or there is none.
    #[default]
    Up,
    /// At least one fails; why, in words.
    Down(String),
}

/// What an operator set at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Override {
    /// In place of the configured weight.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<u16>,
    /// No new connections, whatever the weight.
    #[serde(default)]
    pub drained: bool,
}

impl Override {
    /// True if nothing is overridden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// State of a server in a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Takes new connections.
    Up,
    /// Its probes fail.
    Down,
    /// An operator drains it.
    Drained,
    /// Its weight is 0.
    Quiescent,
}

/// What a server may get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    /// In one word.
    pub state: State,
    /// In words.
    pub reason: String,
    /// For the scheduler; 0 takes it out of the slots.
    pub weight: Weight,
    /// Persistent clients may return to it, whatever its weight.
    pub admits_returning: bool,
    /// Its connections go on; false: they end now.
    pub keeps_connections: bool,
}

/// Decides for one server.
///
/// A failed probe is stronger than a drain, a drain stronger than a weight. `quiescent: false` makes a failed
/// server count as removed: persistent clients never return to it. `expire_nodest_conn` ends the connections of a
/// server that is dead or removed, never those of a drained one.
#[must_use]
pub fn availability(
    server: &RealServer,
    quiescence: Quiescence,
    health: &Health,
    overridden: Override,
) -> Availability {
    let weight = overridden.weight.map_or(server.weight, Weight::new);
    let returns_to_quiescent = !quiescence.expire_quiescent_template;
    let (state, reason) = match (health, overridden.drained, weight) {
        (Health::Down(reason), _, _) => (State::Down, reason.clone()),
        (Health::Up, true, _) => (State::Drained, "drained by an operator".to_owned()),
        (Health::Up, false, Weight::ZERO) if overridden.weight.is_some() => {
            (State::Quiescent, "weight 0, set by an operator".to_owned())
        }
        (Health::Up, false, Weight::ZERO) => (State::Quiescent, "weight 0 in the configuration".to_owned()),
        (Health::Up, false, _) => (State::Up, String::new()),
    };
    match state {
        State::Up => Availability { state, reason, weight, admits_returning: true, keeps_connections: true },
        State::Drained | State::Quiescent => Availability {
            state,
            reason,
            weight: Weight::ZERO,
            admits_returning: returns_to_quiescent,
            keeps_connections: true,
        },
        State::Down => Availability {
            state,
            reason,
            weight: Weight::ZERO,
            admits_returning: quiescence.quiescent && returns_to_quiescent,
            keeps_connections: !quiescence.expire_nodest_conn,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PortMap;

    fn server(weight: u16) -> RealServer {
        RealServer {
            name: "s".into(),
            addresses: vec!["10.0.1.1".parse().unwrap()],
            ports: PortMap::Keep,
            weight: Weight::new(weight),
        }
    }

    /// (state, weight, admits returning, keeps connections)
    fn decide(
        weight: u16,
        q: [bool; 3],
        down: bool,
        set: Option<u16>,
        drained: bool,
    ) -> (State, u16, bool, bool) {
        let quiescence =
            Quiescence { quiescent: q[0], expire_quiescent_template: q[1], expire_nodest_conn: q[2] };
        let health = if down { Health::Down("refused".into()) } else { Health::Up };
        let it = availability(&server(weight), quiescence, &health, Override { weight: set, drained });
        (it.state, it.weight.get(), it.admits_returning, it.keeps_connections)
    }

    #[test]
    fn semantics_of_weight_drain_and_failure() {
        use State::{Down, Drained, Quiescent, Up};
        let all = [true, true, true];
        assert_eq!(decide(3, all, false, None, false), (Up, 3, true, true));
        assert_eq!(decide(3, all, false, Some(7), false), (Up, 7, true, true));
        assert_eq!(decide(3, all, false, Some(0), false), (Quiescent, 0, false, true));
        assert_eq!(decide(0, all, false, None, false), (Quiescent, 0, false, true));
        assert_eq!(decide(0, all, false, Some(2), false), (Up, 2, true, true));
        assert_eq!(decide(3, all, false, Some(7), true), (Drained, 0, false, true));
        assert_eq!(decide(3, all, true, None, false), (Down, 0, false, false));
        assert_eq!(decide(3, all, true, Some(5), true), (Down, 0, false, false));
    }

    #[test]
    fn expire_quiescent_template_off_lets_clients_return() {
        use State::{Down, Drained, Quiescent};
        let keep = [true, false, true];
        assert_eq!(decide(0, keep, false, None, false), (Quiescent, 0, true, true));
        assert_eq!(decide(1, keep, false, None, true), (Drained, 0, true, true));
        assert_eq!(decide(1, keep, true, None, false), (Down, 0, true, false));
    }

    #[test]
    fn quiescent_off_removes_a_failed_server_whatever_the_entries_say() {
        assert_eq!(decide(1, [false, false, true], true, None, false), (State::Down, 0, false, false));
    }

    #[test]
    fn expire_nodest_conn_off_leaves_connections_alone() {
        assert_eq!(decide(1, [true, true, false], true, None, false), (State::Down, 0, false, true));
    }
}
