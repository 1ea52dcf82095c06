use super::{Attempt, reason, request};
use crate::kind::{BodyMatch, Http, HttpVersion, Method, Pattern, StatusSet, Tls};
use crate::probe::sample::server::{V4, listener, serve};
use crate::probe::sample::{attempt, dialogue, failure, target};
use crate::probe::tap::Tap;
use crate::probe::tls::sample::{params, self_signed};
use crate::probe::trace::Trace;
use crate::{Fault, Kind, Target};
use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

fn settings() -> Http {
    Http {
        tls: None,
        version: HttpVersion::Http11,
        method: Method::Get,
        path: "/health".to_owned(),
        host: Some("www.example".to_owned()),
        headers: Vec::new(),
        status: StatusSet::default(),
        body: None,
        body_limit: 65536,
    }
}

fn old() -> Http {
    Http { version: HttpVersion::Http10, host: None, ..settings() }
}

fn holding(text: &str) -> Http {
    Http { body: Some(BodyMatch::Contains(text.to_owned())), ..settings() }
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Answers one request with `pieces`, a segment each, and gives the request.
async fn answering(pieces: &[&str]) -> (SocketAddr, JoinHandle<String>) {
    let pieces: Vec<String> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
    serve(V4, async move |mut stream: TcpStream| {
        let head = read_head(&mut stream).await;
        for piece in pieces {
            stream.write_all(piece.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
        }
        head
    })
    .await
}

/// Takes one request and goes on as `rest` says.
async fn going_on<T: Send + 'static, F: Future<Output = T> + Send>(
    rest: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    serve(V4, async move |mut stream: TcpStream| {
        read_head(&mut stream).await;
        rest(stream).await
    })
    .await
}

fn probing(settings: Http, address: SocketAddr) -> Target {
    target(Kind::Http(settings), address)
}

/// The reason that an answer gives.
async fn reason_of(settings: Http, answer: &str) -> String {
    let (address, _) = answering(&[answer]).await;
    failure(&probing(settings, address)).await.replace(&address.to_string(), "ADDRESS")
}

async fn passes(settings: Http, pieces: &[&str]) {
    let (address, _) = answering(pieces).await;
    let passed = attempt(&probing(settings, address)).await;
    assert!(passed.is_ok(), "{pieces:?}: {passed:?}");
}

async fn request(settings: Http) -> (SocketAddr, String) {
    let (address, server) = answering(&["HTTP/1.1 200 OK\r\n\r\n"]).await;
    attempt(&probing(settings, address)).await.unwrap();
    (address, server.await.unwrap())
}

#[tokio::test]
async fn requests_are_as_they_are_set() {
    let agent = concat!("User-Agent: director/", env!("CARGO_PKG_VERSION"), "\r\nAccept: */*\r\n");
    let (_, head) = request(settings()).await;
    assert_eq!(
        head,
        format!("GET /health HTTP/1.1\r\nHost: www.example\r\n{agent}Connection: close\r\n\r\n")
    );

    let (_, head) = request(Http { method: Method::Head, ..old() }).await;
    assert_eq!(head, format!("HEAD /health HTTP/1.0\r\n{agent}\r\n"));

    let (address, head) = request(Http { method: Method::Post, host: None, ..settings() }).await;
    assert_eq!(
        head,
        format!(
            "POST /health HTTP/1.1\r\nHost: {address}\r\n{agent}Connection: close\r\nContent-Length: 0\r\n\r\n"
        )
    );

    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![header("Host", "b.example"), header("X-Probe", "1"), header("user-agent", "KEMP")];
    let (_, head) = request(Http { headers, host: Some("a.example".to_owned()), ..old() }).await;
    assert_eq!(
        head,
        "GET /health HTTP/1.0\r\nAccept: */*\r\nHost: b.example\r\nX-Probe: 1\r\nUser-Agent: KEMP\r\n\r\n"
    );
}

#[test]
fn the_host_is_the_address_unless_it_is_set() {
    let host = |tls: Option<Tls>, version, address: &str| {
        request::host(&Http { tls, version, host: None, ..settings() }, address.parse().unwrap())
    };
    let tls = Some(Tls::default());
    for (tls, address, expected) in [
        (None, "10.0.1.1:80", "10.0.1.1"),
        (None, "10.0.1.1:443", "10.0.1.1:443"),
        (tls.clone(), "10.0.1.1:443", "10.0.1.1"),
        (None, "[fd00::1]:80", "[fd00::1]"),
        (tls, "[fd00::1]:8443", "[fd00::1]:8443"),
    ] {
        assert_eq!(host(tls, HttpVersion::Http11, address).unwrap(), expected);
        assert_eq!(host(None, HttpVersion::Http10, address), None);
    }
}

#[tokio::test]
async fn requests_that_cannot_be_sent_are_told() {
    let (_listener, address) = listener(V4).await;
    let header = ("X-Probe".to_owned(), "1\r\nHost: evil".to_owned());
    for settings in [
        Http { path: "/a b".to_owned(), ..settings() },
        Http { headers: vec![header], ..settings() },
        Http { host: Some("a\r\nb".to_owned()), ..settings() },
    ] {
        let failure = attempt(&probing(settings, address)).await.unwrap_err();
        assert_eq!(failure.fault, Fault::Local);
        assert!(failure.reason.starts_with("the request cannot be made: "), "{failure}");
    }
}

#[tokio::test]
async fn good_statuses_pass() {
    for status in ["200 OK", "204 No Content", "301 Moved", "302 Found", "401 Unauthorized"] {
        passes(settings(), &[&format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n")]).await;
    }
    passes(Http { status: StatusSet(vec![404..=404]), ..settings() }, &["HTTP/1.0 404\r\n\r\n"]).await;
}

#[tokio::test]
async fn a_server_that_sends_a_byte_at_a_time_passes() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                  2\r\nre\r\n3;x=y\r\nady\r\n0\r\n\r\n";
    let (address, _) = going_on(async move |mut stream| {
        stream.set_nodelay(true).unwrap();
        for byte in answer.bytes() {
            stream.write_all(&[byte]).await.unwrap();
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    })
    .await;
    attempt(&probing(holding("ready"), address)).await.unwrap();
}

#[tokio::test]
async fn the_body_is_searched_however_it_comes() {
    let regex =
        |text: &str| Http { body: Some(BodyMatch::Matches(Pattern::new(text).unwrap())), ..settings() };
    passes(holding("is well"), &["HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nall ", "is well"]).await;
    passes(holding("is well"), &["HTTP/1.1 200 OK\r\n\r\nall is ", "well"]).await;
    passes(regex("^all .*l$"), &["HTTP/1.0 200 OK\r\n\r\nall is ", "well"]).await;
    assert_eq!(
        reason_of(holding("is well"), "HTTP/1.1 200 OK\r\n\r\n<html>\r\n\x1b[2Jno database").await,
        "HTTP/1.1 request got 200, but there is no \"is well\" in the body of 23 bytes, which begins \"<html> \\x1b[2Jno \
         database\""
    );
    assert_eq!(
        reason_of(regex("well$"), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await,
        "HTTP/1.1 request got 200, but there is nothing that matches /well$/ in the body, which is empty"
    );
    assert_eq!(
        reason_of(Http { body_limit: 4, ..holding("is well") }, "HTTP/1.1 200 OK\r\n\r\nall is well").await,
        "HTTP/1.1 request got 200, but there is no \"is well\" in the first 4 bytes of the body, which begins \"all \""
            .replace("\"all \"", "\"all\"")
    );
}

#[tokio::test]
async fn a_body_without_end_is_read_up_to_the_limit() {
    for head in ["HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
        let (address, server) = going_on(async move |mut stream| {
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut sent = 0_usize;
            while stream.write_all(&[b'x'; 65536]).await.is_ok() {
                sent += 65536;
            }
            sent
        })
        .await;
        let reason = failure(&probing(holding("ready"), address)).await;
        assert!(
            reason.starts_with(
                "HTTP/1.1 request got 200, but there is no \"ready\" in the first 65536 bytes of the body"
            ),
            "{reason}"
        );
        // What the sockets' buffers hold is sent, and no more.
        assert!(server.await.unwrap() < 100_000_000);
    }
}

#[tokio::test]
async fn each_status_says_what_it_means() {
    let http10 = "HTTP/1.0 request got ";
    let needs_host = "this server may need http 1.1 with a host header";
    for status in [400, 403, 404] {
        assert_eq!(
            reason_of(old(), &format!("HTTP/1.1 {status} No\r\n\r\n")).await,
            format!("{http10}{status}: {needs_host}")
        );
    }
    let address = || Http { host: None, ..settings() };
    let named = settings;
    for (settings, answer, words) in [
        (
            address(),
            "400 Bad",
            "this server may not know the host ADDRESS: set host to a name that it serves",
        ),
        (
            address(),
            "404 Not Found",
            "this server may not know the host ADDRESS, or have no /health: set host to a name that it serves",
        ),
        (
            named(),
            "400 Bad",
            "the server does not know the host www.example, or cannot make sense of the request: check host, path and headers",
        ),
        (
            named(),
            "403 Forbidden",
            "the server forbids /health: let the director have it, or probe another path",
        ),
        (named(), "404 Not Found", "there is no /health on www.example: check path and host"),
        (
            named(),
            "405 No\r\nAllow: HEAD, POST",
            "GET is not allowed for /health (it allows HEAD, POST): set another method",
        ),
        (
            named(),
            "421 Misdirected",
            "the server does not serve www.example on this connection: host and sni must be the same name, and one that it serves",
        ),
        (
            named(),
            "429 Slow down\r\nRetry-After: 30",
            "the server gets too many requests (it wants a pause of 30): probe less often, or exempt the director",
        ),
        (named(), "500 Oops", "the application failed at /health: see the server's log"),
        (named(), "502 Bad Gateway", "the server is a proxy itself, and got no proper answer from behind it"),
        (
            named(),
            "503 Unavailable",
            "the server is out of service or overloaded: a stopped application pool (IIS), or maintenance",
        ),
        (
            named(),
            "504 Timeout",
            "the server is a proxy itself, and what is behind it did not answer in time",
        ),
        (named(), "418 Teapot", "that status (I'm a teapot) is not in the list that passes"),
        (named(), "999 What", "that status is not in the list that passes"),
        (
            named(),
            "307 Elsewhere",
            "the answer is elsewhere, but it does not say where: add 307 to status if that is good",
        ),
        (
            named(),
            "308 Moved\r\nLocation: https://www.example/login?a=b",
            "it sends to https://www.example/login?a=b, and redirects are not followed: probe type https, path /login?a=b, or add 308 to status",
        ),
        (
            named(),
            "307 Moved\r\nLocation: http://other.example:8080/health",
            "it sends to http://other.example:8080/health, and redirects are not followed: probe host other.example, or add 307 to status",
        ),
        (
            named(),
            "307 Moved\r\nLocation: /health/",
            "it sends to /health/, and redirects are not followed: probe path /health/, or add 307 to status",
        ),
    ] {
        assert_eq!(
            reason_of(settings, &format!("HTTP/1.1 {answer}\r\n\r\n")).await,
            format!("HTTP/1.1 request got {}: {words}", &answer[..3])
        );
    }
    let only_ok = |settings| Http { status: StatusSet(vec![200..=200]), ..settings };
    assert_eq!(
        reason_of(only_ok(named()), "HTTP/1.1 401 Who\r\n\r\n").await,
        "HTTP/1.1 request got 401: /health needs a login: add 401 to status, or probe a path that needs none"
    );
    assert_eq!(
        reason_of(old(), "HTTP/1.1 426 Upgrade Required\r\n\r\n").await,
        format!("{http10}426: the server no longer takes HTTP/1.0: {needs_host}")
    );
}

#[tokio::test]
async fn what_is_not_http_is_shown() {
    for (answer, words) in [
        ("220 mail.example ESMTP\r\n", "ADDRESS speaks no HTTP: it answered \"220 mail.example ESMTP\""),
        ("<html>old</html>", "ADDRESS speaks no HTTP: it answered \"<html>old</html>\""),
        (
            "HTTP/1.1 twohundred\r\n\r\n",
            "ADDRESS does not speak proper HTTP (invalid HTTP status-code parsed): \"HTTP/1.1 twohundred\"",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "ADDRESS does not speak proper HTTP (invalid content-length parsed): \"HTTP/1.1 200 OK Content-Length: x\"",
        ),
    ] {
        assert_eq!(reason_of(settings(), answer).await, words);
    }
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n";
    let reason = reason_of(holding("ready"), chunks).await;
    assert!(reason.starts_with("ADDRESS does not speak proper HTTP: "), "{reason}");
}

#[tokio::test]
async fn tls_on_the_port_is_known() {
    let words = "HTTP/1.1 request got 400: this port speaks TLS: use type https";
    for body in [
        "<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>",
        "Client sent an HTTP request to an HTTPS server.\n",
    ] {
        assert_eq!(reason_of(settings(), &format!("HTTP/1.1 400 Bad Request\r\n\r\n{body}")).await, words);
    }
    assert_eq!(
        reason_of(settings(), "\x15\x03\x01\0\x02\x02\x46").await,
        "ADDRESS answered by TLS: this port speaks TLS: use type https"
    );
    let https = Http { tls: Some(Tls::default()), ..settings() };
    let (address, _) = serve(V4, async |mut stream: TcpStream| {
        stream.read_buf(&mut Vec::with_capacity(4096)).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    })
    .await;
    assert_eq!(
        failure(&probing(https, address)).await,
        format!("{address} speaks HTTP without TLS: use type http, or its port for TLS")
    );
}

#[tokio::test]
async fn an_early_end_says_where_and_why() {
    assert_eq!(
        reason_of(old(), "").await,
        "ADDRESS closed the connection before the answer: this server may need http 1.1 with a host header, or this port \
         speaks TLS (type https)"
    );
    assert_eq!(
        reason_of(Http { host: None, ..settings() }, "").await,
        "ADDRESS closed the connection before the answer: it may not know the host ADDRESS: set host to a name that it \
         serves, or its port speaks TLS (type https)"
    );
    assert_eq!(
        reason_of(settings(), "HTTP/1.1 200 OK\r\nServer").await,
        "ADDRESS closed the connection within the answer, after 23 bytes"
    );
    assert_eq!(
        reason_of(holding("ready"), "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nread").await,
        "ADDRESS closed the connection before the rest of the body"
    );
    let (address, _) = going_on(async |stream| stream.set_zero_linger().unwrap()).await;
    let failure = attempt(&probing(settings(), address)).await.unwrap_err();
    assert_eq!(failure.fault, Fault::Reset);
    assert_eq!(
        failure.to_string(),
        format!(
            "{address} reset the connection before the answer: it may not know the host www.example, or its port speaks \
             TLS (type https)"
        )
    );
}

#[tokio::test]
async fn headers_without_end_are_cut_off() {
    for line in ["X-Filler: 0123456789\r\n", "0123456789"] {
        let (address, _) = going_on(async move |mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nA: ").await;
            while stream.write_all(line.as_bytes()).await.is_ok() {}
        })
        .await;
        assert_eq!(
            failure(&probing(settings(), address)).await,
            format!("{address} sends headers without end: more than 128 of them, or 32 KiB")
        );
    }
    let (address, _) = going_on(async |mut stream| {
        while stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let timeout = Duration::from_millis(300);
    let failure = attempt(&Target { timeout, ..probing(settings(), address) }).await.unwrap_err();
    assert_eq!(failure.fault, Fault::TimedOut);
}

#[tokio::test]
async fn silence_and_slowness_time_out() {
    let timeout = Duration::from_millis(200);
    for (start, words) in [
        ("", "took the connection but was silent: the answer did not come within 200ms"),
        ("HTTP/1.1", "is too slow: the answer was incomplete after 200ms, 8 bytes"),
        ("HTTP/1.1 200 OK\r\n\r\n", "took the connection but was silent: the body did not come within 200ms"),
        (
            "HTTP/1.1 200 OK\r\n\r\nrea",
            "took the connection but was silent: the rest of the body did not come within 200ms",
        ),
    ] {
        let (address, _) = going_on(async move |mut stream| {
            stream.write_all(start.as_bytes()).await.unwrap();
            let _ = stream.read_u8().await;
        })
        .await;
        let target = Target { timeout, ..probing(holding("ready"), address) };
        assert_eq!(failure(&target).await, format!("{address} {words}"));
    }
}

async fn serve_tls(answer: &'static str, manners: bool) -> SocketAddr {
    async fn leave(mut stream: impl AsyncWrite + Unpin) {
        stream.shutdown().await.unwrap();
    }
    let acceptor = self_signed(params(&["www.example"])).0;
    let (address, _) = serve(V4, async move |stream: TcpStream| {
        let mut stream = acceptor.accept(stream).await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        if manners { leave(stream).await } else { leave(stream.into_inner().0).await }
    })
    .await;
    address
}

#[tokio::test]
async fn https_is_http_within_tls() {
    let https = |settings| Http { tls: Some(Tls::default()), ..settings };
    for manners in [true, false] {
        let address = serve_tls("HTTP/1.1 200 OK\r\n\r\nall is well", manners).await;
        let (result, lines) = dialogue(&probing(https(holding("well")), address)).await;
        result.unwrap();
        assert_eq!(lines[0], "* TLS hello, asking for no name");
        assert!(lines[2].starts_with("> GET /health HTTP/1.1\\r\\nHost: www.example\\r\\n"), "{lines:?}");
        assert_eq!(lines[3], "< HTTP/1.1 200 OK\\r\\n\\r\\nall is well");
    }
    let address = serve_tls("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nall is well", false).await;
    assert_eq!(
        failure(&probing(https(holding("ready")), address)).await,
        format!("{address} closed the connection before the rest of the body")
    );
}

/// Answers that are HTTP in parts, and bytes of any kind.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let parts = [
        &b"HTTP/1.1 "[..],
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"307 ",
        b"404",
        b"999 \xff",
        b"Location: https://[::1/\x80\r\n",
        b"Location: //\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"ffffffffffffffff\r\n",
        b"5\r\n",
        b"ready",
        b"\r\n",
        b"\n",
        b":",
    ];
    let part = prop_oneof![
        4 => proptest::sample::select(parts.map(<[u8]>::to_vec).to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn whatever_comes_has_an_outcome(answer in answers()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let target = probing(holding("ready"), "10.0.1.1:80".parse().unwrap());
        let result = runtime.block_on(async {
            let (stream, mut server) = tokio::io::duplex(65536);
            server.write_all(&answer).await.unwrap();
            server.shutdown().await.unwrap();
            let (settings, trace) = (holding("ready"), Trace::quiet());
            let attempt = Attempt { target: &target, settings: &settings, trace: &trace };
            let request = request::build(&settings, target.address).unwrap();
            attempt.exchange(&mut Tap::new(stream, &trace), request).await
        });
        match result {
            Ok(()) => prop_assert!(reason::contains(&answer, b"ready")),
            Err(failure) => {
                let reason = failure.to_string();
                prop_assert!(reason.len() < 2_000 && !reason.chars().any(char::is_control), "{reason}");
            }
        }
    }
}
