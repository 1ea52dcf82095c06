//! Who is Active: the state machine of RFC 9568, section 6.4, without I/O.
//!
//! ```text
//!                           +---------------+
//!              +----------->|  Initialize   |<-----------+
//!              |            +---------------+            |
//!   Shutdown:  |              |           |              |  Shutdown
//!   last word  |   Start, and |           | Start        |
//!              |   priority   |           |              |
//!              |   is 255     v           v              |
//!            +---------------+   down    +---------------+
//!            |               |<----------|               |
//!            |    Active     |           |    Backup     |
//!            |               |---------->|               |
//!            +---------------+  outranked, frozen,       +
//!                               unfit, stood down
//! ```
//!
//! | | Initialize (6.4.1) | Backup (6.4.2) | Active (6.4.3) |
//! |---|---|---|---|
//! | Start | Backup; Active if the priority is 255 | - | - |
//! | Shutdown | - | Initialize | gives up, leaves, Initialize |
//! | Advert, priority 0 | - | takes over: at once if named or the only other router, else after the skew time | adverts |
//! | Advert, higher | - | waits a down interval of the Active's | gives up, last word, Backup |
//! | Advert, equal | - | as higher | as higher if the sender's address is, else as lower |
//! | Advert, lower | - | as higher, unless it may preempt: then it lets the timer run | adverts and announces at once |
//! | Timer | - | Active | adverts |
//! | `Link`, `Fitness`, `Peer` | remembers | remembers; deaf or not | remembers; may yield |
//! | `CaughtUp` | remembers | may preempt | - |
//! | `StepDown` | refuses | refuses | gives up, leaves, Backup that doesn't preempt |
//! | `Configure` | goes by it | goes by it | goes by it, adverts |
//!
//! Where it is more careful than the RFC:
//! - *Several links.* Adverts of any link restart the one timer: a Backup takes over when all of them are silent.
//! - *Frozen.* An Active that comes to its senses after three intervals without an advert was given up by the others.
//!   It gives the addresses up before anything else, and says nothing. A Backup that wakes late has not heard silence:
//!   it listens once more.
//! - *Deaf.* A Backup whose links are all down has not heard silence either: it doesn't take over.
//! - *Leaving counts from the Active alone.* Of two Actives the loser's last word starts no race.
//! - *Giving up.* The addresses go before the last advert, so that whoever hears it can announce them.
//!
//! Nothing here waits, fails or panics, whatever the order of inputs and moments.

mod event;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use event::{Event, Refusal, Why};

use crate::vrrp::timing::{Interval, Priority, Time, down, silence, skew};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// One of the links that adverts go over, counted by whoever configures them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link(pub u8);

/// What a virtual router is told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How much this director wants to be Active, when nothing is wrong with it.
    pub priority: Priority,
    /// Its own address on the first link. Peers are known by theirs on that link, whichever link an advert came by:
    /// the addresses decide between equal priorities, and both sides must come to the same result.
    pub address: IpAddr,
    /// How often it adverts as the Active.
    pub interval: Interval,
    /// Whether it takes over from an Active of lower priority.
    pub preempt: Preempt,
    /// How long it hears such an Active before it does.
    pub preempt_delay: Duration,
    /// How long after the start it only listens, unless it hears an advert: links may need time to forward.
    pub startup_delay: Duration,
    /// How many others there are.
    pub peers: Peers,
    /// Links that adverts go over.
    pub links: BTreeSet<Link>,
}

/// Whether a director takes over from one of lower priority that works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preempt {
    /// No.
    Never,
    /// Yes.
    Always,
    /// Once it holds the connections: see [`Input::CaughtUp`].
    AfterSync,
}

/// How many other directors the virtual router has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// None: it stays Active whatever happens, there is nobody to yield to.
    None,
    /// One. When that one leaves nobody else can want the addresses, and the skew time is saved.
    One,
    /// More, or nobody knows.
    Several,
}

/// State of a virtual router (RFC 9568, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes no part.
    Initialize,
    /// Listens to the Active.
    Backup,
    /// Holds the addresses.
    Active,
}

/// How well this director could serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fitness {
    /// Nothing is wrong.
    Fit,
    /// Its priority is lower by so much.
    Lowered(u8),
    /// It can't: it is Active only if nobody else wants to be.
    Unfit,
}

/// What is known of a peer by other means than adverts, since Backups don't send any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its priority as it is now.
    pub priority: Priority,
    /// It could serve.
    pub fit: bool,
    /// It holds the connections.
    pub caught_up: bool,
}

/// An advert that was accepted: refused ones never come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The link it came by.
    pub link: Link,
    /// The sender's address on the first link: see [`Settings::address`].
    pub from: IpAddr,
    /// 0: it leaves.
    pub priority: u8,
    /// How often the sender adverts.
    pub interval: Interval,
    /// Who shall take over when it leaves, by address on the first link.
    pub successor: Option<IpAddr>,
}

/// What may happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Take part.
    Start,
    /// Take part no more.
    Shutdown,
    /// An advert came in.
    Advert(Heard),
    /// The moment of [`Machine::deadline`] has come. At any other moment it does nothing.
    Timer,
    /// A link gained or lost its carrier. One that is down makes the director unfit.
    Link(Link, bool),
    /// Tracked targets say so.
    Fitness(Fitness),
    /// The connections of the Active are here, or no more. To be said again after each change of role.
    CaughtUp(bool),
    /// What a peer says of itself, or that it can't be reached. As long as nothing was said, nothing is known. To be
    /// said again with each message of the peer: silence of an Active makes what was known void.
    Peer(IpAddr, Option<Peer>),
    /// The operator wants another director to be Active: `to`, or the best one.
    StepDown {
        /// Who shall be.
        to: Option<IpAddr>,
        /// Even if no fit one is known.
        force: bool,
    },
    /// Other settings from now on.
    Configure(Box<Settings>),
}

/// What is to be done, in this order, each before the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send an advert on all links.
    Advertise {
        /// 0 says that we leave.
        priority: u8,
        /// Who shall take over.
        successor: Option<IpAddr>,
    },
    /// Put the addresses on.
    Acquire,
    /// Take the addresses off.
    Release,
    /// Tell the neighbours that the addresses are here: a burst of gratuitous ARP and neighbour advertisements.
    Announce,
    /// Tell people.
    Note(Event),
}

/// The state machine of one virtual router.
#[derive(Debug, Clone)]
pub struct Machine {
    settings: Settings,
    role: Role,
    since: Time,
    deadline: Option<Time>,
    fitness: Fitness,
    caught_up: bool,
    /// What peers said last; `None` can't be reached.
    peers: BTreeMap<IpAddr, Option<Peer>>,
    links: BTreeMap<Link, Hearing>,
    /// Backup: the Active.
    leader: Option<Leader>,
    /// Backup: since when a lower Active was heard, and no other.
    outranks_since: Option<Time>,
    /// Backup: the operator doesn't want it to be Active.
    stood_down: bool,
    /// Backup: it woke late, and listens once more.
    overslept: bool,
    /// Active: when the last advert went out.
    sent: Time,
    /// Active: adverts since the last regular one.
    answers: u8,
    /// Active: nobody took over when it yielded.
    alone: bool,
    dual: Dual,
}

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
    /// How often another Active was heard while being Active.
    pub dual_active_episodes: u64,
    /// For how long, from the first to the last advert of the other.
    pub dual_active: Duration,
}

impl Machine {
    /// A router that takes no part yet. All links count as up.
    #[must_use]
    pub fn new(settings: Settings, now: Time) -> Self {
        let links = settings.links.iter().map(|&link| (link, Hearing::new(now))).collect();
        Self {
            settings,
            role: Role::Initialize,
            since: now,
            deadline: None,
            fitness: Fitness::Fit,
            caught_up: false,
            peers: BTreeMap::new(),
            links,
            leader: None,
            outranks_since: None,
            stood_down: false,
            overslept: false,
            sent: now,
            answers: 0,
            alone: false,
            dual: Dual::default(),
        }
    }

    /// When [`Input::Timer`] is due; may change with every input. What has arrived by then is to be handed over first.
    #[must_use]
    pub const fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    /// What it is now.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

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
            links_down: links(|hearing| !hearing.up),
            links_silent: links(|hearing| hearing.silent),
            active: self.leader.map(|leader| (leader.from, leader.priority, leader.heard)),
            caught_up: self.caught_up,
            stood_down: self.stood_down,
            dual_active_episodes: self.dual.episodes,
            dual_active: self.dual.total,
        }
    }

    /// Takes in what happened at `now`, which must not go back, and says what to do.
    #[must_use]
    pub fn handle(&mut self, now: Time, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.thaw(now, &mut out);
        match (self.role, input) {
            (Role::Initialize, Input::Start) => self.start(now, &mut out),
            (Role::Initialize, Input::Shutdown | Input::Advert(_) | Input::Timer)
            | (Role::Backup | Role::Active, Input::Start)
            | (Role::Active, Input::CaughtUp(_)) => {}

            (Role::Backup, Input::Shutdown) => self.rest(now, &mut out),
            (Role::Active, Input::Shutdown) => self.leave(now, &mut out),

            (Role::Backup, Input::Advert(heard)) => self.listen(now, heard, &mut out),
            (Role::Active, Input::Advert(heard)) => self.meet(now, heard, &mut out),

            (Role::Backup, Input::Timer) => self.down(now, &mut out),
            (Role::Active, Input::Timer) => self.advertise(now, &mut out),

            (Role::Initialize, Input::Link(link, up)) => self.set_link(link, up),
            (Role::Backup, Input::Link(link, up)) => {
                let deaf = self.deaf();
                self.set_link(link, up);
                self.prick_ears(now, deaf);
            }
            (Role::Active, Input::Link(link, up)) => {
                self.set_link(link, up);
                self.reconsider(now, &mut out);
            }

            (Role::Initialize | Role::Backup, Input::Fitness(fitness)) => self.fitness = fitness,
            (Role::Active, Input::Fitness(fitness)) => {
                self.fitness = fitness;
                self.reconsider(now, &mut out);
            }

            (Role::Initialize | Role::Backup, Input::CaughtUp(caught_up)) => self.caught_up = caught_up,

            (Role::Initialize | Role::Backup, Input::Peer(address, peer)) => self.set_peer(address, peer),
            (Role::Active, Input::Peer(address, peer)) => {
                self.set_peer(address, peer);
                self.reconsider(now, &mut out);
            }

            (Role::Initialize | Role::Backup, Input::StepDown { .. }) => {
                out.push(Output::Note(Event::Refused(Refusal::NotActive)));
            }
            (Role::Active, Input::StepDown { to, force }) => self.step_down(now, to, force, &mut out),

            (Role::Initialize, Input::Configure(settings)) => self.configure(now, *settings),
            (Role::Backup, Input::Configure(settings)) => {
                let deaf = self.deaf();
                self.configure(now, *settings);
                self.prick_ears(now, deaf);
            }
            (Role::Active, Input::Configure(settings)) => {
                self.configure(now, *settings);
                self.advert(now, &mut out);
                self.deadline = Some(now + self.settings.interval.duration());
                self.reconsider(now, &mut out);
            }
        }
        out
    }
}

/// Initialize (RFC 9568, section 6.4.1), and back to it.
impl Machine {
    fn start(&mut self, now: Time, out: &mut Vec<Output>) {
        let wait = down(self.priority(), self.settings.interval);
        self.stood_down = false;
        if self.priority() == Priority::OWNER && self.settings.startup_delay.is_zero() {
            self.take_over(now, Why::Owner, out);
        } else {
            self.back_up(now, wait.max(self.settings.startup_delay), None, Why::Started, out);
        }
    }

    fn leave(&mut self, now: Time, out: &mut Vec<Output>) {
        out.extend([Output::Release, Output::Advertise { priority: LEAVING, successor: None }]);
        self.rest(now, out);
    }

    fn rest(&mut self, now: Time, out: &mut Vec<Output>) {
        self.enter(now, Role::Initialize, None, Why::Stopped, out);
    }
}

/// Backup (RFC 9568, section 6.4.2).
impl Machine {
    fn listen(&mut self, now: Time, heard: Heard, out: &mut Vec<Output>) {
        if heard.from == self.settings.address {
            return;
        }
        self.note_link(now, heard.link, out);
        self.overslept = false;
        match Priority::new(heard.priority) {
            None => self.succeed(now, heard, out),
            Some(priority) if self.preempts(now, priority) => {
                if self.leader.take_if(|leader| leader.from == heard.from).is_some() {
                    out.push(Output::Note(Event::Preempts { from: heard.from, priority }));
                }
                // A start-up delay, or the skew of somebody who left, may run out earlier or later than this.
                let patience = now + down(self.priority(), heard.interval);
                self.deadline = Some(self.deadline.map_or(patience, |deadline| deadline.min(patience)));
            }
            Some(priority) => self.follow(now, heard, priority, out),
        }
    }

    /// The Active lives, and is to stay.
    fn follow(&mut self, now: Time, heard: Heard, priority: Priority, out: &mut Vec<Output>) {
        let interval = self.leader.map_or(self.settings.interval, |leader| leader.interval);
        let sender = Leader { from: heard.from, priority, interval: heard.interval, heard: now };
        let better = |leader: &Leader| {
            leader.from != sender.from
                && (leader.priority, leader.from) > (priority, sender.from)
                && now.since(leader.heard) < silence(leader.interval)
        };
        let leader = self.leader.filter(better).unwrap_or(sender);
        if leader.interval != interval {
            out.push(Output::Note(Event::Interval { from: leader.from, interval: leader.interval }));
        }
        self.leader = Some(leader);
        self.deadline = Some(now + down(self.priority(), leader.interval));
    }

    /// Somebody leaves: the Active, or the loser of two.
    fn succeed(&mut self, now: Time, heard: Heard, out: &mut Vec<Output>) {
        if self.leader.is_some_and(|leader| leader.from != heard.from) {
            return;
        }
        self.leader = None;
        let skew = skew(self.priority(), heard.interval);
        let wait = match heard.successor {
            Some(successor) if successor == self.settings.address => Duration::ZERO,
            // Time for the one who was named.
            Some(_) => heard.interval.duration() + skew,
            None if self.settings.peers == Peers::One && !self.unfit() => Duration::ZERO,
            None => skew,
        };
        if wait.is_zero() {
            self.take_over(now, Why::Left(heard.from), out);
        } else {
            // The same word comes by every link.
            let wait = now + wait;
            self.deadline = Some(self.deadline.map_or(wait, |deadline| deadline.min(wait)));
        }
    }

    fn preempts(&mut self, now: Time, priority: Priority) -> bool {
        if priority >= self.priority() {
            self.outranks_since = None;
            return false;
        }
        let since = *self.outranks_since.get_or_insert(now);
        let wants = match self.settings.preempt {
            _ if self.priority() == Priority::OWNER => true,
            Preempt::Never => false,
            Preempt::Always => true,
            Preempt::AfterSync => self.caught_up,
        };
        wants && !self.stood_down && now.since(since) >= self.settings.preempt_delay
    }

    /// Active_Down_Timer fired.
    fn down(&mut self, now: Time, out: &mut Vec<Output>) {
        let Some(deadline) = self.deadline.filter(|&deadline| deadline <= now) else { return };
        let interval = self.leader.map_or(self.settings.interval, |leader| leader.interval);
        let late = now.since(deadline);
        if self.deaf() {
            self.deadline = None;
        } else if late > interval.duration() && !self.overslept && self.settings.peers != Peers::None {
            self.overslept = true;
            self.deadline = Some(now + down(self.priority(), interval));
            out.push(Output::Note(Event::Overslept(late)));
        } else {
            // Peers that let it come to this are not there, unless it preempts.
            if self.outranks_since.is_none() {
                self.peers.values_mut().for_each(|peer| *peer = None);
            }
            self.take_over(now, Why::Silence, out);
        }
    }

    /// After a change of links: a deaf director waits for nothing, one that was deaf listens first.
    fn prick_ears(&mut self, now: Time, was_deaf: bool) {
        if self.deaf() {
            self.deadline = None;
        } else if was_deaf {
            self.deadline = Some(now + down(self.priority(), self.settings.interval));
        }
    }

    fn take_over(&mut self, now: Time, why: Why, out: &mut Vec<Output>) {
        self.advert(now, out);
        out.extend([Output::Acquire, Output::Announce]);
        self.alone = self.unfit();
        self.stood_down = false;
        self.enter(now, Role::Active, Some(now + self.settings.interval.duration()), why, out);
    }
}

/// Active (RFC 9568, section 6.4.3).
impl Machine {
    /// Adver_Timer fired.
    fn advertise(&mut self, now: Time, out: &mut Vec<Output>) {
        let Some(deadline) = self.deadline.filter(|&deadline| deadline <= now) else { return };
        self.answers = 0;
        self.advert(now, out);
        let interval = self.settings.interval.duration();
        let next = deadline + interval;
        self.deadline = Some(if next > now { next } else { now + interval });
        if self.dual.ended(now, silence(self.settings.interval)) {
            out.push(Output::Note(Event::DualActiveEnded));
        }
    }

    fn meet(&mut self, now: Time, heard: Heard, out: &mut Vec<Output>) {
        if heard.from == self.settings.address {
            return;
        }
        let Some(priority) = Priority::new(heard.priority) else {
            self.answer(now, out);
            return;
        };
        if self.dual.heard(now) {
            out.push(Output::Note(Event::DualActive { from: heard.from, priority }));
        }
        if (priority, heard.from) > (self.priority(), self.settings.address) {
            let leader = Leader { from: heard.from, priority, interval: heard.interval, heard: now };
            let wait = down(self.priority(), heard.interval);
            // Not 0: it tells the winner to announce, and nobody to race for the addresses.
            let last = Output::Advertise { priority: self.priority().get(), successor: None };
            out.extend([Output::Release, last]);
            self.back_up(now, wait, Some(leader), Why::Outranked { by: heard.from, priority }, out);
        } else if self.answer(now, out) {
            out.push(Output::Announce);
        }
    }

    /// An advert out of turn, so that the others and the switches between know where the Active is. Not without end:
    /// somebody may not hear us.
    fn answer(&mut self, now: Time, out: &mut Vec<Output>) -> bool {
        let answers = self.answers < ANSWERS;
        if answers {
            self.answers += 1;
            self.advert(now, out);
        }
        answers
    }

    /// Gives up what a better director can have.
    fn reconsider(&mut self, now: Time, out: &mut Vec<Output>) {
        let own = self.priority();
        self.alone &= self.unfit();
        let sound = !self.unfit() && self.fitness == Fitness::Fit;
        if sound || self.settings.peers == Peers::None {
            return;
        }
        let after_sync = self.settings.preempt == Preempt::AfterSync;
        let better = |peer: &Peer| self.unfit() || peer.priority > own && (peer.caught_up || !after_sync);
        if let Some(to) = self.best(better) {
            self.yield_to(now, Some(to), Why::Yielded { to: Some(to) }, out);
        } else if self.unfit() && self.peers.is_empty() && !self.alone {
            self.yield_to(now, None, Why::Yielded { to: None }, out);
        }
    }

    fn step_down(&mut self, now: Time, to: Option<IpAddr>, force: bool, out: &mut Vec<Output>) {
        match self.successor(to, force) {
            Ok(successor) => {
                self.yield_to(now, successor, Why::StoodDown { to: successor }, out);
                self.stood_down = true;
            }
            Err(refusal) => out.push(Output::Note(Event::Refused(refusal))),
        }
    }

    fn successor(&self, to: Option<IpAddr>, force: bool) -> Result<Option<IpAddr>, Refusal> {
        if self.settings.peers == Peers::None {
            return Err(Refusal::NoPeers);
        }
        let after_sync = self.settings.preempt == Preempt::AfterSync;
        let fit = |peer: &Peer| peer.fit && (peer.caught_up || !after_sync);
        let Some(to) = to else {
            let best = self.best(fit);
            return if best.is_some() || force { Ok(best) } else { Err(Refusal::NoFitPeer) };
        };
        match self.peers.get(&to).copied().flatten() {
            _ if to == self.settings.address => Err(Refusal::Itself),
            _ if force => Ok(Some(to)),
            None => Err(Refusal::Unknown(to)),
            Some(peer) if !peer.fit => Err(Refusal::Unfit(to)),
            Some(peer) if !fit(&peer) => Err(Refusal::NotCaughtUp(to)),
            Some(_) => Ok(Some(to)),
        }
    }

    fn yield_to(&mut self, now: Time, successor: Option<IpAddr>, why: Why, out: &mut Vec<Output>) {
        out.extend([Output::Release, Output::Advertise { priority: LEAVING, successor }]);
        self.back_up(now, down(self.priority(), self.settings.interval), None, why, out);
    }

    /// Whatever woke it: if the others must have taken it for dead, it gives up before it does anything.
    fn thaw(&mut self, now: Time, out: &mut Vec<Output>) {
        let slept = now.since(self.sent);
        let given_up = slept >= silence(self.settings.interval) && self.settings.peers != Peers::None;
        if self.role == Role::Active && given_up {
            out.push(Output::Release);
            let wait = down(self.priority(), self.settings.interval);
            self.back_up(now, wait, None, Why::Frozen(slept), out);
        }
    }

    fn advert(&mut self, now: Time, out: &mut Vec<Output>) {
        self.sent = now;
        out.push(Output::Advertise { priority: self.priority().get(), successor: None });
    }
}

/// What all states share.
impl Machine {
    fn back_up(
        &mut self,
        now: Time,
        wait: Duration,
        leader: Option<Leader>,
        why: Why,
        out: &mut Vec<Output>,
    ) {
        self.enter(now, Role::Backup, Some(now + wait), why, out);
        self.leader = leader;
        self.prick_ears(now, false);
    }

    fn enter(&mut self, now: Time, role: Role, deadline: Option<Time>, why: Why, out: &mut Vec<Output>) {
        (self.role, self.since, self.deadline) = (role, now, deadline);
        self.leader = None;
        self.outranks_since = None;
        self.overslept = false;
        self.caught_up = false;
        self.answers = 0;
        self.links.values_mut().for_each(|link| *link = Hearing { up: link.up, ..Hearing::new(now) });
        out.push(Output::Note(Event::Became(role, why)));
        if self.dual.ended(now, Duration::ZERO) {
            out.push(Output::Note(Event::DualActiveEnded));
        }
    }

    /// The priority that adverts carry.
    fn priority(&self) -> Priority {
        match self.fitness {
            _ if self.unfit() => Priority::LOWEST,
            Fitness::Fit | Fitness::Unfit => self.settings.priority,
            Fitness::Lowered(amount) => self.settings.priority.lowered(amount),
        }
    }

    fn unfit(&self) -> bool {
        self.fitness == Fitness::Unfit || self.links.values().any(|link| !link.up)
    }

    /// No link is up: silence means nothing. Alone it would be nothing else.
    fn deaf(&self) -> bool {
        let down = !self.links.is_empty() && self.links.values().all(|link| !link.up);
        down && self.settings.peers != Peers::None
    }

    /// The highest fit peer that is `good`.
    fn best(&self, good: impl Fn(&Peer) -> bool) -> Option<IpAddr> {
        let known = self.peers.iter().filter_map(|(&address, peer)| peer.map(|peer| (peer, address)));
        let fit = known.filter(|(peer, _)| peer.fit && good(peer));
        fit.max_by_key(|&(peer, address)| (peer.priority, address)).map(|(_, address)| address)
    }

    fn set_peer(&mut self, address: IpAddr, peer: Option<Peer>) {
        let room = self.peers.len() < PEERS || self.peers.contains_key(&address);
        if address != self.settings.address && room {
            self.peers.insert(address, peer);
        }
    }

    fn set_link(&mut self, link: Link, up: bool) {
        if let Some(hearing) = self.links.get_mut(&link) {
            hearing.up = up;
        }
    }

    fn configure(&mut self, now: Time, settings: Settings) {
        let known = std::mem::take(&mut self.links);
        let kept = |link: &Link| known.get(link).copied().unwrap_or(Hearing::new(now));
        self.links = settings.links.iter().map(|&link| (link, kept(&link))).collect();
        self.settings = settings;
    }

    /// Adverts that come by one link and not by another tell of a broken one.
    fn note_link(&mut self, now: Time, heard: Link, out: &mut Vec<Output>) {
        let interval = self.leader.map_or(self.settings.interval, |leader| leader.interval);
        for (&link, hearing) in &mut self.links {
            if self.leader.is_none() {
                hearing.heard = now;
            }
            let silent = link != heard && now.since(hearing.heard) > silence(interval);
            if link == heard {
                hearing.heard = now;
                if std::mem::take(&mut hearing.silent) {
                    out.push(Output::Note(Event::LinkHeard(link)));
                }
            } else if hearing.up && silent && !std::mem::replace(&mut hearing.silent, true) {
                out.push(Output::Note(Event::LinkSilent(link)));
            }
        }
    }
}

/// The Active, as a Backup hears it.
#[derive(Debug, Clone, Copy)]
struct Leader {
    from: IpAddr,
    priority: Priority,
    interval: Interval,
    heard: Time,
}

#[derive(Debug, Clone, Copy)]
struct Hearing {
    up: bool,
    heard: Time,
    silent: bool,
}

impl Hearing {
    const fn new(now: Time) -> Self {
        Self { up: true, heard: now, silent: false }
    }
}

/// How often, and how long, others were Active too.
#[derive(Debug, Clone, Copy, Default)]
struct Dual {
    episodes: u64,
    total: Duration,
    last: Option<Time>,
}

impl Dual {
    /// True for the first advert of an episode.
    fn heard(&mut self, now: Time) -> bool {
        let last = self.last.replace(now);
        match last {
            Some(last) => self.total += now.since(last),
            None => self.episodes += 1,
        }
        last.is_none()
    }

    /// True if an episode ended since nothing was heard for `patience`.
    fn ended(&mut self, now: Time, patience: Duration) -> bool {
        self.last.take_if(|last| now.since(*last) >= patience).is_some()
    }
}

/// The priority of an Active that leaves (RFC 9568, section 5.2.4).
const LEAVING: u8 = 0;
/// Adverts out of turn between two regular ones: a loser's advert and last word over two links.
const ANSWERS: u8 = 4;
/// More than a virtual router has.
const PEERS: usize = 256;
