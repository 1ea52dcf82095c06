use super::*;
use crate::ids::ServiceNumber;
use crate::model::Granularity;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const MAIL: u32 = 0x8000_1001;
const WEB: u32 = 0x8000_2001;
const HORIZON: Duration = Duration::from_secs(60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn client(text: &str, mark: u32) -> Client {
    Client { address: text.parse().unwrap(), mark }
}

/// Mail with mark 80 by /24 and /64 for 600 s, web with mark 81 by address for 60 s; the second server of each takes
/// no clients back.
fn policies(limit: u32) -> Policies {
    let policy = |first: u32, mark, timeout, bits: [u8; 2]| Policy {
        mark,
        timeout: seconds(timeout),
        granularity: Granularity { v4: bits[0], v6: bits[1] },
        destinations: [(first, true), (first + 1, false), (first + 2, true)].into(),
        pins: BTreeMap::new(),
    };
    let services = [
        (ServiceNumber::of_mark(MAIL).unwrap(), policy(MAIL, 80, 600, [24, 64])),
        (ServiceNumber::of_mark(WEB).unwrap(), policy(WEB, 81, 60, [32, 128])),
    ];
    Policies { services: services.into(), limit }
}

fn pinned(address: &str, id: u32) -> Policies {
    let mut policies = policies(1024);
    let service = ServiceNumber::of_mark(id).unwrap();
    policies.services.get_mut(&service).unwrap().pins.insert(address.parse().unwrap(), id);
    policies
}

/// A table of entries: destination and time left by client.
type Table = BTreeMap<Client, (u32, Option<Duration>)>;

fn entries(table: &Table) -> impl Iterator<Item = Entry> {
    table.iter().map(|(client, (destination, left))| Entry {
        client: *client,
        destination: *destination,
        left: *left,
    })
}

fn look(policies: &Policies, live: &Live, forgotten: &BTreeSet<Client>, table: &Table) -> Report {
    let mut pass = Pass::new(policies, live, forgotten, HORIZON);
    entries(table).for_each(|entry| pass.see(&entry));
    pass.finish()
}

fn carry_out(actions: impl IntoIterator<Item = Action>, table: &mut Table) {
    for action in actions {
        match action {
            Action::Put { entry, only_missing: true } => {
                table.entry(entry.client).or_insert((entry.destination, entry.left));
            }
            Action::Put { entry, only_missing: false } => {
                table.insert(entry.client, (entry.destination, entry.left));
            }
            Action::Delete(entry) => {
                assert_eq!(table.remove(&entry.client), Some((entry.destination, entry.left)));
            }
        }
    }
}

/// The table after a pass.
fn after(policies: &Policies, live: &Live, table: &Table) -> Table {
    let mut table = table.clone();
    carry_out(look(policies, live, &BTreeSet::new(), &table).actions, &mut table);
    table
}

fn connected(policies: &Policies, connections: &[(&str, u32)]) -> Live {
    let mut live = Live::default();
    for (source, id) in connections {
        live.add(policies, source.parse().unwrap(), *id);
    }
    live
}

#[test]
fn an_open_connection_holds_the_entry_of_its_network() {
    let policies = policies(1024);
    let live = connected(&policies, &[("198.51.100.7", MAIL), ("2001:db8::7", MAIL)]);
    for network in ["198.51.100.0", "2001:db8::"] {
        let client = client(network, 80);
        let left = |left| Table::from([(client, (MAIL, Some(seconds(left))))]);
        assert_eq!(after(&policies, &live, &left(59))[&client], (MAIL, Some(seconds(600))));
        assert_eq!(after(&policies, &live, &left(61))[&client], (MAIL, Some(seconds(61))), "not yet");
        assert_eq!(after(&policies, &Live::default(), &left(59)), left(59), "its time goes on");
    }
}

#[test]
fn a_connection_to_another_server_holds_nothing() {
    let policies = policies(1024);
    let live = connected(&policies, &[("198.51.100.7", MAIL + 2)]);
    let table = Table::from([(client("198.51.100.0", 80), (MAIL, Some(seconds(5))))]);
    assert_eq!(after(&policies, &live, &table), table);
}

#[test]
fn what_is_missing_is_made_from_most_connections() {
    let policies = policies(1024);
    let made = |connections: &[(&str, u32)]| {
        let live = connected(&policies, connections);
        after(&policies, &live, &Table::new()).into_iter().collect::<Vec<_>>()
    };
    let entry = |id| vec![(client("198.51.100.0", 80), (id, Some(seconds(600))))];
    assert_eq!(made(&[("198.51.100.7", MAIL)]), entry(MAIL));
    assert_eq!(
        made(&[("198.51.100.7", MAIL), ("198.51.100.8", MAIL + 2), ("198.51.100.9", MAIL + 2)]),
        entry(MAIL + 2)
    );
    assert_eq!(
        made(&[("198.51.100.7", MAIL + 2), ("198.51.100.8", MAIL)]),
        entry(MAIL),
        "of equals the first"
    );
    assert_eq!(made(&[("198.51.100.7", MAIL + 1)]), [], "nobody may return there");
    assert_eq!(
        made(&[("198.51.100.7", MAIL + 1), ("198.51.100.7", MAIL + 1), ("198.51.100.8", MAIL)]),
        entry(MAIL)
    );
    assert_eq!(made(&[("198.51.100.7", 0x8000_3001)]), [], "no such service");
}

#[test]
fn a_deleted_entry_is_not_made_anew_from_old_connections() {
    let policies = policies(1024);
    let live = connected(&policies, &[("198.51.100.7", MAIL)]);
    let client = client("198.51.100.0", 80);
    let forgotten = BTreeSet::from([client]);
    let report = look(&policies, &live, &forgotten, &Table::new());
    assert_eq!((report.actions, report.forgotten), (vec![], forgotten.clone()));
    let made = Table::from([(client, (MAIL + 2, Some(seconds(600))))]);
    assert!(look(&policies, &live, &forgotten, &made).forgotten.is_empty(), "packets have made one");
    assert!(look(&policies, &Live::default(), &forgotten, &Table::new()).forgotten.is_empty(), "it is gone");
}

#[test]
fn entries_follow_the_configuration() {
    let policies = policies(1024);
    let table = Table::from([
        (client("198.51.100.0", 80), (MAIL, Some(seconds(86_400)))),
        (client("198.51.100.7", 80), (MAIL, Some(seconds(60)))),
        (client("203.0.113.0", 80), (MAIL + 9, Some(seconds(60)))),
        (client("203.0.113.8", 82), (MAIL, Some(seconds(60)))),
        (client("203.0.113.1", 81), (0x8000_7001, Some(seconds(60)))),
        (client("192.0.2.0", 80), (MAIL + 1, None)),
        (client("192.0.2.9", 81), (WEB, Some(seconds(60)))),
    ]);
    let expected = Table::from([
        (client("198.51.100.0", 80), (MAIL, Some(seconds(600)))),
        (client("192.0.2.0", 80), (MAIL + 1, Some(seconds(600)))),
        (client("192.0.2.9", 81), (WEB, Some(seconds(60)))),
        (client("203.0.113.0", 80), (MAIL, Some(seconds(60)))),
    ]);
    assert_eq!(after(&policies, &Live::default(), &table), expected);
}

#[test]
fn a_pin_is_put_in_place_while_its_server_takes_clients_back() {
    let client = client("198.51.100.0", 80);
    let pin = Table::from([(client, (MAIL, None))]);
    let serves = pinned("198.51.100.0", MAIL);
    for table in [Table::new(), Table::from([(client, (MAIL + 2, Some(seconds(60))))]), pin.clone()] {
        assert_eq!(after(&serves, &Live::default(), &table), pin);
    }
    assert_eq!(look(&serves, &Live::default(), &BTreeSet::new(), &pin).actions, []);

    let down = pinned("198.51.100.0", MAIL + 1);
    let elsewhere = Table::from([(client, (MAIL, Some(seconds(60))))]);
    assert_eq!(after(&down, &Live::default(), &elsewhere), elsewhere);
    assert_eq!(after(&down, &Live::default(), &Table::new()), Table::new());
}

#[test]
fn a_full_table_loses_what_ends_first_and_nobody_uses() {
    let policies = policies(1000);
    let addresses = |count: u32| (0..count).map(|n| IpAddr::from((0x0a00_0000 + n).to_be_bytes()));
    let table = |count| -> Table {
        let entry =
            |(address, left)| (Client { address, mark: 81 }, (WEB, Some(Duration::from_millis(left))));
        addresses(count).zip(1..).map(entry).collect()
    };
    let mut live = Live::default();
    addresses(20).for_each(|address| live.add(&policies, address, WEB));
    assert_eq!(look(&policies, &Live::default(), &BTreeSet::new(), &table(950)).actions, [], "room enough");
    let report = look(&policies, &live, &BTreeSet::new(), &table(960));
    let deleted: Vec<Client> = report
        .actions
        .iter()
        .filter_map(|action| if let Action::Delete(entry) = action { Some(entry.client) } else { None })
        .collect();
    let expected = addresses(80).skip(20).map(|address| Client { address, mark: 81 });
    assert_eq!(deleted, expected.collect::<Vec<_>>());
    assert_eq!(report.evicted, [(ServiceNumber::of_mark(WEB).unwrap(), 60)].into());
    assert_eq!((report.entries, report.by_destination), ([960, 0], [(WEB, 960)].into()));
}

#[test]
fn entries_that_come_together_leave_the_longest() {
    let policies = policies(1024);
    let mut table = Table::from([
        (client("198.51.100.1", 80), (MAIL, Some(seconds(100)))),
        (client("198.51.100.2", 80), (MAIL + 2, Some(seconds(200)))),
        (client("203.0.113.0", 80), (MAIL, Some(seconds(300)))),
        (client("203.0.113.9", 80), (MAIL + 2, Some(seconds(200)))),
        (client("192.0.2.7", 70), (MAIL, Some(seconds(50)))),
        (client("192.0.2.7", 81), (WEB, Some(seconds(50)))),
    ]);
    let mut rekey = Rekey::new(&policies);
    entries(&table).for_each(|entry| rekey.find(&entry));
    assert!(!rekey.is_empty());
    entries(&table).for_each(|entry| rekey.compare(&entry));
    carry_out(rekey.finish().collect::<Vec<_>>(), &mut table);
    let expected = Table::from([
        (client("198.51.100.0", 80), (MAIL + 2, Some(seconds(200)))),
        (client("203.0.113.0", 80), (MAIL, Some(seconds(300)))),
        (client("192.0.2.0", 80), (MAIL, Some(seconds(50)))),
        (client("192.0.2.7", 81), (WEB, Some(seconds(50)))),
    ]);
    assert_eq!(after(&policies, &Live::default(), &table), expected);
}

#[test]
fn only_connections_that_were_answered_and_are_not_over_hold() {
    let tcp: Vec<u8> = (0..=9).filter(|state| holds(6, Some(*state))).collect();
    assert_eq!(tcp, [2, 3, 4, 5, 6]);
    assert!(!holds(6, None) && holds(17, None));
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let address = (0..4_u8, 0..6_u8, any::<bool>()).prop_map(|(network, host, six)| {
        if six {
            IpAddr::from([0x2001, 0xdb8, 0, u16::from(network), 0, 0, 0, u16::from(host)])
        } else {
            [10, 0, network, host].into()
        }
    });
    let left = proptest::option::weighted(0.95, (0..100_000_u64).prop_map(Duration::from_millis));
    let id = prop_oneof![MAIL..MAIL + 5, WEB..WEB + 5, 0x8000_7001..0x8000_7003_u32];
    (address, 79..83_u32, id, left).prop_map(|(address, mark, destination, left)| Entry {
        client: Client { address, mark },
        destination,
        left,
    })
}

fn any_table() -> impl Strategy<Value = Table> {
    let entries = proptest::collection::vec(any_entry(), 0..60);
    entries.prop_map(|entries| entries.into_iter().map(|it| (it.client, (it.destination, it.left))).collect())
}

fn any_policies() -> impl Strategy<Value = Policies> {
    let pins = proptest::collection::vec((any_entry(), 0..3_u32), 0..4);
    (8..40_u32, pins).prop_map(|(limit, pins)| {
        let mut policies = policies(limit);
        for (pin, server) in pins {
            for (service, policy) in &mut policies.services {
                let first = if ServiceNumber::of_mark(MAIL) == Some(*service) { MAIL } else { WEB };
                policy.pins.insert(policy.client(pin.client.address).address, first + server);
            }
        }
        policies
    })
}

proptest! {
    #[test]
    fn a_pass_leaves_the_table_as_it_shall_be(
        policies in any_policies(),
        table in any_table(),
        connections in proptest::collection::vec(any_entry(), 0..20),
    ) {
        let mut live = Live::default();
        connections.iter().for_each(|it| live.add(&policies, it.client.address, it.destination));
        let result = after(&policies, &live, &table);
        let mut pins = BTreeSet::new();
        for policy in policies.iter() {
            for (address, id) in policy.pins.iter().filter(|(_, id)| policy.admits(**id)) {
                let client = Client { address: *address, mark: policy.mark };
                prop_assert_eq!(result.get(&client), Some(&(*id, None)), "pins are in place");
                pins.insert(client);
            }
        }
        for (client, (id, left)) in &result {
            let policy = policies.of(*id).unwrap();
            prop_assert!(policy.destinations.contains_key(id) && policy.client(client.address) == *client);
            prop_assert_eq!(left.is_none(), pins.contains(client), "nothing else stays for ever");
            prop_assert!(left.is_none_or(|left| left <= policy.timeout + seconds(1)));
            if live.has(client, *id) {
                prop_assert!(left.is_none_or(|left| left >= HORIZON.min(policy.timeout)), "held");
            }
        }
        for (client, _) in live.clients(&policies) {
            prop_assert!(result.contains_key(client), "who has connections has an entry");
        }
        for (client, (id, _)) in &table {
            if live.has(client, *id) && !pins.contains(client) {
                prop_assert_eq!(result.get(client).map(|it| it.0), Some(*id), "who is connected stays");
            }
        }
        // What is left to do after it is nothing but making room for what it made.
        let again = look(&policies, &live, &BTreeSet::new(), &result);
        prop_assert!(again.actions.iter().all(|action| matches!(action, Action::Delete(_))), "{:?}", again.actions);
    }

    #[test]
    fn entries_that_move_lose_no_client(policies in any_policies(), table in any_table()) {
        let mut moved = table.clone();
        let mut rekey = Rekey::new(&policies);
        entries(&table).for_each(|entry| rekey.find(&entry));
        entries(&table).for_each(|entry| rekey.compare(&entry));
        carry_out(rekey.finish().collect::<Vec<_>>(), &mut moved);
        for entry in entries(&table) {
            let Some(policy) = policies.of(entry.destination) else { continue };
            if policy.destinations.contains_key(&entry.destination) {
                let home = policy.client(entry.client.address);
                let life = |left: Option<Duration>| left.unwrap_or(Duration::MAX);
                let shortened = entry.left.map(|left| left.min(policy.timeout));
                prop_assert!(life(moved[&home].1) >= life(shortened).min(life(entry.left)));
            }
        }
    }
}
