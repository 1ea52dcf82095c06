//! What probes say of servers that misbehave: the table in `docs/health.md`.
//!
//! With `UPDATE=1` in the environment the table is written anew; read the difference before you keep it.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that reads and writes a document"
)]

#[path = "faults/server.rs"]
mod server;

use health::kind::{BodyMatch, Dns, StatusSet, Tls};
use health::kind::{Exec, ExitMeaning, Http, HttpVersion, Kind, Method, Rdp, Reply, Smtp, SmtpSecurity, Udp};
use health::probe::trace::Trace;
use health::probe::{Resources, attempt};
use health::{Origin, Outcome, Pace, Policy, Start, Target};
use regex::Regex;
use server::{FLAWS, Flaw, Script, Server, start};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::UdpSocket;

/// Short, as most faults last as long as it does.
const TIMEOUT: Duration = Duration::from_millis(500);
/// What a probe may have read of something that never ends: its own limits, and what sockets hold.
const READ_LIMIT: usize = 24 << 20;

const BEGIN: &str = "<!-- faults: begin -->\n";
const END: &str = "<!-- faults: end -->";

#[tokio::test]
async fn every_fault_has_its_reason_in_time() {
    let mut table = String::from("| probe | fault | reason |\n|---|---|---|\n");
    for (name, kind, script, flaws) in talkers() {
        for (flaw, fault) in flaws {
            let server = start(script, *flaw).await.unwrap();
            let outcome = probe(kind.clone(), server.address).await;
            check_bounds(name, fault, &outcome, &server);
            row(&mut table, name, fault, &outcome, server.address);
        }
    }
    for (name, kind, fault, answer) in datagrams() {
        let (address, _server) = datagram_server(answer).await;
        let outcome = probe(kind, address).await;
        row(&mut table, name, fault, &outcome, address);
    }
    for (fault, command) in programs() {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let outcome = probe(exec(&command), address).await;
        row(&mut table, "exec", fault, &outcome, address);
    }
    compare(&table);
}

/// A flaw and what it is called.
type Named = (Flaw, &'static str);

/// Probes over TCP, what their servers say, and what is wrong with them.
fn talkers() -> Vec<(&'static str, Kind, Script, &'static [Named])> {
    const SSH: &[u8] = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n";
    const WEB: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let mail = Script {
        answer: b"220 mail.example ESMTP\r\n",
        greets: true,
        endless: (b"", b"220-and so on\r\n"),
        babble: SSH,
    };
    let page = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let web = Script {
        answer: page,
        greets: false,
        endless: (b"HTTP/1.1 200 OK\r\n", b"X-More: yes\r\n"),
        babble: SSH,
    };
    // Announces a GiB, and goes on sending.
    let body = Script {
        endless: (b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", b"all work and no play "),
        ..web
    };
    let desktop = Script {
        answer: b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\0\x08\0\x02\0\0\0",
        greets: false,
        endless: (b"", b"\x03\0\xff\xff\x0e\xd0"),
        babble: WEB,
    };
    // The head of a ServerHello and some of it.
    let hello = Script {
        answer: b"\x16\x03\x03\0\x7a\x02\0\0\x76\x03\x03then some bytes of it",
        greets: false,
        endless: (b"", b"\x16\x03\x03\x40\0"),
        babble: WEB,
    };
    let plain = Smtp { helo: "director".into(), security: SmtpSecurity::Plain };
    let implicit = Smtp { helo: "director".into(), security: SmtpSecurity::Implicit(Tls::default()) };
    vec![
        ("tcp", Kind::Tcp, mail, &FLAWS),
        ("tls", Kind::Tls(Tls::default()), hello, &FLAWS),
        ("http", http(None, None), web, &FLAWS),
        (
            "http, with a body",
            http(None, Some(BodyMatch::Contains("welcome".into()))),
            body,
            &[(Flaw::NeverEnds, "a body of 1 GiB")],
        ),
        ("https", http(Some(Tls::default()), None), hello, &FLAWS),
        ("smtp", Kind::Smtp(plain), mail, &FLAWS),
        ("smtp, with TLS", Kind::Smtp(implicit), hello, &[(Flaw::Babbles, "speaks something else")]),
        ("rdp", Kind::Rdp(Rdp::default()), desktop, &FLAWS),
    ]
}

fn http(tls: Option<Tls>, body: Option<BodyMatch>) -> Kind {
    Kind::Http(Http {
        tls,
        version: HttpVersion::Http11,
        method: Method::Get,
        path: "/".into(),
        host: None,
        headers: Vec::new(),
        status: StatusSet::default(),
        body,
        body_limit: 64 * 1024,
    })
}

/// What comes back for a datagram.
enum Answer {
    /// A refusal: nobody is there.
    Refusal,
    Nothing,
    These(&'static [u8]),
    /// The question itself with its flags set so.
    Flags(u16),
}

/// Probes by datagrams, and what comes back.
fn datagrams() -> Vec<(&'static str, Kind, &'static str, Answer)> {
    let dns = || {
        Kind::Dns(Dns {
            query: "example.com".into(),
            record: "A".into(),
            rcodes: vec!["NOERROR".into()],
            answer: None,
        })
    };
    let udp = |reply| Kind::Udp(Udp { send: b"ping".to_vec(), reply });
    let pong = || Reply::Prefix(b"pong".to_vec());
    vec![
        ("dns", dns(), "nobody listens", Answer::Refusal),
        ("dns", dns(), "silent", Answer::Nothing),
        ("dns", dns(), "speaks something else", Answer::These(b"what?")),
        ("dns", dns(), "SERVFAIL", Answer::Flags(0x8182)),
        ("dns", dns(), "NXDOMAIN", Answer::Flags(0x8183)),
        ("dns", dns(), "REFUSED", Answer::Flags(0x8185)),
        ("udp", udp(pong()), "nobody listens", Answer::Refusal),
        ("udp", udp(pong()), "silent", Answer::Nothing),
        ("udp", udp(pong()), "another answer", Answer::These(b"busy")),
        ("udp, no reply needed", udp(Reply::Optional), "nobody listens", Answer::Refusal),
        ("udp, no reply needed", udp(Reply::Optional), "silent", Answer::Nothing),
    ]
}

async fn datagram_server(answer: Answer) -> (SocketAddr, Option<tokio::task::JoinHandle<()>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    if matches!(answer, Answer::Refusal) {
        return (address, None);
    }
    let task = tokio::spawn(async move {
        let mut question = [0; 1500];
        while let Ok((count, from)) = socket.recv_from(&mut question).await {
            let question = question.get_mut(..count).unwrap();
            let answer: &[u8] = match answer {
                Answer::Refusal | Answer::Nothing => continue,
                Answer::These(bytes) => bytes,
                Answer::Flags(flags) => {
                    question.get_mut(2..4).unwrap().copy_from_slice(&flags.to_be_bytes());
                    question
                }
            };
            socket.send_to(answer, from).await.unwrap();
        }
    });
    (address, Some(task))
}

/// Programs of exec probes.
fn programs() -> Vec<(&'static str, Vec<String>)> {
    let shell = |script: &str| vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
    vec![
        ("says no", shell("echo no license left; exit 1")),
        ("says no without a word", shell("exit 1")),
        ("never ends", shell("sleep 60")),
        ("ends, but leaves others behind", shell("sleep 60 & exit 1")),
        ("is killed", shell("kill -SEGV $$")),
        ("never stops talking", shell("yes all work and no play")),
        ("does not exist", vec!["/nonexistent/check".to_owned()]),
        ("is no program", vec!["/etc/passwd".to_owned()]),
    ]
}

fn exec(command: &[String]) -> Kind {
    // Root gives programs away; whoever else runs the tests can be nobody but themselves.
    let own = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap();
    let user = if own.uid.is_root() { "nobody".to_owned() } else { own.name };
    Kind::Exec(Exec { command: command.to_vec(), user, exit: ExitMeaning::Weight })
}

async fn probe(kind: Kind, address: SocketAddr) -> Outcome {
    let target = Target {
        kind: Arc::new(kind),
        address,
        origin: Origin::default(),
        pace: Pace { interval: TIMEOUT, retry: TIMEOUT, jitter: TIMEOUT },
        timeout: TIMEOUT,
        policy: Policy { rise: 1, fall: 1, start: Start::Down, slow: None, damping: None },
    };
    attempt(&target, &Resources::default(), &Trace::quiet()).await
}

/// Whatever the server does, an attempt ends soon after its timeout and has read but a little.
fn check_bounds(name: &str, fault: &str, outcome: &Outcome, server: &Server) {
    assert!(outcome.latency < TIMEOUT + Duration::from_secs(5), "{name}, {fault}: {:?}", outcome.latency);
    let sent = server.sent.load(Ordering::Relaxed);
    assert!(sent < READ_LIMIT, "{name}, {fault}: the server could send {sent} bytes");
}

fn row(table: &mut String, name: &str, fault: &str, outcome: &Outcome, address: SocketAddr) {
    let words = match &outcome.result {
        Ok(passed) => {
            passed.note.as_ref().map_or_else(|| "passes".to_owned(), |note| format!("passes: {note}"))
        }
        Err(failure) => format!("`{}`: {}", failure.fault.as_str(), failure.reason),
    };
    let words =
        words.replace(&address.to_string(), "10.0.1.1:PORT").replace(&address.ip().to_string(), "10.0.1.1");
    // How many have come when time runs out is for the machine to say.
    let words = Regex::new("[0-9]+ bytes?").unwrap().replace_all(&words, "N bytes").into_owned();
    writeln!(table, "| {name} | {fault} | {} |", words.replace('|', "\\|")).unwrap();
}

/// Compares the table with the one in the document, or puts it there.
fn compare(table: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/health.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (documented, after) = rest.split_once(END).unwrap();
    if std::env::var("UPDATE").is_ok_and(|value| value == "1") {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    let differs = |(said, now): &(&str, &str)| said != now;
    let lines = documented.lines().zip(table.lines()).filter(differs);
    let lines: Vec<String> = lines.map(|(said, now)| format!("- {said}\n+ {now}")).collect();
    assert!(
        lines.is_empty(),
        "docs/health.md says otherwise (UPDATE=1 writes it anew):\n{}",
        lines.join("\n")
    );
    assert_eq!(documented.lines().count(), table.lines().count(), "rows of the table in docs/health.md");
}
