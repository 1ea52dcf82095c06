//! Probes as configured.

use super::{Protocol, RealServer, Service};
use health::{Kind, Policy};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How to find out whether a real server works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSpec {
    /// Its name, the key in the configuration.
    pub name: String,
    /// What is tried.
    pub kind: Arc<Kind>,
    /// Port to probe; `None`: see [`Self::default_port`].
    pub port: Option<u16>,
    /// Address to probe; `None`: the real server's own.
    pub address: Option<IpAddr>,
    /// Where probes leave from.
    pub source: ProbeSource,
    /// Mark of their packets; 0: none.
    pub mark: u32,
    /// From one probe's start to the next one's: 100 ms to 1 h.
    pub interval: Duration,
    /// The same while it fails or the server is down: 100 ms to 1 h.
    pub retry: Duration,
    /// The same on a director that is Backup: 100 ms to 1 h.
    pub backup_interval: Duration,
    /// Longest random delay of the first probe: 0 to 1 h.
    pub jitter: Duration,
    /// A probe without a verdict by then has failed: 10 ms to the shortest of the intervals.
    pub timeout: Duration,
    /// How outcomes make a verdict.
    pub policy: Policy,
    /// Share of its weight that a slow server keeps, in percent: 1 to 100.
    pub slow_weight: u8,
}

impl ProbeSpec {
    /// The protocol of the service's first port, of which the server's own port is probed, as the probe names none.
    /// `None`: it does not need that.
    #[must_use]
    pub fn default_port(&self) -> Option<Protocol> {
        match &*self.kind {
            _ if self.port.is_some() => None,
            Kind::Icmp => None,
            Kind::Exec(exec) if !exec.command.iter().any(|word| names_port(word)) => None,
            Kind::Dns(_) | Kind::Udp(_) => Some(Protocol::Udp),
            Kind::Tcp | Kind::Tls(_) | Kind::Http(_) | Kind::Smtp(_) | Kind::Rdp(_) | Kind::Exec(_) => {
                Some(Protocol::Tcp)
            }
        }
    }

    /// Where it goes for `server` of `service`; the port is 0 if it needs none. `None`: nowhere, as the server has
    /// no address of the family that it leaves from.
    #[must_use]
    pub fn destination(&self, service: &Service, server: &RealServer) -> Option<SocketAddr> {
        let port = match (self.port, self.default_port()) {
            (Some(port), _) => port,
            (None, Some(protocol)) => {
                let first = service.ports.iter().find(|range| range.protocol == protocol)?;
                server.ports.map(first.first)
            }
            (None, None) => 0,
        };
        let fits = |address: &&IpAddr| match self.source {
            ProbeSource::Address(source) => source.is_ipv4() == address.is_ipv4(),
            ProbeSource::Routes | ProbeSource::Private => true,
        };
        // Where the service's connections go, if it can.
        let of_vip = service.vips.first().and_then(|vip| server.address_for(*vip)).filter(|it| fits(&it));
        let own = of_vip.or_else(|| server.addresses.iter().find(fits).copied());
        let address = self.address.or(own)?;
        Some(SocketAddr::new(address, port))
    }
}

/// True if a word of a command stands for the port somewhere.
fn names_port(word: &str) -> bool {
    word.split("%%").any(|part| part.contains("%p"))
}

/// Where probes leave from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProbeSource {
    /// Where the routes say.
    #[default]
    Routes,
    /// The director's own address on the private side.
    Private,
    /// This address, which the director must have.
    Address(IpAddr),
}

/// The probes that a server must pass, and how many of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checks {
    /// Their names, each once. Empty: the server counts as up.
    pub probes: Vec<String>,
    /// So many must pass: 1 to the number of probes; 0 if there is none.
    pub required: usize,
}

impl Checks {
    /// All of these.
    #[must_use]
    pub fn all(probes: Vec<String>) -> Self {
        Self { required: probes.len(), probes }
    }
}
