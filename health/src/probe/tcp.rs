//! A TCP connection can be made.
//!
//! The probe ends by a reset, and holds back the handshake's last packet until then: SYN, SYN/ACK, RST. So the
//! server's kernel never hands the connection to the application: nothing is accepted, logged or kept there,
//! however often it is probed.

use super::connect::{Ending, Opening, connect};
use super::trace::Trace;
use crate::{Failure, Passed, Target};

/// Connects, and takes the connection back at once.
///
/// # Errors
/// No connection was made, for the reason given.
pub(crate) async fn probe(target: &Target, trace: &Trace) -> Result<Passed, Failure> {
    let _closed_by_drop = connect(target.address, target.origin, Opening::Probe, Ending::Reset).await?;
    trace.note(|| format!("connected to {}", target.address));
    Ok(Passed::default())
}

#[cfg(test)]
mod tests {
    use crate::probe::sample::server::{BOTH, V4, listener};
    use crate::probe::sample::{attempt, failure, target};
    use crate::{Kind, Origin, Target};
    use socket2::{Domain, Protocol, Socket, Type};
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn a_listener_passes_and_its_application_never_sees_the_probe() {
        for any in BOTH {
            let (listener, address) = listener(any).await;
            for _ in 0..50 {
                attempt(&target(Kind::Tcp, address)).await.unwrap();
            }
            let client = TcpStream::connect(address).await.unwrap();
            let (_, first) = listener.accept().await.unwrap();
            assert_eq!(first, client.local_addr().unwrap());
        }
    }

    #[tokio::test]
    async fn a_closed_port_refuses() {
        let (listener, address) = listener(V4).await;
        drop(listener);
        assert_eq!(
            failure(&target(Kind::Tcp, address)).await,
            format!("connection refused: nothing listens on {address}")
        );
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
            failure(&Target { timeout, ..target(Kind::Tcp, address) }).await,
            format!(
                "no answer from {address} within 200ms: it is off or overloaded, or a firewall drops packets"
            )
        );
    }

    #[tokio::test]
    async fn leaves_from_the_source_address() {
        let (_listener, address) = listener(V4).await;
        let from = |source: &str| {
            let origin = Origin { source: Some(source.parse().unwrap()), mark: 0 };
            Target { origin, ..target(Kind::Tcp, address) }
        };
        attempt(&from("127.0.0.7")).await.unwrap();
        assert_eq!(
            failure(&from("192.0.2.1")).await,
            "cannot probe from 192.0.2.1: the director does not have that address"
        );
    }
}
