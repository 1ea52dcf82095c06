//! Who has which address: every address has one owner, but services may share a VIP.

use crate::config::report::{Diagnostics, Span};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Whose an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner<'a> {
    Node(&'a str),
    Gateway,
    Server(&'a str),
    Service(&'a str),
    Management(&'a str),
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(f, "node {name:?}"),
            Self::Gateway => f.write_str("the gateway"),
            Self::Server(name) => write!(f, "server {name:?}"),
            Self::Service(name) => write!(f, "service {name:?}"),
            Self::Management(name) => write!(f, "management address {name:?}"),
        }
    }
}

/// The addresses that have an owner.
#[derive(Default)]
pub(super) struct Addresses<'a>(BTreeMap<IpAddr, (Owner<'a>, Span)>);

impl<'a> Addresses<'a> {
    /// Whose `address` is; of a VIP that services share, the first one.
    pub(super) fn owner(&self, address: IpAddr) -> Option<Owner<'a>> {
        self.0.get(&address).map(|(owner, _)| *owner)
    }

    /// Gives `address` to `owner`; reports it if another has it.
    pub(super) fn claim(&mut self, address: IpAddr, owner: Owner<'a>, span: Span, errors: &mut Diagnostics) {
        let Some((first, place)) = self.0.get(&address) else {
            self.0.insert(address, (owner, span));
            return;
        };
        let hint = match (first, owner) {
            (Owner::Service(a), Owner::Service(b)) if *a != b => return,
            (Owner::Service(a), Owner::Service(b)) if *a == b => "take one of them out",
            _ => "every address has one owner; only services may share a VIP, with different ports",
        };
        let message = format!("{address} is already an address of {first}, in line {}", place.line);
        errors.error_hint(span, message, hint);
    }
}
