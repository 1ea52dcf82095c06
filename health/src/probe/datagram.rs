//! Datagrams to and from one address.

use super::connect::{failure, report_errors, socket};
use super::trace::{Trace, place};
use crate::{Failure, Fault, Target};
use nix::sys::socket::{MsgFlags, recv};
use socket2::{Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket as Plain};
use std::os::fd::{AsRawFd, RawFd};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A socket that is connected, so that the kernel tells what ICMP says of the way and keeps strangers' datagrams
/// out.
#[derive(Debug)]
pub(crate) struct Datagrams<'a> {
    /// A socket of any kind: only the calls that all kinds have are made on it.
    socket: UdpSocket,
    address: SocketAddr,
    trace: &'a Trace,
}

impl<'a> Datagrams<'a> {
    /// To and from the target by UDP. Nothing is sent yet.
    ///
    /// # Errors
    /// No way leads there, or the director lacks the address, the right or the means.
    pub(crate) fn open(target: &Target, trace: &'a Trace) -> Result<Self, Failure> {
        let socket = socket(target.address, target.origin, Type::DGRAM, Protocol::UDP)?;
        Self::over(socket, target.address, trace)
    }

    /// As [`Self::open`], by a socket of any kind.
    ///
    /// # Errors
    /// No way leads there, or the director lacks the means.
    pub(crate) fn over(socket: Socket, address: SocketAddr, trace: &'a Trace) -> Result<Self, Failure> {
        report_errors(&socket, address)?;
        let connected = socket.connect(&address.into());
        let connected = connected.and_then(|()| UdpSocket::from_std(Plain::from(socket)));
        let socket = connected.map_err(|error| refusal(address, &error))?;
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
        let length = self.next(buffer).await.map_err(|error| refusal(self.address, &error))?;
        let bytes = buffer.get(..length).unwrap_or_default();
        self.trace.received(bytes);
        Ok(bytes)
    }

    /// Waits for the next one, or the next error that the kernel reports; the datagram's length.
    ///
    /// # Errors
    /// What was sent was refused, or did not arrive.
    pub(crate) async fn next(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // What ICMP reports makes the socket erroneous, not readable.
        let interest = Interest::READABLE | Interest::ERROR;
        let receive = || Ok(recv(self.socket.as_raw_fd(), buffer, MsgFlags::empty())?);
        self.socket.async_io(interest, receive).await
    }

    /// Where what it sends comes from.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl AsRawFd for Datagrams<'_> {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Why nothing comes back, in words.
pub(crate) fn refusal(address: SocketAddr, error: &io::Error) -> Failure {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the list of kinds is open")]
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            Failure::new(Fault::Refused, format!("refused: nothing listens on UDP {address}"))
        }
        ErrorKind::PermissionDenied => {
            let reason = format!("a packet filter on the way forbids packets to {}", place(address));
            Failure::new(Fault::Unreachable, reason)
        }
        _ => failure(address, error),
    }
}
