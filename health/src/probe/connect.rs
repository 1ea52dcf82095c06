//! TCP connections to targets, and why there is none.

use super::trace::place;
use crate::target::Origin;
use crate::{Failure, Fault};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream as Connection};

/// How a connection ends when it is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By a reset, at once: neither a socket in TIME_WAIT nor a conntrack entry that lives for minutes is left
    /// behind, which thousands of probes a second would pile up.
    Reset,
    /// In order, for servers that log what is cut off.
    Orderly,
}

/// Who speaks first on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The probe: the handshake's last packet is held back until it does, which saves one.
    Probe,
    /// The server: it does not see the connection before the handshake's last packet, which leaves at once.
    Server,
}

/// Connects to `address`. The caller sees to the timeout.
///
/// # Errors
/// There is no connection; why, in words.
pub(crate) async fn connect(
    address: SocketAddr,
    origin: Origin,
    opening: Opening,
    ending: Ending,
) -> Result<Connection, Failure> {
    let socket = socket(address, origin, Type::STREAM, Protocol::TCP)?;
    if ending == Ending::Reset {
        socket.set_linger(Some(Duration::ZERO)).map_err(|error| local(address, &error))?;
    }
    socket.set_tcp_quickack(opening == Opening::Server).map_err(|error| local(address, &error))?;
    let socket = TcpSocket::from_std_stream(TcpStream::from(socket));
    socket.connect(address).await.map_err(|error| failure(address, &error))
}

/// A socket that does not block, bound and marked as `origin` says.
///
/// # Errors
/// The director lacks the address, the right or the means.
pub(crate) fn socket(
    address: SocketAddr,
    origin: Origin,
    kind: Type,
    protocol: Protocol,
) -> Result<Socket, Failure> {
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking(), Some(protocol));
    let socket = socket.map_err(|error| local(address, &error))?;
    prepare(&socket, address, origin)?;
    Ok(socket)
}

/// Binds and marks a socket for `address` as `origin` says.
///
/// # Errors
/// The director lacks the address or the right.
pub(crate) fn prepare(socket: &Socket, address: SocketAddr, origin: Origin) -> Result<(), Failure> {
    if origin.mark != 0 {
        socket.set_mark(origin.mark).map_err(|error| {
            let reason = format!("cannot mark probes with {}: {error}", origin.mark);
            Failure::new(Fault::Local, reason)
        })?;
    }
    if let Some(source) = origin.source {
        socket.bind(&SocketAddr::new(source, 0).into()).map_err(|error| {
            if error.kind() == ErrorKind::AddrNotAvailable {
                let reason = format!("cannot probe from {source}: the director does not have that address");
                Failure::new(Fault::Local, reason)
            } else {
                local(address, &error)
            }
        })?;
    }
    Ok(())
}

/// Has the kernel report all that ICMP says of the way there, not only that a port is closed (ip(7), `IP_RECVERR`).
///
/// # Errors
/// The kernel does not.
pub(crate) fn report_errors(socket: &Socket, address: SocketAddr) -> Result<(), Failure> {
    let set = match address {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &true),
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &true),
    };
    set.map_err(|error| local(address, &error.into()))
}

/// Why nothing can be sent to `address`, in words.
#[expect(clippy::wildcard_enum_match_arm, reason = "the list of kinds is open")]
pub(crate) fn failure(address: SocketAddr, error: &io::Error) -> Failure {
    let ip = address.ip();
    let place = place(address);
    let (fault, reason) = match error.kind() {
        ErrorKind::ConnectionRefused => {
            (Fault::Refused, format!("connection refused: nothing listens on {place}"))
        }
        ErrorKind::ConnectionReset => {
            (Fault::Reset, format!("connection reset by {place} as soon as it was made"))
        }
        ErrorKind::HostUnreachable => (
            Fault::Unreachable,
            format!("host {ip} cannot be reached: it is off, or not in the network that it should be in"),
        ),
        ErrorKind::NetworkUnreachable => {
            (Fault::Unreachable, format!("no route to {ip}: check the director's interfaces and routes"))
        }
        ErrorKind::PermissionDenied => {
            (Fault::Unreachable, format!("a packet filter on the way forbids connections to {place}"))
        }
        ErrorKind::TimedOut => (
            Fault::TimedOut,
            format!("no answer from {place}: it is off or overloaded, or a firewall drops packets"),
        ),
        _ => return local(address, error),
    };
    Failure::new(fault, reason)
}

fn local(address: SocketAddr, error: &io::Error) -> Failure {
    Failure::new(Fault::Local, format!("cannot probe {}: {error}", place(address)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[tokio::test]
    async fn a_server_that_speaks_first_is_told_of_the_connection_at_once() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(any).unwrap();
            listener.set_nonblocking(true).unwrap();
            let address = listener.local_addr().unwrap();
            let held_back = connect(address, Origin::default(), Opening::Probe, Ending::Reset).await.unwrap();
            assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
            drop(held_back);
            let at_once = connect(address, Origin::default(), Opening::Server, Ending::Reset).await.unwrap();
            assert_eq!(listener.accept().unwrap().1, at_once.local_addr().unwrap());
        }
    }

    #[test]
    fn errors_of_the_way_are_told_apart() {
        let address = SocketAddr::from(([10, 0, 1, 1], 25));
        let text = |kind: ErrorKind| failure(address, &kind.into()).to_string();
        assert_eq!(
            text(ErrorKind::ConnectionReset),
            "connection reset by 10.0.1.1:25 as soon as it was made"
        );
        assert_eq!(
            text(ErrorKind::HostUnreachable),
            "host 10.0.1.1 cannot be reached: it is off, or not in the network that it should be in"
        );
        assert_eq!(
            text(ErrorKind::NetworkUnreachable),
            "no route to 10.0.1.1: check the director's interfaces and routes"
        );
        assert_eq!(
            text(ErrorKind::PermissionDenied),
            "a packet filter on the way forbids connections to 10.0.1.1:25"
        );
        assert_eq!(text(ErrorKind::OutOfMemory), "cannot probe 10.0.1.1:25: out of memory");
    }
}
