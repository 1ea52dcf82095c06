//! UDP to and from one address and port.

use super::connect::{failure, report_errors, socket};
use super::trace::Trace;
use crate::{Failure, Fault, Target};
use socket2::{Protocol, Type};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket as Plain};
use tokio::net::UdpSocket;

/// A socket that is connected, so that the kernel tells what ICMP says of the way and keeps strangers' datagrams
/// out.
#[derive(Debug)]
pub(crate) struct Datagrams<'a> {
    socket: UdpSocket,
    address: SocketAddr,
    trace: &'a Trace,
}

impl<'a> Datagrams<'a> {
    /// To and from the target. Nothing is sent yet.
    ///
    /// # Errors
    /// No way leads there, or the director lacks the address, the right or the means.
    pub(crate) fn open(target: &Target, trace: &'a Trace) -> Result<Self, Failure> {
        let address = target.address;
        let refused = |error: io::Error| refusal(address, &error);
        let socket = socket(address, target.origin, Type::DGRAM, Protocol::UDP)?;
        report_errors(&socket, address)?;
        socket.connect(&address.into()).map_err(refused)?;
        let socket = UdpSocket::from_std(Plain::from(socket)).map_err(refused)?;
        Ok(Self { socket, address, trace })
    }

    /// Sends one.
    ///
    /// # Errors
    /// It cannot leave, or what was sent before was refused.
    pub(crate) async fn send(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.socket.send(bytes).await.map_err(|error| refusal(self.address, &error))?;
        self.trace.sent(bytes);
        Ok(())
    }

    /// Waits for the next one; what does not fit into `buffer` is lost.
    ///
    /// # Errors
    /// What was sent was refused, or did not arrive.
    pub(crate) async fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], Failure> {
        let length = self.socket.recv(buffer).await.map_err(|error| refusal(self.address, &error))?;
        let bytes = buffer.get(..length).unwrap_or_default();
        self.trace.received(bytes);
        Ok(bytes)
    }
}

/// Why nothing comes back, in words.
fn refusal(address: SocketAddr, error: &io::Error) -> Failure {
    if error.kind() == ErrorKind::ConnectionRefused {
        return Failure::new(Fault::Refused, format!("refused: nothing listens on UDP {address}"));
    }
    failure(address, error)
}
