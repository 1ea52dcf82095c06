//! Probes as configured.

use std::net::IpAddr;
use std::time::Duration;

/// How to find out whether a real server works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSpec {
    /// Its name, the key in the configuration.
    pub name: String,
    /// What is tried.
    pub kind: ProbeKind,
    /// Port to probe; `None`: the server's port for the first port of the service that uses the probe.
    pub port: Option<u16>,
    /// Address to probe; `None`: the real server's own.
    pub address: Option<IpAddr>,
    /// From one probe's start to the next one's: 100 ms to 1 h.
    pub interval: Duration,
    /// A probe without a verdict by then has failed: 10 ms to `interval`.
    pub timeout: Duration,
    /// So many successes in a row bring a server up: 1 to 100.
    pub rise: u32,
    /// So many failures in a row take it down: 1 to 100.
    pub fall: u32,
    /// What a server is before its first verdict.
    pub start: StartState,
}

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// A TCP connection can be made.
    Tcp,
}

/// What a server is before its first verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartState {
    /// Up until the first `fall` failures; a restart never takes a working farm away.
    #[default]
    Up,
    /// Down until the first success (keepalived: `alpha`).
    Down,
}
