//! The other directors, as their hellos tell.

use super::{Hello, Received, Roster};
use crate::vrrp::machine::{Peer, Role};
use crate::vrrp::timing::Time;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// A peer that said hello can't be reached when it is silent for so long.
pub const SILENCE: Duration = Duration::from_secs(3);

/// What is known of the others.
#[derive(Debug, Clone, Default)]
pub struct Peers {
    node: String,
    configuration: String,
    /// By address on the first link.
    known: BTreeMap<IpAddr, Known>,
}

/// What is known of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name in the configuration.
    pub node: String,
    /// Its address on the first link.
    pub address: IpAddr,
    /// When it said hello last; `None`: never, as another product does.
    pub heard: Option<Time>,
    /// It says hello.
    pub reachable: bool,
    /// What it said last.
    pub says: Option<Hello>,
    /// Its configuration is another one than ours.
    differs: bool,
    /// It says that it is another node.
    misnamed: Option<String>,
    /// Who it was before it started anew.
    former: Option<u64>,
    /// When one that it was before spoke again.
    twins: Option<Time>,
}

/// What comes of a hello, or of none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// For the state machine: `Input::Peer`.
    Peer(IpAddr, Option<Peer>),
    /// For people.
    News(News),
    /// It refuses what this director signs, whose epoch must exceed this one.
    Refused(u64),
    /// It has just come, or become Active, which forgot who is here when it heard nobody: let it hear that.
    Answer,
}

/// Something that people may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A peer says hello again, or for the first time.
    Heard {
        /// Its name.
        node: String,
    },
    /// A peer says nothing any more.
    Silent {
        /// Its name.
        node: String,
    },
    /// A peer says that it takes part no more.
    Stopped {
        /// Its name.
        node: String,
    },
    /// A peer has another configuration, or the same again.
    Configuration {
        /// Its name.
        node: String,
        /// It has the same.
        same: bool,
    },
    /// A director calls itself by another name than the one its address has in the configuration.
    Misnamed {
        /// Its address.
        address: IpAddr,
        /// What the configuration calls it.
        node: String,
        /// What it calls itself.
        says: String,
        /// That is what this director is called.
        ours: bool,
    },
    /// Two directors take turns in saying that they are one.
    Twins {
        /// What they call themselves.
        node: String,
    },
}

impl Peers {
    /// Takes up who is expected, and our own configuration's hash; to be said again when that changes.
    pub fn configure(&mut self, roster: &Roster, configuration: &str) -> Vec<Outcome> {
        roster.node.clone_into(&mut self.node);
        configuration.clone_into(&mut self.configuration);
        let mut before = std::mem::take(&mut self.known);
        for (node, addresses) in &roster.peers {
            let Some(&address) = addresses.first() else { continue };
            let same = before.get(&address).is_some_and(|known| known.node == *node);
            let known = same.then(|| before.remove(&address)).flatten();
            self.known.insert(address, known.unwrap_or_else(|| Known::new(node, address)));
        }
        let gone = before.into_values().filter(|known| known.reachable);
        let mut out: Vec<_> = gone.map(|known| Outcome::Peer(known.address, None)).collect();
        for known in self.known.values_mut().filter(|known| known.reachable) {
            out.extend(known.compare(configuration));
        }
        out
    }

    /// A peer said hello.
    pub fn hear(&mut self, now: Time, received: Received) -> Vec<Outcome> {
        let Received { source, peer, hello } = received;
        let Some(known) = self.known.get_mut(&peer) else { return Vec::new() };
        if hello.node != known.node {
            let says = hello.node;
            if known.misnamed.as_ref() == Some(&says) {
                return Vec::new();
            }
            known.misnamed = Some(says.clone());
            let (node, ours) = (known.node.clone(), says == self.node);
            return vec![Outcome::News(News::Misnamed { address: source, node, says, ours })];
        }
        let mut out = Vec::new();
        known.misnamed = None;
        let anew = known.says.as_ref().is_none_or(|before| before.instance != hello.instance);
        let active = |hello: &Hello| hello.role == Role::Active;
        let rose = active(&hello) && !known.says.as_ref().is_some_and(active);
        if anew || rose || !known.reachable {
            out.push(Outcome::Answer);
        }
        let node = || known.node.clone();
        let stopped = |hello: &Hello| hello.role == Role::Initialize;
        match (known.says.as_ref().is_some_and(stopped), stopped(&hello)) {
            (false, true) => out.push(Outcome::News(News::Stopped { node: node() })),
            (was, false) if was || !known.reachable => {
                out.push(Outcome::News(News::Heard { node: node() }));
            }
            (true | false, _) => {}
        }
        out.extend(known.recognise(now, hello.instance));
        let refused = hello.refuses.as_ref().filter(|it| it.node == self.node);
        out.extend(refused.map(|it| Outcome::Refused(it.epoch)));
        let peer = Peer {
            priority: hello.priority,
            lowered: hello.lowered,
            fit: hello.fit && !stopped(&hello),
            caught_up: hello.caught_up,
            active: active(&hello),
            stood_down: hello.stood_down,
            chosen: hello.chosen,
        };
        (known.heard, known.reachable, known.says) = (Some(now), true, Some(hello));
        out.extend(known.compare(&self.configuration));
        out.push(Outcome::Peer(known.address, Some(peer)));
        out
    }

    /// When [`Self::expire`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.known.values().filter_map(Known::deadline).min()
    }

    /// Who has been silent for too long by `now`. What has arrived is to be heard first.
    pub fn expire(&mut self, now: Time) -> Vec<Outcome> {
        let mut out = Vec::new();
        for known in self.known.values_mut().filter(|known| known.deadline().is_some_and(|due| due <= now)) {
            known.reachable = false;
            // Of one that has stopped that was to be expected.
            if known.says.as_ref().is_none_or(|said| said.role != Role::Initialize) {
                out.push(Outcome::News(News::Silent { node: known.node.clone() }));
            }
            out.push(Outcome::Peer(known.address, None));
        }
        out
    }

    /// Every peer of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Known> {
        self.known.values()
    }
}

impl Known {
    fn new(node: &str, address: IpAddr) -> Self {
        Self {
            node: node.to_owned(),
            address,
            heard: None,
            reachable: false,
            says: None,
            differs: false,
            misnamed: None,
            former: None,
            twins: None,
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.heard.filter(|_| self.reachable).map(|heard| heard + SILENCE)
    }

    /// Holds what it says against our configuration's hash.
    fn compare(&mut self, configuration: &str) -> Option<Outcome> {
        let same = self.says.as_ref()?.configuration == configuration;
        let before = std::mem::replace(&mut self.differs, !same);
        (before == same).then(|| Outcome::News(News::Configuration { node: self.node.clone(), same }))
    }

    /// One that starts anew does not come back as the one it was before: then there are two.
    fn recognise(&mut self, now: Time, instance: u64) -> Option<Outcome> {
        let before = self.says.as_ref()?.instance;
        if before == instance {
            return None;
        }
        let back = self.former.replace(before) == Some(instance);
        let told = self.twins.is_some_and(|last| now.since(last) < SILENCE);
        self.twins = back.then_some(now);
        (back && !told).then(|| Outcome::News(News::Twins { node: self.node.clone() }))
    }
}

#[cfg(test)]
mod tests;
