//! A director's part in its virtual router: the state machine, and what is around it that touches nothing.

use super::names::node_of;
use super::router::{Path, View};
use super::{FailoverError, Lowered, Router};
use crate::status::{ActiveStatus, RedundancyStatus};
use director_core::config::closest;
use director_core::model::Redundancy;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use sync::hello::{Hello, Refused};
use sync::vrrp::machine::{Event, Input, Link, Machine, Names, Output, Peers, Preempt, Role, Status, Why};
use sync::vrrp::timing::Time;

/// A director in a virtual router.
#[derive(Debug)]
pub(super) struct Part {
    router: Arc<Router>,
    view: View,
    machine: Machine,
    lowered: Lowered,
    /// Links as the state machine was told.
    up: BTreeMap<Link, bool>,
    why: Why,
    transitions: u64,
}

impl Part {
    /// One that has yet to start.
    pub(super) fn new(router: Arc<Router>, view: View, now: Time) -> Self {
        let machine = Machine::new(view.settings.clone(), now);
        Self {
            router,
            view,
            machine,
            lowered: Lowered::default(),
            up: BTreeMap::new(),
            why: Why::Started,
            transitions: 0,
        }
    }

    /// Goes by another file. The state machine is to be told what is returned.
    pub(super) fn configure(&mut self, router: Arc<Router>, view: View) -> Vec<Input> {
        let before = std::mem::replace(&mut self.view, view);
        self.router = router;
        let kept = &self.view.settings.links;
        self.up.retain(|link, _| kept.contains(link));
        let changed = before.settings != self.view.settings;
        if changed { vec![Input::Configure(Box::new(self.view.settings.clone()))] } else { Vec::new() }
    }

    /// Hands `input` to the state machine, and says what to do.
    pub(super) fn handle(&mut self, now: Time, input: Input) -> Vec<Output> {
        let before = self.machine.role();
        let outputs = self.machine.handle(now, input);
        for output in &outputs {
            if let Output::Note(Event::Became(_, why)) = output {
                self.why = *why;
            }
        }
        self.transitions += u64::from(before != Role::Initialize && before != self.machine.role());
        outputs
    }

    /// What it is.
    pub(super) fn role(&self) -> Role {
        self.machine.role()
    }

    /// When the state machine's timer is due.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.machine.deadline()
    }

    /// There is nobody else in the file, nor can there be.
    pub(super) fn has_no_peers(&self) -> bool {
        self.view.settings.peers == Peers::None
    }

    /// A Backup hears an Active.
    pub(super) fn hears_active(&self) -> bool {
        self.machine.hears_active()
    }

    /// Takes up what tracked targets say.
    pub(super) fn track(&mut self, lowered: Lowered) -> Input {
        let fitness = lowered.fitness;
        self.lowered = lowered;
        Input::Fitness(fitness)
    }

    /// Links that came or went; `up` knows what they are now.
    pub(super) fn links(&mut self, up: impl Fn(&Path) -> bool) -> Vec<Input> {
        let mut changed = Vec::new();
        for path in &self.view.paths {
            let now = up(path);
            if self.up.insert(path.link, now) != Some(now) {
                changed.push(Input::Link(path.link, now));
            }
        }
        changed
    }

    /// The address that `node` is known by.
    ///
    /// # Errors
    /// There is no such node.
    pub(super) fn address(&self, node: &str) -> Result<IpAddr, FailoverError> {
        let roster = &self.view.roster;
        let known = if node == roster.node {
            Some(self.view.settings.address)
        } else {
            roster.peers.get(node).and_then(|addresses| addresses.first().copied())
        };
        known.ok_or_else(|| FailoverError::UnknownNode {
            name: node.to_owned(),
            suggestion: closest(node, self.router.nodes.keys().map(String::as_str)).map(str::to_owned),
        })
    }

    /// What it says of itself to the others, and which of them it refuses: by the address on the first link, with the
    /// epoch that it must exceed.
    pub(super) fn hello(&self, instance: u64, refused: Option<(IpAddr, u64)>) -> Hello {
        let status = self.machine.status();
        Hello {
            node: self.router.node.clone(),
            instance,
            role: status.role,
            priority: status.priority,
            lowered: status.fitness.lowered(),
            fit: status.fit,
            caught_up: holds_connections(&status),
            stood_down: status.stood_down,
            chosen: status.chosen,
            configuration: self.router.configuration.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            interval: self.router.settings.interval,
            refuses: refused.map(|(address, epoch)| Refused { node: self.name(address), epoch }),
        }
    }

    /// The part for people; whoever asks adds what sockets and hellos know.
    pub(super) fn status(&self, now: Time) -> RedundancyStatus {
        let Redundancy { vrid, interval, preempt, .. } = &*self.router.settings;
        let status = self.machine.status();
        let down =
            status.links_down.iter().map(|&link| format!("{} is down: not fit", self.router.link(link)));
        let active = status.active.map(|(address, priority, heard)| ActiveStatus {
            node: node_of(&self.router, address).map(|node| node.name.clone()),
            address,
            priority: priority.get(),
            heard_seconds: now.since(heard).as_secs_f64(),
        });
        RedundancyStatus {
            role: status.role.into(),
            since_seconds: now.since(status.since).as_secs_f64(),
            why: self.why.words(&*self.router),
            vrid: vrid.get(),
            priority: status.priority.get(),
            configured_priority: self.view.settings.priority.get(),
            fit: status.fit,
            lowered_by: down.chain(self.lowered.reasons.iter().cloned()).collect(),
            preempt: words(*preempt).to_owned(),
            stood_down: status.stood_down,
            chosen: status.chosen,
            caught_up: holds_connections(&status),
            interval_seconds: interval.duration().as_secs_f64(),
            authenticated: self.router.keyring.is_some(),
            active,
            transitions: self.transitions,
            dual_active_episodes: status.dual_active_episodes,
            dual_active_seconds: status.dual_active.as_secs_f64(),
            real_time: false,
            links: Vec::new(),
            peers: Vec::new(),
            discards: BTreeMap::new(),
            announcements: 0,
        }
    }

    /// Links that the state machine holds for down, and for silent.
    pub(super) fn poor_links(&self) -> (Vec<Link>, Vec<Link>) {
        let status = self.machine.status();
        (status.links_down, status.links_silent)
    }

    /// The node that is known by `address`; another's address as it is.
    pub(super) fn name(&self, address: IpAddr) -> String {
        self.router.router(address)
    }
}

/// The Active has them all.
fn holds_connections(status: &Status) -> bool {
    status.role == Role::Active || status.caught_up
}

const fn words(preempt: Preempt) -> &'static str {
    match preempt {
        Preempt::Never => "never",
        Preempt::Always => "always",
        Preempt::AfterSync => "after-sync",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redundancy::Addresses;
    use crate::sample;
    use director_core::model::Side;
    use sync::vrrp::machine::{Fitness, Heard};
    use sync::vrrp::timing::Interval;

    fn at(seconds: u64) -> Time {
        Time::default() + std::time::Duration::from_secs(seconds)
    }

    fn with_links(links: &[Side]) -> (Arc<Router>, View) {
        let router = sample::router();
        let settings = Redundancy { links: links.to_vec(), ..Redundancy::clone(&router.settings) };
        let router = Router { settings: Arc::new(settings), ..router };
        let view = View::new(&router, &Addresses::default()).unwrap();
        (Arc::new(router), view)
    }

    fn part() -> Part {
        let (router, view) = with_links(&[Side::Public, Side::Private]);
        Part::new(router, view, at(0))
    }

    #[test]
    fn a_start_is_no_transition() {
        let mut part = part();
        drop(part.handle(at(0), Input::Start));
        let status = part.status(at(0));
        assert_eq!((status.transitions, &*status.why, part.hello(7, None).caught_up), (0, "started", false));
        let due = part.deadline().unwrap();
        drop(part.handle(due, Input::Timer));
        let status = part.status(due);
        assert_eq!((part.role(), status.transitions), (Role::Active, 1));
        assert_eq!(status.why, "no adverts on any link");
        assert!(status.caught_up && part.hello(7, None).caught_up, "the Active has all connections");
    }

    #[test]
    fn what_lowers_it_is_said() {
        let mut part = part();
        let reasons = vec!["ping 192.168.1.1 fails".to_owned()];
        let input = part.track(Lowered { fitness: Fitness::Lowered(20), reasons });
        drop(part.handle(at(0), input));
        let status = part.status(at(0));
        assert_eq!((status.priority, status.fit), (130, true));
        assert_eq!(status.lowered_by, ["ping 192.168.1.1 fails"]);
        assert_eq!((part.hello(7, None).priority.get(), part.hello(7, None).lowered), (130, 20));
        for input in part.links(|path| path.side == Side::Public) {
            drop(part.handle(at(0), input));
        }
        let status = part.status(at(0));
        assert_eq!((status.fit, part.hello(7, None).fit), (false, false));
        assert_eq!(status.lowered_by, ["private (eth1) is down: not fit", "ping 192.168.1.1 fails"]);
    }

    #[test]
    fn a_backup_says_whom_it_hears_and_when_it_did_last() {
        let mut part = part();
        drop(part.handle(at(0), Input::Start));
        for (seconds, link) in [(2, Link(0)), (3, Link(1))] {
            let (from, interval) = ([192, 168, 1, 34].into(), Interval::DEFAULT);
            let heard = Heard { link, from, priority: 200, interval, successor: None };
            drop(part.handle(at(seconds), Input::Advert(heard)));
        }
        let active = part.status(at(5)).active.unwrap();
        assert_eq!((active.node.as_deref(), active.priority, active.heard_seconds), (Some("lb2"), 200, 2.0));
    }

    #[test]
    fn who_is_refused_is_told_by_name() {
        let refused = Some(([192, 168, 1, 34].into(), 9));
        let refuses = part().hello(7, refused).refuses;
        assert_eq!(refuses, Some(Refused { node: "lb2".to_owned(), epoch: 9 }));
    }

    #[test]
    fn the_state_machine_is_told_what_is_new() {
        let mut part = part();
        assert_eq!(part.links(|_| true), [Input::Link(Link(0), true), Input::Link(Link(1), true)]);
        assert_eq!(part.links(|_| true), []);
        let (router, view) = with_links(&[Side::Public, Side::Private]);
        assert_eq!(part.configure(router, view), []);
        let (router, view) = with_links(&[Side::Public]);
        assert!(matches!(part.configure(router, view)[..], [Input::Configure(_)]));
        assert_eq!(part.links(|_| true), []);
        let (router, view) = with_links(&[Side::Public, Side::Private]);
        assert!(matches!(part.configure(router, view)[..], [Input::Configure(_)]));
        assert_eq!(part.links(|_| true), [Input::Link(Link(1), true)]);
    }
}
