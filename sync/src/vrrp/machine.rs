//! Who is Active: the state machine of RFC 9568, section 6.4, without I/O.
//!
//! ```text
//!                       +--------------+
//!        +------------->|  Initialize  |<-------------+
//!        |              +--------------+              |
//!        |                |          |                |
//!        |  Start,        |          |  Start         |
//!        |  priority 255  v          v                |
//!        |      +----------+  silence  +----------+   |
//!        |      |          |  or left  |          |   |
//!        +------|  Active  |<----------|  Backup  |---+
//!      Shutdown |          |---------->|          | Shutdown
//!               +----------+ outranked +----------+
//!                            frozen
//!                            yields
//!                            StepDown
//! ```
//!
//! | | Initialize (6.4.1) | Backup (6.4.2) | Active (6.4.3) |
//! |---|---|---|---|
//! | Start | Backup, for a down interval or, if it `starts_active`, one interval and the skew time; Active if the priority is 255 | - | - |
//! | Shutdown | - | Initialize | gives up, leaves, Initialize |
//! | Advert, priority 0 | - | takes over: at once if named, or fit and the only other router, else after the skew time | adverts |
//! | Advert, higher | - | waits a down interval of the Active's | gives up, last word, Backup |
//! | Advert, equal | - | as higher | as higher if the sender's address is, else as lower |
//! | Advert, lower | - | as higher, unless it may preempt one that nobody chose: then it lets the timer run | adverts and announces at once |
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
//! - *Chosen.* Whoever follows an Active that the operator made step down is what the operator wants: nobody preempts
//!   it, and it yields only when it is worse off than it was then.
//! - *Giving up.* The addresses go before the last advert, so that whoever hears it can announce them.
//!
//! Nothing here waits, fails or panics, whatever the order of inputs and moments.

mod active;
mod backup;
mod choice;
mod event;
mod hearing;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod simulation;
mod status;
mod terms;
#[cfg(test)]
mod tests;

pub use event::{Event, Names, Plain, Refusal, Why};
pub use status::Status;
pub use terms::{Fitness, Heard, Input, Link, Output, Peer, Peers, Preempt, Role, Settings};

use crate::vrrp::timing::{Priority, Time, down, skew};
use choice::Choice;
use hearing::{Dual, Hearing, Leader, Left, Preempted};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

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
    /// Backup: the lower Active that it is taking over from. Active: the one that it took over from.
    preempted: Option<Preempted>,
    /// Backup: the Active that left, until another one is heard.
    left: Option<Left>,
    /// Backup: it woke late, and listens once more.
    overslept: bool,
    /// Active: when the last advert went out.
    sent: Time,
    /// Active: adverts since the last regular one.
    answers: u8,
    /// Active: nobody took over when it yielded.
    alone: bool,
    /// Active: whether the operator wants it to be.
    choice: Choice,
    /// Active: the least that ailed it since it took over.
    ailment: u16,
    /// Active: a peer says that it is too, and since when.
    claims: Option<(IpAddr, Time)>,
    dual: Dual,
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
            preempted: None,
            left: None,
            overslept: false,
            sent: now,
            answers: 0,
            alone: false,
            choice: Choice::None,
            ailment: 0,
            claims: None,
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

    /// True for a Backup that hears an Active.
    #[must_use]
    pub const fn hears_active(&self) -> bool {
        self.leader.is_some()
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

            (Role::Initialize, Input::Link(link, up)) => self.set_link(now, link, up, &mut out),
            (Role::Backup, Input::Link(link, up)) => {
                let deaf = self.deaf();
                self.set_link(now, link, up, &mut out);
                self.prick_ears(now, deaf);
            }
            (Role::Active, Input::Link(link, up)) => {
                self.set_link(now, link, up, &mut out);
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
                self.choice.hear(address, peer);
                self.compare(now, address, peer, &mut out);
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
        let (priority, interval) = (self.priority(), self.settings.interval);
        let wait = if self.settings.starts_active {
            interval.duration() + skew(priority, interval)
        } else {
            down(priority, interval)
        };
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
        (self.preempted, self.left, self.claims) = (None, None, None);
        self.choice = Choice::None;
        self.overslept = false;
        self.caught_up = false;
        self.answers = 0;
        self.links.values_mut().for_each(|link| *link = Hearing { up: link.up, ..Hearing::new(now) });
        out.push(Output::Note(Event::Became(role, why)));
        if self.dual.end() {
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

    /// How badly off it is: above all what makes it unfit counts, then what lowers it.
    fn ails(&self) -> u16 {
        let down = self.links.values().filter(|link| !link.up).count();
        let causes = down + usize::from(self.fitness == Fitness::Unfit);
        match u16::try_from(causes) {
            Ok(0) => self.fitness.lowered().into(),
            causes => causes.unwrap_or(u16::MAX).saturating_add(u8::MAX.into()),
        }
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

    fn set_link(&mut self, now: Time, link: Link, up: bool, out: &mut Vec<Output>) {
        let Some(hearing) = self.links.get_mut(&link) else { return };
        if std::mem::replace(&mut hearing.up, up) != up {
            // What could not come was not missed.
            hearing.heard = now;
            out.push(Output::Note(if up { Event::LinkUp(link) } else { Event::LinkDown(link) }));
        }
    }

    fn configure(&mut self, now: Time, settings: Settings) {
        let known = std::mem::take(&mut self.links);
        let kept = |link: &Link| known.get(link).copied().unwrap_or(Hearing::new(now));
        self.links = settings.links.iter().map(|&link| (link, kept(&link))).collect();
        self.settings = settings;
    }
}

/// The priority of an Active that leaves (RFC 9568, section 5.2.4).
const LEAVING: u8 = 0;
/// More than a virtual router has.
const PEERS: usize = 256;
