use super::*;
use crate::command::error::CommandError;
use crate::connections::Query;
use crate::fake::FakeEntries;
use crate::sample;
use std::ops::ControlFlow;
use std::sync::Arc;

const EXCHANGE1: u32 = 0x8000_0001;
const EXCHANGE2: u32 = 0x8000_0002;

/// Three entries, one pin in place, two that are not.
fn view() -> View {
    let table = FakeEntries::default();
    table.add("198.51.100.7", 80, EXCHANGE1, Some(500));
    table.add("198.51.100.8", 80, EXCHANGE2, Some(10));
    table.add("203.0.113.1", 80, EXCHANGE1, None);
    table.add("203.0.113.2", 80, EXCHANGE2, Some(20));
    table.add("192.0.2.1", 99, 0x8000_7001, Some(30));
    let mut view = sample::entries(Arc::new(table));
    let pin = |host: u8| ([203, 0, 113, host].into(), "exchange1".to_owned());
    view.pins.insert("exchange".to_owned(), [pin(1), pin(2), pin(3)].into());
    view
}

fn listed(query: &Query) -> Vec<String> {
    let mut rows = Vec::new();
    let list = view().select(query).unwrap().list(|row| {
        let Row { client, server, expires_seconds, pinned_to, .. } = row;
        let text = |name: &Option<std::borrow::Cow<'_, str>>| name.as_deref().unwrap_or("-").to_owned();
        let left = expires_seconds.map_or("-".to_owned(), |left| left.to_string());
        rows.push(format!("{client} {} {left} {}", text(server), text(pinned_to)));
        ControlFlow::Continue(())
    });
    list.unwrap();
    rows
}

#[test]
fn entries_and_pins_are_listed_with_their_names() {
    assert_eq!(
        listed(&Query::default()),
        [
            "198.51.100.7/32 exchange1 500 -",
            "198.51.100.8/32 exchange2 10 -",
            "203.0.113.1/32 exchange1 - exchange1",
            "203.0.113.2/32 exchange2 20 exchange1",
            "192.0.2.1/32 - 30 -",
            "203.0.113.3/32 - - exchange1",
        ]
    );
}

#[test]
fn a_query_chooses_by_service_server_and_client() {
    let server = |name: &str| Query { server: Some(name.to_owned()), ..Query::default() };
    assert_eq!(listed(&server("exchange1")).len(), 4, "two that lead there, two that shall");
    assert_eq!(
        listed(&server("exchange2")),
        ["198.51.100.8/32 exchange2 10 -", "203.0.113.2/32 exchange2 20 exchange1"]
    );
    let clients = Query { client: Some("198.51.100.0/24".parse().unwrap()), ..Query::default() };
    assert_eq!(listed(&clients).len(), 2);
    let service = Query { service: Some("exchange".to_owned()), ..Query::default() };
    assert_eq!(listed(&service).len(), 5);
}

#[test]
fn what_there_is_not_is_an_error_with_a_suggestion() {
    let refused = |query: &Query| view().select(query).unwrap_err();
    let service = refused(&Query { service: Some("exchang".to_owned()), ..Query::default() });
    assert!(matches!(service, CommandError::UnknownService { suggestion: Some(it), .. } if it == "exchange"));
    let server = refused(&Query { server: Some("exchange3".to_owned()), ..Query::default() });
    assert!(matches!(server, CommandError::UnknownServerName { suggestion: Some(_), .. }), "{server}");
    let both =
        Query { service: Some("exchange".to_owned()), server: Some("x".to_owned()), ..Query::default() };
    assert!(matches!(refused(&both), CommandError::UnknownServer { .. }));
}

#[test]
fn a_listing_ends_when_enough_is_seen() {
    let mut seen = 0;
    let list = view().select(&Query::default()).unwrap().list(|_| {
        seen += 1;
        if seen < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    list.unwrap();
    assert_eq!(seen, 2);
}
