//! A virtual router as people see it.

use super::choice::Choice;
use super::hearing::Hearing;
use super::{Fitness, Link, Machine, Role};
use crate::vrrp::timing::{Priority, Time};
use std::net::IpAddr;
use std::time::Duration;

/// What people may want to know of a [`Machine`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What it is.
    pub role: Role,
    /// Since when.
    pub since: Time,
    /// Its priority now.
    pub priority: Priority,
    /// What tracked targets say.
    pub fitness: Fitness,
    /// It could serve: nothing makes it unfit, and all links are up.
    pub fit: bool,
    /// Links without a carrier.
    pub links_down: Vec<Link>,
    /// Links where adverts are missing that come by others.
    pub links_silent: Vec<Link>,
    /// The Active that a Backup hears: address, priority, and when it was heard last.
    pub active: Option<(IpAddr, Priority, Time)>,
    /// It holds the connections.
    pub caught_up: bool,
    /// It does not preempt since the operator made it step down.
    pub stood_down: bool,
    /// It is Active since the operator made another one step down: nobody preempts it.
    pub chosen: bool,
    /// How often another Active was heard while being Active.
    pub dual_active_episodes: u64,
    /// For how long, from the first to the last advert of the other.
    pub dual_active: Duration,
}

impl Machine {
    /// Everything worth showing.
    #[must_use]
    pub fn status(&self) -> Status {
        let links = |which: fn(&Hearing) -> bool| {
            self.links.iter().filter(|(_, hearing)| which(hearing)).map(|(&link, _)| link).collect()
        };
        Status {
            role: self.role,
            since: self.since,
            priority: self.priority(),
            fitness: self.fitness,
            fit: !self.unfit(),
            links_down: links(|hearing| !hearing.up),
            links_silent: links(|hearing| hearing.silent),
            active: self.leader.map(|leader| (leader.from, leader.priority, leader.heard)),
            caught_up: self.caught_up,
            stood_down: self.stood_down,
            chosen: matches!(self.choice, Choice::Made(_)),
            dual_active_episodes: self.dual.episodes,
            dual_active: self.dual.total,
        }
    }
}
