//! A question about a service, decided as the ruleset decides.

use super::{Answer, Candidate, Destination, Question, Step};
use crate::availability::Availability;
use crate::ids::{DestinationId, Registry};
use crate::model::{Persistence, PortRange, Protocol, RealServer, Scheduler, Service};
use crate::persistence::Entry;
use crate::plan::{next_slot, slot_owners};
use crate::pool::Offer;
use director_nft::ir::Expression;
use director_nft::trace::Packet;
use std::fmt::Write;

/// Reasons so far.
#[derive(Default)]
pub(super) struct Steps(pub(super) Vec<Step>);

impl Steps {
    pub(super) fn add(&mut self, about: &str, text: String) {
        self.0.push(Step { about: about.to_owned(), text });
    }
}

/// A question about a service.
pub(super) struct Case<'a> {
    pub(super) question: &'a Question,
    pub(super) service: &'a Service,
    pub(super) registry: &'a Registry,
    pub(super) offer: &'a Offer,
    /// The kernel has a SYN proxy.
    pub(super) protects: bool,
}

impl Case<'_> {
    pub(super) fn answer(&self, entry: Option<Entry>, steps: &mut Steps) -> Answer {
        let question = self.question;
        let asked = |range: &PortRange| range.contains(question.protocol.number(), question.port);
        if self.offer.closed_ports.iter().any(asked) {
            steps.add("port", "the port is closed for now: new connections are refused".to_owned());
            return Answer::Refused;
        }
        if self.service.syn_protection && question.protocol == Protocol::Tcp {
            steps.add("SYN protection", self.protection());
        }
        if let Some(limit) = self.service.rate_limit {
            let bits = limit.granularity.bits(question.client.is_ipv6());
            let text = format!(
                "client {}/{bits} may open {} connections a {}, {} at once; more are refused",
                question.client,
                limit.connections,
                limit.per.name(),
                limit.burst
            );
            steps.add("rate limit", text);
        }
        let answer = self.server(entry, steps);
        if self.service.full_nat && matches!(answer, Answer::Server(_) | Answer::OneOf { .. }) {
            steps.add(
                "full NAT",
                "the server sees the director's address in place of the client's".to_owned(),
            );
        }
        answer
    }

    fn protection(&self) -> String {
        let ipv6 = self.question.address.is_ipv6();
        let serves = self.service.servers.values().any(|server| {
            server.addresses.iter().any(|address| address.is_ipv6() == ipv6)
                && self.available(server).is_some_and(|it| it.share > 0)
        });
        let text = match (self.protects, serves) {
            (false, _) => "asked for, but this kernel has no SYN proxy: the service runs without",
            (true, false) => "none while no server takes new clients",
            (true, true) => {
                "a client from outside gets a SYN/ACK from the director, and a server once it has answered that"
            }
        };
        text.to_owned()
    }

    fn server(&self, entry: Option<Entry>, steps: &mut Steps) -> Answer {
        if let Some(persistence) = self.service.persistence
            && let Some(answer) = self.returning(persistence, entry, steps)
        {
            return answer;
        }
        let answer = self.scheduled(steps);
        if let (Some(persistence), Answer::Server(_) | Answer::OneOf { .. }) =
            (self.service.persistence, &answer)
        {
            let text = format!("the client gets an entry for {} s", persistence.timeout.as_secs());
            steps.add("persistence", text);
        }
        answer
    }

    /// What the client's entry comes to; `None`: the scheduler decides.
    fn returning(&self, persistence: Persistence, entry: Option<Entry>, steps: &mut Steps) -> Option<Answer> {
        let bits = persistence.granularity.bits(self.question.client.is_ipv6());
        let client = format!("{}/{bits}", self.question.client);
        let Some(entry) = entry else {
            steps.add("persistence", format!("client {client} has no entry"));
            return None;
        };
        let left = match entry.left {
            Some(left) => format!("{} s left", left.as_secs()),
            None => "pinned".to_owned(),
        };
        let named = self.service.servers.values().find(|server| {
            self.registry.server(&self.service.name, &server.name).map(DestinationId::get)
                == Some(entry.destination)
        });
        let Some(server) = named else {
            let text = format!("client {client} has an entry for a server that is gone; it is deleted");
            steps.add("persistence", text);
            return None;
        };
        let admitted = self.available(server).filter(|it| it.takes_returning());
        match (admitted, self.destination(server, 100.0)) {
            (Some(_), Some(destination)) => {
                steps.add("persistence", format!("client {client} has an entry for {}, {left}", server.name));
                self.describe(server, steps);
                Some(Answer::Server(destination))
            }
            _ => {
                let name = &server.name;
                let text = format!(
                    "client {client} has an entry for {name}, which may not be returned to; it is deleted"
                );
                steps.add("persistence", text);
                self.describe(server, steps);
                None
            }
        }
    }

    fn scheduled(&self, steps: &mut Steps) -> Answer {
        let ipv6 = self.question.address.is_ipv6();
        let owners = slot_owners(self.service, self.offer, ipv6);
        let scheduler = self.service.scheduler.name();
        let Ok(slots @ 1..) = u32::try_from(owners.len()) else {
            steps.add("scheduler", "no server takes new connections".to_owned());
            return Answer::Refused;
        };
        let mut shares: Vec<(&str, u32)> = Vec::new();
        for owner in &owners {
            match shares.iter_mut().find(|(name, _)| name == owner) {
                Some((_, share)) => *share += 1,
                None => shares.push((owner, 1)),
            }
        }
        let slot = if shares.len() == 1 { Some(0) } else { self.hashed_slot(slots) };
        let owner = slot.and_then(|slot| owners.get(slot as usize));
        if let (Some(slot), Some(owner)) = (slot, owner)
            && let Some(server) = self.service.servers.get(*owner)
        {
            let text = match shares.len() {
                1 if self.service.scheduler.counts_connections() => {
                    format!("{scheduler}: by their connections, {owner} gets the next one")
                }
                1 => format!("{scheduler}: {owner} is the only one that takes new connections"),
                _ => format!("{scheduler}: the hash says slot {slot} of {slots}, which is {owner}'s"),
            };
            steps.add("scheduler", text);
            self.describe(server, steps);
            return match self.destination(server, 100.0) {
                Some(destination) if self.available(server).is_some_and(|it| it.share > 0) => {
                    Answer::Server(destination)
                }
                _ => {
                    steps.add(
                        "scheduler",
                        "its clients go to no other server (hash_fallback: false)".to_owned(),
                    );
                    Answer::Refused
                }
            };
        }
        let mut text = format!("{scheduler}: ");
        text += if self.service.scheduler == Scheduler::Random {
            "chance decides"
        } else if self.service.scheduler.client_hash().is_some() {
            "it depends on the client's port"
        } else {
            "whose turn it is only the kernel knows"
        };
        // Writing to a string cannot fail.
        let _ = write!(text, "; {slots} slots");
        steps.add("scheduler", text);
        let destination = |(owner, share): &(&str, u32)| {
            let server = self.service.servers.get(*owner)?;
            self.available(server).filter(|it| it.share > 0)?;
            self.destination(server, percent(*share, slots))
        };
        Answer::OneOf { destinations: shares.iter().filter_map(destination).collect() }
    }

    /// The slot that a hash of the packet says; `None` if none decides, or not all of it is known.
    fn hashed_slot(&self, slots: u32) -> Option<u32> {
        let hash = self.service.scheduler.client_hash();
        if hash.is_some_and(|hash| hash.port) && self.question.client_port.is_none() {
            return None;
        }
        match next_slot(self.service, self.question.address.is_ipv6(), 0, slots) {
            Expression::Jhash(jhash) => jhash.number(&self.packet()),
            Expression::Value(_) | Expression::Field(_) | Expression::Map { .. } | Expression::Numgen(_) => {
                None
            }
        }
    }

    fn packet(&self) -> Packet {
        Packet {
            input: String::new(),
            output: String::new(),
            source: self.question.client,
            destination: self.question.address,
            protocol: self.question.protocol.number(),
            source_port: self.question.client_port.unwrap_or(0),
            destination_port: self.question.port,
            mark: 0,
        }
    }

    fn available(&self, server: &RealServer) -> Option<&Availability> {
        self.offer.servers.get(&server.name)
    }

    fn destination(&self, server: &RealServer, percent: f64) -> Option<Destination> {
        Some(Destination {
            server: server.name.clone(),
            address: server.address_for(self.question.address)?,
            port: server.ports.map(self.question.port),
            percent,
        })
    }

    fn describe(&self, server: &RealServer, steps: &mut Steps) {
        let Some(it) = self.available(server) else { return };
        let mut text = format!("{}: weight {}", server.name, it.weight.get());
        if it.weight != server.weight {
            let _ = write!(text, " (configured {})", server.weight.get());
        }
        if !it.reason.is_empty() {
            let _ = write!(text, ", {}", it.reason);
        }
        steps.add("server", text);
    }

    /// The servers that were looked at.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let owners = slot_owners(self.service, self.offer, self.question.address.is_ipv6());
        let slots = u32::try_from(owners.len()).unwrap_or(u32::MAX);
        let candidate = |server: &RealServer| {
            let it = self.available(server)?;
            let own = owners.iter().filter(|owner| **owner == server.name).count();
            Some(Candidate {
                server: server.name.clone(),
                address: server.address_for(self.question.address)?,
                weight: it.weight.get(),
                configured_weight: server.weight.get(),
                percent: percent(u32::try_from(own).unwrap_or(u32::MAX), slots),
                admits_returning: it.admits_returning,
                reason: it.reason.clone(),
            })
        };
        self.service.servers.values().filter_map(candidate).collect()
    }
}

fn percent(share: u32, of: u32) -> f64 {
    if of == 0 { 0.0 } else { f64::from(share) * 100.0 / f64::from(of) }
}
