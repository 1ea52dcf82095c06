use super::*;
use crate::kind::Verify;
use crate::probe::sample::server::{BOTH, V4, serve};
use crate::probe::sample::{attempt, dialogue, failure, target};
use crate::probe::tls::sample::{params, self_signed};
use crate::{Kind, Target};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

const NAME: &str = "mail.example";

/// A mail server: greets, and answers each command with the next of `answers`, then hangs up. The commands it got.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, answers: &[&str]) -> Vec<String> {
    let mut stream = BufReader::new(stream);
    let mut commands = Vec::new();
    for answer in answers {
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut command = String::new();
        if stream.read_line(&mut command).await.unwrap() == 0 {
            break;
        }
        commands.push(command);
        if commands.last().is_some_and(|command| command == "STARTTLS\r\n") {
            stream.write_all(b"220 go on\r\n").await.unwrap();
            break;
        }
    }
    commands
}

fn smtp(address: SocketAddr, security: SmtpSecurity) -> Target {
    target(Kind::Smtp(Smtp { helo: "lb.example".to_owned(), security }), address)
}

fn plain(address: SocketAddr) -> Target {
    smtp(address, SmtpSecurity::Plain)
}

fn named(verify: Verify) -> Tls {
    Tls { server_name: Some(NAME.to_owned()), verify, expiry_warning: Some(Duration::from_secs(3600)) }
}

#[tokio::test]
async fn a_server_that_talks_passes_and_is_left_by_quit() {
    for any in BOTH {
        let (address, server) = serve(any, async |mut stream: TcpStream| {
            converse(
                &mut stream,
                &["220-mx\r\n220 ESMTP\r\n", "250-mx\r\n250 SIZE\r\n", "250 ok\r\n", "221 bye\r\n"],
            )
            .await
        })
        .await;
        assert_eq!(attempt(&plain(address)).await.unwrap(), Passed::default());
        assert_eq!(server.await.unwrap(), ["EHLO lb.example\r\n", "NOOP\r\n", "QUIT\r\n"]);
    }
}

/// RFC 5321, section 4.1.1.10: the client should not close before the reply to QUIT.
#[tokio::test]
async fn the_answer_to_quit_is_awaited() {
    let (address, server) = serve(V4, async |mut stream: TcpStream| {
        converse(&mut stream, &["220 mx\r\n", "250 mx\r\n", "250 ok\r\n"]).await;
        let early = timeout(Duration::from_millis(50), stream.read(&mut [0; 1])).await;
        stream.write_all(b"221 bye\r\n").await.unwrap();
        (early.is_err(), stream.read(&mut [0; 1]).await.unwrap())
    })
    .await;
    attempt(&plain(address)).await.unwrap();
    assert_eq!(server.await.unwrap(), (true, 0), "nothing before the answer, an end after it");
}

#[tokio::test]
async fn a_server_that_turns_connections_away_has_failed_and_is_left_by_quit() {
    let (address, server) = serve(V4, async |mut stream: TcpStream| {
        converse(&mut stream, &["421 4.3.2 mx All server ports are busy\r\n", "221 bye\r\n"]).await
    })
    .await;
    let refused = attempt(&plain(address)).await.unwrap_err();
    assert_eq!(refused.fault, Fault::Answer);
    assert_eq!(
        refused.to_string(),
        "the server turns connections away: 421 4.3.2 mx All server ports are busy"
    );
    assert_eq!(server.await.unwrap(), ["QUIT\r\n"]);
}

#[tokio::test]
async fn a_dialogue_may_come_byte_by_byte() {
    let (address, _server) = serve(V4, async |mut stream: TcpStream| {
        stream.set_nodelay(true).unwrap();
        for byte in b"220 mx\r\n250 mx\r\n250 ok\r\n221 bye\r\n" {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        // Unread commands would make the end a reset, ahead of what was sent.
        while stream.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
    })
    .await;
    attempt(&plain(address)).await.unwrap();
}

#[tokio::test]
async fn a_silent_and_a_slow_server_are_told_apart() {
    for (bytes, end) in [
        ("", "took the connection but was silent: the greeting did not come within 500ms"),
        ("220 m", "is too slow: the greeting was incomplete after 500ms, 5 bytes"),
        ("220 mx\r\n", "took the connection but was silent: the answer to EHLO did not come within 500ms"),
    ] {
        let (address, _server) = serve(V4, async |mut stream: TcpStream| {
            stream.write_all(bytes.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        })
        .await;
        let target = Target { timeout: Duration::from_millis(500), ..plain(address) };
        assert_eq!(failure(&target).await, format!("{address} {end}"));
    }
}

#[tokio::test]
async fn an_early_end_says_what_was_missing() {
    let (address, _server) = serve(V4, async |mut stream: TcpStream| {
        stream.write_all(b"220 mx\r\n").await.unwrap();
        stream.read_exact(&mut [0; 17]).await.unwrap();
    })
    .await;
    assert_eq!(
        failure(&plain(address)).await,
        format!("{address} closed the connection before the answer to EHLO")
    );
    let (address, _server) = serve(V4, async |mut stream: TcpStream| {
        stream.write_all(b"220 mx\r\n").await.unwrap();
        stream.read_exact(&mut [0; 17]).await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    let reset = attempt(&plain(address)).await.unwrap_err();
    assert_eq!(reset.fault, Fault::Reset);
    assert_eq!(reset.to_string(), format!("{address} reset the connection before the answer to EHLO"));
}

#[tokio::test]
async fn endless_output_ends_the_attempt() {
    for (line, words) in [
        (&b"220-spam\r\n"[..], "the greeting is no SMTP: a reply has more than 100 lines"),
        (b"xxxxxxxx", "this is no SMTP server: it said \"xxxxxxxx"),
        (&[0; 64], "this is no SMTP server: it said \"\\x00\\x00\\x00\\x00\""),
    ] {
        let (address, _server) =
            serve(V4, async |mut stream: TcpStream| while stream.write_all(line).await.is_ok() {}).await;
        let failure = failure(&plain(address)).await;
        assert!(failure.starts_with(words), "{failure}");
    }
}

#[tokio::test]
async fn starttls_is_done_when_asked_for() {
    let (acceptor, certificate) = self_signed(params(&[NAME]));
    let offer = "250-mx\r\n250 STARTTLS\r\n";
    let start = async move |acceptor: TlsAcceptor, any: &str| {
        serve(any, async move |mut stream: TcpStream| {
            let before = converse(&mut stream, &["220 mx\r\n", offer]).await;
            let Ok(mut stream) = acceptor.accept(stream).await else { return (before, Vec::new()) };
            let mut hello = String::new();
            BufReader::new(&mut stream).read_line(&mut hello).await.unwrap();
            let after = converse(&mut stream, &["250 mx\r\n", "250 ok\r\n", "221 bye\r\n"]).await;
            (before, [vec![hello], after].concat())
        })
        .await
    };
    for verify in [Verify::Off, Verify::File(certificate.path().to_owned())] {
        let (address, server) = start(acceptor.clone(), V4).await;
        let passed = attempt(&smtp(address, SmtpSecurity::StartTls(named(verify)))).await.unwrap();
        assert_eq!(passed, Passed::default());
        let (before, after) = server.await.unwrap();
        assert_eq!(before, ["EHLO lb.example\r\n", "STARTTLS\r\n"]);
        assert_eq!(after, ["EHLO lb.example\r\n", "NOOP\r\n", "QUIT\r\n"]);
    }
    let (address, _server) = start(acceptor, BOTH[1]).await;
    let distrusted =
        attempt(&smtp(address, SmtpSecurity::StartTls(named(Verify::System)))).await.unwrap_err();
    assert_eq!(distrusted.fault, Fault::Tls);
    assert!(distrusted.to_string().contains("its certificate is self-signed"), "{distrusted}");
}

#[tokio::test]
async fn tls_may_begin_with_the_first_byte() {
    let mut soon_over = params(&[NAME]);
    soon_over.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let (acceptor, _) = self_signed(soon_over);
    let (address, server) = serve(V4, async move |stream: TcpStream| {
        let mut stream = acceptor.accept(stream).await.unwrap();
        converse(&mut stream, &["220 mx\r\n", "250 mx\r\n", "250 ok\r\n", "221 bye\r\n"]).await
    })
    .await;
    let passed = attempt(&smtp(address, SmtpSecurity::Implicit(named(Verify::Off)))).await.unwrap();
    assert_eq!(passed.note.as_deref(), Some("its certificate expired on 2021-01-01: renew it"));
    assert_eq!(server.await.unwrap(), ["EHLO lb.example\r\n", "NOOP\r\n", "QUIT\r\n"]);
}

#[tokio::test]
async fn a_port_without_tls_is_named_when_tls_is_expected() {
    let (address, _server) = serve(V4, async |mut stream: TcpStream| {
        stream.write_all(b"220 mx ESMTP\r\n").await.unwrap();
        while stream.read(&mut [0; 512]).await.is_ok_and(|count| count > 0) {}
    })
    .await;
    assert_eq!(
        failure(&smtp(address, SmtpSecurity::Implicit(named(Verify::Off)))).await,
        format!(
            "{address} speaks no TLS: it answered the TLS hello with \"220 mx ESMTP\"; is this its port for TLS?"
        )
    );
}

#[tokio::test]
async fn the_dialogue_is_kept_line_by_line() {
    let (address, _server) = serve(V4, async |mut stream: TcpStream| {
        converse(&mut stream, &["220 mx\r\n", "250 mx\r\n", "250 ok\r\n", "221 bye\r\n"]).await
    })
    .await;
    let (_, lines) = dialogue(&plain(address)).await;
    assert_eq!(
        lines,
        [
            r"< 220 mx\r\n",
            r"> EHLO lb.example\r\n",
            r"< 250 mx\r\n",
            r"> NOOP\r\n",
            r"< 250 ok\r\n",
            r"> QUIT\r\n",
            r"< 221 bye\r\n",
        ]
    );
}
