//! A control loop that knows one status and notes what it is asked, for the tests of the API and its client.

mod entries;
mod table;
mod thread;

pub(crate) use entries::FakeEntries;
pub(crate) use table::FakeTable;

use crate::command::error::CommandError;
use crate::command::{Command, EntryChange, Handle, OverrideChange};
use crate::connections::View;
use crate::sample;
use director_core::model::Network;
use director_core::ports::{PortSelection, PortState};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::task::JoinHandle;

/// Service, server, change.
pub(crate) type Change = (String, String, OverrideChange);

/// Service, ports, state.
pub(crate) type PortChange = (String, PortSelection, Option<PortState>);

/// Answers as the real one does, for [`sample::status`].
#[derive(Debug)]
pub(crate) struct ControlLoop {
    notes: Arc<Mutex<Notes>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Notes {
    changes: Vec<Change>,
    entry_changes: Vec<(String, Network, EntryChange)>,
    ports: Vec<PortChange>,
    reloads: usize,
    refusal: Option<String>,
    failure: Option<CommandError>,
    table: Arc<FakeTable>,
    entries: Arc<FakeEntries>,
}

impl ControlLoop {
    /// Starts one on the current runtime.
    pub(crate) fn start() -> (Self, Handle) {
        let (handle, mut commands) = Handle::new(thread::start(), sample::journal());
        let notes = Arc::new(Mutex::new(Notes::default()));
        let shared = Arc::clone(&notes);
        let task = tokio::spawn(async move {
            while let Some(command) = commands.recv().await {
                lock(&shared).answer(command);
            }
        });
        (Self { notes, task }, handle)
    }

    /// Changes carried out since the last call.
    pub(crate) fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut lock(&self.notes).changes)
    }

    /// Changes of entries carried out since the last call.
    pub(crate) fn take_entry_changes(&self) -> Vec<(String, Network, EntryChange)> {
        std::mem::take(&mut lock(&self.notes).entry_changes)
    }

    /// States of ports set since the last call.
    pub(crate) fn take_ports(&self) -> Vec<PortChange> {
        std::mem::take(&mut lock(&self.notes).ports)
    }

    /// Reloads carried out.
    pub(crate) fn reloads(&self) -> usize {
        lock(&self.notes).reloads
    }

    /// Reloads fail with `report` from now on.
    pub(crate) fn refuse_reloads(&self, report: &str) {
        lock(&self.notes).refusal = Some(report.to_owned());
    }

    /// Changes fail with `error` from now on.
    pub(crate) fn refuse_changes(&self, error: CommandError) {
        lock(&self.notes).failure = Some(error);
    }

    /// The table of connections.
    pub(crate) fn table(&self) -> Arc<FakeTable> {
        Arc::clone(&lock(&self.notes).table)
    }

    /// The persistence entries. Client 203.0.113.7 is pinned to exchange1.
    pub(crate) fn entries(&self) -> Arc<FakeEntries> {
        Arc::clone(&lock(&self.notes).entries)
    }

    /// Ends it: nobody answers any more.
    pub(crate) async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap()
}

impl Notes {
    fn answer(&mut self, command: Command) {
        match command {
            Command::Status(reply) => drop(reply.send(Arc::new(sample::status()))),
            Command::Override { service, server, change, reply } => {
                drop(reply.send(self.change(service, server, change)));
            }
            Command::Ports { service, ports, state, reply } => {
                drop(reply.send(self.change_ports(service, ports, state)));
            }
            Command::Probes { service, server, reply } => {
                let known = self.known(service, server);
                drop(reply.send(known.map(|_| vec![sample::probe_history()])));
            }
            Command::Trial { service, server, probe, reply } => {
                drop(reply.send(sample::trial(&service, &server, probe.as_deref())));
            }
            Command::Reload(reply) => drop(reply.send(self.reload())),
            Command::Explain(_, reply) => drop(reply.send(sample::moment())),
            Command::Persistence(reply) => {
                let mut view = sample::entries(Arc::clone(&self.entries) as Arc<_>);
                let pinned = ([203, 0, 113, 7].into(), "exchange1".to_owned());
                view.pins.insert("exchange".to_owned(), [pinned].into());
                drop(reply.send(view));
            }
            Command::Entry { service, client, change, reply } => {
                drop(reply.send(self.change_entry(service, client, change)));
            }
            Command::Connections(reply) => {
                let registry = Arc::new(sample::registry());
                drop(reply.send(View { registry, table: Arc::clone(&self.table) as Arc<_> }));
            }
        }
    }

    fn change(
        &mut self,
        service: String,
        server: String,
        change: OverrideChange,
    ) -> Result<(), CommandError> {
        let (service, server) = self.known(service, server)?;
        if let Some(error) = &self.failure {
            return Err(error.clone());
        }
        self.changes.push((service, server, change));
        Ok(())
    }

    fn known(&self, service: String, server: String) -> Result<(String, String), CommandError> {
        let status = sample::status();
        let Some(known) = status.services.iter().find(|known| known.name == service) else {
            return Err(CommandError::UnknownService { name: service, suggestion: None });
        };
        if !known.servers.iter().any(|known| known.name == server) {
            let suggestion = Some("exchange1".to_owned());
            return Err(CommandError::UnknownServer { service, name: server, suggestion });
        }
        Ok((service, server))
    }

    fn change_entry(
        &mut self,
        service: String,
        client: Network,
        change: EntryChange,
    ) -> Result<(), CommandError> {
        if !sample::status().services.iter().any(|known| known.name == service) {
            return Err(CommandError::UnknownService { name: service, suggestion: None });
        }
        if let Some(error) = &self.failure {
            return Err(error.clone());
        }
        self.entry_changes.push((service, client, change));
        Ok(())
    }

    /// The service has tcp 25, as far as this is concerned.
    fn change_ports(
        &mut self,
        service: String,
        ports: PortSelection,
        state: Option<PortState>,
    ) -> Result<(), CommandError> {
        let known = vec!["tcp 25".to_owned()];
        if !["25", "tcp/25"].contains(&ports.to_string().as_str()) {
            return Err(CommandError::UnknownPort { service, ports, known });
        }
        self.ports.push((service, ports, state));
        Ok(())
    }

    fn reload(&mut self) -> Result<(), CommandError> {
        if let Some(report) = &self.refusal {
            return Err(CommandError::Configuration(report.clone()));
        }
        self.reloads += 1;
        Ok(())
    }
}
