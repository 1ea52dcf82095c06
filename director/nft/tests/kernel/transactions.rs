//! All or nothing, errors that name the operation, and batches of many pages.

use crate::namespace::{chain, in_namespace, listed, load, loaded, mark, mark_spec, marks, run};
use director_nft::ir::{
    DataType, Datum, Element, ElementData, Expression, Key, Map, MapData, MapSpec, MarkTarget, Numgen,
    NumgenMode, Ruleset, Statement, Verdict,
};
use director_nft::netlink::{Error, Nft};
use director_nft::observed::Observed;
use director_nft::transaction::{Operation, Transaction};

fn small() -> Ruleset {
    let mut ruleset = Ruleset::default();
    ruleset.maps.insert("slots".to_owned(), marks([(1, 11), (2, 12)]));
    let accept = vec![Statement::Verdict(Verdict::Accept)];
    ruleset.chains.insert("svc".to_owned(), chain([accept.clone(), accept]));
    ruleset
}

/// As many services as asked for, each with two servers in two slots, in the layout that the director uses.
fn services(count: u32) -> Ruleset {
    let mut ruleset = Ruleset::default();
    let vips = MapSpec {
        key: vec![DataType::Ipv4Addr, DataType::InetProto, DataType::InetService],
        data: MapData::Verdict,
        size: Some(2 * count),
        ..MapSpec::default()
    };
    let dests = MapSpec { data: MapData::Values(vec![DataType::Ipv4Addr]), ..mark_spec() };
    let mut elements = [].into();
    let mut slots = marks([]);
    let mut destinations = Map { spec: dests, elements: [].into() };
    slots.spec.size = Some(4 * count);
    ruleset.chains.insert("pick4".to_owned(), chain([]));
    for service in 1..=count {
        let name = format!("svc-{service}-4");
        let address = std::net::Ipv4Addr::from(0x0a00_0000 | service);
        let key = Key::of([Datum::Ipv4(address), Datum::Proto(6), Datum::Port(80)]);
        let data = Some(ElementData::Verdict(Verdict::Goto(name.clone())));
        let element = Element { data, comment: Some(format!("service {service}")) };
        std::collections::BTreeMap::insert(&mut elements, key, element);
        for server in 1..=2 {
            let id = 0x8000_0000 | service << 12 | server;
            slots.elements.extend([mark(service << 16 | (server - 1), id)]);
            let data = Some(ElementData::Values(vec![Datum::Ipv4([10, 9, 0, 1].into())]));
            destinations.elements.insert(Key::of([Datum::Mark(id)]), Element { data, comment: None });
        }
        let numgen = Numgen { mode: NumgenMode::Increment, modulus: 2, offset: service << 16 };
        ruleset.chains.insert(
            name,
            chain([vec![
                Statement::SetMark {
                    target: MarkTarget::Meta,
                    value: Expression::Value(Datum::Mark(service)),
                },
                Statement::SetMark { target: MarkTarget::Ct, value: Expression::Numgen(numgen) },
                Statement::Verdict(Verdict::Goto("pick4".to_owned())),
            ]]),
        );
    }
    ruleset.maps.insert("vips4".to_owned(), Map { spec: vips, elements });
    ruleset.maps.insert("slots".to_owned(), slots);
    ruleset.maps.insert("dests4".to_owned(), destinations);
    ruleset
}

#[test]
fn without_a_table_there_is_nothing_to_see() {
    in_namespace(|| {
        run("nft", &["add", "table", "inet", "other"]);
        assert_eq!(Nft::open().unwrap().observe().unwrap(), Observed::default());
    });
}

#[test]
fn a_thousand_services_go_in_one_transaction() {
    in_namespace(|| {
        let ruleset = services(1000);
        let mut nft = loaded(&ruleset);
        assert_eq!(nft.observe().unwrap(), Observed::from(&ruleset));
        nft.apply(&Transaction { operations: vec![Operation::DeleteTable] }).unwrap();
        assert!(!nft.observe().unwrap().table);
    });
}

#[test]
fn a_refused_operation_is_named_and_leaves_everything_as_it_was() {
    in_namespace(|| {
        let ruleset = small();
        let mut nft = loaded(&ruleset);
        let goto = vec![Statement::Verdict(Verdict::Goto("nowhere".to_owned()))];
        let transaction = Transaction {
            operations: vec![
                Operation::FlushChain { name: "svc".to_owned() },
                Operation::AddElements {
                    map: "slots".to_owned(),
                    spec: mark_spec(),
                    elements: vec![mark(3, 13)],
                },
                Operation::AddRule { chain: "svc".to_owned(), rule: chain([goto]).rules.remove(0) },
                Operation::DeleteMap { name: "none".to_owned() },
                Operation::AddChain { name: "late".to_owned(), base: None },
            ],
        };
        let error = nft.apply(&transaction).unwrap_err();
        assert!(matches!(error, Error::Refused { index: Some(2), .. }), "{error:?}");
        assert_eq!(error.errno(), Some(libc::ENOENT));
        assert!(error.to_string().contains("svc"), "{error}");
        assert!(error.to_string().contains("a chain or map that it names is not there"), "{error}");
        assert_eq!(nft.observe().unwrap(), Observed::from(&ruleset));
    });
}

#[test]
fn a_clash_deep_in_a_large_transaction_is_found() {
    in_namespace(|| {
        let mut transaction = load(&services(500));
        let at = 700;
        transaction.operations.insert(at, Operation::DeleteChain { name: "missing".to_owned() });
        let mut nft = Nft::open().unwrap();
        let error = nft.apply(&transaction).unwrap_err();
        assert!(matches!(error, Error::Refused { index: Some(index), .. } if index == at), "{error:?}");
        assert!(!nft.observe().unwrap().table);
        transaction.operations.remove(at);
        nft.apply(&transaction).unwrap();
    });
}

#[test]
fn thousands_of_errors_hide_neither_the_first_nor_the_next_answer() {
    in_namespace(|| {
        let mut nft = loaded(&small());
        let operations =
            (0..20_000).map(|number| Operation::DeleteChain { name: format!("missing-{number}") }).collect();
        let error = nft.apply(&Transaction { operations }).unwrap_err();
        assert!(matches!(error, Error::Refused { index: Some(0), .. }), "{error:?}");
        assert_eq!(nft.observe().unwrap(), Observed::from(&small()));
    });
}

#[test]
fn what_is_there_with_other_contents_is_refused() {
    in_namespace(|| {
        let mut nft = loaded(&small());
        let add = |elements| Operation::AddElements { map: "slots".to_owned(), spec: mark_spec(), elements };
        let error = nft.apply(&Transaction { operations: vec![add(vec![mark(1, 99)])] }).unwrap_err();
        assert_eq!(error.errno(), Some(libc::EEXIST));
        assert!(error.to_string().contains("it is there already"), "{error}");
        assert_eq!(nft.observe().unwrap(), Observed::from(&small()));
    });
}

#[test]
fn what_no_kernel_could_do_is_not_sent() {
    in_namespace(|| {
        let mut nft = Nft::open().unwrap();
        for name in ["", "zero\0byte", &"x".repeat(256)] {
            let operations =
                vec![Operation::AddTable, Operation::AddChain { name: name.to_owned(), base: None }];
            let error = nft.apply(&Transaction { operations }).unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        }
        assert!(!nft.observe().unwrap().table);
    });
}

#[test]
fn adding_the_table_again_and_doing_nothing_change_nothing() {
    in_namespace(|| {
        let mut nft = loaded(&small());
        nft.apply(&Transaction::default()).unwrap();
        let spec = mark_spec();
        let nothing = Operation::AddElements { map: "slots".to_owned(), spec, elements: Vec::new() };
        nft.apply(&Transaction { operations: vec![nothing] }).unwrap();
        nft.apply(&Transaction { operations: vec![Operation::AddTable] }).unwrap();
        assert_eq!(nft.observe().unwrap(), Observed::from(&small()));
    });
}

#[test]
fn an_element_is_replaced_in_place_and_a_chain_emptied() {
    in_namespace(|| {
        let mut nft = loaded(&small());
        let (key, element) = mark(1, 99);
        let map = "slots".to_owned();
        nft.apply(&Transaction {
            operations: vec![
                Operation::DeleteElements { map: map.clone(), spec: mark_spec(), keys: vec![key.clone()] },
                Operation::AddElements { map, spec: mark_spec(), elements: vec![(key, element)] },
                Operation::FlushChain { name: "svc".to_owned() },
            ],
        })
        .unwrap();
        let mut expected = small();
        expected.maps.insert("slots".to_owned(), marks([(1, 99), (2, 12)]));
        expected.chains.insert("svc".to_owned(), chain([]));
        assert_eq!(nft.observe().unwrap(), Observed::from(&expected));
        let delete = vec![
            Operation::DeleteChain { name: "svc".to_owned() },
            Operation::DeleteMap { name: "slots".to_owned() },
        ];
        nft.apply(&Transaction { operations: delete }).unwrap();
        assert_eq!(nft.observe().unwrap(), Observed { table: true, ..Observed::default() });
    });
}

#[test]
fn what_others_added_is_told_apart() {
    in_namespace(|| {
        let mut nft = loaded(&small());
        run("nft", &["add rule inet director svc counter drop"]);
        run("nft", &["add set inet director foreign { type ether_addr; }"]);
        let observed = nft.observe().unwrap();
        assert_eq!(observed.chains["svc"].rules.last(), Some(&None));
        assert_eq!(observed.chains["svc"].rules.len(), 3);
        assert_eq!(observed.maps["foreign"].spec, None);
        assert!(listed().contains("counter packets 0 bytes 0 drop"));
    });
}
