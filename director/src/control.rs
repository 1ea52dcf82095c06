//! The control loop: everything that changes comes in here, and goes out as one reconciled state.
//!
//! ```text
//! commands ─┐                       ┌─▶ ruleset   (dataplane)
//! verdicts ─┤                       ├─▶ settings  (sysctl)
//! drift ────┼─▶ Control::reconcile ─┼─▶ addresses (rtnetlink, announced by ARP and NA)
//! timers ───┤                       ├─▶ connections of dead servers (conntrack)
//! signals ──┘                       └─▶ what survives a restart (state files)
//! ```
//!
//! Inputs are levels, not edges: whatever woke the loop, it compares what shall be with what is. The ruleset comes
//! before the addresses, so that a VIP never answers with the host's own sockets.

mod addresses;
mod counting;
mod memory;
pub mod offline;
mod picture;
mod purge;

use crate::command::{Command, CommandError, OverrideChange};
use crate::configuration::Configuration;
use crate::dataplane::{Dataplane, Skeleton, Synced};
use crate::kernel::ruleset::NftKernel;
use crate::kernel::settings::Settings;
use crate::kernel::watch::foreign_changes;
use crate::options::RunOptions;
use crate::status::{ConfigurationStatus, ReconcileStatus, Status};
use crate::targets::{self, VerdictMap};
use addresses::AddressKeeper;
use counting::Counting;
use director_core::config::closest;
use director_core::ids::Registry;
use director_core::model::Model;
use director_core::plan::Servers;
use director_nft::netlink::Conntrack;
use memory::Memory;
use picture::Picture;
use purge::Purge;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::Signal;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::block_in_place;

/// How often settings and timers are looked at, and how soon a failed run is tried again.
const TICK: Duration = Duration::from_secs(1);

/// Least time between two readings of the whole ruleset on behalf of others' changes.
const DRIFT_GAP: Duration = Duration::from_millis(200);

/// What the loop can't start without.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] crate::state::StateError),
    /// Netlink: nf_tables or conntrack.
    #[error(transparent)]
    Netlink(#[from] director_nft::netlink::Error),
    /// Netlink: addresses.
    #[error(transparent)]
    Address(#[from] crate::kernel::address::AddressError),
    /// More names than numbers.
    #[error(transparent)]
    Numbers(#[from] director_core::ids::Exhausted),
    /// The kernel refused the ruleset.
    #[error("{0}")]
    Ruleset(String),
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
    addresses: AddressKeeper,
    settings: Settings,
    memory: Memory,
    counting: Counting,
    purge: Purge,
    targets: watch::Sender<health::Targets>,
    verdicts: Arc<VerdictMap>,
    /// What servers may get, by service.
    availability: BTreeMap<String, Servers>,
    /// What servers got before, of services that changed since the ruleset was brought up to date.
    changed: BTreeMap<String, Servers>,
    history: History,
    drift: Drift,
}

/// What may have changed.
#[derive(Clone, Copy)]
enum Scope<'a> {
    /// All services, and what is around them.
    Everything,
    /// One service.
    Service(&'a str),
    /// Addresses and settings.
    Surroundings,
}

/// What is told about the past.
struct History {
    started: Instant,
    loaded: Instant,
    reloads: u64,
    refused: u64,
    refusal: Option<String>,
    reconcile: ReconcileStatus,
}

/// Others' changes to nf_tables.
#[derive(Default)]
struct Drift {
    /// The ruleset is to be read then.
    due: Option<Instant>,
    /// When it was last read on their behalf.
    read: Option<Instant>,
    /// What the next run finds to do is a repair.
    repairing: bool,
}

impl Control {
    /// Takes up what an earlier run left: numbers, overrides, totals, addresses. The kernel is not touched yet.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn new(
        options: RunOptions,
        node_name: String,
        configuration: Configuration,
        targets: watch::Sender<health::Targets>,
    ) -> Result<Self, ControlError> {
        let (mut memory, remembered) = Memory::open(&options.state_dir)?;
        let mut registry = remembered.registry;
        registry.assign(&configuration.model)?;
        memory.save_registry(&registry)?;
        let now = Instant::now();
        let kernel = NftKernel::open()?;
        let control = Self {
            options,
            node_name,
            registry: Arc::new(registry),
            dataplane: Dataplane::new(kernel),
            foreign: Arc::new(Notify::new()),
            conntrack: Conntrack::open()?,
            addresses: AddressKeeper::open()?,
            settings: Settings::new(&configuration.model, &configuration.node),
            configuration,
            counting: Counting::resume(remembered.traffic),
            purge: Purge::default(),
            targets,
            verdicts: Arc::default(),
            availability: BTreeMap::new(),
            changed: BTreeMap::new(),
            history: History {
                started: now,
                loaded: now,
                reloads: 0,
                refused: 0,
                refusal: None,
                reconcile: ReconcileStatus::default(),
            },
            drift: Drift::default(),
            memory,
        };
        control.probe(control.memory.down());
        Ok(control)
    }

    /// The first run. The data plane works when this returns.
    ///
    /// # Errors
    /// The kernel refused the ruleset: better to fail the start than to run without.
    pub async fn start(&mut self, verdicts: Arc<VerdictMap>) -> Result<(), ControlError> {
        self.verdicts = verdicts;
        self.reconcile(Scope::Everything).await.map_err(ControlError::Ruleset)?;
        // Only now: a listener makes loading a large ruleset several times slower. What was missed is seen by
        // reading once more.
        let events = self.dataplane.kernel().events()?;
        foreign_changes(events, Arc::clone(&self.foreign)).map_err(ControlError::Watch)?;
        self.drift.suspect();
        self.count();
        self.bury_unconfigured(None);
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
                () = self.foreign.notified() => self.drift.suspect(),
                () = self.addresses.changed() => { let _ = self.reconcile(Scope::Surroundings).await; }
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
        let deadlines = [self.purge.next(), self.drift.due, self.addresses.announce_at()];
        deadlines.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + TICK)
    }

    async fn deadlines(&mut self) {
        let now = Instant::now();
        self.flush_connections();
        self.addresses.announce(now);
        if self.drift.due.is_some_and(|at| at <= now) {
            self.drift = Drift { due: None, read: Some(now), repairing: true };
            self.dataplane.distrust();
            let _ = self.reconcile(Scope::Everything).await;
        }
    }

    async fn tick(&mut self) {
        if self.history.reconcile.error.is_some() {
            let _ = self.reconcile(Scope::Everything).await;
        } else if self.settings.drifted() {
            let _ = self.reconcile(Scope::Surroundings).await;
        }
        if self.counting.due(Instant::now()) {
            self.count();
            self.save_traffic();
        }
    }

    async fn judge(&mut self, verdicts: Arc<VerdictMap>) {
        let before = std::mem::replace(&mut self.verdicts, verdicts);
        if targets::differ(&before, &self.verdicts) {
            // A failure stands in the status, and the next tick tries again.
            let _ = self.reconcile(Scope::Everything).await;
            if let Err(error) = self.memory.set_down(targets::down(&self.verdicts)) {
                tracing::warn!(%error, "a restart would take failed servers for working ones");
            }
        }
    }

    async fn command(&mut self, command: Command) {
        // Whoever asked may have gone since: an answer that nobody takes is no failure.
        match command {
            Command::Status(reply) => drop(reply.send(self.status().await)),
            Command::Override { service, server, change, reply } => {
                drop(reply.send(self.change(&service, &server, change).await));
            }
            Command::Reload(reply) => drop(reply.send(self.reload().await)),
        }
    }

    async fn change(
        &mut self,
        service: &str,
        server: &str,
        change: OverrideChange,
    ) -> Result<(), CommandError> {
        self.find(service, server)?;
        let before = self.memory.overrides().clone();
        let refused = |error: crate::state::StateError| CommandError::State(error.to_string());
        self.memory.change(service, server, change).map_err(refused)?;
        tracing::info!(service, server, ?change, "override");
        if let Err(error) = self.reconcile(Scope::Service(service)).await {
            self.memory.set_overrides(before).map_err(refused)?;
            return Err(CommandError::Kernel(error));
        }
        Ok(())
    }

    fn find(&self, service: &str, server: &str) -> Result<(), CommandError> {
        let services = &self.configuration.model.services;
        let Some(found) = services.get(service) else {
            let suggestion = closest(service, services.keys().map(String::as_str)).map(str::to_owned);
            return Err(CommandError::UnknownService { name: service.to_owned(), suggestion });
        };
        if !found.servers.contains_key(server) {
            let suggestion = closest(server, found.servers.keys().map(String::as_str)).map(str::to_owned);
            let (service, name) = (service.to_owned(), server.to_owned());
            return Err(CommandError::UnknownServer { service, name, suggestion });
        }
        Ok(())
    }

    /// Replaces the configuration, or keeps the old one and says why.
    async fn reload(&mut self) -> Result<(), CommandError> {
        let result = self.try_reload().await;
        match &result {
            Ok(()) => {
                self.history.refusal = None;
                self.history.reloads += 1;
                tracing::info!(hash = self.configuration.hash, "configuration loaded");
            }
            Err(error) => {
                self.history.refusal = Some(error.to_string());
                self.history.refused += 1;
                tracing::error!("{error}");
            }
        }
        result
    }

    async fn try_reload(&mut self) -> Result<(), CommandError> {
        let configuration = block_in_place(|| Configuration::load(&self.options.config, &self.node_name))
            .map_err(|error| CommandError::Configuration(error.to_string()))?;
        if configuration.model.api != self.configuration.model.api {
            let error = "what stands under `api` can't change while the director runs: restart it \
                         (nothing is interrupted)";
            return Err(CommandError::Configuration(error.to_owned()));
        }
        let mut registry = Registry::clone(&self.registry);
        registry
            .assign(&configuration.model)
            .map_err(|error| CommandError::Configuration(error.to_string()))?;
        self.memory.save_registry(&registry).map_err(|error| CommandError::State(error.to_string()))?;

        let before = (self.configuration.clone(), Arc::clone(&self.registry));
        self.put_in_force(configuration, Arc::new(registry));
        if let Err(error) = self.reconcile(Scope::Everything).await {
            self.put_in_force(before.0, before.1);
            let _ = self.reconcile(Scope::Everything).await;
            return Err(CommandError::Kernel(error));
        }
        self.history.loaded = Instant::now();
        self.probe(&targets::down(&self.verdicts));
        self.bury_unconfigured(Some(&before.0.model));
        Ok(())
    }

    fn put_in_force(&mut self, configuration: Configuration, registry: Arc<Registry>) {
        self.settings = Settings::new(&configuration.model, &configuration.node);
        self.addresses.distrust();
        self.configuration = configuration;
        self.registry = registry;
    }

    /// Brings everything to what it shall be. Settings and addresses that can't be had stand in the status and are
    /// tried again; they are no reason to refuse a change.
    ///
    /// # Errors
    /// The ruleset is not as it shall be.
    async fn reconcile(&mut self, scope: Scope<'_>) -> Result<(), String> {
        let started = Instant::now();
        self.decide(scope);
        let ruleset = self.reconcile_ruleset();
        let mut errors: Vec<String> = ruleset.clone().err().into_iter().collect();
        let settings = self.settings.apply();
        self.note_repairs("setting", settings.repaired);
        errors.extend(settings.errors);
        // Without a ruleset a VIP would answer with the host's own sockets.
        if ruleset.is_ok() && self.addresses.uncertain() {
            let wanted = addresses::wanted(&self.configuration.model, &self.configuration.node);
            let addresses = self.addresses.keep(&wanted, &mut self.memory).await;
            self.note_repairs("address", addresses.repaired);
            errors.extend(addresses.errors);
        }
        let changed = ruleset.as_ref().is_ok_and(|synced| synced.operations > 0);
        self.history.reconciled(&errors, changed.then(|| started.elapsed()));
        ruleset.map(|_| ())
    }

    /// Decides anew what servers may get, and notes what changed by it.
    fn decide(&mut self, scope: Scope<'_>) {
        let model = &self.configuration.model;
        let (verdicts, overrides) = (&self.verdicts, self.memory.overrides());
        match scope {
            Scope::Surroundings => {}
            Scope::Service(name) => {
                if let Some(service) = model.services.get(name) {
                    let servers = targets::decide_service(model, service, verdicts, overrides);
                    let before = self.availability.insert(name.to_owned(), servers);
                    self.changed.entry(name.to_owned()).or_insert_with(|| before.unwrap_or_default());
                }
            }
            Scope::Everything => {
                let decided = targets::decide(model, verdicts, overrides);
                for (name, before) in std::mem::replace(&mut self.availability, decided) {
                    if self.availability.get(&name) != Some(&before) {
                        self.changed.entry(name).or_insert(before);
                    }
                }
            }
        }
    }

    fn reconcile_ruleset(&mut self) -> Result<Synced, String> {
        let skeleton = Skeleton {
            model: Arc::clone(&self.configuration.model),
            node: Arc::clone(&self.configuration.node),
            registry: Arc::clone(&self.registry),
        };
        let (availability, connections) = (&self.availability, self.counting.connections());
        let synced =
            block_in_place(|| self.dataplane.sync(&skeleton, availability, &self.changed, connections));
        let synced = synced.map_err(|error| error.to_string())?;
        if std::mem::take(&mut self.drift.repairing) && synced.operations > 0 {
            self.note_repairs("ruleset", 1);
        }
        let changed = std::mem::take(&mut self.changed);
        for (service, server) in purge::died(&changed, &self.availability) {
            if let Some(id) = self.registry.server(&service, &server) {
                self.purge.add(id.get(), Instant::now());
            }
        }
        self.flush_connections();
        log_changes(&changed, &self.availability);
        Ok(synced)
    }

    fn note_repairs(&mut self, kind: &str, repairs: u64) {
        if repairs > 0 {
            tracing::warn!(kind, repairs, "put right what somebody else changed");
            *self.history.reconcile.drift_repairs.entry(kind.to_owned()).or_default() += repairs;
        }
    }

    fn probe(&self, down: &BTreeSet<String>) {
        let targets = targets::targets(&self.configuration.model, down);
        self.targets.send_replace(Arc::new(targets));
    }

    /// Ends connections of servers that are no longer configured, where their service says so (or said so in the
    /// configuration `before`, if it is gone too).
    fn bury_unconfigured(&mut self, before: Option<&Model>) {
        let model = &self.configuration.model;
        let expires = |service: &str| {
            let service = model.services.get(service).or_else(|| before?.services.get(service));
            service.is_none_or(|service| service.quiescence.expire_nodest_conn)
        };
        let gone = self.registry.unconfigured(model).filter(|(service, _, _)| expires(service));
        let gone: BTreeSet<u32> = gone.map(|(_, _, id)| id.get()).collect();
        if gone.is_empty() {
            return;
        }
        self.counting.poll(&mut self.conntrack);
        for id in self.counting.flows().destinations().filter(|id| gone.contains(id)) {
            self.purge.add(id, Instant::now());
        }
        self.flush_connections();
    }

    /// Ends the connections whose time has come.
    fn flush_connections(&mut self) {
        for id in self.purge.take(Instant::now()) {
            match self.conntrack.flush_mark(id, u32::MAX) {
                Ok(()) => tracing::info!(destination = format!("0x{id:08x}"), "connections ended"),
                Err(error) => tracing::error!(%error, "can't end connections of a dead server"),
            }
        }
    }

    fn count(&mut self) {
        block_in_place(|| {
            if let Err(error) = self.dataplane.count(self.counting.connections()) {
                tracing::warn!(%error, "can't read the connection counters");
            }
            self.counting.poll(&mut self.conntrack);
        });
    }

    fn save_traffic(&mut self) {
        if let Err(error) = self.memory.save_traffic(&self.counting.traffic()) {
            tracing::warn!(%error, "totals would not survive a restart");
        }
    }

    async fn status(&mut self) -> Status {
        if self.counting.stale(Instant::now()) {
            self.count();
        }
        let picture = Picture {
            model: &self.configuration.model,
            registry: &self.registry,
            availability: &self.availability,
            overrides: self.memory.overrides(),
            verdicts: &self.verdicts,
            connections: self.counting.connections_so_far(),
            flows: self.counting.flows(),
        };
        let (services, management) = (picture.services(), picture.management());
        let wanted = addresses::wanted(&self.configuration.model, &self.configuration.node);
        Status {
            node: self.node_name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.history.started.elapsed().as_secs(),
            configuration: ConfigurationStatus {
                path: self.options.config.display().to_string(),
                hash: self.configuration.hash.clone(),
                age_seconds: self.history.loaded.elapsed().as_secs(),
                error: self.history.refusal.clone(),
                reloads: self.history.reloads,
                refused: self.history.refused,
            },
            reconcile: self.history.reconcile.clone(),
            settings: self.settings.status(),
            addresses: self.addresses.status(&wanted, self.memory.addresses()).await,
            services,
            management,
        }
    }

    async fn stop(mut self) {
        self.count();
        self.save_traffic();
        if !self.options.flush_on_exit {
            tracing::info!("stopping; the data plane stays in place");
            return;
        }
        for error in self.addresses.remove_all(&mut self.memory).await {
            tracing::error!("{error}");
        }
        if let Err(error) = self.dataplane.remove() {
            tracing::error!(%error, "the ruleset stays");
        }
    }
}

impl History {
    fn reconciled(&mut self, errors: &[String], took: Option<Duration>) {
        let reconcile = &mut self.reconcile;
        reconcile.runs += 1;
        if let Some(took) = took {
            reconcile.last_seconds = took.as_secs_f64();
        }
        let error = (!errors.is_empty()).then(|| errors.join("; "));
        match (&reconcile.error, &error) {
            (before, Some(error)) if before.as_ref() != Some(error) => {
                tracing::error!("can't reconcile: {error}")
            }
            (Some(_), None) => tracing::info!("reconciled again"),
            _ => {}
        }
        reconcile.failures += u64::from(error.is_some());
        reconcile.error = error;
    }
}

impl Drift {
    fn suspect(&mut self) {
        if self.due.is_none() {
            let now = Instant::now();
            self.due = Some(self.read.map_or(now, |read| now.max(read + DRIFT_GAP)));
        }
    }
}

/// Logs what changed for servers.
fn log_changes(before: &BTreeMap<String, Servers>, after: &BTreeMap<String, Servers>) {
    for (service, servers) in before {
        for (server, earlier) in servers {
            let Some(now) = after.get(service).and_then(|servers| servers.get(server)) else { continue };
            if earlier.state != now.state || earlier.weight != now.weight {
                let (state, weight, reason) = (now.state, now.weight.get(), &now.reason);
                tracing::info!(service, server, ?state, weight, reason, "server changed");
            }
        }
    }
}
