//! A remote desktop answers an X.224 connection request.

use super::connect::{Ending, Opening, connect};
use super::farewell::{Words, farewell};
use super::tap::Tap;
use super::trace::Trace;
use crate::kind::Rdp;
use crate::protocol::rdp::{DISCONNECT, Reader, request};
use crate::{Failure, Passed, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Asks for a connection, offering TLS and `CredSSP`, and takes the request back once it is answered.
///
/// # Errors
/// No connection, no answer, or one that means that no client could connect.
pub(crate) async fn probe(target: &Target, settings: &Rdp, trace: &Trace) -> Result<Passed, Failure> {
    let stream = connect(target.address, target.origin, Opening::Probe, Ending::Orderly).await?;
    let mut stream = Tap::new(stream, trace);
    let broken = |error| trace.broken(target.address, &error);
    trace.awaits("the answer to the connection request");
    trace.note(|| "connection request: offers TLS and CredSSP".to_owned());
    stream.write_all(&request(settings)).await.map_err(broken)?;
    let mut reader = Reader::default();
    let mut buffer = [0; 512];
    let answer = loop {
        let count = stream.read(&mut buffer).await.map_err(broken)?;
        if count == 0 {
            return Err(trace.closed(target.address));
        }
        if let Some(answer) = reader.receive(buffer.get(..count).unwrap_or_default()) {
            break answer;
        }
    };
    trace.note(|| answer.to_string());
    if answer.is_confirmed() {
        trace.note(|| "disconnect request".to_owned());
        farewell(&mut stream, Words::Unanswered(&DISCONNECT), target, trace).await;
    }
    answer.judge(settings.strict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::sample::server::{self, BOTH, V4};
    use crate::probe::sample::{attempt, dialogue, failure, target};
    use crate::{Fault, Kind};
    use std::net::SocketAddr;
    use std::time::Duration;
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    const TLS: &[u8] = b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\x01\x08\0\x01\0\0\0";

    /// Serves one connection: reads the request, and goes on as `then` says. What it returns is what the server saw.
    async fn serve<T: Send + 'static, F: Future<Output = T> + Send>(
        any: &str,
        then: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> (SocketAddr, JoinHandle<T>) {
        server::serve(any, async move |mut stream: TcpStream| {
            let mut request = [0; 19];
            stream.read_exact(&mut request).await.unwrap();
            then(stream).await
        })
        .await
    }

    fn rdp(address: SocketAddr) -> Target {
        target(Kind::Rdp(Rdp::default()), address)
    }

    #[tokio::test]
    async fn a_server_that_agrees_passes_and_is_left_in_order() {
        for any in BOTH {
            let (address, server) = serve(any, async |mut stream: TcpStream| {
                stream.write_all(TLS).await.unwrap();
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await.unwrap();
                rest
            })
            .await;
            assert_eq!(attempt(&rdp(address)).await.unwrap(), Passed::default());
            assert_eq!(server.await.unwrap(), DISCONNECT, "and then an end, no reset");
        }
    }

    #[tokio::test]
    async fn a_server_that_never_ends_its_side_costs_little_time_and_no_latency() {
        let (address, _server) = serve(V4, async |mut stream: TcpStream| {
            stream.write_all(TLS).await.unwrap();
            std::future::pending::<()>().await;
        })
        .await;
        let start = Instant::now();
        let outcome =
            crate::probe::attempt(&rdp(address), &crate::probe::Resources::default(), &Trace::quiet()).await;
        assert_eq!(outcome.result, Ok(Passed::default()));
        let waited = Duration::from_millis(250);
        assert!(start.elapsed() >= waited && outcome.latency <= start.elapsed() - waited, "{outcome:?}");
    }

    #[tokio::test]
    async fn an_answer_may_come_byte_by_byte() {
        let (address, _server) = serve(V4, async |mut stream: TcpStream| {
            stream.set_nodelay(true).unwrap();
            for byte in TLS {
                stream.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            stream
        })
        .await;
        attempt(&rdp(address)).await.unwrap();
    }

    #[tokio::test]
    async fn a_silent_and_a_slow_server_are_told_apart() {
        let timeout = Duration::from_millis(500);
        for (bytes, end) in [
            (
                &b""[..],
                "took the connection but was silent: the answer to the connection request did not come within 500ms",
            ),
            (
                &TLS[..7],
                "is too slow: the answer to the connection request was incomplete after 500ms, 7 bytes",
            ),
        ] {
            let (address, _server) = serve(V4, async |mut stream: TcpStream| {
                stream.write_all(bytes).await.unwrap();
                std::future::pending::<()>().await;
            })
            .await;
            assert_eq!(failure(&Target { timeout, ..rdp(address) }).await, format!("{address} {end}"));
        }
    }

    #[tokio::test]
    async fn an_early_end_says_what_was_missing() {
        let (address, _server) = serve(V4, async |mut stream: TcpStream| {
            stream.write_all(&TLS[..12]).await.unwrap();
        })
        .await;
        assert_eq!(
            failure(&rdp(address)).await,
            format!(
                "{address} closed the connection within the answer to the connection request, after 12 bytes"
            )
        );
        let (address, _server) = serve(V4, async |stream: TcpStream| {
            stream.set_zero_linger().unwrap();
        })
        .await;
        let reset = attempt(&rdp(address)).await.unwrap_err();
        assert_eq!(reset.fault, Fault::Reset);
        assert_eq!(
            reset.to_string(),
            format!("{address} reset the connection before the answer to the connection request")
        );
    }

    #[tokio::test]
    async fn endless_output_of_something_else_ends_the_attempt_at_once() {
        let (address, _server) =
            serve(V4, async |mut stream: TcpStream| while stream.write_all(&[b'x'; 4096]).await.is_ok() {})
                .await;
        assert_eq!(
            failure(&rdp(address)).await,
            "this is no remote desktop: its answer begins with \"xxxx\""
        );
    }

    #[tokio::test]
    async fn the_dialogue_is_decoded() {
        let (address, _server) = serve(V4, async |mut stream: TcpStream| {
            stream.write_all(TLS).await.unwrap();
        })
        .await;
        let (_, lines) = dialogue(&rdp(address)).await;
        assert_eq!(
            lines[..5],
            [
                "* connection request: offers TLS and CredSSP",
                r"> \x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00",
                r"< \x03\x00\x00\x13\x0e\xd0\x00\x00\x124\x00\x02\x01\x08\x00\x01\x00\x00\x00",
                "* connection confirmed, with TLS",
                "* disconnect request",
            ]
        );
    }
}
