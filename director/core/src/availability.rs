//! Which servers may get what: from configuration, health and overrides.

use crate::model::{Quiescence, RealServer, Weight};
use crate::overrides::{Override, ReturningClients};

/// Parts of a whole share: a server that starts slowly or is slow has fewer of them for each unit of its weight.
pub const WHOLE: u32 = 32;

/// What the probes of a server say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// As many pass as must, or there is none.
    Up(Advice),
    /// Nobody can tell yet; why, in words.
    Unknown(String),
    /// Too many fail; why, in words.
    Down(String),
}

impl Default for Health {
    fn default() -> Self {
        Self::Up(Advice::default())
    }
}

/// What probes that pass say beside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Advice {
    /// The weight that they ask for in place of the configured one.
    pub weight: Option<Asked>,
    /// Percent of its weight that a server keeps which is slow, 1 to 100; `None`: all of it.
    pub slow_weight: Option<u8>,
    /// What people should know, in words.
    pub notes: Vec<String>,
}

/// A weight that a probe asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The weight; 0: no new connections.
    pub weight: Weight,
    /// Who asks for it and why, in words.
    pub by: String,
}

/// State of a server in a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Takes new connections.
    Up,
    /// It could, but waits for others to fail.
    Standby,
    /// It has reached its upper connection threshold, and is not below the lower one yet.
    Overloaded,
    /// Its probes fail.
    Down,
    /// Its probes have yet to tell: no new connections, those that it has go on.
    Unknown,
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
    /// The weight in force; 0: no new connections.
    pub weight: Weight,
    /// The weight that it would have if it took connections; what a scheduler may keep its place by. 0: it has none
    /// beside those that serve.
    pub full_weight: Weight,
    /// What the scheduler deals slots by, in [`WHOLE`]ths of a unit of weight; 0 takes it out of the slots.
    pub share: u32,
    /// Persistent clients may return to it, whatever its weight.
    pub admits_returning: bool,
    /// Its connections go on; false: they end now.
    pub keeps_connections: bool,
}

impl Availability {
    /// True if a persistent client that returns to it is let in.
    #[must_use]
    pub fn takes_returning(&self) -> bool {
        self.admits_returning || self.share > 0
    }
}

/// Decides for one server at `now`, in seconds since 1970, as if it stood alone: never standby or overloaded, which
/// is for the pool to say.
///
/// A failed probe is stronger than a drain, a drain stronger than a weight; a weight that an operator set is stronger
/// than one that a probe asks for, which is stronger than the configured one. `quiescent: false` makes a failed
/// server count as removed: persistent clients never return to it. `expire_nodest_conn` ends the connections of a
/// server that is dead or removed, never those of one that is drained, which is for the drain's deadline to say, or
/// of one that nobody knows anything of.
#[must_use]
pub fn availability(
    server: &RealServer,
    quiescence: Quiescence,
    health: &Health,
    overridden: Override,
    now: u64,
) -> Availability {
    let set = overridden.weight_at(now).map(Weight::new);
    let asked = match health {
        Health::Up(advice) => advice.weight.as_ref().filter(|_| set.is_none()),
        Health::Unknown(_) | Health::Down(_) => None,
    };
    let weight = set.or(asked.map(|asked| asked.weight)).unwrap_or(server.weight);
    let full_weight = if weight == Weight::ZERO { server.weight } else { weight };
    let returns_to_quiescent = !quiescence.expire_quiescent_template;
    let without_weight = |state, reason| Availability {
        state,
        reason,
        weight: Weight::ZERO,
        full_weight,
        share: 0,
        admits_returning: returns_to_quiescent,
        keeps_connections: true,
    };
    match (health, overridden.drain) {
        (Health::Down(reason), _) => Availability {
            admits_returning: quiescence.quiescent && returns_to_quiescent,
            keeps_connections: !quiescence.expire_nodest_conn,
            ..without_weight(State::Down, reason.clone())
        },
        (Health::Up(_) | Health::Unknown(_), Some(drain)) => Availability {
            admits_returning: match drain.returning_clients {
                Some(clients) => clients == ReturningClients::Stay && !drain.cuts(now),
                None => returns_to_quiescent && !drain.cuts(now),
            },
            keeps_connections: !drain.cuts(now),
            ..without_weight(State::Drained, "drained by an operator".to_owned())
        },
        (Health::Unknown(reason), None) => without_weight(State::Unknown, reason.clone()),
        (Health::Up(advice), None) if weight == Weight::ZERO => {
            let why = match (set, asked) {
                (Some(_), _) => "weight 0, set by an operator".to_owned(),
                (None, Some(asked)) => asked.reason(),
                (None, None) => "weight 0 in the configuration".to_owned(),
            };
            without_weight(State::Quiescent, sentence(Some(why), advice))
        }
        (Health::Up(advice), None) => Availability {
            state: State::Up,
            reason: sentence(asked.map(Asked::reason), advice),
            weight,
            full_weight,
            share: u32::from(weight.get()) * WHOLE,
            admits_returning: true,
            keeps_connections: true,
        },
    }
}

impl Asked {
    fn reason(&self) -> String {
        format!("weight {}, asked for by {}", self.weight.get(), self.by)
    }
}

/// Why it is as it is, and what else is to be known.
fn sentence(why: Option<String>, advice: &Advice) -> String {
    why.into_iter().chain(advice.notes.iter().cloned()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PortMap, Role};
    use crate::overrides::{AtDeadline, Drain, WeightOverride};
    use std::sync::Arc;

    fn server(weight: u16) -> RealServer {
        RealServer {
            name: "s".into(),
            addresses: vec!["10.0.1.1".parse().unwrap()],
            ports: PortMap::Keep,
            weight: Weight::new(weight),
            role: Role::default(),
            checks: Arc::default(),
            thresholds: None,
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
        let health = if down { Health::Down("refused".into()) } else { Health::default() };
        let overridden = Override {
            weight: set.map(|weight| WeightOverride { weight, until: None }),
            drain: drained.then(Drain::default),
        };
        let it = availability(&server(weight), quiescence, &health, overridden, 0);
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

    #[test]
    fn a_server_without_weight_has_the_one_it_would_come_back_with() {
        let set = |weight| Some(WeightOverride { weight, until: None });
        let full = |weight, health: &Health, overridden| {
            availability(&server(weight), Quiescence::default(), health, overridden, 0).full_weight.get()
        };
        let down = Health::Down("refused".into());
        let drain = Some(Drain::default());
        assert_eq!(full(3, &Health::default(), Override { weight: None, drain }), 3);
        assert_eq!(full(3, &Health::default(), Override { weight: set(5), drain }), 5);
        assert_eq!(full(3, &down, Override { weight: set(5), drain: None }), 5);
        assert_eq!(full(3, &Health::default(), Override { weight: set(0), drain: None }), 3);
        assert_eq!(full(0, &Health::default(), Override::default()), 0);
        assert_eq!(full(3, &Health::default(), Override { weight: set(5), drain: None }), 5);
    }

    #[test]
    fn a_drain_may_choose_for_itself_where_persistent_clients_go() {
        for (expire, clients, returns) in [
            (true, ReturningClients::Stay, true),
            (false, ReturningClients::Stay, true),
            (true, ReturningClients::Move, false),
            (false, ReturningClients::Move, false),
        ] {
            let quiescence = Quiescence { expire_quiescent_template: expire, ..Quiescence::default() };
            let drain = Drain { returning_clients: Some(clients), ..Drain::default() };
            let overridden = Override { weight: None, drain: Some(drain) };
            let it = availability(&server(1), quiescence, &Health::default(), overridden, 0);
            assert_eq!(it.admits_returning, returns, "{expire} {clients:?}");
        }
    }

    #[test]
    fn a_drain_that_cuts_ends_connections_at_its_deadline() {
        let drain = Drain { deadline: Some(100), at_deadline: AtDeadline::Cut, ..Drain::default() };
        let overridden = Override { weight: None, drain: Some(drain) };
        let decide =
            |now| availability(&server(1), Quiescence::default(), &Health::default(), overridden, now);
        assert!(decide(99).keeps_connections);
        assert!(!decide(100).keeps_connections);
    }

    fn up(weight: Option<u16>, notes: &[&str]) -> Health {
        let weight = weight.map(|weight| Asked { weight: Weight::new(weight), by: "load: busy".into() });
        Health::Up(Advice {
            weight,
            notes: notes.iter().map(|&note| note.to_owned()).collect(),
            ..Advice::default()
        })
    }

    #[test]
    fn a_probe_may_ask_for_a_weight_unless_an_operator_set_one() {
        let decide = |health: &Health, set: Option<u16>| {
            let overridden = Override {
                weight: set.map(|weight| WeightOverride { weight, until: None }),
                ..Override::default()
            };
            let it = availability(&server(5), Quiescence::default(), health, overridden, 0);
            (it.state, it.weight.get(), it.full_weight.get(), it.reason)
        };
        let asked = |weight: u16| format!("weight {weight}, asked for by load: busy");
        assert_eq!(decide(&up(Some(3), &[]), None), (State::Up, 3, 3, asked(3)));
        assert_eq!(decide(&up(Some(0), &[]), None), (State::Quiescent, 0, 5, asked(0)));
        assert_eq!(decide(&up(Some(0), &[]), Some(7)), (State::Up, 7, 7, String::new()));
        let by_operator = (State::Quiescent, 0, 5, "weight 0, set by an operator".to_owned());
        assert_eq!(decide(&up(Some(3), &[]), Some(0)), by_operator);
        let noted = up(Some(3), &["web: the certificate ends soon", "rdp: refused"]);
        assert_eq!(decide(&noted, None).3, asked(3) + "; web: the certificate ends soon; rdp: refused");
        assert_eq!(decide(&up(None, &["web: old"]), None), (State::Up, 5, 5, "web: old".to_owned()));
    }

    #[test]
    fn a_server_that_nobody_knows_gets_nothing_new_and_loses_nothing() {
        for (expire, returns) in [(true, false), (false, true)] {
            let quiescence = Quiescence { expire_quiescent_template: expire, ..Quiescence::default() };
            let unknown = Health::Unknown("rdp: not probed yet".into());
            let it = availability(&server(5), quiescence, &unknown, Override::default(), 0);
            assert_eq!((it.state, it.weight.get(), it.share), (State::Unknown, 0, 0));
            assert_eq!((it.admits_returning, it.keeps_connections), (returns, true));
            assert_eq!(it.reason, "rdp: not probed yet");
        }
    }
}
