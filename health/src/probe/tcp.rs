//! A TCP connection can be made.
//!
//! The probe ends by a reset, and holds back the handshake's last packet until then: SYN, SYN/ACK, RST. So the
//! server's kernel never hands the connection to the application: nothing is accepted, logged or kept there,
//! however often it is probed. On the director neither a socket in TIME_WAIT is left behind, nor a conntrack entry
//! that lives for minutes, which thousands of probes a second would pile up.

use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;
use tokio::net::TcpSocket;

/// Why no connection could be made.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The server answered with a reset.
    #[error("connection refused: nothing listens on {0}")]
    Refused(SocketAddr),
    /// Nothing came back.
    #[error(
        "no answer from {address} within {timeout:?}: it is off or overloaded, or a firewall drops packets"
    )]
    TimedOut {
        /// Where to.
        address: SocketAddr,
        /// How long it had.
        timeout: Duration,
    },
    /// The connection was made and taken back.
    #[error("connection reset by {0} as soon as it was made")]
    Reset(SocketAddr),
    /// The last router, or this director itself, does not find the host.
    #[error("host {} cannot be reached: it is off, or not in the network that it should be in", .0.ip())]
    HostUnreachable(SocketAddr),
    /// There is no route.
    #[error("no route to {}: check the director's interfaces and routes", .0.ip())]
    NetworkUnreachable(SocketAddr),
    /// A packet filter forbids it.
    #[error("a packet filter on the way forbids connections to {0}")]
    Forbidden(SocketAddr),
    /// Probes cannot leave from the address they should leave from.
    #[error("cannot probe from {source_address}: the director does not have that address")]
    Source {
        /// The address.
        source_address: IpAddr,
    },
    /// The director itself lacks something.
    #[error("cannot probe {address}: {error}")]
    Local {
        /// Where to.
        address: SocketAddr,
        /// What failed.
        error: io::Error,
    },
}

/// Connects to `address` from `source`, and takes the connection back at once.
///
/// # Errors
/// No connection was made within `timeout`, for the reason given.
pub async fn probe(address: SocketAddr, source: Option<IpAddr>, timeout: Duration) -> Result<(), Reason> {
    let socket = open(address, source)?;
    match tokio::time::timeout(timeout, socket.connect(address)).await {
        Ok(Ok(_closed_by_drop)) => Ok(()),
        Ok(Err(error)) => Err(reason(address, timeout, error)),
        Err(_) => Err(Reason::TimedOut { address, timeout }),
    }
}

fn open(address: SocketAddr, source: Option<IpAddr>) -> Result<TcpSocket, Reason> {
    let local = |error| Reason::Local { address, error };
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP)).map_err(local)?;
    socket.set_linger(Some(Duration::ZERO)).map_err(local)?;
    socket.set_tcp_quickack(false).map_err(local)?;
    if let Some(source_address) = source {
        let bound = socket.bind(&SocketAddr::new(source_address, 0).into());
        bound.map_err(|error| {
            if error.kind() == ErrorKind::AddrNotAvailable {
                Reason::Source { source_address }
            } else {
                Reason::Local { address, error }
            }
        })?;
    }
    Ok(TcpSocket::from_std_stream(TcpStream::from(socket)))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the list of kinds is open")]
fn reason(address: SocketAddr, timeout: Duration, error: io::Error) -> Reason {
    match error.kind() {
        ErrorKind::ConnectionRefused => Reason::Refused(address),
        ErrorKind::ConnectionReset => Reason::Reset(address),
        ErrorKind::HostUnreachable => Reason::HostUnreachable(address),
        ErrorKind::NetworkUnreachable => Reason::NetworkUnreachable(address),
        ErrorKind::PermissionDenied => Reason::Forbidden(address),
        ErrorKind::TimedOut => Reason::TimedOut { address, timeout },
        _ => Reason::Local { address, error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::net::{TcpListener, TcpStream};

    const LONG: Duration = Duration::from_secs(20);

    async fn words(address: SocketAddr, timeout: Duration) -> String {
        probe(address, None, timeout).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_listener_passes_and_its_application_never_sees_the_probe() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(any).await.unwrap();
            let address = listener.local_addr().unwrap();
            for _ in 0..50 {
                probe(address, None, LONG).await.unwrap();
            }
            let client = TcpStream::connect(address).await.unwrap();
            let (_, first) = listener.accept().await.unwrap();
            assert_eq!(first, client.local_addr().unwrap());
        }
    }

    #[tokio::test]
    async fn a_closed_port_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(words(address, LONG).await, format!("connection refused: nothing listens on {address}"));
    }

    #[tokio::test]
    async fn a_listener_that_no_longer_accepts_times_out() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let _fills_the_backlog = TcpStream::connect(address).await.unwrap();
        let timeout = Duration::from_millis(200);
        assert_eq!(
            words(address, timeout).await,
            format!(
                "no answer from {address} within 200ms: it is off or overloaded, or a firewall drops packets"
            )
        );
    }

    #[tokio::test]
    async fn leaves_from_the_source_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        probe(address, Some("127.0.0.7".parse().unwrap()), LONG).await.unwrap();
        let elsewhere = probe(address, Some("192.0.2.1".parse().unwrap()), LONG).await.unwrap_err();
        assert_eq!(
            elsewhere.to_string(),
            "cannot probe from 192.0.2.1: the director does not have that address"
        );
    }

    #[test]
    fn errors_of_the_way_are_told_apart() {
        let address = SocketAddr::from(([10, 0, 1, 1], 25));
        let text = |kind: ErrorKind| reason(address, LONG, kind.into()).to_string();
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
