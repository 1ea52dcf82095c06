//! What the outside asks of the running director: the API sends, the control loop answers.

pub mod error;

use crate::connections::View;
use crate::explain::Moment;
use crate::persistence;
use crate::redundancy::Ask;
use crate::redundancy::asking;
use crate::redundancy::journal::Journal;
use crate::status::{EventsStatus, ProbeHistory, RedundancyStatus, Status};
use crate::trial::Plan;
use director_core::explain::Question;
use director_core::model::Network;
use director_core::overrides::{AtDeadline, ReturningClients};
use director_core::ports::{PortSelection, PortState};
use error::CommandError;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// A request and where its answer goes.
#[derive(Debug)]
pub enum Command {
    /// The whole picture, counters read afresh. All who ask at a time get the same.
    Status(oneshot::Sender<Arc<Status>>),
    /// Sets or changes the override of a server; answered once the kernel has it.
    Override {
        /// The service's name.
        service: String,
        /// The server's name.
        server: String,
        /// What shall change.
        change: OverrideChange,
        /// Outcome.
        reply: oneshot::Sender<Result<(), CommandError>>,
    },
    /// Sets the state of ports of a service; answered once the kernel has it.
    Ports {
        /// The service's name.
        service: String,
        /// Which ports.
        ports: PortSelection,
        /// Their state; `None`: as configured.
        state: Option<PortState>,
        /// Outcome.
        reply: oneshot::Sender<Result<(), CommandError>>,
    },
    /// What the probes of a server say, with their last attempts.
    Probes {
        /// The service's name.
        service: String,
        /// The server's name.
        server: String,
        /// Outcome.
        reply: oneshot::Sender<Result<Vec<ProbeHistory>, CommandError>>,
    },
    /// What it takes to try the probes of a server.
    Trial {
        /// The service's name.
        service: String,
        /// The server's name.
        server: String,
        /// This probe only.
        probe: Option<String>,
        /// Outcome.
        reply: oneshot::Sender<Result<Plan, CommandError>>,
    },
    /// Reads the configuration file again; answered once the kernel has it, or with what is wrong with it.
    Reload(oneshot::Sender<Result<(), CommandError>>),
    /// What it takes to look into the table of connections.
    Connections(oneshot::Sender<View>),
    /// What it takes to explain a connection.
    Explain(Question, oneshot::Sender<Moment>),
    /// What it takes to look at persistence entries.
    Persistence(oneshot::Sender<persistence::View>),
    /// Changes a persistence entry; answered once the kernel has it.
    Entry {
        /// The service's name.
        service: String,
        /// The client: one of its addresses, or its network.
        client: Network,
        /// What shall change.
        change: EntryChange,
        /// Outcome.
        reply: oneshot::Sender<Result<(), CommandError>>,
    },
}

/// What an operator wants of a client's persistence entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryChange {
    /// The client's next connection is scheduled anew.
    Delete,
    /// It goes to this server whenever that takes clients back. Survives reload and restart.
    Pin {
        /// The server's name.
        server: String,
    },
    /// The client is one like others again.
    Unpin,
}

/// What an operator wants of a server at run time. Survives reload and restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverrideChange {
    /// This weight in place of the configured one.
    Weight {
        /// The weight.
        weight: u16,
        /// For so long; `None`: until it is reset.
        seconds: Option<u64>,
    },
    /// No new connections until enabled again; established ones go on.
    Drain(DrainRequest),
    /// Ends a drain.
    Enable,
    /// Back to what the configuration says.
    Reset,
}

/// How a server shall be drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DrainRequest {
    /// Its connections should have ended so many seconds from now; `None`: whenever they do.
    pub deadline_seconds: Option<u64>,
    /// What becomes of those that have not.
    pub at_deadline: AtDeadline,
    /// Where its persistent clients go; `None`: as the service says.
    pub returning_clients: Option<ReturningClients>,
}

/// The API's end: cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    thread: mpsc::Sender<Ask>,
    journal: Journal,
}

impl Handle {
    /// A handle and the control loop's end. `thread` leads to the thread that holds the addresses.
    #[must_use]
    pub fn new(thread: mpsc::Sender<Ask>, journal: Journal) -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(64);
        (Self { commands, thread, journal }, receiver)
    }

    /// The whole picture.
    ///
    /// # Errors
    /// [`CommandError::Stopping`].
    pub async fn status(&self) -> Result<Arc<Status>, CommandError> {
        // The control loop does not wait for the thread: it may hang.
        let (status, redundancy) = tokio::join!(self.ask(Command::Status), asking::status(&self.thread));
        let mut status = status?;
        match redundancy {
            Ok(None) => {}
            Ok(redundancy) => Arc::make_mut(&mut status).redundancy = redundancy,
            Err(silent) => Arc::make_mut(&mut status).redundancy_error = Some(silent.to_string()),
        }
        Ok(status)
    }

    /// This director's part in the virtual router.
    ///
    /// # Errors
    /// There is none, or the thread hangs.
    pub async fn redundancy(&self) -> Result<RedundancyStatus, CommandError> {
        asking::status(&self.thread).await?.ok_or(CommandError::Alone)
    }

    /// Has another director take over: `to`, or the best one. Answered when the addresses are off here, with the one
    /// that is to take over, if anybody is known.
    ///
    /// # Errors
    /// There is none, or it is not fit, or this one is not Active; the thread has ended.
    pub async fn failover(&self, to: Option<String>, force: bool) -> Result<Option<String>, CommandError> {
        asking::failover(&self.thread, to, force).await
    }

    /// Events of the virtual router: see [`Journal::events`].
    #[must_use]
    pub fn events(&self, after: Option<u64>, limit: usize) -> EventsStatus {
        self.journal.events(after, limit)
    }

    /// Changes a server's override.
    ///
    /// # Errors
    /// The name is unknown, or the kernel or the state file refused.
    pub async fn change(
        &self,
        service: String,
        server: String,
        change: OverrideChange,
    ) -> Result<(), CommandError> {
        self.ask(|reply| Command::Override { service, server, change, reply }).await?
    }

    /// Sets the state of ports of a service; `None`: as configured.
    ///
    /// # Errors
    /// The service or a port is unknown, or the kernel or the state file refused.
    pub async fn change_ports(
        &self,
        service: String,
        ports: PortSelection,
        state: Option<PortState>,
    ) -> Result<(), CommandError> {
        self.ask(|reply| Command::Ports { service, ports, state, reply }).await?
    }

    /// What the probes of a server say, with their last attempts.
    ///
    /// # Errors
    /// The name is unknown.
    pub async fn probes(&self, service: String, server: String) -> Result<Vec<ProbeHistory>, CommandError> {
        self.ask(|reply| Command::Probes { service, server, reply }).await?
    }

    /// What it takes to try the probes of a server, or the one that is named.
    ///
    /// # Errors
    /// A name is unknown.
    pub async fn trial(
        &self,
        service: String,
        server: String,
        probe: Option<String>,
    ) -> Result<Plan, CommandError> {
        self.ask(|reply| Command::Trial { service, server, probe, reply }).await?
    }

    /// Reads the configuration file again.
    ///
    /// # Errors
    /// The file does not hold, or the kernel refused.
    pub async fn reload(&self) -> Result<(), CommandError> {
        self.ask(Command::Reload).await?
    }

    /// What it takes to look into the table of connections.
    ///
    /// # Errors
    /// [`CommandError::Stopping`].
    pub async fn connections(&self) -> Result<View, CommandError> {
        self.ask(Command::Connections).await
    }

    /// What it takes to explain a connection.
    ///
    /// # Errors
    /// [`CommandError::Stopping`].
    pub async fn explain(&self, question: Question) -> Result<Moment, CommandError> {
        self.ask(|reply| Command::Explain(question, reply)).await
    }

    /// What it takes to look at persistence entries.
    ///
    /// # Errors
    /// [`CommandError::Stopping`].
    pub async fn persistence(&self) -> Result<persistence::View, CommandError> {
        self.ask(Command::Persistence).await
    }

    /// Deletes or pins a client's persistence entry.
    ///
    /// # Errors
    /// The service or server is unknown, or the client can't be one of it; there is no such entry or pin; the kernel or
    /// the state file refused.
    pub async fn change_entry(
        &self,
        service: String,
        client: Network,
        change: EntryChange,
    ) -> Result<(), CommandError> {
        self.ask(|reply| Command::Entry { service, client, change, reply }).await?
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| CommandError::Stopping)?;
        answer.await.map_err(|_| CommandError::Stopping)
    }
}
