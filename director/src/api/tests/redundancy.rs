use super::*;
use crate::status::{EventsStatus, RedundancyStatus};

#[tokio::test]
async fn the_virtual_router_is_shown_alone_and_with_all_else() {
    let served = Served::start().await;
    let answer = served.ask("GET", "/v1/redundancy", &[HOST], b"").await;
    assert_eq!(serde_json::from_slice::<RedundancyStatus>(&answer.body).unwrap(), sample::redundancy());
    let status = served.ask("GET", "/v1/status", &[HOST], b"").await.json();
    assert_eq!(status["redundancy"], answer.json());
    assert_eq!(status["redundancy_error"], Value::Null);
}

#[tokio::test]
async fn a_failover_says_who_takes_over_or_why_not() {
    let served = Served::start().await;
    let ask = async |body: &'static [u8]| served.ask("POST", "/v1/failover", &[HOST, JSON], body).await;
    for (body, to) in [
        (&b""[..], Some("lb2")),
        (b"{}", Some("lb2")),
        (br#"{"to": "lb2"}"#, Some("lb2")),
        (br#"{"force": true}"#, None),
    ] {
        let answer = ask(body).await;
        assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({ "to": to })));
    }
    for (body, kind, detail, hint) in [
        (
            &br#"{"to": "lb3"}"#[..],
            Kind::UnknownNode,
            "there is no node named \"lb3\"",
            Some("did you mean \"lb2\"?"),
        ),
        (
            br#"{"to": "lb1"}"#,
            Kind::FailoverRefused,
            "this director is Active already: name another one",
            None,
        ),
    ] {
        let answer = ask(body).await;
        assert_eq!(answer.status, kind.describe().0);
        let problem = answer.problem();
        assert_eq!((&*problem.title, &*problem.detail), (kind.describe().1, detail));
        assert_eq!(problem.hint.as_deref(), hint);
    }
    assert_eq!(ask(br#"{"too": "lb2"}"#).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(ask(br#"{"force": 1}"#).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn events_can_be_read_on() {
    let served = Served::start().await;
    let ask = async |query: &str| served.ask("GET", &format!("/v1/events{query}"), &[HOST], b"").await;
    let all: EventsStatus = serde_json::from_slice(&ask("").await.body).unwrap();
    assert_eq!(all, sample::journal().events(None, 10));
    assert_eq!(all.events[1].text, "Active: lb2 left");
    for (query, numbers) in [
        ("?limit=1", &[3][..]),
        ("?after=1", &[2, 3]),
        ("?after=0&limit=2", &[1, 2]),
        ("?after=3", &[]),
        ("?after=18446744073709551615", &[]),
    ] {
        let answer: EventsStatus = serde_json::from_slice(&ask(query).await.body).unwrap();
        assert_eq!(answer.last, 3);
        assert_eq!(answer.events.iter().map(|it| it.number).collect::<Vec<_>>(), numbers, "{query}");
    }
    for query in ["?limit=0", "?limit=x", "?after=-1", "?before=3"] {
        assert_eq!(ask(query).await.problem().title, "invalid parameter", "{query}");
    }
}
