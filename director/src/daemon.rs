//! Puts the daemon together: configuration, control loop, prober, API.

use crate::api::{BindError, Listeners};
use crate::command::Handle;
use crate::configuration::{Configuration, LoadError};
use crate::control::{Control, ControlError, Inputs};
use crate::options::RunOptions;
use crate::redundancy::journal::{Journal, Past};
use crate::redundancy::{Teller, tracking};
use crate::state;
use director_nft::fnv::fnv1a;
use health::Limits;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use prometheus::Registry;
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// How long the end waits for what is still to be written, and for the program that hears of it.
const LAST_NEWS: Duration = Duration::from_secs(5);

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration does not hold.
    #[error(transparent)]
    Configuration(#[from] LoadError),
    /// The host has no name to find its node by.
    #[error("can't tell this host's name ({0}); say which node it is with --node")]
    HostName(#[source] nix::Error),
    /// State, netlink.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A listener.
    #[error(transparent)]
    Api(#[from] BindError),
    /// The thread that probes.
    #[error("can't start probing: {0}")]
    Probes(#[source] std::io::Error),
    /// Signals.
    #[error("can't wait for signals: {0}")]
    Signal(#[source] std::io::Error),
}

/// Runs the director until a signal ends it.
///
/// # Errors
/// Nothing that was in the kernel before has changed if the configuration does not hold.
pub async fn run(options: RunOptions) -> Result<(), DaemonError> {
    // Before anything that takes time: a SIGHUP without a handler would end the process.
    let hangup = signal(SignalKind::hangup()).map_err(DaemonError::Signal)?;
    let terminate = signal(SignalKind::terminate()).map_err(DaemonError::Signal)?;
    let interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Signal)?;
    let node = node_name(options.node.as_deref())?;
    let configuration = Configuration::load(&options.config, &node)?.with_keys()?;
    configuration.warn();
    // A second director finds out here, before it touches anything.
    let _lock = state::lock(&options.state_dir).map_err(ControlError::State)?;
    let listeners = Listeners::bind(&configuration.model.api).await?;
    let past = Past::open(&options.state_dir).map_err(ControlError::State)?;
    let files = raise_file_limit();

    let (targets, probed) = watch::channel(health::Targets::default());
    let concurrency = Limits::default().concurrency.min(files / 2);
    let limits = Limits { concurrency, seed: fnv1a(node.as_bytes()) };
    let (teller, told) = Teller::new();
    let mut control = Control::new(options, node, configuration, targets, teller.clone()).await?;
    let thread = control.thread().clone();
    let tracking = tracking::spawn(thread.orders.subscribe(), thread.lowered.clone(), teller);
    let probes = probed.borrow().len();
    let (mut verdicts, _until_it_stops) =
        health::prober::spawn(probed, limits).map_err(DaemonError::Probes)?;
    // The start state of every target: a server that was down stays out until it has passed.
    let known = verdicts.wait_for(|verdicts| verdicts.len() == probes).await.map(|it| Arc::clone(&it));
    control.start(known.unwrap_or_default()).await?;

    let (journal, keeping) = Journal::keep(past, told, thread.orders.subscribe(), thread.asks.clone());
    let (handle, commands) = Handle::new(thread.asks.clone(), journal);
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(listeners.serve(handle, Registry::new(), async {
        // A sender that is gone says the same.
        let _ = stopped.await;
    }));
    let inputs = Inputs { commands, verdicts, hangup, terminate, interrupt };
    tracing::info!("running");
    tell_the_manager(NotifyState::Ready);
    control.run(inputs).await;
    drop(stop);
    if let Err(error) = served.await {
        tracing::error!(%error, "the API ended badly");
    }
    drop(tracking);
    keeping.finish(LAST_NEWS).await;
    Ok(())
}

/// Tells systemd, if it has started us and waits for that.
fn tell_the_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd can't be told that the director runs");
    }
}

/// Every probe under way takes a descriptor, and the usual soft limit is 1,024. Tells how many there may be.
fn raise_file_limit() -> usize {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let raised = limits.and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays; with many silent servers probes wait for each other");
    }
    let files = raised.or(limits.map(|(soft, _)| soft)).unwrap_or(1024);
    usize::try_from(files).unwrap_or(usize::MAX)
}

/// The name given, or the host's: its first label.
///
/// # Errors
/// The host has no name.
pub fn node_name(given: Option<&str>) -> Result<String, DaemonError> {
    if let Some(name) = given {
        return Ok(name.to_owned());
    }
    let name = nix::unistd::gethostname().map_err(DaemonError::HostName)?;
    let name = name.to_string_lossy();
    Ok(name.split('.').next().unwrap_or_default().to_owned())
}
