//! Which server a new connection would get, and why.
//!
//! The explanation follows the way of the connection's first packet through the planned ruleset: the port's
//! service, the client's persistence entry, the scheduler's slot, the slot's server. What only the kernel knows,
//! whose turn it is and where chance falls, is told as shares.

mod case;
#[cfg(test)]
mod tests;

use crate::ids::Registry;
use crate::model::{ManagementAddress, Model, PortRange, Protocol, Service};
use crate::persistence::Entry;
use crate::pool::Offer;
use case::{Case, Steps};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A connection that a client would open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The client's address.
    pub client: IpAddr,
    /// Its port, if it matters.
    pub client_port: Option<u16>,
    /// The address that it calls, of the same family.
    pub address: IpAddr,
    /// The port that it calls.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// Whose an address and port are.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// A virtual service's.
    Service(&'a Service),
    /// A management address.
    Management(&'a ManagementAddress),
    /// A VIP's, but of no service.
    Undeclared,
    /// Not the director's.
    Elsewhere,
}

/// What becomes of the connection, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// What becomes of it.
    pub answer: Answer,
    /// How that comes, in the order in which it is decided.
    pub steps: Vec<Step>,
    /// The servers of the service that serve the client's family, by name.
    pub servers: Vec<Candidate>,
}

/// What becomes of a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Answer {
    /// It goes to this server.
    Server(Destination),
    /// It goes to one of these servers.
    OneOf {
        /// Each with its share.
        destinations: Vec<Destination>,
    },
    /// It is refused at once: TCP gets a RST, UDP an ICMP port unreachable.
    Refused,
    /// The director has nothing to do with it.
    NotHandled,
}

/// A server that a connection may go to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Destination {
    /// The server's name.
    pub server: String,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Of a hundred such connections it gets so many.
    pub percent: f64,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it is about: `service`, `port`, `persistence`, `scheduler`, …
    pub about: String,
    /// In words.
    pub text: String,
}

/// A server that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its name.
    pub server: String,
    /// Its address.
    pub address: IpAddr,
    /// Weight in force.
    pub weight: u16,
    /// Weight in the configuration file.
    pub configured_weight: u16,
    /// Its share of the service's new clients, in percent.
    pub percent: f64,
    /// Clients that have an entry may return to it.
    pub admits_returning: bool,
    /// Why it is treated so, in words; empty if it simply serves.
    pub reason: String,
}

impl Question {
    /// Whose the address and port are that the client calls.
    #[must_use]
    pub fn place<'a>(&self, model: &'a Model) -> Place<'a> {
        let takes = |range: &PortRange| range.contains(self.protocol.number(), self.port);
        let mut services = model.services.values().filter(|service| service.vips.contains(&self.address));
        let mut management = model.management.values();
        if let Some(service) = services.find(|service| service.ports.iter().any(takes)) {
            Place::Service(service)
        } else if let Some(it) = management.find(|it| it.vip == self.address) {
            Place::Management(it)
        } else if model.services.values().any(|service| service.vips.contains(&self.address)) {
            Place::Undeclared
        } else {
            Place::Elsewhere
        }
    }

    /// Explains a connection to a place. `offer` is what the place's service offers, `entry` what the client has
    /// there; `protects` says whether the kernel can protect from SYN floods.
    #[must_use]
    pub fn explain(
        &self,
        place: Place<'_>,
        registry: &Registry,
        offer: &Offer,
        entry: Option<Entry>,
        protects: bool,
    ) -> Explanation {
        let mut steps = Steps::default();
        let called = format!("{} port {} of {}", self.protocol.name(), self.port, self.address);
        let (answer, servers) = match place {
            Place::Elsewhere => {
                steps.add("address", format!("{} is no VIP and no management address", self.address));
                (Answer::NotHandled, Vec::new())
            }
            Place::Undeclared => {
                steps.add("port", format!("no service declares {called}"));
                (Answer::Refused, Vec::new())
            }
            Place::Management(it) => {
                let text = format!("{} leads to {} on every port, mark {}", self.address, it.server, it.mark);
                steps.add("management", text);
                let destination = Destination {
                    server: it.server.clone(),
                    address: it.address,
                    port: self.port,
                    percent: 100.0,
                };
                (Answer::Server(destination), Vec::new())
            }
            Place::Service(service) => {
                steps.add("service", format!("{called} belongs to {}, mark {}", service.name, service.mark));
                let case = Case { question: self, service, registry, offer, protects };
                (case.answer(entry, &mut steps), case.candidates())
            }
        };
        Explanation { answer, steps: steps.0, servers }
    }
}
