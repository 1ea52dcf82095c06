use super::*;
use crate::api::Listeners;
use crate::connections::Query;
use crate::fake::ControlLoop;
use crate::sample;
use director_core::model::ApiSettings;
use prometheus::Registry;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

/// A folder with a director's socket in it.
async fn director() -> (TempDir, Client, ControlLoop) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("director.sock");
    let settings = ApiSettings { socket: socket.clone(), group: None, listen: None };
    let (control, handle) = ControlLoop::start();
    let listeners = Listeners::bind(&settings).await.unwrap();
    tokio::spawn(listeners.serve(handle, Registry::new(), std::future::pending()));
    (folder, Client::new(socket), control)
}

/// A socket on which every connection gets `answer`.
fn impostor(answer: &'static [u8]) -> (TempDir, Client) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("director.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer).await;
        }
    });
    (folder, Client::new(socket))
}

#[tokio::test]
async fn asks_about_the_virtual_router() {
    let (_folder, client, _control) = director().await;
    assert_eq!(client.redundancy().await.unwrap(), sample::redundancy());
    assert_eq!(client.failover(Some("lb2"), false).await.unwrap().as_deref(), Some("lb2"));
    assert_eq!(client.failover(None, true).await.unwrap(), None);
    let error = client.failover(Some("lb3"), false).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no node named \"lb3\"");
    assert_eq!(client.events(None, None).await.unwrap(), sample::journal().events(None, 10));
    assert_eq!(client.events(Some(0), Some(1)).await.unwrap().events[0].number, 1);
}

#[tokio::test]
async fn asks_and_changes() {
    let (_folder, client, control) = director().await;
    assert_eq!(client.status().await.unwrap(), sample::status());
    assert_eq!(client.service("exchange").await.unwrap(), sample::status().services[0]);
    assert_eq!(client.probes("exchange", "exchange1").await.unwrap(), [sample::probe_history()]);
    let trial = client.try_probes("exchange", "exchange1", Some("rdp")).await.unwrap();
    assert_eq!((trial.up, trial.probes[0].fault.as_deref()), (false, Some("refused")));
    for change in [
        OverrideChange::Weight { weight: 0, seconds: None },
        OverrideChange::Weight { weight: u16::MAX, seconds: None },
        OverrideChange::Drain(DrainRequest::default()),
        OverrideChange::Enable,
        OverrideChange::Reset,
    ] {
        client.change("exchange", "exchange1", change).await.unwrap();
        assert_eq!(control.take_changes(), [("exchange".into(), "exchange1".into(), change)]);
    }
    for (ports, state) in [("25", Some(PortState::Drained)), ("tcp/25", None)] {
        let ports: PortSelection = ports.parse().unwrap();
        client.change_ports("exchange", ports, state).await.unwrap();
        assert_eq!(control.take_ports(), [("exchange".into(), ports, state)]);
    }
    client.reload().await.unwrap();
    assert_eq!(control.reloads(), 1);
}

#[tokio::test]
async fn lists_connections_in_whole_lines_and_ends_them() {
    let (_folder, client, control) = director().await;
    let table = control.table();
    for number in 1..=2000 {
        let client = format!("198.51.100.{}:{number}", number % 250);
        table.add([&client, "192.168.1.35:25", "10.0.1.1:25"], 0x8000_0001, Some(3));
    }
    let query = Query { service: Some("exchange".into()), ..Query::default() };
    for (query, limit, count) in [(&query, None, 2000), (&query, Some(3), 3), (&Query::default(), None, 2000)]
    {
        let mut lines = client.listing("connections", query, limit).await.unwrap();
        let mut text = String::new();
        while let Some(more) = lines.next().await.unwrap() {
            assert!(more.ends_with(b"\n"));
            text.push_str(std::str::from_utf8(&more).unwrap());
        }
        assert_eq!(serde_json::from_str::<Vec<Value>>(&text).unwrap().len(), count);
    }
    let odd = Query { service: Some("a&b=c/d %ü".into()), ..Query::default() };
    let error = client.listing("connections", &odd, None).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no service named \"a&b=c/d %ü\"");
    let one = Query { client: Some("198.51.100.7/32".parse().unwrap()), ..Query::default() };
    assert_eq!(client.end_connections(&one).await.unwrap(), 8);
    assert_eq!(client.end_connections(&Query::default()).await.unwrap(), 1992);
    table.refuse_after(0);
    assert!(matches!(client.end_connections(&Query::default()).await.unwrap_err(), Error::Refused(_)));
}

#[tokio::test]
async fn a_listing_that_breaks_off_is_no_whole_one() {
    let (_folder, client) =
        impostor(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n[\n{},\n{}\r\n");
    let mut lines = client.listing("connections", &Query::default(), None).await.unwrap();
    // The impostor hangs up, or it may keep the connection until it is dropped.
    assert_eq!(lines.next().await.unwrap().as_deref(), Some(&b"[\n{},\n"[..]));
    assert!(matches!(lines.next().await.unwrap_err(), Error::Broken(_)));
}

#[tokio::test]
async fn passes_on_what_the_director_says() {
    let (_folder, client, control) = director().await;
    let odd = "a/b ?#%ü";
    let Err(Error::Refused(problem)) =
        client.change(odd, "exchange1", OverrideChange::Drain(DrainRequest::default())).await
    else {
        panic!("not refused")
    };
    assert_eq!(problem.detail, format!("there is no service named {odd:?}"));
    let error = client
        .change("exchange", "exchange3", OverrideChange::Drain(DrainRequest::default()))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "service \"exchange\" has no server named \"exchange3\"");
    control.refuse_reloads("director.yaml:1:1: error: unknown key \"servces\"");
    let error = client.reload().await.unwrap_err();
    assert_eq!(error.to_string(), "director.yaml:1:1: error: unknown key \"servces\"");
    assert_eq!(control.take_changes(), []);
}

#[tokio::test]
async fn says_when_the_director_stops() {
    let (_folder, client, control) = director().await;
    control.stop().await;
    assert_eq!(client.status().await.unwrap_err().to_string(), "the director is stopping");
}

#[tokio::test]
async fn a_missing_socket_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("director.sock");
    let client = Client::new(socket.clone());
    assert_eq!(
        client.status().await.unwrap_err().to_string(),
        format!(
            "there is no socket {}: is the director running? If it uses another one, name it with --socket",
            socket.display()
        )
    );
    drop(UnixListener::bind(&socket).unwrap());
    assert_eq!(
        client.status().await.unwrap_err().to_string(),
        format!("nobody answers on {}: the director has stopped", socket.display())
    );
}

#[tokio::test]
async fn a_denied_socket_names_the_group_that_may() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("director.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let client = Client::new(socket.clone());
    let denied = || client.not_connected(ErrorKind::PermissionDenied.into()).to_string();
    if nix::unistd::geteuid().is_root() {
        assert_eq!(denied(), format!("{} may be used by root only", socket.display()));
        let group = Group::from_name("daemon").unwrap().unwrap();
        std::os::unix::fs::chown(&socket, None, Some(group.gid.as_raw())).unwrap();
        assert_eq!(
            denied(),
            format!("{} may be used by root and the group \"daemon\" only", socket.display())
        );
    } else {
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
        assert!(matches!(client.status().await.unwrap_err(), Error::Denied { .. }));
    }
}

#[tokio::test]
async fn what_is_no_director_is_an_error() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]"[..],
        b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 4\r\n\r\noops",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[]",
    ] {
        let (_folder, client) = impostor(answer);
        let error = client.status().await.unwrap_err();
        assert!(matches!(error, Error::Answer { .. }), "{error:?}");
    }
    for answer in [&b"220 mail.example ESMTP\r\n"[..], b""] {
        let (_folder, client) = impostor(answer);
        let error = client.status().await.unwrap_err();
        assert!(matches!(error, Error::Broken(_)), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_director_that_hangs_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("director.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let error = Client::new(socket).status().await.unwrap_err();
    assert_eq!(error.to_string(), "the director did not answer within 35s");
}

#[test]
fn names_become_one_segment() {
    assert_eq!(segment("exchange-1_a.b"), "exchange-1_a.b");
    assert_eq!(segment("../a b"), "..%2Fa%20b");
    assert_eq!(segment("ü"), "%C3%BC");
}
