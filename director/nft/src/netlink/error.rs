//! What can go wrong between us and the kernel, in words for people.

use crate::ir::{Expression, Match, Statement};
use crate::transaction::Operation;
use std::io;

/// Why the kernel could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No netlink socket could be had.
    #[error("no netfilter netlink socket: {source}{}", hint_of(source))]
    Open {
        /// What the system said.
        source: io::Error,
    },
    /// An operation that no kernel could do. Nothing was sent.
    #[error("{operation}: {reason}")]
    Invalid {
        /// The operation.
        operation: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The kernel refused an operation; nothing of its transaction was applied.
    #[error("{operation}: {error}{hint}")]
    Refused {
        /// The operation.
        operation: String,
        /// Its place in [`crate::transaction::Transaction::operations`]; `None` where the transaction was refused
        /// as a whole.
        index: Option<usize>,
        /// What the kernel said.
        error: io::Error,
        /// The usual reason, behind a semicolon; empty if there is none.
        hint: String,
    },
    /// The transaction is larger than the send buffer that this process may have. Nothing was sent.
    #[error(
        "the transaction of {bytes} bytes does not fit the socket's send buffer: raise net.core.wmem_max to {bytes}, \
         or run with CAP_NET_ADMIN outside of a user namespace"
    )]
    TooLarge {
        /// Length of the transaction.
        bytes: usize,
    },
    /// Answers were lost: the transaction may or may not have been applied. Read the state again.
    #[error("the outcome of the transaction is unknown ({error}): read the state again")]
    Unknown {
        /// What the system said.
        error: io::Error,
    },
    /// Reading failed, or another request that changes no rules.
    #[error("{what}: {error}{}", hint_of(error))]
    Request {
        /// What was asked for.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// Others changed nf_tables again and again while it was read.
    #[error("nf_tables kept changing while it was read ({attempts} attempts)")]
    Busy {
        /// How often reading was begun anew.
        attempts: u32,
    },
}

impl Error {
    /// The system's error number, if there is one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Open { source: error }
            | Self::Refused { error, .. }
            | Self::Unknown { error }
            | Self::Request { error, .. } => error.raw_os_error(),
            Self::Invalid { .. } | Self::TooLarge { .. } | Self::Busy { .. } => None,
        }
    }

    pub(super) fn refused(operation: Option<(usize, &Operation)>, errno: i32) -> Self {
        let error = io::Error::from_raw_os_error(errno);
        let hint = operation.map_or_else(|| hint_of(&error).to_owned(), |(_, it)| hint_for(it, errno));
        Self::Refused {
            operation: operation.map_or_else(
                || "the transaction as a whole".to_owned(),
                |(_, it)| crate::render::operation(it),
            ),
            index: operation.map(|(index, _)| index),
            error,
            hint,
        }
    }

    pub(super) fn invalid(operation: &Operation, reason: String) -> Self {
        Self::Invalid { operation: crate::render::operation(operation), reason }
    }
}

fn hint_of(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "; it needs CAP_NET_ADMIN in this network namespace",
        Some(libc::EPROTONOSUPPORT | libc::EOPNOTSUPP) => {
            "; the kernel lacks nf_tables or conntrack (modules nf_tables, nf_conntrack_netlink)"
        }
        Some(libc::ENOBUFS) => "; answers were lost",
        _ => "",
    }
}

fn hint_for(operation: &Operation, errno: i32) -> String {
    let fixed = match errno {
        libc::EEXIST => "; it is there already, with other contents",
        libc::EBUSY => "; something still refers to it",
        libc::ENFILE => "; the map is full",
        libc::EMLINK | libc::ELOOP => "; chains call each other too deeply",
        libc::ENOENT | libc::EOPNOTSUPP => return missing(operation),
        _ => hint_of(&io::Error::from_raw_os_error(errno)),
    };
    fixed.to_owned()
}

/// What an operation needs that may not be there.
fn missing(operation: &Operation) -> String {
    match operation {
        Operation::AddRule { rule, .. } => {
            let mut modules: Vec<_> = rule.statements.iter().filter_map(module).collect();
            modules.sort_unstable();
            modules.dedup();
            let modules = if modules.is_empty() { "nf_tables".to_owned() } else { modules.join(", ") };
            format!("; a chain or map that it names is not there, or the kernel lacks {modules}")
        }
        Operation::AddChain { base: Some(_), .. } => "; the kernel may lack nft_chain_nat".to_owned(),
        Operation::AddElements { .. } => {
            "; the map, or a chain that an element names, is not there".to_owned()
        }
        Operation::DeleteElements { .. } => "; the map, or one of the keys, is not there".to_owned(),
        Operation::AddTable
        | Operation::DeleteTable
        | Operation::AddChain { .. }
        | Operation::DeleteChain { .. }
        | Operation::FlushChain { .. }
        | Operation::AddMap { .. }
        | Operation::DeleteMap { .. } => "; it, or the table, is not there".to_owned(),
    }
}

/// The kernel module behind a statement, where it is not nf_tables itself.
const fn module(statement: &Statement) -> Option<&'static str> {
    match statement {
        Statement::SetMark { value: Expression::Numgen(_), .. } => Some("nft_numgen"),
        Statement::SetMark { value: Expression::Jhash(_), .. } => Some("nft_hash"),
        Statement::SetMark { .. }
        | Statement::SetEvents(_)
        | Statement::Match(Match::CtState(_) | Match::CtStatusDnat) => Some("nft_ct"),
        Statement::Limit { .. } => Some("nft_limit"),
        Statement::Dnat(_) | Statement::Snat(_) => Some("nft_nat"),
        Statement::Synproxy(_) => Some("nft_synproxy"),
        Statement::Masquerade => Some("nft_masq"),
        Statement::Reject(_) => Some("nft_reject_inet"),
        Statement::Match(_)
        | Statement::Vmap { .. }
        | Statement::Update { .. }
        | Statement::Delete { .. }
        | Statement::Counter
        | Statement::StripTimestamp
        | Statement::Verdict(_) => None,
    }
}
