//! The thread and its loop: what wakes it, and in which order things are done then.

use super::clock::{self, Alarm};
use super::hellos::{Hellos, Said};
use super::holder::{Holder, Holding, Terms};
use super::links::Links;
use super::part::Part;
use super::priority::{self, Urgency};
use super::router::{Path, View};
use super::{AddressReport, Ask, FailoverError, Handle, Lowered, News, Orders, Router, Sequences, Teller};
use crate::kernel::address::AddressError;
use crate::status::RedundancyStatus;
use std::io;
use std::sync::Arc;
use std::thread as threads;
use std::time::Duration;
use sync::vrrp::machine::{Event, Input, Output, Refusal, Role};
use sync::vrrp::timing::Time;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::yield_now;

/// What the thread can't start without.
#[derive(Debug, thiserror::Error)]
pub enum ThreadError {
    /// No thread, no runtime, no timer.
    #[error("can't start the thread that holds the addresses: {0}")]
    Start(#[from] io::Error),
    /// Netlink.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// It panicked.
    #[error("the thread that holds the addresses ended at once")]
    Ended,
}

/// What the thread goes on with after a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// Higher than in any run before, and recorded: see [`sync::vrrp::authentication::Sequence::epoch`].
    pub epoch: u64,
    /// What the last run heard.
    pub heard: Sequences,
}

/// Starts the thread. It does nothing before it has its orders, and is Active till then if it is to be `alone`.
///
/// # Errors
/// See [`ThreadError`].
pub async fn spawn(alone: bool, past: Past, teller: Teller) -> Result<Handle, ThreadError> {
    let (orders, ordered) = watch::channel(Orders::default());
    let (lowered, fitness) = watch::channel(Lowered::default());
    let (asks, asked) = mpsc::channel(ASKS);
    let (roles, role) = watch::channel(if alone { Role::Active } else { Role::Initialize });
    let (reports, addresses) = watch::channel(Arc::default());
    let (started, outcome) = oneshot::channel();
    let run = move || {
        // Before anything else runs here: its children would inherit what it is allowed.
        let real_time = priority::raise(Urgency::Adverts);
        let inputs = Inputs { ordered, fitness, asked };
        let outputs = Outputs { roles, reports, teller };
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(started.send(Err(ThreadError::Start(error)))),
        };
        runtime.block_on(async {
            match Thread::open(past, inputs, outputs, real_time) {
                Ok(mut thread) => {
                    // What links and addresses there are is to be known before any orders.
                    thread.holder.settle(clock::now()).await;
                    thread.report();
                    if started.send(Ok(())).is_ok() {
                        thread.run().await;
                    }
                }
                Err(error) => drop(started.send(Err(error))),
            }
        });
    };
    threads::Builder::new().name("redundancy".to_owned()).spawn(run)?;
    outcome.await.map_err(|_| ThreadError::Ended)??;
    Ok(Handle { orders, lowered, asks, role, addresses })
}

struct Inputs {
    ordered: watch::Receiver<Orders>,
    fitness: watch::Receiver<Lowered>,
    asked: mpsc::Receiver<Ask>,
}

struct Outputs {
    roles: watch::Sender<Role>,
    reports: watch::Sender<Arc<AddressReport>>,
    teller: Teller,
}

struct Thread {
    inputs: Inputs,
    outputs: Outputs,
    alarm: Alarm,
    holder: Holder,
    links: Links,
    hellos: Hellos,
    /// What tells this run from others of the same name.
    instance: u64,
    epoch: u64,
    /// When it was last raised.
    raised: Option<Time>,
    real_time: io::Result<()>,
    state: State,
    /// Sockets have more than was taken.
    more: bool,
    /// It has just waited until all addresses were off.
    released: bool,
    /// When what could not be opened is tried again.
    again: Option<Time>,
}

/// What it takes part in.
enum State {
    /// It has no orders yet, or they make no sense.
    Idle,
    /// One director alone: always Active.
    Sole,
    /// A virtual router.
    Shared(Box<Part>),
}

/// What woke it, beside sockets and timers, which are looked at in any case.
enum Wake {
    Look,
    /// Links or addresses changed.
    Changed,
    Orders,
    Fitness,
    Ask(Ask),
    End,
}

impl Thread {
    fn open(
        past: Past,
        inputs: Inputs,
        outputs: Outputs,
        real_time: io::Result<()>,
    ) -> Result<Self, ThreadError> {
        let Past { epoch, heard } = past;
        Ok(Self {
            alarm: Alarm::new()?,
            holder: Holder::open()?,
            hellos: Hellos::new(epoch, &heard, outputs.teller.clone()),
            links: Links::new(epoch, heard, outputs.teller.clone()),
            inputs,
            outputs,
            instance: epoch,
            epoch,
            raised: None,
            real_time,
            state: State::Idle,
            more: false,
            released: false,
            again: None,
        })
    }

    async fn run(mut self) {
        loop {
            let wake = self.wait().await;
            // What has arrived comes before everything else: after a pause, above all before the timer.
            self.listen().await;
            match wake {
                Wake::Look => {}
                Wake::Changed => self.revive(),
                Wake::Orders => self.take_orders().await,
                Wake::Fitness => self.take_fitness().await,
                Wake::Ask(ask) => {
                    let last = matches!(ask, Ask::Leave(_));
                    self.answer(ask).await;
                    if last {
                        return;
                    }
                }
                Wake::End => return,
            }
            self.watch_links().await;
            // It took its time: what has arrived meanwhile comes before the timer.
            if !std::mem::take(&mut self.released) {
                self.timers().await;
            }
            self.work();
        }
    }

    /// What is to be done with the addresses: adverts go out meanwhile.
    fn work(&mut self) {
        if self.holder.pending() {
            self.holder.step(clock::now());
        }
        self.report();
    }

    fn report(&mut self) {
        if let Some(report) = self.holder.report() {
            self.outputs.reports.send_replace(Arc::new(report));
        }
    }

    /// Opens the sockets that are missing, as far as it can be done now.
    fn revive(&mut self) {
        let index = |interface: &str| self.holder.link(interface).map(|link| link.index);
        self.links.revive(index);
        self.hellos.revive(index);
    }

    async fn wait(&mut self) -> Wake {
        let at = self.deadline();
        let busy = self.more || self.holder.pending();
        let Inputs { ordered, fitness, asked } = &mut self.inputs;
        tokio::select! {
            biased;
            Ok(()) = ordered.changed() => Wake::Orders,
            Ok(()) = fitness.changed() => Wake::Fitness,
            ask = asked.recv() => ask.map_or(Wake::End, Wake::Ask),
            () = self.holder.changed() => Wake::Changed,
            // Not at once: the tasks that serve netlink have to run too.
            () = yield_now(), if busy => Wake::Look,
            () = self.links.readable() => Wake::Look,
            () = self.hellos.readable() => Wake::Look,
            () = self.alarm.at(at) => Wake::Look,
        }
    }

    fn deadline(&self) -> Option<Time> {
        let router = match &self.state {
            State::Shared(part) => part.deadline(),
            State::Idle | State::Sole => None,
        };
        [router, self.holder.deadline(), self.hellos.deadline(), self.again].into_iter().flatten().min()
    }

    async fn listen(&mut self) {
        let now = clock::now();
        let mut heard = Vec::new();
        self.more = self.links.receive(now, &mut heard);
        for advert in heard {
            self.feed(now, Input::Advert(advert)).await;
        }
        let said = self.hellos.receive(now);
        self.hear(now, said).await;
        if let Some(known) = self.hellos.exceed() {
            self.exceed(now, known);
        }
    }

    /// A peer remembers this director from a later epoch: the clock went back, and what was kept of earlier runs is lost.
    /// It goes on above that, or it would not be heard until its clock has caught up, and there might be two Actives.
    fn exceed(&mut self, now: Time, known: u64) {
        // Two machines that take themselves for one director would chase each other.
        let again = self.raised.is_some_and(|last| now.since(last) < RAISED);
        if known <= self.epoch || again {
            return;
        }
        (self.epoch, self.raised) = (known.saturating_add(1), Some(now));
        self.links.begin(self.epoch);
        self.hellos.begin(self.epoch);
        let text = "a director remembers this one from a later time, and refused it: this one's clock was ahead once or \
                    went back, and its state folder is lost or old; it counts on from there";
        self.outputs.teller.tell(News::Trouble { text: text.to_owned() });
    }

    async fn hear(&mut self, now: Time, said: Vec<Said>) {
        for (address, peer) in said {
            self.feed(now, Input::Peer(address, peer)).await;
        }
    }

    async fn timers(&mut self) {
        let now = clock::now();
        self.feed(now, Input::Timer).await;
        let silent = self.hellos.expire(now);
        self.hear(now, silent).await;
        self.holder.due(now);
        if self.again.take_if(|at| *at <= now).is_some() {
            self.revive();
        }
        let wanting = self.links.wanting() || self.hellos.wanting();
        self.again = wanting.then(|| self.again.unwrap_or(now + AGAIN));
        self.tell_peers();
        self.hellos.speak(now);
    }

    /// What hellos are to say.
    fn tell_peers(&mut self) {
        if let State::Shared(part) = &self.state {
            let refused = self.links.behind().chain(self.hellos.behind()).max_by_key(|(_, epoch)| *epoch);
            self.hellos.tell(part.hello(self.instance, refused));
        }
    }

    async fn watch_links(&mut self) {
        let State::Shared(part) = &mut self.state else { return };
        let up = |interface: &str| self.holder.link(interface).is_some_and(|it| it.up && it.carrier);
        // Where nothing can be heard, silence means nothing; without an address nobody there can be answered.
        let has = |path: &Path| self.holder.has(path.channel.local, &path.interface);
        let usable = |path: &Path| up(&path.interface) && has(path) && self.links.is_open(path.side);
        let changed = part.links(usable);
        // Above all before they are asked for a last word.
        self.links.watch(up);
        self.hellos.watch(up);
        let now = clock::now();
        for input in changed {
            self.feed(now, input).await;
        }
    }

    async fn take_fitness(&mut self) {
        let lowered = self.inputs.fitness.borrow_and_update().clone();
        let State::Shared(part) = &mut self.state else { return };
        let input = part.track(lowered);
        self.feed(clock::now(), input).await;
    }

    async fn take_orders(&mut self) {
        let Orders { addresses, router } = self.inputs.ordered.borrow_and_update().clone();
        let Some(addresses) = addresses else { return };
        let now = clock::now();
        let Some(router) = router else {
            self.holder.order(now, addresses, Terms::ALONE);
            self.holder.hold(Holding::Held);
            self.links.configure(Vec::new());
            self.hellos.configure(now, None);
            self.state = State::Sole;
            self.outputs.roles.send_replace(Role::Active);
            return;
        };
        let mut view = match View::new(&router, &addresses) {
            Ok(view) => view,
            Err(error) => {
                return self.outputs.teller.tell(News::Trouble { text: error.to_string() });
            }
        };
        self.holder.order(now, addresses, terms(&router));
        self.links.configure(view.paths.clone());
        let said = self.hellos.configure(now, Some((&view, &router)));
        self.revive();
        if let State::Shared(part) = &mut self.state {
            let inputs = part.configure(router, view);
            for input in inputs {
                self.feed(now, input).await;
            }
        } else {
            if let Err(error) = &self.real_time {
                let text = format!("no real-time priority: {error}; load on this machine may delay adverts");
                self.outputs.teller.tell(News::Trouble { text });
            }
            self.holder.hold(Holding::AsFound);
            // After a crash it listens for one interval only: a new Active is heard by then, and if there is none, the
            // others have not lost patience yet.
            view.settings.starts_active |= self.holder.inherits(now).await;
            self.state = State::Shared(Box::new(Part::new(router, view, now)));
            self.take_fitness().await;
            self.watch_links().await;
            self.feed(now, Input::Start).await;
        }
        self.hear(now, said).await;
    }

    async fn answer(&mut self, ask: Ask) {
        let now = clock::now();
        // Whoever asked may have gone.
        match ask {
            Ask::Status(reply) => drop(reply.send(self.status(now))),
            Ask::Past(reply) => {
                let mut heard = self.links.sequences();
                heard.extend(self.hellos.sequences());
                drop(reply.send(Past { epoch: self.epoch, heard }));
            }
            Ask::Failover { to, force, reply } => {
                drop(reply.send(self.fail_over(now, to.as_deref(), force).await));
            }
            Ask::Leave(reply) => {
                self.leave(now).await;
                let _ = reply.send(());
            }
        }
    }

    async fn fail_over(
        &mut self,
        now: Time,
        to: Option<&str>,
        force: bool,
    ) -> Result<Option<String>, FailoverError> {
        let State::Shared(part) = &self.state else { return Err(FailoverError::Alone) };
        let to = to.map(|node| part.address(node)).transpose()?;
        let outputs = self.feed(now, Input::StepDown { to, force }).await;
        let State::Shared(part) = &self.state else { return Err(FailoverError::Alone) };
        let answer = outputs.iter().find_map(|output| match output {
            Output::Note(Event::Refused(refusal)) => Some(Err(FailoverError::Refused(*refusal))),
            Output::Advertise { priority: 0, successor } => Some(Ok(successor.map(|it| part.name(it)))),
            Output::Advertise { .. }
            | Output::Note(_)
            | Output::Acquire
            | Output::Release
            | Output::Announce => None,
        });
        // Frozen, it stepped down already.
        answer.unwrap_or(Err(FailoverError::Refused(Refusal::NotActive)))
    }

    /// Takes part no more. Alone the addresses stay.
    async fn leave(&mut self, now: Time) {
        let State::Shared(part) = &self.state else { return };
        if part.role() == Role::Active && (part.has_no_peers() || self.hellos.deserted()) {
            self.stay(now).await;
            return;
        }
        self.feed(now, Input::Shutdown).await;
        // Those that were found, and are nobody's to have.
        self.holder.release(now).await;
        self.tell_peers();
        self.hellos.last_word(now);
    }

    /// Nobody could take the addresses over: they stay for as long as it takes to start anew.
    async fn stay(&mut self, now: Time) {
        let Orders { addresses: Some(addresses), router: Some(router) } =
            self.inputs.ordered.borrow().clone()
        else {
            return;
        };
        let text = format!("no other director can be reached: the addresses stay on for {STAY:?}");
        self.outputs.teller.tell(News::Trouble { text });
        self.holder.order(now, addresses, Terms { lease: Some(STAY), ..terms(&router) });
        self.holder.settle(now).await;
    }

    fn status(&self, now: Time) -> Option<RedundancyStatus> {
        let State::Shared(part) = &self.state else { return None };
        let (down, silent) = part.poor_links();
        let mut discards = self.links.discards();
        for (kind, count) in self.hellos.discards() {
            *discards.entry(kind.to_owned()).or_default() += count;
        }
        Some(RedundancyStatus {
            real_time: self.real_time.is_ok(),
            links: self.links.status(now, &down, &silent),
            peers: self.hellos.status(now),
            discards,
            announcements: self.holder.announced(),
            ..part.status(now)
        })
    }

    /// Hands `input` to the state machine, and does what it says, each before the next. Returns what that was.
    async fn feed(&mut self, now: Time, input: Input) -> Vec<Output> {
        let State::Shared(part) = &mut self.state else { return Vec::new() };
        let before = part.role();
        let mut outputs = part.handle(now, input);
        if part.role() != before {
            // There are no connections to catch up with yet.
            outputs.extend(part.handle(now, Input::CaughtUp(true)));
        }
        for output in &outputs {
            match output {
                Output::Advertise { priority, successor } => self.links.advert(*priority, *successor),
                Output::Acquire => self.holder.hold(Holding::Held),
                Output::Release => {
                    self.holder.release(now).await;
                    self.released = true;
                }
                Output::Announce => self.holder.announce_all(now),
                Output::Note(event) => self.outputs.teller.tell(News::Router(*event)),
            }
        }
        if part.role() == Role::Backup && part.hears_active() {
            self.holder.hold(Holding::Released);
        }
        let role = part.role();
        self.outputs.roles.send_if_modified(|it| std::mem::replace(it, role) != role);
        outputs
    }
}

fn terms(router: &Router) -> Terms {
    let lease = (router.settings.interval.duration() * 3 + LEASE_MARGIN).max(LEASE_LEAST);
    Terms { lease: Some(lease), announcements: router.settings.announcements }
}

/// Requests that may wait.
const ASKS: usize = 64;
/// How often sockets that could not be opened are tried again, if nothing tells that it is time to.
const AGAIN: Duration = Duration::from_secs(1);
/// How long it counts from one epoch at least before a peer can have it count from a higher one.
const RAISED: Duration = Duration::from_secs(10);
/// How long addresses stay behind a director that is the last one and stops.
const STAY: Duration = Duration::from_secs(60);
const LEASE_LEAST: Duration = Duration::from_secs(5);
const LEASE_MARGIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
