//! Why a request was not carried out.

use crate::redundancy::Silent;
use director_core::ports::{PortSelection, PortStates};

/// Why a request was not carried out. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such service.
    #[error("there is no service named {name:?}{}", hint(.suggestion))]
    UnknownService {
        /// What was asked for.
        name: String,
        /// A name that is close.
        suggestion: Option<String>,
    },
    /// No such server in that service.
    #[error("service {service:?} has no server named {name:?}{}", hint(.suggestion))]
    UnknownServer {
        /// The service.
        service: String,
        /// What was asked for.
        name: String,
        /// A name that is close.
        suggestion: Option<String>,
    },
    /// No service has such a server.
    #[error("no service has a server named {name:?}{}", hint(.suggestion))]
    UnknownServerName {
        /// What was asked for.
        name: String,
        /// A name that is close.
        suggestion: Option<String>,
    },
    /// The server has no such probe.
    #[error("{service}/{server} has no probe named {name:?}: it has {}", names(.known))]
    UnknownProbe {
        /// The service.
        service: String,
        /// The server.
        server: String,
        /// What was asked for.
        name: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// The service has no persistence.
    #[error("service {0:?} is not persistent")]
    NotPersistent(String),
    /// The address or network is no client of that service; why, in words.
    #[error("{0}")]
    Client(String),
    /// The client has no entry.
    #[error("service {service:?} has no entry of client {client}")]
    NoEntry {
        /// The service.
        service: String,
        /// The client's network.
        client: String,
    },
    /// The client's entry would come back at once.
    #[error("client {client} is pinned in service {service:?}")]
    Pinned {
        /// The service.
        service: String,
        /// The client's network.
        client: String,
    },
    /// The client is not pinned.
    #[error("client {client} is not pinned in service {service:?}")]
    NotPinned {
        /// The service.
        service: String,
        /// The client's network.
        client: String,
    },
    /// There are as many pins as there may be.
    #[error("{0} clients are pinned already; that is the limit")]
    TooManyPins(usize),
    /// The service does not have these ports.
    #[error("service {service:?} has no port {ports}: it has {}", .known.join(" "))]
    UnknownPort {
        /// The service.
        service: String,
        /// What was asked for.
        ports: PortSelection,
        /// Those that it has, as [`crate::status::ServiceStatus::ports`].
        known: Vec<String>,
    },
    /// Too many ranges of ports would have a state of their own.
    #[error("more than {max} ranges of ports of service {service:?} would have a state of their own", max = PortStates::MAX)]
    TooManyPorts {
        /// The service.
        service: String,
    },
    /// There is no other director.
    #[error("there is no virtual router: the configuration has no `redundancy`")]
    Alone,
    /// No director of that name.
    #[error("there is no node named {name:?}{}", hint(.suggestion))]
    UnknownNode {
        /// What was asked for.
        name: String,
        /// A name that is close.
        suggestion: Option<String>,
    },
    /// The virtual router says no.
    #[error("{reason}")]
    FailoverRefused {
        /// Why, in words.
        reason: String,
        /// Who is Active, if that is why.
        active: Option<String>,
    },
    /// The thread that holds the addresses hangs, or has ended.
    #[error(transparent)]
    Silent(#[from] Silent),
    /// The configuration file does not hold; the text is the report, one error a paragraph.
    #[error("the configuration was not loaded, the old one stays:\n{0}")]
    Configuration(String),
    /// The kernel refused the transaction.
    #[error("the kernel refused the change: {0}")]
    Kernel(String),
    /// The state file could not be written, so the change would not survive a restart.
    #[error("the change could not be recorded: {0}")]
    State(String),
    /// The control loop is gone.
    #[error("the director is stopping")]
    Stopping,
}

fn names(known: &[String]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

fn hint(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}
