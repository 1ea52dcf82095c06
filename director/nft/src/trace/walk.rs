//! One packet's way through chains and rules.

use super::hash;
use super::memory::{Memory, Place};
use super::packet::{Packet, masked};
use super::{Outcome, Trace};
use crate::ir::{
    BaseChain, ChainKind, CtStates, Datum, Dnat, Element, ElementData, Expression, Hook, Key, KeyPart,
    MarkTarget, Match, Rule, Ruleset, Selector, Statement, TcpFlags, Verdict,
};
use std::net::IpAddr;
use std::time::Duration;

/// `NFT_JUMP_STACK_SIZE`: the kernel takes no ruleset that leads deeper.
const DEPTH_MAX: usize = 16;
/// Priority of connection tracking.
const CONNTRACK: i32 = -200;
const TCP: u8 = 6;

pub(super) struct Walk<'a> {
    ruleset: &'a Ruleset,
    memory: &'a mut Memory,
    packet: Packet,
    /// True if connection tracking will find no connection for it.
    stray: bool,
    /// What connection tracking takes it for so far.
    state: CtStates,
    now: Duration,
    trace: Trace,
}

/// How evaluation goes on behind a statement.
enum Next {
    Statement,
    Rule,
    Jump(String),
    Goto(String),
    /// The hook has its verdict.
    Done,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        ruleset: &'a Ruleset,
        memory: &'a mut Memory,
        packet: &Packet,
        stray: bool,
        now: Duration,
    ) -> Self {
        let trace = Trace {
            outcome: Outcome::Accepted,
            meta_mark: packet.mark,
            ct_mark: 0,
            dnat: None,
            snat: None,
            masquerade: false,
            events: None,
            path: Vec::new(),
        };
        // What has not been tracked is invalid to rules.
        Self { ruleset, memory, packet: packet.clone(), stray, state: CtStates::INVALID, now, trace }
    }

    pub(super) fn finish(self) -> Trace {
        Trace { meta_mark: self.packet.mark, ..self.trace }
    }

    /// Where the packet is going by now.
    pub(super) fn destination(&self) -> IpAddr {
        self.packet.destination
    }

    /// Evaluates the base chains of a hook in their order, unless the packet is gone already.
    pub(super) fn hook(&mut self, hook: Hook) {
        let chains = self.ruleset.chains.iter();
        let mut chains: Vec<(&String, BaseChain)> = chains
            .filter_map(|(name, chain)| Some((name, chain.base?)))
            .filter(|(_, base)| base.hook == hook)
            .collect();
        chains.sort_by_key(|(_, base)| base.priority);
        for (name, base) in chains {
            if base.priority > CONNTRACK {
                self.track();
            }
            // Once a hook's translation is settled, no further nat chain is asked.
            let asked = base.kind == ChainKind::Filter || (self.tracked() && !self.translated(hook));
            if asked && self.trace.outcome == Outcome::Accepted {
                self.chain(name, 0);
            }
        }
        self.track();
    }

    fn track(&mut self) {
        if !self.stray {
            self.state = CtStates::NEW;
        }
    }

    /// True if there is a connection: one to mark and to translate.
    fn tracked(&self) -> bool {
        self.state == CtStates::NEW
    }

    /// True if nat at this hook is settled.
    fn translated(&self, hook: Hook) -> bool {
        match hook {
            Hook::Prerouting | Hook::Output => self.trace.dnat.is_some(),
            Hook::Postrouting | Hook::Input => self.trace.masquerade || self.trace.snat.is_some(),
            Hook::Forward => false,
        }
    }

    /// `true` if the hook has its verdict, `false` if evaluation returns to the caller.
    fn chain(&mut self, name: &str, depth: usize) -> bool {
        if depth == DEPTH_MAX {
            return self.done(Outcome::Dropped);
        }
        let ruleset = self.ruleset;
        let Some(chain) = ruleset.chains.get(name) else { return false };
        for (index, rule) in chain.rules.iter().enumerate() {
            self.trace.path.push(format!("{name}/{}", index + 1));
            match self.rule(name, index, rule) {
                Next::Statement | Next::Rule => {}
                Next::Jump(target) => {
                    if self.chain(&target, depth + 1) {
                        return true;
                    }
                }
                Next::Goto(target) => return self.chain(&target, depth + 1),
                Next::Done => return true,
            }
        }
        false
    }

    fn done(&mut self, outcome: Outcome) -> bool {
        self.trace.outcome = outcome;
        true
    }

    fn rule(&mut self, chain: &str, rule_index: usize, rule: &Rule) -> Next {
        for (index, statement) in rule.statements.iter().enumerate() {
            let place = (chain.to_owned(), rule_index, index);
            // `None`: a field or an element was missing, which ends the rule.
            match self.statement(statement, place).unwrap_or(Next::Rule) {
                Next::Statement => {}
                next @ (Next::Rule | Next::Jump(_) | Next::Goto(_) | Next::Done) => return next,
            }
        }
        Next::Rule
    }

    fn statement(&mut self, statement: &Statement, place: Place) -> Option<Next> {
        match statement {
            Statement::Match(condition) => self.condition(condition).then_some(Next::Statement),
            Statement::Vmap { key, map } => {
                let key = self.key(key)?;
                match self.element(map, &key).and_then(|element| element.data.as_ref()) {
                    Some(ElementData::Verdict(verdict)) => Some(self.verdict(&verdict.clone())),
                    Some(ElementData::Values(_)) | None => Some(Next::Statement),
                }
            }
            Statement::SetMark { target, value } => {
                let Datum::Mark(mark) = self.value(value, place)? else { return None };
                match target {
                    MarkTarget::Meta => self.packet.mark = mark,
                    MarkTarget::Ct if self.tracked() => self.trace.ct_mark = mark,
                    MarkTarget::Ct => {}
                }
                Some(Next::Statement)
            }
            Statement::Update { map, key, timeout, data } => {
                let key = self.key(key)?;
                let data = data.map(|data| self.field(data).ok_or(())).transpose().ok()?;
                let spec = &self.ruleset.maps.get(map)?.spec;
                let life = timeout.or(spec.default_timeout);
                self.memory.update(map, key, data, life, spec.size, self.now).then_some(Next::Statement)
            }
            Statement::Delete { map, key, data: _ } => {
                let key = self.key(key)?;
                self.memory.delete(map, &key);
                Some(Next::Statement)
            }
            Statement::Limit { map, key, timeout, rate } => {
                let key = self.key(key)?;
                let spec = &self.ruleset.maps.get(map)?.spec;
                let life = timeout.or(spec.default_timeout);
                self.memory.is_over(map, key, life, spec.size, *rate, self.now).then_some(Next::Statement)
            }
            Statement::Dnat(dnat) => self.dnat(dnat),
            Statement::Snat(address) if address.is_ipv4() != self.packet.source.is_ipv4() => {
                Some(Next::Statement)
            }
            Statement::Snat(address) => {
                self.packet.source = *address;
                self.trace.snat = Some(*address);
                Some(Next::Done)
            }
            Statement::Masquerade => {
                self.trace.masquerade = true;
                Some(Next::Done)
            }
            Statement::Reject(reject) => {
                self.done(Outcome::Rejected(*reject));
                Some(Next::Done)
            }
            Statement::Counter => Some(Next::Statement),
            Statement::SetEvents(events) => {
                self.trace.events = self.tracked().then_some(*events).or(self.trace.events);
                Some(Next::Statement)
            }
            Statement::Synproxy(_) => (self.packet.protocol == TCP).then(|| {
                self.done(Outcome::Synproxy);
                Next::Done
            }),
            Statement::StripTimestamp => (self.packet.protocol == TCP).then_some(Next::Statement),
            Statement::Verdict(verdict) => Some(self.verdict(verdict)),
        }
    }

    fn verdict(&mut self, verdict: &Verdict) -> Next {
        match verdict {
            Verdict::Accept => Next::Done,
            Verdict::Drop => {
                self.done(Outcome::Dropped);
                Next::Done
            }
            Verdict::Jump(chain) => Next::Jump(chain.clone()),
            Verdict::Goto(chain) => Next::Goto(chain.clone()),
        }
    }

    fn dnat(&mut self, dnat: &Dnat) -> Option<Next> {
        let key = self.key(&dnat.key)?;
        let values = self.values(&dnat.map, &key)?;
        // Of another family's translation the kernel takes no notice.
        if dnat.family != self.packet.family() {
            return Some(Next::Statement);
        }
        let address = match values.first()? {
            Datum::Ipv4(address) => IpAddr::V4(*address),
            Datum::Ipv6(address) => IpAddr::V6(*address),
            Datum::Proto(_) | Datum::Port(_) | Datum::Mark(_) => return None,
        };
        let port = match values.get(1) {
            Some(Datum::Port(port)) if dnat.port => Some(*port),
            _ => None,
        };
        self.packet.destination = address;
        self.packet.destination_port = port.unwrap_or(self.packet.destination_port);
        self.trace.dnat = Some((address, port));
        Some(Next::Done)
    }

    fn condition(&self, condition: &Match) -> bool {
        match condition {
            Match::Value { selector, negate, value } => {
                self.field(*selector).is_some_and(|field| (field == *value) != *negate)
            }
            Match::Prefix { selector, negate, address, length } => {
                let network = masked(*address, *length);
                self.field(*selector).is_some_and(|field| (masked(field, *length) == network) != *negate)
            }
            Match::InputInterface { negate, name } => (self.packet.input == *name) != *negate,
            Match::OutputInterface { negate, name } => (self.packet.output == *name) != *negate,
            Match::CtStatusDnat => self.trace.dnat.is_some(),
            Match::CtState(states) => states.contains(self.state),
            Match::TcpFlags { mask, value, negate } => {
                let flags = if self.stray { TcpFlags::ACK } else { TcpFlags::SYN };
                self.packet.protocol == TCP && ((flags & *mask) == *value) != *negate
            }
        }
    }

    fn value(&mut self, value: &Expression, place: Place) -> Option<Datum> {
        match value {
            Expression::Value(value) => Some(*value),
            Expression::Field(selector) => self.field(*selector),
            Expression::Map { key, map } => {
                let key = self.key(key)?;
                self.values(map, &key)?.first().copied()
            }
            Expression::Numgen(numgen) => Some(Datum::Mark(self.memory.next(place, *numgen))),
            Expression::Jhash(jhash) => {
                let fields: Option<Vec<Datum>> = jhash.key.iter().map(|it| self.field(*it)).collect();
                Some(Datum::Mark(hash::number(jhash, &fields?)))
            }
        }
    }

    fn field(&self, selector: Selector) -> Option<Datum> {
        self.packet.field(selector, self.tracked().then_some(self.trace.ct_mark))
    }

    fn key(&self, selectors: &[Selector]) -> Option<Key> {
        let fields: Option<Vec<Datum>> = selectors.iter().map(|selector| self.field(*selector)).collect();
        fields.map(Key::of)
    }

    /// Values of an element, whether user space or a packet put it there.
    fn values(&self, map: &str, key: &Key) -> Option<Vec<Datum>> {
        if let Some(entry) = self.memory.find(map, key, self.now) {
            return Some(entry.data.into_iter().collect());
        }
        match self.element(map, key)?.data.as_ref()? {
            ElementData::Values(values) => Some(values.clone()),
            ElementData::Verdict(_) => None,
        }
    }

    fn element(&self, map: &str, key: &Key) -> Option<&'a Element> {
        let map = self.ruleset.maps.get(map)?;
        let exact = map.elements.get(key);
        if exact.is_some() || !map.spec.interval {
            return exact;
        }
        map.elements.iter().find(|(there, _)| covers(there, key)).map(|(_, element)| element)
    }
}

/// True if each field of `key` lies in the range of `there`.
fn covers(there: &Key, key: &Key) -> bool {
    there.0.len() == key.0.len()
        && there.0.iter().zip(&key.0).all(|(there, field)| match (there, field) {
            (KeyPart::Range(first, last), KeyPart::Value(value)) => first <= value && value <= last,
            (KeyPart::Value(there), KeyPart::Value(value)) => there == value,
            (_, KeyPart::Range(..)) => false,
        })
}
