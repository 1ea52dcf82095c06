//! What is to be done, from what is there to what is ordered.

use super::Holding;
use crate::kernel::address::picture::Picture;
use crate::kernel::address::{AddressError, host_prefix};
use crate::redundancy::{Addresses, Placed};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What an error is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// The kernel's answer to what there is.
    Picture,
    Link(String),
    Address(Placed),
}

/// One netlink operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The address is ours and is not to be here.
    Remove(Placed),
    /// The interface is there for addresses that are held, and is down; false: that are not, and is up.
    Raise(String, bool),
    /// The address is missing.
    Add(Placed),
    /// The address hasn't the lifetime that it is to have.
    Renew(Placed),
}

impl Step {
    /// What it is about.
    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::Remove(placed) | Self::Add(placed) | Self::Renew(placed) => {
                Subject::Address(placed.clone())
            }
            Self::Raise(name, _) => Subject::Link(name.clone()),
        }
    }
}

/// What is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal<'a> {
    pub(super) ordered: &'a Addresses,
    pub(super) holding: Holding,
    /// Addresses are held for a time only.
    pub(super) lease: bool,
}

/// The way there.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Removals first: an address may move from one interface to another.
    pub(super) steps: VecDeque<Step>,
    /// What can't be done.
    pub(super) errors: BTreeMap<Placed, AddressError>,
    /// What is wanted and there.
    pub(super) in_place: Vec<Placed>,
}

impl Goal<'_> {
    /// Only what is ours is touched, and only as a host address. `leased` are those whose lease is known to be right.
    pub(super) fn plan(&self, picture: &Picture, leased: impl Fn(&Placed) -> bool) -> Plan {
        let mut plan = Plan { errors: self.strangers(picture), ..Plan::default() };
        if self.holding == Holding::AsFound {
            return plan;
        }
        plan.steps = self.left(picture).into_iter().map(Step::Remove).collect();
        let held = self.holding == Holding::Held;
        let raise =
            self.ordered.links.iter().filter(|name| picture.link(name).is_some_and(|it| it.up != held));
        plan.steps.extend(raise.map(|name| Step::Raise(name.clone(), held)));
        let wanted = self.ordered.wanted.iter().filter(|_| held);
        for placed in wanted {
            let (address, interface) = placed;
            let present = picture.has(*address, interface);
            if present {
                plan.in_place.push(placed.clone());
            }
            if !self.ordered.ours.contains(placed) {
                continue;
            }
            match picture.host(*address, interface) {
                Some(permanent) if permanent == self.lease || self.lease && !leased(placed) => {
                    plan.steps.push_back(Step::Renew(placed.clone()));
                }
                None if !present => match picture.link_for(*address, interface) {
                    Ok(_) => plan.steps.push_back(Step::Add(placed.clone())),
                    // It is raised before.
                    Err(AddressError::InterfaceDown { .. }) if self.ordered.links.contains(interface) => {
                        plan.steps.push_back(Step::Add(placed.clone()));
                    }
                    Err(error) => {
                        plan.errors.insert(placed.clone(), error);
                    }
                },
                Some(_) | None => {}
            }
        }
        plan
    }

    /// What is to move between directors, and can't.
    fn strangers(&self, picture: &Picture) -> BTreeMap<Placed, AddressError> {
        let stranger = |placed: &Placed| {
            let (address, interface) = placed.clone();
            let prefix =
                picture.prefixes(address, &interface).find(|prefix| *prefix != host_prefix(address))?;
            Some((placed.clone(), AddressError::Foreign { address, interface, prefix }))
        };
        self.ordered.wanted.iter().filter(|_| self.lease).filter_map(stranger).collect()
    }

    /// What is ours and there, and is not to be.
    pub(super) fn left(&self, picture: &Picture) -> BTreeSet<Placed> {
        let stays =
            |placed: &Placed| self.holding != Holding::Released && self.ordered.wanted.contains(placed);
        let there = |placed: &Placed| picture.host(placed.0, &placed.1).is_some();
        self.ordered.ours.iter().filter(|placed| !stays(placed) && there(placed)).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
