//! The control loop: everything that changes comes in here, and goes out as one reconciled state.
//!
//! ```text
//! commands ─┐                       ┌─▶ ruleset   (dataplane)
//! verdicts ─┤                       ├─▶ settings  (sysctl)
//! drift ────┼─▶ Control::reconcile ─┼─▶ addresses (orders to the thread that holds them)
//! timers ───┤                       ├─▶ connections of dead servers (conntrack)
//! signals ──┘                       └─▶ what survives a restart (state files)
//! ```
//!
//! Inputs are levels, not edges: whatever woke the loop, it compares what shall be with what is. The ruleset comes
//! before the addresses, so that a VIP never answers with the host's own sockets.

mod addresses;
mod balance;
mod counting;
mod ending;
mod entries;
mod figures;
mod history;
mod judging;
mod keeping;
mod memory;
pub mod offline;
mod picture;
mod purge;
mod reading;
mod reconcile;
mod recording;
mod requests;
mod sharing;
mod telling;

use crate::command::Command;
use crate::configuration::Configuration;
use crate::connections::{Kernel, View};
use crate::dataplane::Dataplane;
use crate::decide::{self, Demands, Pools};
use crate::kernel::ruleset::NftKernel;
use crate::kernel::settings::Settings;
use crate::kernel::watch::foreign_changes;
use crate::live::{Live, LiveError};
use crate::options::RunOptions;
use crate::redundancy::thread::{self, ThreadError};
use crate::redundancy::{Handle, Router, Teller, clock};
use crate::status::{ReconcileStatus, Status};
use crate::targets::{self, Role, Users, VerdictMap};
use addresses::AddressBook;
use balance::Pace;
use counting::Counting;
use director_core::clocks::Clocks;
use director_core::ids::Registry;
use director_core::pool::Offers;
use director_nft::netlink::Conntrack;
use history::{Drift, History};
use keeping::Keeper;
use memory::Memory;
use purge::{Due, Purge};
use reconcile::Scope;
use recording::Recorder;
use sharing::Record;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use sync::vrrp::timing::Time;
use telling::Telling;
use tokio::signal::unix::Signal;
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// How often settings and timers are looked at, and how soon a failed run is tried again.
const TICK: Duration = Duration::from_millis(500);

/// What the loop can't start without.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] crate::state::StateError),
    /// Netlink: nf_tables or conntrack.
    #[error(transparent)]
    Netlink(#[from] director_nft::netlink::Error),
    /// More names than numbers.
    #[error(transparent)]
    Numbers(#[from] director_core::ids::Exhausted),
    /// The kernel refused the ruleset.
    #[error("{0}")]
    Ruleset(String),
    /// Counting connections.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// The thread that holds the addresses.
    #[error(transparent)]
    Thread(#[from] ThreadError),
    /// A thread for the kernel's notifications.
    #[error("can't watch the kernel's notifications: {0}")]
    Watch(#[source] std::io::Error),
}

/// What wakes the loop from outside.
pub struct Inputs {
    /// Requests of the API.
    pub commands: mpsc::Receiver<Command>,
    /// What probes say.
    pub verdicts: watch::Receiver<Arc<VerdictMap>>,
    /// SIGHUP: reload.
    pub hangup: Signal,
    /// SIGTERM.
    pub terminate: Signal,
    /// SIGINT.
    pub interrupt: Signal,
}

/// The state behind the loop.
pub struct Control {
    options: RunOptions,
    node_name: String,
    configuration: Configuration,
    registry: Arc<Registry>,
    dataplane: Dataplane<NftKernel>,
    foreign: Arc<Notify>,
    conntrack: Conntrack,
    addresses: AddressBook,
    /// Interfaces for the virtual MAC address may not be those that are wanted.
    virtuals_in_doubt: bool,
    /// Addresses were not as they shall be when they were compared last.
    addresses_in_doubt: bool,
    settings: Settings,
    memory: Memory,
    counting: Counting,
    recorder: Recorder,
    keeper: Keeper,
    purge: Purge,
    targets: watch::Sender<health::Targets>,
    verdicts: Arc<VerdictMap>,
    /// Those that a reload moved, until the prober knows the targets.
    moved: VerdictMap,
    /// Whom targets are probed for.
    users: Users,
    role: Role,
    /// With whom the addresses are shared.
    router: Option<Arc<Router>>,
    /// Who holds them.
    thread: Handle,
    record: Record,
    telling: Telling,
    pools: Pools,
    live: Live,
    /// Live connections, of services that need to know.
    demands: Demands,
    /// When to look at them.
    pace: Pace,
    /// What services offer.
    offers: Offers,
    /// What services offered before, of those that changed since the ruleset was brought up to date.
    changed: Offers,
    history: History,
    drift: Drift,
    /// Whoever waits for figures, and for which reading.
    asking: Vec<(u64, oneshot::Sender<Arc<Status>>)>,
    /// When the next override lapses or becomes due, in seconds since 1970.
    lapses: Option<u64>,
    /// When the next offer changes by itself, by the steady clock.
    ramps: Option<u64>,
}

fn clocks() -> Clocks {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Clocks { wall, steady: clock::now().since(Time::default()).as_secs() }
}

impl Control {
    /// Takes up what an earlier run left: numbers, overrides, totals, addresses. The kernel is not touched yet, and the
    /// thread that is to hold the addresses waits for its orders. `teller` tells what becomes of the virtual router.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub async fn new(
        options: RunOptions,
        node_name: String,
        configuration: Configuration,
        targets: watch::Sender<health::Targets>,
        teller: Teller,
    ) -> Result<Self, ControlError> {
        let (mut memory, remembered) = Memory::open(&options.state_dir)?;
        let mut registry = remembered.registry;
        registry.assign(&configuration.model)?;
        memory.save_registry(&registry)?;
        let now = Instant::now();
        let kernel = NftKernel::open()?;
        let router = configuration.router().map(Arc::new);
        let thread = thread::spawn(router.is_none(), memory.begin()?, teller).await?;
        let role = Role::from(*thread.role.borrow());
        let mut control = Self {
            options,
            node_name,
            registry: Arc::new(registry),
            dataplane: Dataplane::new(kernel),
            foreign: Arc::new(Notify::new()),
            conntrack: Conntrack::open()?,
            addresses: AddressBook::default(),
            virtuals_in_doubt: true,
            addresses_in_doubt: false,
            settings: Settings::new(&configuration.model, &configuration.node),
            configuration,
            counting: Counting::resume(remembered.traffic.1)?,
            recorder: Recorder::new(remembered.traffic.0),
            keeper: Keeper::open()?,
            purge: Purge::default(),
            targets,
            verdicts: Arc::default(),
            moved: VerdictMap::new(),
            users: Users::new(),
            role,
            router,
            thread,
            record: Record::default(),
            telling: Telling::default(),
            pools: Pools::new(),
            live: Live::default(),
            demands: Demands::new(),
            pace: Pace::default(),
            offers: Offers::new(),
            changed: Offers::new(),
            history: History {
                started: now,
                loaded: now,
                reloads: 0,
                refused: 0,
                refusal: None,
                reconcile: ReconcileStatus::default(),
            },
            drift: Drift::default(),
            asking: Vec::new(),
            lapses: None,
            ramps: None,
            memory,
        };
        let starts = targets::resume(control.memory.verdicts());
        control.probe(&starts);
        Ok(control)
    }

    /// The first run. The data plane works when this returns.
    ///
    /// # Errors
    /// The kernel refused the ruleset: better to fail the start than to run without.
    pub async fn start(&mut self, verdicts: Arc<VerdictMap>) -> Result<(), ControlError> {
        self.verdicts = verdicts;
        // First: the kernel tells nothing of connections that come before.
        self.watch_connections()?;
        self.addresses.ready(&mut self.thread).await;
        self.reconcile(Scope::Everything).await.map_err(ControlError::Ruleset)?;
        // Only now: a listener makes loading a large ruleset several times slower. What was missed is seen by
        // reading once more.
        if let Some(keeper) = self.keeper.nft() {
            let events = self.dataplane.kernel().events(keeper)?;
            foreign_changes(events, Arc::clone(&self.foreign)).map_err(ControlError::Watch)?;
        }
        self.drift.suspect();
        self.keeper.hurry();
        self.bury(None);
        let closed = self.offers.iter().filter(|(_, offer)| !offer.ended_ports.is_empty());
        self.end_closed(closed.map(|(service, _)| service.clone()).collect());
        self.purge.add(Due::Untranslated, Instant::now());
        Ok(())
    }

    /// Runs until a signal ends it. The data plane stays unless the options say otherwise.
    pub async fn run(mut self, mut inputs: Inputs) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let deadline = self.deadline();
            tokio::select! {
                command = inputs.commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => break,
                },
                changed = inputs.verdicts.changed() => {
                    if changed.is_err() {
                        tracing::error!("probing has ended");
                        break;
                    }
                    let verdicts = inputs.verdicts.borrow_and_update().clone();
                    self.judge(verdicts).await;
                }
                changed = self.thread.role.changed() => {
                    if changed.is_err() {
                        tracing::error!("the thread that holds the addresses has ended");
                        break;
                    }
                    self.take_role();
                }
                () = self.live.moved() => self.moved(),
                () = self.foreign.notified() => self.drift.suspect(),
                Some(done) = self.keeper.done() => self.entries_kept(done),
                Some(done) = self.counting.done() => self.figures_read(done),
                Some(written) = self.recorder.done() => self.recorder.end(written),
                Ok(()) = self.thread.addresses.changed() => {
                    let _ = self.reconcile(Scope::Surroundings).await;
                }
                _ = tick.tick() => self.tick().await,
                () = tokio::time::sleep_until(deadline.into()) => self.deadlines().await,
                _ = inputs.hangup.recv() => { let _ = self.reload().await; }
                _ = inputs.terminate.recv() => break,
                _ = inputs.interrupt.recv() => break,
            }
        }
        self.stop().await;
    }

    /// When [`Self::deadlines`] has something to do.
    fn deadline(&self) -> Instant {
        let deadlines = [
            self.purge.next(),
            self.drift.due,
            self.keeper.due(),
            self.recorder.due(),
            self.pace.due(),
            self.counting.due(),
        ];
        deadlines.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + TICK)
    }

    async fn deadlines(&mut self) {
        let now = Instant::now();
        self.flush_connections();
        self.balance(now);
        if self.drift.due.is_some_and(|at| at <= now) {
            self.drift = Drift { due: None, read: Some(now), repairing: true };
            self.dataplane.distrust();
            let _ = self.reconcile(Scope::Everything).await;
        }
        self.keep_entries();
        self.read_figures(now);
        self.record(now);
    }

    async fn tick(&mut self) {
        self.telling.catch_up(Instant::now());
        self.record_heard(Instant::now());
        let now = clocks();
        if self.lapses.is_some_and(|at| at <= now.wall) || self.ramps.is_some_and(|at| at <= now.steady) {
            let due = decide::due(self.memory.overrides(), &self.pools, now);
            if let Err(error) = self.memory.forget_lapsed(now.wall) {
                tracing::warn!(%error, "an override that has lapsed stands in the state file");
            }
            let _ = self.reconcile(Scope::Services(&due)).await;
        }
        if self.history.reconcile.error.is_some() {
            let _ = self.reconcile(Scope::Everything).await;
        } else if self.settings.drifted() {
            let _ = self.reconcile(Scope::Surroundings).await;
        }
    }

    async fn command(&mut self, command: Command) {
        // Whoever asked may have gone since: an answer that nobody takes is no failure.
        match command {
            Command::Status(reply) => self.ask_status(reply),
            Command::Override { service, server, change, reply } => {
                drop(reply.send(self.change(&service, &server, change).await));
            }
            Command::Ports { service, ports, state, reply } => {
                drop(reply.send(self.change_ports(&service, ports, state).await));
            }
            Command::Trial { service, server, probe, reply } => {
                drop(reply.send(self.trial(&service, &server, probe.as_deref())));
            }
            Command::Probes { service, server, reply } => drop(reply.send(self.probes(&service, &server))),
            Command::Reload(reply) => drop(reply.send(self.reload().await)),
            Command::Persistence(reply) => drop(reply.send(self.entries_view())),
            Command::Entry { service, client, change, reply } => {
                drop(reply.send(self.change_entry(&service, client, &change)));
            }
            Command::Connections(reply) => {
                let view = View { registry: Arc::clone(&self.registry), table: Arc::new(Kernel) };
                drop(reply.send(view));
            }
            Command::Explain(question, reply) => drop(reply.send(self.moment(&question))),
        }
    }

    async fn stop(mut self) {
        self.leave().await;
        self.read_last().await;
        self.recorder.finish(self.counting.traffic()).await;
        if !self.options.flush_on_exit {
            self.let_go();
            tracing::info!("stopping; the data plane stays in place");
            return;
        }
        for error in addresses::remove_all(&mut self.memory).await {
            tracing::error!("{error}");
        }
        if let Err(error) = self.dataplane.remove() {
            tracing::error!(%error, "the ruleset stays");
        }
    }
}
