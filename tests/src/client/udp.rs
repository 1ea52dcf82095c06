//! UDP clients that keep their source port.

use super::Failure;
use crate::error::Doing;
use crate::{Greeting, Host, Result};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// A UDP socket with one source port for its life.
#[derive(Debug)]
pub struct UdpClient(UdpSocket);

impl UdpClient {
    pub(super) fn new(host: &Host, from: IpAddr) -> Result<Self> {
        let socket = host.enter(|| UdpSocket::bind(SocketAddr::new(from, 0)))?;
        let socket = socket.doing(format!("opening a udp socket on {from}"))?;
        socket.set_read_timeout(Some(PATIENCE)).doing("setting a time limit")?;
        Ok(Self(socket))
    }

    /// Sends a datagram: what a server answers, or what went wrong.
    ///
    /// # Errors
    /// [`Failure`]
    pub fn ask(&self, to: SocketAddr) -> std::result::Result<Greeting, Failure> {
        // A connected socket is told of ICMP errors.
        self.0.connect(to)?;
        self.0.send(b"who are you?\n")?;
        let mut answer = [0; 256];
        let length = self.0.recv(&mut answer)?;
        Greeting::parse(&String::from_utf8_lossy(&answer[..length])).ok_or(Failure::Nonsense)
    }
}
