use super::sample::{Authority, params, self_signed};
use crate::kind::{Tls, Verify};
use crate::probe::sample::server::{V4, listener, serve};
use crate::probe::sample::{attempt, dialogue, failure, target};
use crate::probe::trace::Trace;
use crate::probe::{self, Resources};
use crate::{Fault, Kind, Target};
use rcgen::ExtendedKeyUsagePurpose;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

const NAME: &str = "mail.example";

/// A server that does handshakes for as long as the test lasts.
async fn server(acceptor: TlsAcceptor) -> SocketAddr {
    let (listener, address) = listener(V4).await;
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    });
    address
}

/// A server that reads the hello, says `bytes`, and ends as `reset` says.
async fn answering(bytes: &'static [u8], reset: bool) -> SocketAddr {
    let (address, _) = serve(V4, async move |mut stream: TcpStream| {
        stream.read_buf(&mut Vec::with_capacity(4096)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        if reset {
            stream.set_zero_linger().unwrap();
        }
    })
    .await;
    address
}

fn verifying(file: &NamedTempFile) -> Tls {
    let server_name = Some(NAME.to_owned());
    Tls { server_name, verify: Verify::File(file.path().to_owned()), expiry_warning: None }
}

async fn reason(settings: Tls, address: SocketAddr) -> String {
    failure(&target(Kind::Tls(settings), address)).await.replace(&address.to_string(), "ADDRESS")
}

#[tokio::test]
async fn any_certificate_passes_unless_it_is_verified() {
    let mut old = params(&["somebody.else"]);
    old.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let address = server(self_signed(old).0).await;
    let passed = attempt(&target(Kind::Tls(Tls::default()), address)).await.unwrap();
    assert_eq!(passed.note, None);
    let settings = Tls { expiry_warning: Some(Duration::ZERO), ..Tls::default() };
    let passed = attempt(&target(Kind::Tls(settings), address)).await.unwrap();
    assert_eq!(passed.note.unwrap().as_ref(), "its certificate expired on 2021-01-01: renew it");
}

#[tokio::test]
async fn certificates_of_an_authority_that_is_trusted_pass() {
    let authority = Authority::new();
    let file = authority.file();
    let address = server(authority.server(params(&[NAME]))).await;
    let (result, lines) = dialogue(&target(Kind::Tls(verifying(&file)), address)).await;
    assert_eq!(result.unwrap().note, None);
    assert_eq!(
        lines,
        [
            "* TLS hello, asking for mail.example",
            "* TLS 1.3, certificate of CN=test server by CN=Test Authority, valid from 2020-01-01 to 2099-01-01"
        ]
    );
}

#[tokio::test]
async fn without_a_name_the_certificate_must_be_for_the_address() {
    let authority = Authority::new();
    let file = authority.file();
    let settings = || Tls { server_name: None, ..verifying(&file) };
    let address = server(authority.server(params(&["127.0.0.1"]))).await;
    attempt(&target(Kind::Tls(settings()), address)).await.unwrap();
    let address = server(authority.server(params(&[NAME, "::1"]))).await;
    assert_eq!(
        reason(settings(), address).await,
        "ADDRESS is not to be trusted: its certificate is for mail.example, ::1, not for 127.0.0.1: set sni to the \
         name that is meant"
    );
}

#[tokio::test]
async fn a_certificate_that_ends_soon_passes_with_a_note() {
    let authority = Authority::new();
    let file = authority.file();
    let address = server(authority.server(params(&[NAME]))).await;
    let settings =
        Tls { expiry_warning: Some(Duration::from_secs(100 * 366 * 24 * 3600)), ..verifying(&file) };
    let note = attempt(&target(Kind::Tls(settings), address)).await.unwrap().note.unwrap();
    assert!(note.starts_with("its certificate ends on 2099-01-01, in "), "{note}");
    assert!(note.ends_with(" days: renew it"), "{note}");
}

#[tokio::test]
async fn each_fault_of_a_certificate_has_its_words() {
    let authority = Authority::new();
    let file = authority.file();
    let with = |change: fn(&mut rcgen::CertificateParams)| {
        let mut params = params(&[NAME]);
        change(&mut params);
        authority.server(params)
    };
    let faults = [
        (with(|params| params.not_after = rcgen::date_time_ymd(2021, 2, 3)), "expired on 2021-02-03, "),
        (
            with(|params| {
                params.not_before = rcgen::date_time_ymd(2098, 1, 1);
            }),
            "is not valid before 2098-01-01: check the clocks of the director and of who issued it",
        ),
        (
            with(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
            "is not for servers: its extended key usage lacks server authentication",
        ),
        (
            with(|params| params.subject_alt_names = Vec::new()),
            "has no subjectAltName, so it is for no name at all (its subject CN=test server does not count)",
        ),
        (
            self_signed(params(&[NAME])).0,
            "is self-signed, by CN=test server: put it into ca_file to trust it, or set verify: false",
        ),
        (
            Authority::other().server(params(&[NAME])),
            "comes of an authority that is not trusted here, CN=Other Authority: add it to ca_file, or have the server \
             send the certificates between, or set verify: false",
        ),
    ];
    for (acceptor, words) in faults {
        let reason = reason(verifying(&file), server(acceptor).await).await;
        let start = format!("ADDRESS is not to be trusted: its certificate {words}");
        assert!(reason.starts_with(&start), "{reason}\n{start}");
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_if_the_file_holds_it() {
    let (acceptor, file) = self_signed(params(&[NAME]));
    let address = server(acceptor).await;
    attempt(&target(Kind::Tls(verifying(&file)), address)).await.unwrap();
    let settings = Tls { server_name: Some("www.example".to_owned()), ..verifying(&file) };
    assert_eq!(
        reason(settings, address).await,
        "ADDRESS is not to be trusted: its certificate is for mail.example, not for www.example: set sni to the name \
         that is meant"
    );

    let mut old = params(&[NAME]);
    old.not_after = rcgen::date_time_ymd(2021, 2, 3);
    let (acceptor, file) = self_signed(old);
    let reason = reason(verifying(&file), server(acceptor).await).await;
    assert!(reason.contains("expired on 2021-02-03"), "{reason}");
}

#[tokio::test]
async fn a_file_of_authorities_that_changes_is_read_again() {
    let authority = Authority::new();
    let address = server(authority.server(params(&[NAME]))).await;
    let file = Authority::other().file();
    let resources = Resources::default();
    let trace = Trace::quiet();
    let target = target(Kind::Tls(verifying(&file)), address);
    let outcome = probe::attempt(&target, &resources, &trace).await;
    assert_eq!(outcome.result.unwrap_err().fault, Fault::Tls);
    std::fs::copy(authority.file().path(), file.path()).unwrap();
    probe::attempt(&target, &resources, &trace).await.result.unwrap();
    std::fs::remove_file(file.path()).unwrap();
    let failure = probe::attempt(&target, &resources, &trace).await.result.unwrap_err();
    assert_eq!(failure.fault, Fault::Local);
    assert_eq!(
        failure.to_string(),
        format!("cannot read ca_file {}: no such file or directory (os error 2)", file.path().display())
    );
}

#[tokio::test]
async fn a_file_without_certificates_is_told() {
    let file = NamedTempFile::new().unwrap();
    assert_eq!(
        reason(verifying(&file), answering(b"", false).await).await,
        format!(
            "ca_file {} holds no certificate that can be used: it must be PEM, with -----BEGIN CERTIFICATE-----",
            file.path().display()
        )
    );
}

#[tokio::test]
async fn a_file_that_is_too_long_is_told() {
    let file = NamedTempFile::new().unwrap();
    file.as_file().set_len((4 << 20) + 1).unwrap();
    assert_eq!(
        reason(verifying(&file), answering(b"", false).await).await,
        format!("cannot read ca_file {}: it has more than 4194304 bytes", file.path().display())
    );
}

#[tokio::test]
async fn the_system_trusts_no_stranger() {
    let settings = Tls { server_name: Some(NAME.to_owned()), verify: Verify::System, ..Tls::default() };
    let address = server(Authority::other().server(params(&[NAME]))).await;
    let failure = attempt(&target(Kind::Tls(settings), address)).await.unwrap_err();
    assert!(matches!(failure.fault, Fault::Tls | Fault::Local), "{failure}");
}

#[tokio::test]
async fn answers_that_are_no_tls_are_shown() {
    for (bytes, shown) in [
        (&b"220 mail.example ESMTP\r\n"[..], "220 mail.example ESMTP"),
        (b"\x1b[2J\xff\xfe\0\0\0\0\0", "\\x1b[2J\\xff\\xfe\\x00\\x00\\x00\\x00\\x00"),
    ] {
        assert_eq!(
            reason(Tls::default(), answering(bytes, false).await).await,
            format!(
                "ADDRESS speaks no TLS: it answered the TLS hello with \"{shown}\"; is this its port for TLS?"
            )
        );
    }
}

#[tokio::test]
async fn http_without_tls_is_known() {
    let reason = reason(Tls::default(), answering(b"HTTP/1.1 400 Bad Request\r\n\r\n", false).await).await;
    assert_eq!(reason, "ADDRESS speaks HTTP without TLS: use type http, or its port for TLS");
}

#[tokio::test]
async fn refusals_are_explained() {
    let named = || Tls { server_name: Some(NAME.to_owned()), ..Tls::default() };
    let alert = |description: &'static [u8]| answering(description, false);
    for (alert, settings, words) in [
        (
            alert(b"\x15\x03\x01\0\x02\x02\x70"),
            Tls::default(),
            "ADDRESS wants to be asked for a name (unrecognized_name): set sni",
        ),
        (
            alert(b"\x15\x03\x01\0\x02\x02\x70"),
            named(),
            "ADDRESS does not know the name mail.example (unrecognized_name): check sni",
        ),
        (
            alert(b"\x15\x03\x01\0\x02\x02\x46"),
            named(),
            "ADDRESS speaks neither TLS 1.2 nor 1.3: it is too old, or has only TLS 1.0 and 1.1 switched on",
        ),
        (
            alert(b"\x15\x03\x01\0\x02\x02\x28"),
            Tls::default(),
            "ADDRESS refused the TLS handshake (handshake_failure): it has no cipher that the director takes (those of TLS 1.2 \
             and 1.3 with ephemeral keys), or it wants to be asked for a name (sni)",
        ),
        (
            alert(b"\x15\x03\x01\0\x02\x02\x31"),
            named(),
            "ADDRESS ended the TLS connection by the alert access_denied: see its log",
        ),
    ] {
        assert_eq!(reason(settings, alert.await).await, words);
    }
}

#[tokio::test]
async fn a_server_that_ends_the_handshake_is_told_apart() {
    let named = || Tls { server_name: Some(NAME.to_owned()), ..Tls::default() };
    assert_eq!(
        reason(Tls::default(), answering(b"", false).await).await,
        "ADDRESS closed the connection before the answer to the TLS hello: it speaks no TLS there, or wants to be asked \
         for a name: set sni"
    );
    assert_eq!(
        reason(named(), answering(b"", true).await).await,
        "ADDRESS reset the connection before the answer to the TLS hello: it speaks no TLS there, or does not know the \
         name that sni asks for"
    );
    assert_eq!(
        reason(named(), answering(b"\x16\x03\x03\x10", false).await).await,
        "ADDRESS closed the connection within the answer to the TLS hello, after 4 bytes"
    );
}

#[tokio::test]
async fn a_server_that_is_silent_or_slow_times_out() {
    let (listener, address) = listener(V4).await;
    let timeout = Duration::from_millis(200);
    let target = Target { timeout, ..target(Kind::Tls(Tls::default()), address) };
    assert_eq!(
        failure(&target).await,
        format!(
            "{address} took the connection but was silent: the answer to the TLS hello did not come within 200ms"
        )
    );
    tokio::spawn(async move {
        let mut streams = Vec::<TcpStream>::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"\x16\x03\x03\x01").await.unwrap();
            streams.push(stream);
        }
    });
    assert_eq!(
        failure(&target).await,
        format!("{address} is too slow: the answer to the TLS hello was incomplete after 200ms, 4 bytes")
    );
}

#[tokio::test]
async fn takes_leave_in_order() {
    let acceptor = self_signed(params(&[NAME])).0;
    let (address, server) = serve(V4, async move |stream: TcpStream| {
        acceptor.accept(stream).await.unwrap().read_to_end(&mut Vec::new()).await
    })
    .await;
    attempt(&target(Kind::Tls(Tls::default()), address)).await.unwrap();
    // Without close_notify this would be an error.
    assert_eq!(server.await.unwrap().unwrap(), 0);
}
