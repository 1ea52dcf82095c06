//! What came of a number of connections.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

/// How a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// A reset instead of a connection, or an ICMP message that nobody listens on the port.
    Refused,
    /// A reset on an open connection.
    Reset,
    /// An ICMP message that host or network cannot be reached.
    Unreachable,
    /// No answer within the client's patience.
    Timeout,
    /// The other side hung up before it had answered.
    HungUp,
    /// The answer was none of a lab's server.
    Nonsense,
    /// The client itself could not: no source port or address.
    Client,
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the enumeration is not exhaustive")]
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Self::Reset,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Self::Unreachable,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::Timeout,
            ErrorKind::UnexpectedEof => Self::HungUp,
            ErrorKind::InvalidData => Self::Nonsense,
            _ => Self::Client,
        }
    }
}

/// What came of a number of connections. Printed as one line.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Connections that were answered, by server.
    pub servers: BTreeMap<String, u64>,
    /// Connections that failed, by cause.
    pub failures: BTreeMap<Failure, u64>,
    /// The longest time until a connection was made. A lost first packet shows as a second or more.
    pub slowest_connect: Duration,
}

impl Tally {
    /// Connections that were answered.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.servers.values().sum()
    }

    /// Connections that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Connections that this server answered.
    #[must_use]
    pub fn by(&self, server: &str) -> u64 {
        self.servers.get(server).copied().unwrap_or(0)
    }

    /// What came after `before`, an earlier state of the same tally; but the slowest connection of all.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            servers: difference(&self.servers, &before.servers),
            failures: difference(&self.failures, &before.failures),
            slowest_connect: self.slowest_connect,
        }
    }

    /// The only server that answered, if it was one.
    #[must_use]
    pub fn only_server(&self) -> Option<&str> {
        let mut names = self.servers.keys();
        names.next().filter(|_| self.servers.len() == 1).map(String::as_str)
    }

    pub(super) fn answered(&mut self, server: &str) {
        count(&mut self.servers, server.to_owned());
    }

    pub(super) fn connected(&mut self, after: Duration) {
        self.slowest_connect = self.slowest_connect.max(after);
    }

    pub(super) fn count_failure(&mut self, failure: Failure) {
        count(&mut self.failures, failure);
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    *counts.entry(key).or_default() += 1;
}

fn difference<K: Ord + Clone>(now: &BTreeMap<K, u64>, before: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    let more = now.iter().map(|(key, count)| (key.clone(), count - before.get(key).copied().unwrap_or(0)));
    more.filter(|(_, count)| *count > 0).collect()
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} made", self.made())?;
        for (server, count) in &self.servers {
            write!(f, ", {server} {count}")?;
        }
        write!(f, "; {} failed", self.failed())?;
        for (failure, count) in &self.failures {
            write!(f, ", {failure:?} {count}")?;
        }
        write!(f, "; slowest connect {:.1} ms", self.slowest_connect.as_secs_f64() * 1000.0)
    }
}
