//! The line by which a server tells who it is, and whom it sees.

use std::fmt;
use std::net::SocketAddr;

/// `220 NAME PORT PEER`, as an SMTP server would greet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Name of the server's host.
    pub server: String,
    /// The server's own port, after any port mapping.
    pub port: u16,
    /// The client as the server sees it, after any masquerading.
    pub peer: SocketAddr,
}

impl fmt::Display for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "220 {} {} {}\r\n", self.server, self.port, self.peer)
    }
}

impl Greeting {
    /// `None` if the line is no greeting.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("220 ")?.split_whitespace();
        let (server, port, peer) = (words.next()?, words.next()?, words.next()?);
        Some(Self { server: server.to_owned(), port: port.parse().ok()?, peer: peer.parse().ok()? })
    }
}
