//! Listing and changing persistence entries.

use super::*;
use crate::command::EntryChange;

const EXCHANGE1: u32 = 0x8000_0001;
const PERSISTENCE: &str = "/v1/persistence";

#[tokio::test]
async fn entries_are_listed_one_a_line() {
    let served = Served::start().await;
    let entries = served.control.entries();
    for number in 0..3000 {
        entries.add(&Ipv4Addr::from_bits(0xc633_6400 + number).to_string(), 80, EXCHANGE1, Some(7));
    }
    for (question, count) in [
        // One pin is not in place.
        ("", 3001),
        ("?service=exchange", 3001),
        ("?server=exchange2", 0),
        ("?client=198.51.100.0%2F24", 256),
        ("?client=198.51.100.7", 1),
        ("?limit=7", 7),
    ] {
        let answer = served.ask("GET", &format!("{PERSISTENCE}{question}"), &[HOST], b"").await;
        assert_eq!(
            (answer.status, &answer.headers[header::CONTENT_TYPE]),
            (StatusCode::OK, &JSON.1.parse().unwrap())
        );
        assert_eq!(answer.json().as_array().unwrap().len(), count, "{question}");
        assert_eq!(answer.body.iter().filter(|byte| **byte == b'{').count(), count, "{question}");
    }
    let one = served.ask("GET", &format!("{PERSISTENCE}?client=198.51.100.7"), &[HOST], b"").await;
    let expected = json!([{
        "client": "198.51.100.7/32", "service": "exchange", "server": "exchange1", "expires_seconds": 7,
        "pinned_to": null, "destination": EXCHANGE1,
    }]);
    assert_eq!(one.json(), expected);
}

#[tokio::test]
async fn wrong_questions_about_entries_are_refused_in_words() {
    let served = Served::start().await;
    for (question, status, kind) in [
        ("state=active", 400, "invalid-parameter"),
        ("limit=0", 400, "invalid-parameter"),
        ("client=nobody", 400, "invalid-parameter"),
        ("service=exchang", 404, "unknown-service"),
        ("server=exchange3", 404, "unknown-server"),
    ] {
        let answer = served.ask("GET", &format!("{PERSISTENCE}?{question}"), &[HOST], b"").await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["type"].clone()),
            (status, json!(format!("urn:director:{kind}"))),
            "{question}"
        );
    }
}

#[tokio::test]
async fn entries_are_deleted_and_pinned() {
    let served = Served::start().await;
    let (path, pin) =
        ("/v1/persistence/exchange/198.51.100.0%2F24", "/v1/persistence/exchange/2001:db8::7/pin");
    let body = br#"{"server": "exchange1"}"#;
    for (method, path, body) in [("DELETE", path, &b""[..]), ("PUT", pin, body), ("DELETE", pin, b"")] {
        let answer = served.ask(method, path, &[HOST, JSON], body).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{method} {path}");
    }
    let change = |client: &str, change| ("exchange".to_owned(), client.parse().unwrap(), change);
    assert_eq!(
        served.control.take_entry_changes(),
        [
            change("198.51.100.0/24", EntryChange::Delete),
            change("2001:db8::7/128", EntryChange::Pin { server: "exchange1".to_owned() }),
            change("2001:db8::7/128", EntryChange::Unpin),
        ]
    );
    for (method, path, body, status, kind) in [
        ("DELETE", "/v1/persistence/exchang/198.51.100.7", &b""[..], 404, "unknown-service"),
        ("DELETE", "/v1/persistence/exchange/nobody", b"", 422, "invalid-client"),
        ("PUT", pin, b"{}", 422, "invalid-body"),
    ] {
        let answer = served.ask(method, path, &[HOST, JSON], body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["type"].clone()),
            (status, json!(format!("urn:director:{kind}"))),
            "{path}"
        );
    }
    for (error, status) in [
        (CommandError::NotPersistent("exchange".to_owned()), 409),
        (CommandError::NoEntry { service: "exchange".to_owned(), client: "198.51.100.7/32".to_owned() }, 404),
        (CommandError::Pinned { service: "exchange".to_owned(), client: "198.51.100.7/32".to_owned() }, 409),
        (CommandError::Client("no such client".to_owned()), 422),
    ] {
        served.control.refuse_changes(error.clone());
        let answer = served.ask("DELETE", path, &[HOST], b"").await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["detail"].clone()),
            (status, json!(error.to_string()))
        );
    }
    assert!(served.control.take_entry_changes().is_empty());
}
