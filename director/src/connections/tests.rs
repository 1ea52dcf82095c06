use super::*;
use crate::fake::FakeTable;
use crate::sample;
use director_core::model::Network;
use proptest::prelude::*;

const EXCHANGE1: u32 = 0x8000_0001;
const EXCHANGE2: u32 = 0x8000_0002;
const ADMIN1: u32 = 0x8000_1001;

const ESTABLISHED: Option<u8> = Some(3);
const TIME_WAIT: Option<u8> = Some(7);

/// A connection for everything that tells one from another; its client's last byte is its number.
fn table() -> FakeTable {
    let table = FakeTable::default();
    let vip = "192.168.1.35:443";
    table.add(["198.51.100.1:1001", vip, "10.0.1.1:443"], EXCHANGE1, ESTABLISHED);
    table.add(["198.51.100.2:1002", vip, "10.0.1.2:443"], EXCHANGE2, ESTABLISHED);
    table.add(["203.0.113.3:1003", vip, "10.0.1.1:443"], EXCHANGE1, TIME_WAIT);
    table.add(["203.0.113.4:1004", vip, "10.0.1.1:443"], EXCHANGE1, None);
    table.add(["198.51.100.5:1005", "192.168.1.36:3389", "10.0.1.1:3389"], ADMIN1, ESTABLISHED);
    table.add(["[2001:db8:1::6]:1006", "[fd00:1::35]:443", "[fd00:2::2]:443"], EXCHANGE2, Some(1));
    table.add(["198.51.100.7:1007", vip, "10.0.1.9:443"], 0x8765_4321, ESTABLISHED);
    table
}

fn view(table: &FakeTable) -> View {
    View { registry: Arc::new(sample::registry()), table: Arc::new(table.clone()) }
}

fn query(text: &str) -> Query {
    let words = text.split_whitespace().map(|word| word.split_once('=').unwrap());
    let parameters: Vec<_> = words.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Query::parse(&parameters, []).unwrap().0
}

/// Numbers of the connections that a query lists.
fn listed(text: &str, limit: Option<usize>) -> Vec<u16> {
    let mut lister = view(&table()).select(&query(text)).unwrap().list(limit).unwrap();
    let mut found = Vec::new();
    while lister.read(|connection| found.push(connection.client.port() - 1000)).unwrap() {}
    found
}

const QUERIES: [(&str, &[u16]); 16] = [
    ("", &[1, 2, 3, 4, 5, 6, 7]),
    ("service=exchange", &[1, 2, 3, 4, 6]),
    ("service=exchange server=exchange1", &[1, 3, 4]),
    ("server=exchange1", &[1, 3, 4, 5]),
    ("server=exchange2", &[2, 6]),
    ("service=management/exchange1-admin", &[5]),
    ("client=198.51.100.0/24", &[1, 2, 5, 7]),
    ("client=198.51.100.2", &[2]),
    ("client=2001:db8:1::/64", &[6]),
    ("client=::/0", &[6]),
    ("state=active", &[1, 2, 5, 7]),
    ("state=inactive", &[3, 4, 6]),
    ("state=time_wait", &[3]),
    ("state=udp", &[4]),
    ("service=exchange server=exchange2 state=syn_sent client=2001:db8:1::6", &[6]),
    ("server=exchange1 client=198.51.100.0/24", &[1, 5]),
];

#[test]
fn all_conditions_must_hold() {
    for (text, expected) in QUERIES {
        assert_eq!(listed(text, None), expected, "{text}");
    }
}

#[test]
fn no_more_are_listed_than_asked_for() {
    assert_eq!(listed("", Some(3)), [1, 2, 3]);
    assert_eq!(listed("state=inactive", Some(1)), [3]);
    assert_eq!(listed("state=udp", Some(7)), [4]);
}

#[test]
fn exactly_those_that_are_listed_end() {
    for (text, expected) in QUERIES {
        let table = table();
        let before = table.clients();
        let ended = view(&table).select(&query(text)).unwrap().end().unwrap();
        assert_eq!(ended, u64::try_from(expected.len()).unwrap(), "{text}");
        let left: Vec<_> = (1..).zip(before).filter(|(number, _)| !expected.contains(number)).collect();
        assert_eq!(table.clients(), left.into_iter().map(|(_, client)| client).collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn a_connection_has_the_names_of_its_mark() {
    let mut lister = view(&table()).select(&Query::default()).unwrap().list(None).unwrap();
    let mut found = Vec::new();
    while lister.read(|it| found.push(serde_json::to_value(it).unwrap())).unwrap() {}
    assert_eq!(
        found[0],
        serde_json::json!({
            "protocol": "tcp",
            "state": "established",
            "expires_seconds": 100,
            "client": "198.51.100.1:1001",
            "vip": "192.168.1.35:443",
            "destination": "10.0.1.1:443",
            "service": "exchange",
            "server": "exchange1",
            "mark": 0x8000_0001_u32,
        })
    );
    let of = |at: usize| (found[at]["service"].as_str(), found[at]["server"].as_str());
    assert_eq!(of(4), (Some("management/exchange1-admin"), Some("exchange1")));
    assert_eq!(of(6), (None, None));
    assert_eq!((&found[3]["protocol"], &found[3]["state"]), (&"udp".into(), &"udp".into()));
    assert_eq!(found[5]["client"], "[2001:db8:1::6]:1006");
    for value in found {
        let connection: Connection<'_> = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(connection).unwrap(), value);
    }
}

#[test]
fn names_that_do_not_exist_are_told_with_those_that_are_close() {
    for (text, error) in [
        ("service=exchagne", "there is no service named \"exchagne\"; did you mean \"exchange\"?"),
        ("service=smtp", "there is no service named \"smtp\""),
        (
            "service=exchange1-admin",
            "there is no service named \"exchange1-admin\"; did you mean \"management/exchange1-admin\"?",
        ),
        (
            "service=exchagne server=exchange1",
            "there is no service named \"exchagne\"; did you mean \"exchange\"?",
        ),
        (
            "service=exchange server=exchnage1",
            "service \"exchange\" has no server named \"exchnage1\"; did you mean \"exchange1\"?",
        ),
        ("server=exchnage1", "no service has a server named \"exchnage1\"; did you mean \"exchange1\"?"),
        ("server=mail", "no service has a server named \"mail\""),
    ] {
        assert_eq!(view(&table()).select(&query(text)).unwrap_err().to_string(), error);
    }
}

/// The kernel chooses as far as it can.
#[test]
fn marks_say_what_they_can() {
    const SERVICE: u32 = 0xffff_f000;
    let client = |text: &str, address: &str| {
        (
            text.to_owned(),
            Filter { client: Some(address.parse().unwrap()), ..Filter::mark(ALL.0, ALL.1) },
            true,
        )
    };
    let marks = |text: &str, mark, mask, empty| (text.to_owned(), Filter::mark(mark, mask), empty);
    for (text, filter, empty) in [
        marks("", ALL.0, ALL.1, true),
        marks("service=exchange", 0x8000_0000, SERVICE, true),
        marks("service=management/exchange2-admin", 0x8000_2000, SERVICE, true),
        marks("service=exchange server=exchange2", EXCHANGE2, u32::MAX, true),
        marks("service=exchange state=active", 0x8000_0000, SERVICE, false),
        marks("server=exchange1", ALL.0, ALL.1, false),
        marks("client=198.51.100.0/24", ALL.0, ALL.1, false),
        client("client=198.51.100.7", "198.51.100.7"),
        client("client=fd00::1/128", "fd00::1"),
    ] {
        let selection = view(&table()).select(&query(&text)).unwrap();
        assert_eq!((selection.filter, selection.conditions.is_empty()), (filter, empty), "{text}");
    }
}

#[test]
fn a_refusal_of_the_kernel_is_passed_on() {
    let table = table();
    table.refuse_after(0);
    let selection = view(&table).select(&Query::default()).unwrap();
    assert!(selection.clone().list(None).unwrap().read(|_| panic!("nothing was read")).is_err());
    assert!(selection.end().is_err());
    assert_eq!(table.clients().len(), 7);
}

fn parse(parameters: &[(&str, &str)]) -> Result<(Query, [Option<String>; 1]), ParameterError> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Query::parse(&parameters.iter().map(owned).collect::<Vec<_>>(), ["limit"])
}

#[test]
fn wrong_parameters_are_named() {
    for (parameters, error, hint) in [
        (&[("sevice", "a")][..], "parameter \"sevice\": is unknown", Some("did you mean \"service\"?")),
        (
            &[("x", "a")],
            "parameter \"x\": is unknown",
            Some("there are service, server, client, state, limit"),
        ),
        (&[("all", "true")], "parameter \"all\": is unknown", None),
        (&[("service", "a"), ("service", "a")], "parameter \"service\": stands there twice", None),
        (&[("limit", "1"), ("limit", "2")], "parameter \"limit\": stands there twice", None),
        (&[("server", "")], "parameter \"server\": is empty", None),
        (&[("limit", "")], "parameter \"limit\": is empty", None),
        (
            &[("client", "10.0.0.0/33")],
            "parameter \"client\": \"10.0.0.0/33\" is neither an address nor a network, as 198.51.100.7 or 2001:db8:1::/64",
            None,
        ),
        (
            &[("state", "ESTABLISHED")],
            "parameter \"state\": \"ESTABLISHED\" is no state of a connection",
            None,
        ),
        (&[("state", "open")], "parameter \"state\": \"open\" is no state of a connection", None),
    ] {
        let found = parse(parameters).unwrap_err();
        assert_eq!(found.to_string(), error);
        if hint.is_some() {
            assert_eq!(found.hint.as_deref(), hint, "{error}");
        }
    }
    assert_eq!(parse(&[("limit", "7"), ("service", "a")]).unwrap().1, [Some("7".to_owned())]);
}

fn any_query() -> impl Strategy<Value = Query> {
    let name = || proptest::option::of("[a-z][a-z0-9 ./&=%ü-]{0,20}");
    let network = (any::<std::net::IpAddr>(), 0..=128_u8)
        .prop_filter_map("too long for its family", |(address, length)| Network::new(address, length));
    let words: Vec<&str> = State::names().chain(["active", "inactive"]).collect();
    let state = proptest::sample::select(words).prop_map(|word| word.parse().unwrap());
    (name(), name(), proptest::option::of(network), proptest::option::of(state))
        .prop_map(|(service, server, client, state)| Query { service, server, client, state })
}

proptest! {
    #[test]
    fn parameters_say_what_the_query_does(query in any_query()) {
        let parameters: Vec<_> =
            query.parameters().map(|(name, value)| (name.to_owned(), value)).collect();
        prop_assert_eq!(Query::parse(&parameters, []), Ok((query, [])));
    }

    #[test]
    fn no_parameter_is_too_odd(parameters in proptest::collection::vec(any::<(String, String)>(), 0..4)) {
        let _ = Query::parse(&parameters, ["limit"]);
    }
}

#[test]
fn states_are_conntracks() {
    let names: Vec<&str> = State::names().collect();
    assert_eq!(
        names,
        [
            "none",
            "syn_sent",
            "syn_recv",
            "established",
            "fin_wait",
            "close_wait",
            "last_ack",
            "time_wait",
            "close",
            "syn_sent2",
            "udp",
            "other"
        ]
    );
    let table = FakeTable::default();
    for number in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 200] {
        table.add(["198.51.100.1:1", "192.168.1.35:1", "10.0.1.1:1"], EXCHANGE1, Some(number));
    }
    let mut lister = view(&table).select(&Query::default()).unwrap().list(None).unwrap();
    let mut found = Vec::new();
    while lister.read(|it| found.push(it.state.name())).unwrap() {}
    assert_eq!(found[..10], names[..10]);
    assert_eq!(found[10..], ["none", "none"]);
}
