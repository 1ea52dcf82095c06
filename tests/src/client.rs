//! Clients: they connect, notice who answers, and count what fails.

mod conversation;
mod flow;
mod hold;
mod load;
mod pinger;
mod tally;
mod udp;
mod worker;

pub use flow::Flow;
pub use hold::Hold;
pub use load::Load;
pub use pinger::{Attempt, Gap, Pinger, gaps};
pub use tally::{Failure, Tally};
pub use udp::UdpClient;

use crate::{Greeting, Host, Result};
use conversation::Conversation;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use worker::Worker;

/// The clients' host.
#[derive(Debug, Clone)]
pub struct Client {
    host: Host,
}

/// Whom to call, and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    to: Vec<SocketAddr>,
    from: Vec<IpAddr>,
    port: u16,
    parallel: usize,
    pause: Duration,
}

impl Target {
    /// That address and port, from the client's own address, one connection after the other.
    #[must_use]
    pub fn new(to: SocketAddr) -> Self {
        Self { to: vec![to], from: Vec::new(), port: 0, parallel: 1, pause: Duration::ZERO }
    }

    /// These ports of an address, in turn.
    #[must_use]
    pub fn ports(address: IpAddr, ports: &[u16]) -> Self {
        let to = ports.iter().map(|port| SocketAddr::new(address, *port)).collect();
        Self { to, ..Self::new(SocketAddr::new(address, 0)) }
    }

    /// From these source addresses. The source changes after every turn through the targets.
    #[must_use]
    pub fn from(mut self, sources: impl IntoIterator<Item = IpAddr>) -> Self {
        self.from = sources.into_iter().collect();
        self
    }

    /// From that source port of the sources given by [`Self::from`], even if the last connection from there ended
    /// a moment ago.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// With so many connections at a time, at least 1.
    #[must_use]
    pub fn parallel(mut self, connections: usize) -> Self {
        self.parallel = connections.max(1);
        self
    }

    /// With a pause after each connection.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Target and source of the connection with that number.
    fn pick(&self, number: usize) -> (SocketAddr, Option<SocketAddr>) {
        let turns = self.to.len().max(1);
        let from = number / turns % self.from.len().max(1);
        (self.to[number % turns], self.from.get(from).map(|from| SocketAddr::new(*from, self.port)))
    }
}

impl Client {
    /// Clients on that host; any host may be one.
    #[must_use]
    pub fn new(host: Host) -> Self {
        Self { host }
    }

    /// The machine itself, for commands.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Makes `count` connections; each greets, is greeted, and is closed.
    ///
    /// # Errors
    /// The threads could not be started.
    pub fn visit(&self, target: &Target, count: usize) -> Result<Tally> {
        Load::start(self, target, Some(count))?.finish()
    }

    /// Makes connection after connection until told to stop.
    ///
    /// # Errors
    /// The threads could not be started.
    pub fn load(&self, target: &Target) -> Result<Load> {
        Load::start(self, target, None)
    }

    /// Opens `count` connections and keeps data moving on them until told to stop. Returns once all are open, or
    /// have failed.
    ///
    /// # Errors
    /// The threads could not be started.
    pub fn hold(&self, target: &Target, count: usize) -> Result<Hold> {
        Hold::start(self, target, count)
    }

    /// Makes one TCP connection: what the server said, or what went wrong.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn call(&self, target: &Target) -> Result<std::result::Result<Greeting, Failure>> {
        let (to, from) = target.pick(0);
        Worker::run(&self.host, move || async move {
            let conversation = Conversation::open(to, from).await?;
            let greeting = conversation.greeting.clone();
            conversation.close().await.map(|()| greeting)
        })
    }

    /// Makes one TCP connection, not to an HTTP port, and sends a line of so many bytes, at most 8,192, which the
    /// server returns: what the server said first, or what went wrong.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn echo(&self, target: &Target, length: usize) -> Result<std::result::Result<Greeting, Failure>> {
        let (to, from) = target.pick(0);
        Worker::run(&self.host, move || async move {
            let mut conversation = Conversation::open(to, from).await?;
            conversation.echo_line(length).await?;
            let greeting = conversation.greeting.clone();
            conversation.close().await.map(|()| greeting)
        })
    }

    /// A UDP socket, with one source port for its life.
    ///
    /// # Errors
    /// There is no such source address.
    pub fn udp(&self, from: IpAddr) -> Result<UdpClient> {
        UdpClient::new(&self.host, from)
    }

    /// A UDP client that sends to `to` all the time, without waiting for answers.
    ///
    /// # Errors
    /// There is no such source address.
    pub fn flow(&self, from: IpAddr, to: SocketAddr) -> Result<Flow> {
        Flow::start(&self.host, from, to)
    }

    /// Makes a TCP connection every `every`, each of which has `patience` to be made: less than a second, after which
    /// the kernel would send the first packet again.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn ping_tcp(&self, to: SocketAddr, every: Duration, patience: Duration) -> Result<Pinger> {
        Pinger::start(self, to, every, patience)
    }

    /// True if `to` answers a ping within a second.
    ///
    /// # Errors
    /// `ping` could not be started.
    pub fn ping(&self, to: IpAddr) -> Result<bool> {
        let output = self.host.output(["ping", "-n", "-c", "1", "-W", "1", &to.to_string()], "")?;
        Ok(output.status.success())
    }
}
