//! The addresses of this director: puts them on and off, keeps them, and tells the neighbours.
//!
//! Whoever drives it has it begin some netlink operations ([`Holder::step`]) and need not wait for them, so that adverts
//! go out meanwhile. It knows what is there from the kernel's notifications, and so puts an address on without asking
//! first; they wait while operations are under way, whose answers would be older.
//!
//! With a virtual router an address has a lease: the kernel takes it off by itself if nobody renews it. A director that
//! was killed or stopped so answers for its addresses no longer than that.

mod announcer;
mod batch;
mod plan;
#[cfg(test)]
mod tests;

use super::priority::{self, Urgency};
use super::{AddressReport, Addresses as Ordered, Placed};
use crate::kernel::address::picture::{Change, Link, Picture};
use crate::kernel::address::{AddressError, Addresses, Changes};
use announcer::Announcer;
use batch::{Batch, Landed};
use plan::{Goal, Step, Subject};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use sync::agenda::Agenda;
use sync::announce::Announcements;
use sync::vrrp::timing::Time;

/// What is to be done with the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// They stay as they are: after the start, until it is known who is Active.
    AsFound,
    /// They are on.
    Held,
    /// They are off.
    Released,
}

/// How addresses are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long an address stays when nobody renews it, in whole seconds; `None`: for ever.
    pub lease: Option<Duration>,
    /// How the neighbours are told.
    pub announcements: Announcements,
}

impl Terms {
    /// Of a director that shares its addresses with nobody.
    pub const ALONE: Self = Self {
        lease: None,
        announcements: Announcements {
            // Repeated once: a frame may get lost.
            count: 2,
            spacing: Duration::from_secs(1),
            repeat: None,
            refresh: None,
        },
    };
}

/// The addresses.
#[derive(Debug)]
pub struct Holder {
    kernel: Addresses,
    changes: Changes,
    picture: Picture,
    /// The picture has to be taken anew.
    lost: bool,
    ordered: Option<Arc<Ordered>>,
    terms: Terms,
    holding: Holding,
    /// The steps have to be planned anew.
    changed: bool,
    steps: VecDeque<Step>,
    batch: Batch,
    /// When leases are to be renewed. Who isn't here has none yet, or not the right one.
    renewals: Agenda<Placed>,
    /// Addresses that were in place while they were held.
    placed: BTreeSet<Placed>,
    /// Addresses that somebody took off and that were put on again, and until when that is not done once more.
    rests: Agenda<Placed>,
    errors: BTreeMap<Subject, String>,
    /// When what failed is tried again.
    again: Option<Time>,
    repaired: u64,
    /// Put on, and not announced yet. VIPs and gateways are announced together: as long as the former Active has one of
    /// both, a new connection goes out by one director and comes back by the other.
    fresh: Vec<Placed>,
    announcer: Announcer,
    /// Something in the report is new.
    news: bool,
    /// What is none of our business has changed on this machine.
    gossip: bool,
    /// When that is told.
    tell: Option<Time>,
}

impl Holder {
    /// Opens its sockets in the network namespace of the calling thread, and listens. Must be called within a tokio
    /// runtime; nothing is looked at or touched yet.
    ///
    /// # Errors
    /// The kernel gives no socket.
    pub fn open() -> Result<Self, AddressError> {
        Ok(Self {
            // It has the caller's priority otherwise; whether it may be real-time is said elsewhere.
            kernel: Addresses::served(|| drop(priority::raise(Urgency::Requests)))?,
            changes: Changes::open()?,
            picture: Picture::default(),
            lost: true,
            ordered: None,
            terms: Terms::ALONE,
            holding: Holding::AsFound,
            changed: false,
            steps: VecDeque::new(),
            batch: Batch::default(),
            renewals: Agenda::default(),
            placed: BTreeSet::new(),
            rests: Agenda::default(),
            errors: BTreeMap::new(),
            again: None,
            repaired: 0,
            fresh: Vec::new(),
            announcer: Announcer::open(Terms::ALONE.announcements).map_err(AddressError::Raw)?,
            news: false,
            gossip: false,
            tell: None,
        })
    }

    /// What addresses there are to be, and how they are held. An address that is not among ours is left alone.
    pub fn order(&mut self, now: Time, ordered: Arc<Ordered>, terms: Terms) {
        if self.terms.lease != terms.lease {
            self.renewals.clear();
        }
        self.terms = terms;
        self.announcer.set_terms(now, terms.announcements);
        self.placed.retain(|placed| ordered.wanted.contains(placed));
        self.ordered = Some(ordered);
        (self.changed, self.news) = (true, true);
    }

    /// What is to be done with them; [`Self::step`] does it.
    pub fn hold(&mut self, holding: Holding) {
        if self.holding == holding {
            return;
        }
        self.holding = holding;
        self.changed = true;
        self.renewals.clear();
        if holding != Holding::Held {
            self.placed.clear();
            self.rests.clear();
            self.fresh.clear();
            self.announcer.clear();
        }
    }

    /// True if a lease of a former run has not ended yet: this director was Active a moment ago, and did not leave.
    /// Waits for the kernel.
    pub async fn inherits(&mut self, now: Time) -> bool {
        self.look(now).await;
        let Some(ordered) = &self.ordered else { return false };
        let leased = |placed: &&Placed| self.picture.host(placed.0, &placed.1) == Some(false);
        ordered.wanted.intersection(&ordered.ours).any(|placed| leased(&placed))
    }

    /// Takes all addresses off, and waits until they are. Those that did not go stand in the report, and are tried
    /// again.
    pub async fn release(&mut self, now: Time) {
        self.hold(Holding::Released);
        self.look(now).await;
        self.changed = true;
        self.settle(now).await;
        (self.changed, self.news) = (true, true);
    }

    /// Does all that is to be done, and waits until it is.
    pub async fn settle(&mut self, now: Time) {
        while self.pending() || !self.batch.is_empty() {
            self.step(now);
            self.batch.over().await;
        }
    }

    /// There is something for [`Self::step`].
    #[must_use]
    pub fn pending(&self) -> bool {
        let idle = self.batch.is_empty();
        self.batch.is_over() || idle && (self.changed || !self.steps.is_empty() || self.is_blind())
    }

    /// Takes in what has become of the netlink operations that were begun, and begins the next ones; [`Self::changed`]
    /// waits until these are over.
    pub fn step(&mut self, now: Time) {
        if !self.batch.is_empty() && !self.batch.is_over() {
            return;
        }
        self.take_in(now);
        if self.is_blind() {
            self.batch.look(&self.kernel);
            return;
        }
        if self.changed {
            self.plan();
        }
        while !self.batch.is_full()
            && let Some(step) = self.steps.pop_front()
        {
            self.begin(step);
        }
        let more = self.batch.changes() || self.steps.iter().any(|step| matches!(step, Step::Add(_)));
        if !more || self.fresh.len() >= TOGETHER {
            for placed in self.fresh.drain(..) {
                // Sent when the machine is known not to have slept meanwhile.
                self.announcer.begin(now, placed);
            }
        }
    }

    /// Waits until the operations that were begun are over; if there are none, until the kernel says that addresses or
    /// links changed, and takes it in. Cancel safe.
    pub async fn changed(&mut self) {
        if !self.batch.is_empty() {
            self.batch.over().await;
            return;
        }
        for change in self.changes.next().await {
            self.lost |= change == Change::Lost;
            let concerned = self.concerned(&change);
            // What it does itself is known, and changes nothing.
            if self.picture.take(change) {
                self.changed |= concerned;
                self.news |= concerned;
                self.gossip |= !concerned;
            }
        }
    }

    /// Tells the neighbours of all addresses that are on, once more.
    pub fn announce_all(&mut self, now: Time) {
        let Some(ordered) = self.ordered.as_ref().filter(|_| self.holding == Holding::Held) else { return };
        for placed in &ordered.wanted {
            if self.has(placed.0, &placed.1) {
                self.announcer.begin(now, placed.clone());
            }
        }
        self.announcer.send(now, &self.picture);
    }

    /// When [`Self::due`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let (renewals, rests) = (self.renewals.deadline(), self.rests.deadline());
        let deadlines = [renewals, rests, self.announcer.deadline(), self.again, self.tell];
        deadlines.into_iter().flatten().min()
    }

    /// Announces what is to be announced, some at a time; renewals and what failed are left to [`Self::step`].
    pub fn due(&mut self, now: Time) {
        self.announcer.send(now, &self.picture);
        while let Some(placed) = self.renewals.due(now) {
            self.steps.push_back(Step::Renew(placed));
        }
        while self.rests.due(now).is_some() {
            self.changed = true;
        }
        if std::mem::take(&mut self.gossip) {
            self.tell = self.tell.or(Some(now + GOSSIP));
        }
        if self.tell.is_some_and(|at| at <= now) {
            self.tell = None;
            self.news = true;
        }
        if self.again.is_some_and(|at| at <= now) {
            self.again = None;
            self.changed = true;
        }
    }

    /// What has become of the orders, once there is nothing left to do but to renew leases, and if it is new since the
    /// last call.
    pub fn report(&mut self) -> Option<AddressReport> {
        self.news |= self.announcer.news();
        let busy = |step: &Step| !matches!(step, Step::Renew(_));
        let unsettled = self.changed || self.is_blind() || self.batch.changes();
        if !self.news || unsettled || self.steps.iter().any(busy) {
            return None;
        }
        self.news = false;
        let left = self.goal().map(|goal| goal.left(&self.picture)).unwrap_or_default();
        let errors = self.errors.values().cloned().chain(self.announcer.errors().cloned());
        Some(AddressReport {
            known: !self.lost,
            ordered: self.ordered.clone(),
            present: self.picture.placed(),
            left,
            repaired: self.repaired,
            errors: errors.collect(),
        })
    }

    /// Frames that told neighbours of addresses since it was opened.
    #[must_use]
    pub fn announced(&self) -> u64 {
        self.announcer.announced()
    }

    /// The interface of this name, as the kernel last said.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.picture.link(name)
    }

    /// `address` is on that interface, whoever put it there.
    #[must_use]
    pub fn has(&self, address: IpAddr, interface: &str) -> bool {
        self.picture.has(address, interface)
    }
}

/// The way it is done.
impl Holder {
    fn goal(&self) -> Option<Goal<'_>> {
        let ordered = self.ordered.as_deref()?;
        Some(Goal { ordered, holding: self.holding, lease: self.terms.lease.is_some() })
    }

    /// True if it is about an address or interface of the orders: a machine may have thousands of others, which come
    /// and go.
    fn concerned(&self, change: &Change) -> bool {
        let Some(ordered) = &self.ordered else { return true };
        let interface = |name: &str| {
            ordered.links.contains(name)
                || ordered.wanted.iter().chain(&ordered.ours).any(|(_, on)| on == name)
        };
        match change {
            Change::Lost => true,
            // It may have had another name.
            Change::Link(link) => {
                interface(&link.name) || self.picture.name(link.index).is_some_and(interface)
            }
            Change::LinkGone(index) => self.picture.name(*index).is_none_or(interface),
            Change::Address(entry, _) | Change::AddressGone(entry) => {
                let placed = self.picture.name(entry.index()).map(|name| (entry.address(), name.to_owned()));
                placed.is_none_or(|it| ordered.wanted.contains(&it) || ordered.ours.contains(&it))
            }
        }
    }

    /// What is there is to be asked before anything else is done.
    fn is_blind(&self) -> bool {
        self.lost && self.again.is_none()
    }

    /// Lets what is under way come to its end, and sees to it that the picture is good, if that can be had.
    async fn look(&mut self, now: Time) {
        self.batch.over().await;
        self.take_in(now);
        if self.lost {
            self.batch.look(&self.kernel);
            self.batch.over().await;
            self.take_in(now);
        }
    }

    /// Takes in what has become of all operations that are over.
    fn take_in(&mut self, now: Time) {
        for landed in self.batch.take() {
            self.land(now, landed);
        }
    }

    fn plan(&mut self) {
        self.changed = false;
        self.steps.clear();
        self.announcer.keep_only(&self.picture);
        let Some(goal) = self.goal() else { return };
        let plan = goal.plan(&self.picture, |placed| self.renewals.at(placed).is_some());
        let before = self.errors.clone();
        let tried: BTreeSet<Subject> = plan.steps.iter().map(Step::subject).collect();
        self.errors.retain(|subject, _| *subject == Subject::Picture || tried.contains(subject));
        self.errors.extend(
            plan.errors.into_iter().map(|(placed, error)| (Subject::Address(placed), error.to_string())),
        );
        self.news |= self.errors != before;
        self.steps = plan.steps;
        if self.holding == Holding::Held {
            self.placed.extend(plan.in_place);
        }
    }

    fn begin(&mut self, step: Step) {
        let name = match &step {
            Step::Add(placed) if self.rests.at(placed).is_some() => return,
            Step::Remove(placed) | Step::Add(placed) | Step::Renew(placed) => &placed.1,
            Step::Raise(name, _) => name,
        };
        let Some(index) = self.picture.link(name).map(|link| link.index) else { return };
        self.batch.begin(&self.kernel, step, index, self.terms.lease);
    }

    /// Takes in what has become of an operation.
    fn land(&mut self, now: Time, landed: Landed) {
        match landed {
            Landed::Picture(looked) => {
                let looked = looked.map(|picture| {
                    self.picture = picture;
                    self.lost = false;
                });
                self.note(now, Subject::Picture, looked);
                (self.changed, self.news) = (true, true);
            }
            Landed::Raised { name, index, up, done } => {
                if done.is_ok() {
                    self.picture.raise(index, up);
                }
                self.note(now, Subject::Link(name), done);
            }
            Landed::Removed { placed, index, done } => {
                if done.is_ok() {
                    self.picture.put_off(placed.0, index);
                    self.announcer.end(&placed);
                    self.renewals.remove(&placed);
                    self.news = true;
                }
                self.note(now, Subject::Address(placed), done);
            }
            Landed::Added { placed, index, lease, done } => {
                match done {
                    Ok(true) => self.added(now, placed.clone(), index, lease),
                    // It is there: the notification is on its way, unless it was lost.
                    Ok(false) => self.lost = true,
                    Err(_) => {}
                }
                self.note(now, Subject::Address(placed), done.map(|_| ()));
            }
            Landed::Renewed { placed, index, lease, done } => {
                if done.is_ok() {
                    self.picture.put(placed.0, index, lease.is_none());
                    self.remember_lease(now, &placed, lease);
                }
                self.note(now, Subject::Address(placed), done);
            }
        }
    }

    fn added(&mut self, now: Time, placed: Placed, index: u32, lease: Option<Duration>) {
        self.picture.put(placed.0, index, lease.is_none());
        self.remember_lease(now, &placed, lease);
        // Its orders may have changed meanwhile.
        if self.holding == Holding::Held {
            if !self.placed.insert(placed.clone()) {
                self.repaired += 1;
                self.rests.set(placed.clone(), now + REST);
            }
            self.fresh.push(placed);
        }
        self.news = true;
    }

    fn remember_lease(&mut self, now: Time, placed: &Placed, lease: Option<Duration>) {
        if let Some(lease) = lease.filter(|_| lease == self.terms.lease) {
            self.renewals.set(placed.clone(), now + lease / RENEWALS);
        }
    }

    fn note(&mut self, now: Time, subject: Subject, done: Result<(), AddressError>) {
        match done {
            Ok(()) => {
                self.news |= self.errors.remove(&subject).is_some();
            }
            Err(error) => {
                self.errors.insert(subject, error.to_string());
                self.news = true;
                self.again = self.again.or(Some(now + AGAIN));
            }
        }
    }
}

/// How soon it is told what concerns nobody now.
const GOSSIP: Duration = Duration::from_millis(500);
/// How soon what failed is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How often an address is put on again at most, against somebody who takes it off each time: `ip address flush` does
/// until it is gone.
const REST: Duration = Duration::from_millis(100);
/// A lease is renewed when that part of it is over.
const RENEWALS: u32 = 3;
/// Addresses that are announced together, at most.
const TOGETHER: usize = 32;
