mod connections;
mod persistence;
mod redundancy;

use super::listen::Listeners;
use super::*;
use crate::command::error::CommandError;
use crate::command::{DrainRequest, OverrideChange};
use crate::fake::ControlLoop;
use crate::sample;
use crate::status::{ServiceStatus, Status};
use crate::trial::Trial;
use director_core::overrides::{AtDeadline, ReturningClients};
use director_core::ports::{PortSelection, PortState};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The API on both listeners, in front of a fake control loop.
struct Served {
    folder: TempDir,
    tcp: SocketAddr,
    control: ControlLoop,
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

struct Answer {
    status: StatusCode,
    headers: hyper::HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    fn problem(&self) -> Problem {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{:?}", self.body);
        let problem: Problem = serde_json::from_value(self.json()).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        assert_eq!(problem.r#type, format!("urn:director:{}", problem.title.replace(' ', "-")));
        assert!(!problem.detail.is_empty());
        problem
    }
}

fn settings(folder: &TempDir) -> ApiSettings {
    let listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    ApiSettings { socket: folder.path().join("run/director.sock"), group: None, listen }
}

impl Served {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listeners = Listeners::bind(&settings(&folder)).await.unwrap();
        let tcp = listeners.tcp_address().unwrap();
        let (control, handle) = ControlLoop::start();
        let (shutdown, stopped) = oneshot::channel();
        let server = tokio::spawn(listeners.serve(handle, Registry::new(), async {
            let _ = stopped.await;
        }));
        Self { folder, tcp, control, shutdown, server }
    }

    fn socket(&self) -> PathBuf {
        settings(&self.folder).socket
    }

    /// Asks over the Unix socket.
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        exchange(UnixStream::connect(self.socket()).await.unwrap(), method, path, headers, body).await
    }

    /// Asks over TCP, with the headers given and no other.
    async fn ask_tcp(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        exchange(TcpStream::connect(self.tcp).await.unwrap(), method, path, headers, body).await
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

const HOST: (&str, &str) = ("host", "localhost");
const JSON: (&str, &str) = ("content-type", "application/json");
const EXCHANGE1: &str = "/v1/services/exchange/servers/exchange1";

#[tokio::test]
async fn both_listeners_show_the_same_picture() {
    let served = Served::start().await;
    let exchange = &sample::status().services[0];
    for path in ["/v1/status", "/v1/services", "/v1/services/exchange"] {
        let answer = served.ask("GET", path, &[HOST], b"").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.headers[header::CONTENT_TYPE], JSON.1, "{path}");
        assert_eq!(answer.body, served.ask_tcp("GET", path, &[HOST], b"").await.body, "{path}");
        match path {
            "/v1/status" => {
                assert_eq!(serde_json::from_slice::<Status>(&answer.body).unwrap(), sample::status());
            }
            "/v1/services" => {
                assert_eq!(answer.json(), serde_json::to_value(sample::status().services).unwrap());
            }
            _ => assert_eq!(&serde_json::from_slice::<ServiceStatus>(&answer.body).unwrap(), exchange),
        }
    }
}

#[tokio::test]
async fn probes_are_tried_on_demand() {
    let served = Served::start().await;
    for query in ["", "?probe=rdp"] {
        let answer = served.ask("POST", &format!("{EXCHANGE1}/probe{query}"), &[HOST], b"").await;
        assert_eq!(answer.status, StatusCode::OK);
        let trial: Trial = serde_json::from_value(answer.json()).unwrap();
        assert_eq!((trial.service.as_str(), trial.server.as_str()), ("exchange", "exchange1"));
        assert_eq!((trial.up, trial.required, trial.probes.len()), (false, 1, 1));
        let tried = &trial.probes[0];
        assert_eq!(
            (tried.probe.as_str(), tried.target.as_str(), tried.passed),
            ("rdp", "127.0.0.1:1", false)
        );
        assert_eq!(tried.fault.as_deref(), Some("refused"));
        assert_eq!(tried.reason.as_deref(), Some("connection refused: nothing listens on 127.0.0.1:1"));
    }
    let answer = served.ask("POST", &format!("{EXCHANGE1}/probe?probe=mail"), &[HOST], b"").await;
    assert_eq!(answer.problem().detail, "exchange/exchange1 has no probe named \"mail\": it has rdp");
}

#[tokio::test]
async fn the_last_attempts_of_a_servers_probes_are_told() {
    let served = Served::start().await;
    let answer = served.ask("GET", &format!("{EXCHANGE1}/probes"), &[HOST], b"").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!([{
            "name": "rdp", "state": "up", "reason": "passed", "fault": null,
            "note": "the certificate ends in 5 days", "weight": null, "slow": false, "damped": false,
            "since": "2026-01-31T12:00:00Z", "latency_micros": 1500, "attempts": 100, "failures": 3,
            "faults": {"refused": 2, "timed-out": 1}, "results": "..............x.....",
            "latencies": {"least_micros": 1200, "mean_micros": 1400, "greatest_micros": 1500},
            "history": [
                {"at": "2026-01-31T12:34:54.789Z", "passed": false, "fault": "refused",
                 "reason": "connection refused", "latency_micros": 210},
                {"at": "2026-01-31T12:34:56.789Z", "passed": true, "fault": null,
                 "reason": "the certificate ends in 5 days", "latency_micros": 1500},
            ],
        }])
    );
}

#[tokio::test]
async fn both_listeners_show_the_metrics() {
    let served = Served::start().await;
    for answer in [
        served.ask("GET", "/metrics", &[HOST], b"").await,
        served.ask_tcp("GET", "/metrics", &[HOST], b"").await,
    ] {
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
        let text = std::str::from_utf8(&answer.body).unwrap();
        assert!(
            text.contains("\ndirector_server_weight{service=\"exchange\",server=\"exchange2\"} 0\n"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn changes_reach_the_control_loop() {
    let served = Served::start().await;
    let exact = ("content-type", "Application/JSON; charset=utf-8");
    for (method, action, headers, body, change) in [
        (
            "PUT",
            "weight",
            &[HOST, JSON][..],
            &br#"{"weight":0}"#[..],
            OverrideChange::Weight { weight: 0, seconds: None },
        ),
        (
            "PUT",
            "weight",
            &[HOST, exact],
            br#" { "weight" : 65535 } "#,
            OverrideChange::Weight { weight: 65535, seconds: None },
        ),
        ("POST", "drain", &[HOST], b"", OverrideChange::Drain(DrainRequest::default())),
        (
            "PUT",
            "weight",
            &[HOST, JSON],
            br#"{"weight":3,"seconds":1800}"#,
            OverrideChange::Weight { weight: 3, seconds: Some(1800) },
        ),
        (
            "POST",
            "drain",
            &[HOST, JSON],
            br#"{"deadline_seconds":600,"at_deadline":"cut","returning_clients":"move"}"#,
            OverrideChange::Drain(DrainRequest {
                deadline_seconds: Some(600),
                at_deadline: AtDeadline::Cut,
                returning_clients: Some(ReturningClients::Move),
            }),
        ),
        ("POST", "enable", &[HOST, JSON], b"{}", OverrideChange::Enable),
        ("POST", "reset", &[HOST, JSON], b"", OverrideChange::Reset),
    ] {
        let path = format!("{EXCHANGE1}/{action}");
        let expected = [("exchange".to_owned(), "exchange1".to_owned(), change)];
        let answer = served.ask(method, &path, headers, body).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::NO_CONTENT, 0), "{path}");
        assert_eq!(served.control.take_changes(), expected, "{path}");
        assert_eq!(
            served.ask_tcp(method, &path, headers, body).await.status,
            StatusCode::NO_CONTENT,
            "{path}"
        );
        assert_eq!(served.control.take_changes(), expected, "{path}");
    }
    assert_eq!(served.ask("POST", "/v1/reload", &[HOST], b"").await.status, StatusCode::NO_CONTENT);
    assert_eq!(served.ask_tcp("POST", "/v1/reload", &[HOST], b"").await.status, StatusCode::NO_CONTENT);
    assert_eq!(served.control.reloads(), 2);
}

#[tokio::test]
async fn names_are_decoded() {
    let served = Served::start().await;
    let answer = served.ask("POST", "/v1/services/%65xchange/servers/exchange1/drain", &[HOST], b"").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(served.control.take_changes()[0].0, "exchange");
}

/// Method, path, headers, body, and what is wrong with it.
type BadCall<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, Kind);

/// Every bad call gets its problem, changes nothing, and leaves the director as it was.
#[tokio::test]
async fn bad_calls_are_refused_in_words() {
    let weight = format!("{EXCHANGE1}/weight");
    let drain = format!("{EXCHANGE1}/drain");
    let deep = "[".repeat(10_000);
    let large = format!("{{\"weight\":1{}}}", " ".repeat(64 * 1024));
    let text = ("content-type", "text/plain");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let j = &[HOST, JSON][..];
    let h = &[HOST][..];
    #[rustfmt::skip]
    let calls: &[BadCall<'_>] = &[
        ("GET", "/", h, "", Kind::UnknownResource),
        ("GET", "/v1", h, "", Kind::UnknownResource),
        ("GET", "/v1/status/", h, "", Kind::UnknownResource),
        ("GET", "/v2/status", h, "", Kind::UnknownResource),
        ("GET", "/v1/../v1/status", h, "", Kind::UnknownResource),
        ("GET", "/v1/services/exchange/servers", h, "", Kind::UnknownResource),
        ("GET", "/V1/STATUS", h, "", Kind::UnknownResource),
        ("POST", "/v1/status", h, "", Kind::MethodNotAllowed),
        ("DELETE", "/v1/services/exchange", h, "", Kind::MethodNotAllowed),
        ("GET", "/v1/reload", h, "", Kind::MethodNotAllowed),
        ("POST", "/metrics", h, "", Kind::MethodNotAllowed),
        ("GET", &weight, h, "", Kind::MethodNotAllowed),
        ("POST", &weight, j, r#"{"weight":0}"#, Kind::MethodNotAllowed),
        ("BREW", &drain, h, "", Kind::MethodNotAllowed),
        ("GET", "/v1/services/%ff", h, "", Kind::MalformedPath),
        ("POST", "/v1/services/exchange/servers/%c3%28/drain", h, "", Kind::MalformedPath),
        ("GET", "/v1/services/exchagne", h, "", Kind::UnknownService),
        ("GET", "/v1/services/Exchange", h, "", Kind::UnknownService),
        ("GET", "/v1/services/a%00b", h, "", Kind::UnknownService),
        ("PUT", "/v1/services/smtp/servers/exchange1/weight", j, r#"{"weight":0}"#, Kind::UnknownService),
        ("POST", "/v1/services/exchange/servers/exchange3/drain", h, "", Kind::UnknownServer),
        ("POST", "/v1/services/exchange/servers/..%2Fexchange1/reset", h, "", Kind::UnknownServer),
        ("GET", "/v1/services/smtp/servers/exchange1/probes", h, "", Kind::UnknownService),
        ("GET", "/v1/services/exchange/servers/exchange3/probes", h, "", Kind::UnknownServer),
        ("POST", "/v1/services/exchange/servers/exchange1/probes", h, "", Kind::MethodNotAllowed),
        ("GET", "/v1/services/exchange/servers/exchange1/probe", h, "", Kind::MethodNotAllowed),
        ("POST", "/v1/services/smtp/servers/exchange1/probe", h, "", Kind::UnknownService),
        ("POST", "/v1/services/exchange/servers/exchange3/probe", h, "", Kind::UnknownServer),
        ("POST", "/v1/services/exchange/servers/exchange1/probe?probe=x", h, "", Kind::UnknownProbe),
        ("POST", "/v1/services/exchange/servers/exchange1/probe?prode=x", h, "", Kind::InvalidParameter),
        ("PUT", &weight, h, r#"{"weight":0}"#, Kind::NotJson),
        ("PUT", &weight, &[HOST, text], r#"{"weight":0}"#, Kind::NotJson),
        ("PUT", &weight, &[HOST, form], "weight=0", Kind::NotJson),
        ("POST", &drain, &[HOST, form], "a=b", Kind::NotJson),
        ("POST", "/v1/reload", &[HOST, text], "{}", Kind::NotJson),
        ("PUT", &weight, j, "", Kind::MalformedJson),
        ("PUT", &weight, j, "{", Kind::MalformedJson),
        ("PUT", &weight, j, "weight: 0", Kind::MalformedJson),
        ("PUT", &weight, j, r#"{"weight":0} trailing"#, Kind::MalformedJson),
        ("PUT", &weight, j, r#"{"weight":NaN}"#, Kind::MalformedJson),
        ("POST", &drain, j, &deep, Kind::MalformedJson),
        ("PUT", &weight, j, "null", Kind::InvalidBody),
        ("PUT", &weight, j, "{}", Kind::InvalidBody),
        ("PUT", &weight, j, "[0]", Kind::InvalidBody),
        ("POST", &drain, j, "[]", Kind::InvalidBody),
        ("PUT", &weight, j, r#"{"weight":-1}"#, Kind::InvalidBody),
        ("PUT", &weight, j, r#"{"weight":65536}"#, Kind::InvalidBody),
        ("PUT", &weight, j, r#"{"weight":1.5}"#, Kind::InvalidBody),
        ("PUT", &weight, j, r#"{"weight":1e99}"#, Kind::InvalidBody),
        ("PUT", &weight, j, r#"{"weight":"1"}"#, Kind::InvalidBody),
        ("PUT", &weight, j, r#"{"weight":1,"weight":2}"#, Kind::InvalidBody),
        ("PUT", &weight, j, r#"{"wieght":1}"#, Kind::InvalidBody),
        ("POST", &drain, j, r#"{"deadline":"10m"}"#, Kind::InvalidBody),
        ("POST", &drain, j, r#"{"deadline_seconds":"10m"}"#, Kind::InvalidBody),
        ("POST", &drain, j, r#"{"deadline_seconds":0}"#, Kind::InvalidBody),
        ("POST", &drain, j, r#"{"deadline_seconds":31536001}"#, Kind::InvalidBody),
        ("POST", &drain, j, r#"{"at_deadline":"kill"}"#, Kind::InvalidBody),
        ("POST", &drain, j, r#"{"returning_clients":true}"#, Kind::InvalidBody),
        ("PUT", &weight, j, &large, Kind::BodyTooLarge),
        ("POST", &drain, j, &large, Kind::BodyTooLarge),
    ];
    let served = Served::start().await;
    for (method, path, headers, body, kind) in calls {
        for answer in [
            served.ask(method, path, headers, body.as_bytes()).await,
            served.ask_tcp(method, path, headers, body.as_bytes()).await,
        ] {
            let call = format!("{method} {path} {:?}", &body[..body.len().min(80)]);
            let (status, title) = kind.describe();
            assert_eq!((answer.status, answer.problem().title.as_str()), (status, title), "{call}");
            assert_eq!(served.control.take_changes(), [], "{call}");
        }
    }
    assert_eq!(served.control.reloads(), 0);
    assert_eq!(served.ask("GET", "/v1/status", &[HOST], b"").await.status, StatusCode::OK);
}

#[tokio::test]
async fn problems_say_what_to_do() {
    let served = Served::start().await;
    let weight = format!("{EXCHANGE1}/weight");
    let answer = served.ask("PUT", &weight, &[HOST, JSON], br#"{"weight":70000}"#).await;
    assert_eq!(
        answer.json(),
        json!({
            "type": "urn:director:invalid-body",
            "title": "invalid body",
            "status": 422,
            "detail": "a weight is a whole number from 0 to 65535 at line 1 column 16",
        })
    );
    let answer = served.ask("GET", "/v1/services/exchagne", &[HOST], b"").await;
    assert_eq!(answer.problem().detail, "there is no service named \"exchagne\"");
    assert_eq!(answer.problem().hint.as_deref(), Some("did you mean \"exchange\"?"));
    let answer = served.ask("DELETE", &weight, &[HOST], b"").await;
    assert_eq!(answer.headers[header::ALLOW], "PUT");
}

#[tokio::test]
async fn failures_of_the_director_are_problems() {
    let served = Served::start().await;
    let drain = format!("{EXCHANGE1}/drain");
    for (error, kind) in [
        (CommandError::Kernel("table inet director: busy".into()), Kind::KernelRefused),
        (CommandError::State("no space left on device".into()), Kind::NotRecorded),
    ] {
        served.control.refuse_changes(error);
        let problem = served.ask("POST", &drain, &[HOST], b"").await.problem();
        assert_eq!(
            problem,
            Problem { detail: problem.detail.clone(), hint: problem.hint.clone(), ..Problem::new(kind, "") }
        );
    }
    served.control.refuse_reloads("director.yaml:1:1: error: unknown key");
    let problem = served.ask("POST", "/v1/reload", &[HOST], b"").await.problem();
    assert_eq!((problem.title.as_str(), problem.status), ("configuration refused", 422));
    assert_eq!(problem.detail, "director.yaml:1:1: error: unknown key");
}

#[tokio::test]
async fn without_a_control_loop_every_route_says_so() {
    let Served { folder: _folder, tcp, control, shutdown: _running, .. } = Served::start().await;
    control.stop().await;
    for (method, path) in [
        ("GET", "/v1/status"),
        ("GET", "/v1/services"),
        ("GET", "/v1/services/exchange"),
        ("GET", "/metrics"),
        ("GET", "/v1/services/exchange/servers/exchange1/probes"),
        ("POST", "/v1/reload"),
        ("POST", "/v1/services/exchange/servers/exchange1/drain"),
        ("POST", "/v1/services/exchange/servers/exchange1/probe"),
    ] {
        let stream = TcpStream::connect(tcp).await.unwrap();
        let answer = exchange(stream, method, path, &[HOST], b"").await;
        assert_eq!((answer.status.as_u16(), answer.problem().title.as_str()), (503, "stopping"), "{path}");
    }
}

#[tokio::test]
async fn web_pages_are_kept_out_of_the_tcp_listener() {
    let served = Served::start().await;
    let drain = format!("{EXCHANGE1}/drain");
    let port = served.tcp.port();
    let origin = ("origin", "https://example.org");
    let own_origin = format!("http://127.0.0.1:{port}");
    for (path, headers, kind) in [
        (&*drain, &[HOST, origin][..], Kind::CrossSite),
        (&drain, &[HOST, ("origin", "null")], Kind::CrossSite),
        (&drain, &[HOST, ("origin", &own_origin)], Kind::CrossSite),
        (&drain, &[("host", "rebound.example.org")], Kind::ForeignHost),
        (&drain, &[("host", "10.0.0.1")], Kind::ForeignHost),
        (&drain, &[HOST, ("host", "example.org")], Kind::ForeignHost),
        (&drain, &[], Kind::ForeignHost),
        ("http://example.org/v1/reload", &[HOST], Kind::ForeignHost),
    ] {
        let answer = served.ask_tcp("POST", path, headers, b"").await;
        let (status, title) = kind.describe();
        assert_eq!((answer.status, answer.problem().title.as_str()), (status, title), "{path} {headers:?}");
    }
    let answer = served.ask_tcp("GET", "/v1/status", &[("host", "rebound.example.org")], b"").await;
    assert_eq!(answer.problem().title, "foreign host");
    assert_eq!((served.control.take_changes(), served.control.reloads()), (vec![], 0));
    let host = format!("127.0.0.1:{port}");
    let answer = served.ask_tcp("POST", &drain, &[("host", &host)], b"").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn what_is_no_http_ends_the_connection_only() {
    let served = Served::start().await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000));
    for text in
        ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", &long]
    {
        let mut stream = UnixStream::connect(served.socket()).await.unwrap();
        let _ = stream.write_all(text.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{:?}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(served.ask("GET", "/v1/status", &[HOST], b"").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_breaks_off_changes_nothing() {
    let served = Served::start().await;
    let mut stream = UnixStream::connect(served.socket()).await.unwrap();
    let head = format!(
        "PUT {EXCHANGE1}/weight HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"weight\":0}}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(!answer.contains("204"), "{answer}");
    assert_eq!(served.ask("GET", "/v1/status", &[HOST], b"").await.status, StatusCode::OK);
    assert_eq!(served.control.take_changes(), []);
}

/// The clock stands still and jumps to the next deadline when nothing else is left to do.
#[tokio::test(start_paused = true)]
async fn slow_heads_and_slow_bodies_are_given_up() {
    let served = Served::start().await;
    let mut stream = UnixStream::connect(served.socket()).await.unwrap();
    stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: ").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{answer:?}");

    let mut stream = UnixStream::connect(served.socket()).await.unwrap();
    let head = format!("POST {EXCHANGE1}/drain HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(served.control.take_changes(), []);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_and_are_served() {
    let served = Served::start().await;
    let mut idle = Vec::new();
    for _ in 0..64 {
        idle.push(TcpStream::connect(served.tcp).await.unwrap());
    }
    // The socket has a limit of its own, so nobody on TCP keeps the operator out.
    assert_eq!(served.ask("GET", "/v1/status", &[HOST], b"").await.status, StatusCode::OK);
    let waiting = served.ask_tcp("GET", "/v1/status", &[HOST], b"");
    tokio::pin!(waiting);
    tokio::select! {
        biased;
        answer = &mut waiting => panic!("served beyond the limit: {}", answer.status),
        () = tokio::task::yield_now() => {}
    }
    drop(idle);
    assert_eq!(waiting.await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_socket_is_roots_and_the_groups() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&folder);
    let root = nix::unistd::geteuid().is_root();
    settings.group = root.then(|| "daemon".to_owned());
    let _listeners = Listeners::bind(&settings).await.unwrap();
    let metadata = std::fs::metadata(&settings.socket).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o660);
    assert_eq!(metadata.uid(), nix::unistd::geteuid().as_raw());
    if root {
        let group = nix::unistd::Group::from_name("daemon").unwrap().unwrap();
        assert_eq!(metadata.gid(), group.gid.as_raw());
    }
}

#[tokio::test]
async fn a_group_that_does_not_exist_leaves_the_socket_to_root() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&folder);
    settings.group = Some("no-such-group".into());
    let _listeners = Listeners::bind(&settings).await.unwrap();
    let metadata = std::fs::metadata(&settings.socket).unwrap();
    assert_eq!(metadata.gid(), nix::unistd::getegid().as_raw());
}

/// The second director of a node with the same file must hear of the first one, not of a port.
#[tokio::test]
async fn a_running_director_is_named_before_its_port() {
    let served = Served::start().await;
    let settings = ApiSettings { listen: Some(served.tcp), ..settings(&served.folder) };
    assert!(matches!(Listeners::bind(&settings).await.unwrap_err(), BindError::Running(_)));
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_respected() {
    let served = Served::start().await;
    let error = Listeners::bind(&settings(&served.folder)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("another director is running: it answers on {}", served.socket().display())
    );
    assert_eq!(served.ask("GET", "/v1/status", &[HOST], b"").await.status, StatusCode::OK);

    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    std::fs::create_dir(settings.socket.parent().unwrap()).unwrap();
    drop(UnixListener::bind(&settings.socket).unwrap());
    let _listeners = Listeners::bind(&settings).await.unwrap();
    UnixStream::connect(&settings.socket).await.unwrap();
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    std::fs::create_dir(settings.socket.parent().unwrap()).unwrap();
    std::fs::write(&settings.socket, "precious").unwrap();
    assert!(matches!(Listeners::bind(&settings).await.unwrap_err(), BindError::NoSocket(_)));
    assert_eq!(std::fs::read_to_string(&settings.socket).unwrap(), "precious");
}

#[tokio::test]
async fn only_loopback_addresses_are_listened_on() {
    for address in ["0.0.0.0:0", "192.168.1.33:9100", "[::]:0", "[::ffff:127.0.0.1]:0"] {
        let folder = tempfile::tempdir().unwrap();
        let settings = ApiSettings { listen: Some(address.parse().unwrap()), ..settings(&folder) };
        let error = Listeners::bind(&settings).await.unwrap_err();
        assert!(matches!(error, BindError::NotLoopback(_)), "{address}: {error}");
        assert!(!settings.socket.exists());
    }
}

#[tokio::test]
async fn a_port_in_use_is_an_error_with_its_address() {
    let served = Served::start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = ApiSettings { listen: Some(served.tcp), ..settings(&folder) };
    let error = Listeners::bind(&settings).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {} (api.listen)", served.tcp));
}

#[tokio::test]
async fn shutdown_ends_idle_connections_and_removes_the_socket() {
    let served = Served::start().await;
    let mut idle = UnixStream::connect(served.socket()).await.unwrap();
    idle.write_all(b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    idle.read_u8().await.unwrap();
    served.shutdown.send(()).unwrap();
    served.server.await.unwrap();
    idle.read_to_end(&mut Vec::new()).await.unwrap();
    assert!(!settings(&served.folder).socket.exists());
    assert!(TcpStream::connect(served.tcp).await.is_err());
}

#[test]
fn every_problem_is_documented() {
    let reference = include_str!("../../../docs/api.md");
    for kind in Kind::ALL {
        let (status, title) = kind.describe();
        assert!(reference.contains(&format!("| `{title}` | {} |", status.as_u16())), "{title}");
    }
}

#[tokio::test]
async fn an_explanation_wants_a_client_and_an_address_of_one_family() {
    let served = Served::start().await;
    let ask = |query: &str| format!("/v1/explain?{query}");
    let good = "client=198.51.100.7&address=192.168.1.35&port=443";
    for query in [good.to_owned(), format!("{good}&protocol=tcp&client_port=4000")] {
        let answer = served.ask("GET", &ask(&query), &[HOST], b"").await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        assert_eq!(answer.json()["answer"]["outcome"], "one-of");
        assert_eq!(answer.json()["servers"].as_array().unwrap().len(), 2);
    }
    for query in [
        "client=198.51.100.7&address=192.168.1.35".to_owned(),
        "client=exchange1&address=192.168.1.35&port=443".to_owned(),
        "client=2001:db8::7&address=192.168.1.35&port=443".to_owned(),
        format!("{good}&protocol=icmp"),
        format!("{good}&server=exchange1"),
        format!("{good}0000"),
    ] {
        let problem = served.ask("GET", &ask(&query), &[HOST], b"").await.problem();
        assert_eq!((problem.status, problem.title.as_str()), (400, "invalid parameter"), "{query}");
    }
}

#[tokio::test]
async fn states_of_ports_are_set_and_dropped() {
    let served = Served::start().await;
    let ports = |text: &str| text.parse::<PortSelection>().unwrap();
    let (put, delete) = ("PUT", "DELETE");
    for (method, path, body, change) in [
        (put, "25", &br#"{"state": "drained"}"#[..], (ports("25"), Some(PortState::Drained))),
        (put, "tcp/25", br#"{"state": "disabled"}"#, (ports("tcp/25"), Some(PortState::Disabled))),
        (put, "tcp%2F25", br#"{"state": "enabled"}"#, (ports("tcp/25"), Some(PortState::Enabled))),
        (delete, "25", b"", (ports("25"), None)),
        (delete, "tcp/25", b"{}", (ports("tcp/25"), None)),
    ] {
        let path = format!("/v1/services/exchange/ports/{path}");
        let answer = served.ask(method, &path, &[HOST, JSON], body).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{path} {:?}", answer.body);
        assert_eq!(served.control.take_ports(), [("exchange".to_owned(), change.0, change.1)]);
    }
    for (path, body, title, hint) in [
        ("26", &br#"{"state": "drained"}"#[..], "unknown port", "it has tcp 25"),
        ("0", br#"{"state": "drained"}"#, "malformed path", "write 80, tcp/80, udp/53 or 1000-1010"),
        ("sctp/25", br#"{"state": "drained"}"#, "malformed path", "write 80, tcp/80"),
        ("25", br#"{"state": "closed"}"#, "invalid body", ""),
        ("25", b"{}", "invalid body", ""),
    ] {
        let path = format!("/v1/services/exchange/ports/{path}");
        let problem = served.ask(put, &path, &[HOST, JSON], body).await.problem();
        assert_eq!(problem.title, title, "{path}");
        assert!(problem.hint.unwrap_or_default().starts_with(hint), "{path}");
    }
    assert!(served.control.take_ports().is_empty());
}
