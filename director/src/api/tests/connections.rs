//! Listing and ending connections.

use super::*;
use crate::connections::Connection;
use std::time::Duration;

const EXCHANGE1: u32 = 0x8000_0001;
const EXCHANGE2: u32 = 0x8000_0002;

const CONNECTIONS: &str = "/v1/connections";

/// Some connections, one in ten of exchange2, one in five over.
fn fill(served: &Served, count: u32) {
    let table = served.control.table();
    for number in 0..count {
        let client = Ipv4Addr::from_bits(0xc633_6400 + number);
        let (server, mark) =
            if number % 10 == 0 { ("10.0.1.2:25", EXCHANGE2) } else { ("10.0.1.1:25", EXCHANGE1) };
        let state = if number % 5 == 0 { 7 } else { 3 };
        table.add([&format!("{client}:1024"), "192.168.1.35:25", server], mark, Some(state));
    }
}

#[tokio::test]
async fn connections_are_listed_one_a_line() {
    let served = Served::start().await;
    assert_eq!(served.ask("GET", CONNECTIONS, &[HOST], b"").await.json(), json!([]));
    fill(&served, 3000);
    for (question, count) in [
        ("", 3000),
        ("?service=exchange", 3000),
        ("?service=exchange&server=exchange2", 300),
        ("?state=time_wait&server=exchange1", 300),
        ("?client=198.51.100.0%2F24", 256),
        ("?client=198.51.100.7", 1),
        ("?service=management%2Fexchange1-admin", 0),
        ("?limit=7", 7),
        ("?limit=7&state=inactive", 7),
        ("?limit=100000", 3000),
    ] {
        let path = format!("{CONNECTIONS}{question}");
        for answer in
            [served.ask("GET", &path, &[HOST], b"").await, served.ask_tcp("GET", &path, &[HOST], b"").await]
        {
            assert_eq!(
                (answer.status, &answer.headers[header::CONTENT_TYPE]),
                (StatusCode::OK, &JSON.1.parse().unwrap())
            );
            assert_eq!(answer.json().as_array().unwrap().len(), count, "{path}");
            let text = std::str::from_utf8(&answer.body).unwrap();
            let lines = text.lines().filter(|line| line.len() > 2).map(|line| line.trim_end_matches(','));
            let lines: Vec<Connection<'_>> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(lines.len(), count, "{path}");
        }
    }
}

#[tokio::test]
async fn those_that_are_asked_for_end() {
    let served = Served::start().await;
    fill(&served, 1000);
    for (question, ended, left) in [
        ("client=198.51.100.3", 1, 999),
        ("client=198.51.100.3", 0, 999),
        ("state=active&server=exchange1", 799, 200),
        ("service=exchange&server=exchange2", 100, 100),
        ("service=management%2Fexchange1-admin", 0, 100),
        ("all=true", 100, 0),
    ] {
        let answer = served.ask("DELETE", &format!("{CONNECTIONS}?{question}"), &[HOST], b"").await;
        assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({ "ended": ended })), "{question}");
        assert_eq!(served.control.table().clients().len(), left, "{question}");
    }
}

#[tokio::test]
async fn wrong_parameters_are_refused_in_words() {
    let served = Served::start().await;
    fill(&served, 10);
    for (method, question, name) in [
        ("GET", "?sevice=exchange", "\"sevice\""),
        ("GET", "?state=ESTABLISHED", "\"state\""),
        ("GET", "?client=198.51.100", "\"client\""),
        ("GET", "?client=198.51.100.0/40", "\"client\""),
        ("GET", "?limit=0", "\"limit\""),
        ("GET", "?limit=-1", "\"limit\""),
        ("GET", "?limit=many", "\"limit\""),
        ("GET", "?limit=99999999999999999999999", "\"limit\""),
        ("GET", "?service", "\"service\""),
        ("GET", "?service=", "\"service\""),
        ("GET", "?service=exchange&service=exchange", "\"service\""),
        ("GET", "?all=true", "\"all\""),
        ("GET", "?=", "\"\""),
        ("GET", "?%ff=%fe", "parameter"),
        ("DELETE", "", "no parameter"),
        ("DELETE", "?", "no parameter"),
        ("DELETE", "?limit=1", "\"limit\""),
        ("DELETE", "?all=yes", "\"all\""),
        ("DELETE", "?all", "\"all\""),
        ("DELETE", "?all=true&service=exchange", "\"all\""),
        ("DELETE", "?server=exchange1&sate=active", "\"sate\""),
    ] {
        let path = format!("{CONNECTIONS}{question}");
        let problem = served.ask(method, &path, &[HOST], b"").await.problem();
        assert_eq!((problem.title.as_str(), problem.status), ("invalid parameter", 400), "{method} {path}");
        assert!(problem.detail.contains(name), "{method} {path}: {}", problem.detail);
    }
    for method in ["GET", "DELETE"] {
        for (question, title, hint) in [
            ("service=exchagne", "unknown service", "did you mean \"exchange\"?"),
            ("service=exchange&server=exchnage1", "unknown server", "did you mean \"exchange1\"?"),
            ("server=exchnage1", "unknown server", "did you mean \"exchange1\"?"),
        ] {
            let problem =
                served.ask(method, &format!("{CONNECTIONS}?{question}"), &[HOST], b"").await.problem();
            assert_eq!((problem.title.as_str(), problem.hint.as_deref()), (title, Some(hint)));
        }
    }
    assert_eq!(served.ask("POST", CONNECTIONS, &[HOST], b"").await.problem().status, 405);
    assert_eq!(served.control.table().clients().len(), 10);
}

#[tokio::test]
async fn a_refusal_of_the_kernel_is_a_problem_or_breaks_the_answer_off() {
    let served = Served::start().await;
    fill(&served, 3000);
    served.control.table().refuse_after(0);
    for method in ["GET", "DELETE"] {
        let problem =
            served.ask(method, &format!("{CONNECTIONS}?state=active"), &[HOST], b"").await.problem();
        assert_eq!(problem.title, "kernel refused", "{method}");
    }
    served.control.table().refuse_after(20);
    let answer = raw(&served).await;
    let (mut stream, mut text) = (answer, Vec::new());
    stream.read_to_end(&mut text).await.unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("\"exchange1\""), "{text}");
    assert!(!text.ends_with("0\r\n\r\n"), "a listing that is not whole does not end as one");
}

/// A connection on which everything was asked for, and nothing is read.
async fn raw(served: &Served) -> UnixStream {
    let mut stream = UnixStream::connect(served.socket()).await.unwrap();
    let head = format!("GET {CONNECTIONS} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.readable().await.unwrap();
    stream
}

/// More than sockets and channel take together.
const MANY: u32 = 20_000;

#[tokio::test]
async fn too_many_at_once_are_refused_until_a_reader_goes() {
    let served = Served::start().await;
    fill(&served, MANY);
    let mut readers = Vec::new();
    for _ in 0..4 {
        readers.push(raw(&served).await);
    }
    for method in ["GET", "DELETE"] {
        let path = format!("{CONNECTIONS}?service=exchange");
        let problem = served.ask_tcp(method, &path, &[HOST], b"").await.problem();
        assert_eq!((problem.title.as_str(), problem.status), ("busy", 503));
    }
    assert_eq!(served.ask("GET", "/v1/status", &[HOST], b"").await.status, StatusCode::OK);
    assert_eq!(served.control.table().clients().len(), MANY as usize);

    drop(readers.pop());
    listed_at_last(&served).await;
}

/// The clock stands still and jumps to the next deadline when nothing else is left to do.
#[tokio::test(start_paused = true)]
async fn readers_that_stop_are_given_up() {
    let served = Served::start().await;
    fill(&served, MANY);
    let mut readers = Vec::new();
    for _ in 0..4 {
        readers.push(raw(&served).await);
    }
    listed_at_last(&served).await;
    let mut text = Vec::new();
    let _ = readers[0].read_to_end(&mut text).await;
    assert!(text.starts_with(b"HTTP/1.1 200 ") && !text.ends_with(b"]\n\r\n0\r\n\r\n"), "it was broken off");
}

async fn listed_at_last(served: &Served) {
    for _ in 0..10_000 {
        let answer = served.ask("GET", &format!("{CONNECTIONS}?limit=1"), &[HOST], b"").await;
        if answer.status == StatusCode::OK {
            return assert_eq!(answer.json().as_array().unwrap().len(), 1);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody was given up");
}
