//! What LVS would do: servers, persistence templates and connections, without a packet.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Life of an entry.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(4);

/// Around the end of an entry's life nobody can say to the moment whether it is still there.
const DOUBT: Duration = Duration::from_millis(1500);

/// How the service treats servers that take no new connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) persistent: bool,
    pub(crate) quiescent: bool,
    pub(crate) expire_quiescent_template: bool,
    pub(crate) expire_nodest_conn: bool,
}

/// A real server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) configured: u16,
    pub(crate) set: Option<u16>,
    pub(crate) drained: bool,
    pub(crate) up: bool,
}

impl Machine {
    pub(crate) fn weight(self) -> u16 {
        self.set.unwrap_or(self.configured)
    }

    /// Takes new clients.
    pub(crate) fn serves(self) -> bool {
        self.up && !self.drained && self.weight() > 0
    }

    /// The word in the status.
    pub(crate) fn state(self) -> &'static str {
        match self {
            Self { up: false, .. } => "down",
            Self { drained: true, .. } => "drained",
            _ if self.weight() == 0 => "quiescent",
            _ => "up",
        }
    }
}

/// A persistence template.
#[derive(Debug, Clone, Copy)]
struct Template {
    server: usize,
    /// When a connection renewed it last, or the last one of its connections ended.
    renewed: Instant,
}

/// What may come of a new connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// One of these servers.
    Servers(Vec<usize>),
    /// Nobody serves.
    Refusal,
    /// The template of a server that takes no new clients may have just ended: nobody else serves.
    ServerOrRefusal(usize),
}

/// The farm as LVS would know it.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) options: Options,
    pub(crate) machines: Vec<Machine>,
    templates: BTreeMap<IpAddr, Template>,
    /// Open connections of clients by server.
    open: BTreeMap<(IpAddr, usize), usize>,
}

impl Reference {
    pub(crate) fn new(options: Options, weights: &[u16]) -> Self {
        let machine =
            |configured: &u16| Machine { configured: *configured, set: None, drained: false, up: true };
        let machines = weights.iter().map(machine).collect();
        Self { options, machines, templates: BTreeMap::new(), open: BTreeMap::new() }
    }

    /// What may come of a new connection of a client.
    pub(crate) fn allowed(&self, client: IpAddr, now: Instant) -> Allowed {
        let serving: Vec<usize> = (0..self.machines.len()).filter(|it| self.machines[*it].serves()).collect();
        let anybody = if serving.is_empty() { Allowed::Refusal } else { Allowed::Servers(serving.clone()) };
        let Some(template) = self.templates.get(&client) else { return anybody };
        if !self.admits_returning(template.server) {
            return anybody;
        }
        let age = now.saturating_duration_since(template.renewed);
        let held = self.open.get(&(client, template.server)).is_some_and(|open| *open > 0);
        if held || age + DOUBT < TIMEOUT {
            Allowed::Servers(vec![template.server])
        } else if age > TIMEOUT + DOUBT {
            anybody
        } else if serving.is_empty() {
            Allowed::ServerOrRefusal(template.server)
        } else {
            let mut servers = serving;
            servers.push(template.server);
            Allowed::Servers(servers)
        }
    }

    /// A connection of the client went to a server.
    pub(crate) fn opened(&mut self, client: IpAddr, server: usize, now: Instant) {
        *self.open.entry((client, server)).or_default() += 1;
        if self.options.persistent {
            self.templates.insert(client, Template { server, renewed: now });
        }
    }

    /// One has ended.
    pub(crate) fn closed(&mut self, client: IpAddr, server: usize, now: Instant) {
        if let Some(open) = self.open.get_mut(&(client, server)) {
            *open -= 1;
        }
        if let Some(template) = self.templates.get_mut(&client).filter(|it| it.server == server) {
            template.renewed = now;
        }
    }

    /// Established connections to the server go on.
    pub(crate) fn keeps_connections(&self, server: usize) -> bool {
        self.machines[server].up || !self.options.expire_nodest_conn
    }

    fn admits_returning(&self, server: usize) -> bool {
        let machine = self.machines[server];
        machine.serves() || !self.options.expire_quiescent_template && (machine.up || self.options.quiescent)
    }
}
