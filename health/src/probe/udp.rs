//! A datagram is answered, or at least not refused.

use super::datagram::Datagrams;
use super::trace::Trace;
use crate::excerpt::excerpt;
use crate::kind::{Reply, Udp};
use crate::{Failure, Fault, Passed, Target};

/// So much of a reply is read, in bytes; what is beyond is lost and does not matter, unless more is expected.
const REPLY_LIMIT: usize = 2048;

/// Sends the datagram and waits for what must come back.
///
/// Where nothing need come, it waits all the same, for a refusal: the attempt lasts as long as its timeout.
///
/// # Errors
/// The datagram was refused or did not arrive, or something else came back.
pub(crate) async fn probe(target: &Target, udp: &Udp, trace: &Trace) -> Result<Passed, Failure> {
    let socket = Datagrams::open(target, trace)?;
    socket.send(&udp.send).await?;
    let (expected, limit) = match &udp.reply {
        Reply::Any => (None, REPLY_LIMIT),
        Reply::Prefix(prefix) => (Some(prefix), prefix.len().max(REPLY_LIMIT)),
        Reply::Optional => {
            trace.silence_passes();
            (None, REPLY_LIMIT)
        }
    };
    let mut buffer = vec![0; limit];
    let reply = socket.receive(&mut buffer).await?;
    match expected {
        Some(prefix) if !reply.starts_with(prefix) => {
            let (sent, expected) = (excerpt(reply), excerpt(prefix));
            let reason = match reply.len() {
                0 => format!("{} answered with an empty datagram, not with {expected}", target.address),
                _ => format!("{} answered with {sent}, which does not begin with {expected}", target.address),
            };
            Err(Failure::new(Fault::Answer, reason))
        }
        _ => Ok(Passed::default()),
    }
}

#[cfg(test)]
mod tests {
    use crate::kind::{Reply, Udp};
    use crate::probe::sample::server::{self, BOTH, V4};
    use crate::probe::sample::{attempt, dialogue, failure, target};
    use crate::{Fault, Kind, Origin, Passed, Target};
    use std::net::SocketAddr;
    use std::time::Duration;
    use tokio::net::UdpSocket;

    /// A server that answers with these.
    async fn server(any: &str, answers: &'static [&'static [u8]]) -> SocketAddr {
        server::reply(any, |_| answers.iter().map(|answer| answer.to_vec()).collect()).await
    }

    fn ping(reply: Reply) -> Kind {
        Kind::Udp(Udp { send: b"PING".to_vec(), reply })
    }

    #[tokio::test]
    async fn a_reply_passes_at_once() {
        for any in BOTH {
            for reply in [Reply::Any, Reply::Optional, Reply::Prefix(b"PO".to_vec())] {
                let address = server(any, &[b"PONG"]).await;
                let (result, lines) = dialogue(&target(ping(reply), address)).await;
                assert_eq!((result, lines.join("\n").as_str()), (Ok(Passed::default()), "> PING\n< PONG"));
            }
        }
    }

    #[tokio::test]
    async fn another_reply_is_shown_and_nothing_in_it_does_harm() {
        let address = server(V4, &[b"\x1b[2JERR no\n"]).await;
        assert_eq!(
            failure(&target(ping(Reply::Prefix(b"PONG".to_vec())), address)).await,
            format!(r#"{address} answered with "\x1b[2JERR no\n", which does not begin with "PONG""#)
        );
        let address = server(V4, &[b""]).await;
        assert_eq!(
            failure(&target(ping(Reply::Prefix(b"PONG".to_vec())), address)).await,
            format!(r#"{address} answered with an empty datagram, not with "PONG""#)
        );
    }

    #[tokio::test]
    async fn a_prefix_is_read_in_full_however_long() {
        const LONG: &[u8] = &[7; 5000];
        let address = server(V4, &[LONG]).await;
        attempt(&target(ping(Reply::Prefix(LONG.to_vec())), address)).await.unwrap();
    }

    #[tokio::test]
    async fn a_closed_port_refuses_also_where_no_reply_is_needed() {
        for any in BOTH {
            for reply in [Reply::Any, Reply::Optional] {
                let address = server::closed(any).await;
                let failure = attempt(&target(ping(reply), address)).await.unwrap_err();
                assert_eq!(failure.fault, Fault::Refused);
                assert_eq!(failure.to_string(), format!("refused: nothing listens on UDP {address}"));
            }
        }
    }

    #[tokio::test]
    async fn silence_fails_unless_no_reply_is_needed() {
        for any in BOTH {
            let timeout = Duration::from_millis(200);
            let address = server(any, &[]).await;
            let silent = |reply| Target { timeout, ..target(ping(reply), address) };
            assert_eq!(
                failure(&silent(Reply::Any)).await,
                format!(
                    "no answer from {address} within 200ms: it is off or overloaded, or a firewall drops packets"
                )
            );
            let (result, lines) = dialogue(&silent(Reply::Optional)).await;
            assert_eq!(result, Ok(Passed::default()));
            assert_eq!(lines, ["> PING", "* nothing came back within 200ms, and nothing need come"]);
        }
    }

    #[tokio::test]
    async fn strangers_are_not_heard() {
        let server = UdpSocket::bind(V4).await.unwrap();
        let stranger = UdpSocket::bind(V4).await.unwrap();
        let address = server.local_addr().unwrap();
        let answers = tokio::spawn(async move {
            let mut buffer = [0; 64];
            let (_, client) = server.recv_from(&mut buffer).await.unwrap();
            stranger.send_to(b"ERROR", client).await.unwrap();
            server.send_to(b"PONG", client).await.unwrap();
        });
        attempt(&target(ping(Reply::Prefix(b"PONG".to_vec())), address)).await.unwrap();
        answers.await.unwrap();
    }

    #[tokio::test]
    async fn leaves_from_the_source_address() {
        let server = UdpSocket::bind(V4).await.unwrap();
        let address = server.local_addr().unwrap();
        let origin = Origin { source: Some("127.0.0.7".parse().unwrap()), mark: 0 };
        let answers = tokio::spawn(async move {
            let (_, client) = server.recv_from(&mut [0; 64]).await.unwrap();
            server.send_to(b"PONG", client).await.unwrap();
            client.ip().to_string()
        });
        attempt(&Target { origin, ..target(ping(Reply::Any), address) }).await.unwrap();
        assert_eq!(answers.await.unwrap(), "127.0.0.7");
    }
}
