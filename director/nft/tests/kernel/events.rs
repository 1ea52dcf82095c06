//! Notifications: whose change it was.

use crate::namespace::{in_namespace, loaded, mark, mark_spec, marks, run};
use director_nft::ir::Ruleset;
use director_nft::netlink::{Changes, Events};
use director_nft::transaction::{Operation, Transaction};

#[test]
fn foreign_changes_of_the_table_are_told_from_ours() {
    in_namespace(|| {
        let mut ruleset = Ruleset::default();
        ruleset.maps.insert("slots".to_owned(), marks([(1, 11)]));
        let mut nft = loaded(&ruleset);
        let mut events = Events::open([&nft]).unwrap();
        assert_eq!(events.drain().unwrap(), Changes::None);

        let elements = vec![mark(2, 12)];
        let add = Operation::AddElements { map: "slots".to_owned(), spec: mark_spec(), elements };
        nft.apply(&Transaction { operations: vec![add] }).unwrap();
        assert_eq!(events.drain().unwrap(), Changes::Ours);

        run("nft", &["add table inet other; add chain inet other director"]);
        run("nft", &["add table ip director"]);
        assert_eq!(events.drain().unwrap(), Changes::None);

        run("nft", &["add element inet director slots { 3 : 13 }"]);
        assert_eq!(events.drain().unwrap(), Changes::Foreign);

        run("nft", &["flush", "ruleset"]);
        assert_eq!(events.drain().unwrap(), Changes::Foreign);
        assert_eq!(events.drain().unwrap(), Changes::None);
    });
}

#[test]
fn lost_notifications_count_as_foreign() {
    in_namespace(|| {
        let mut ruleset = Ruleset::default();
        ruleset.maps.insert("slots".to_owned(), marks([]));
        let mut nft = loaded(&ruleset);
        let mut events = Events::open([&nft]).unwrap();
        let element = |key| {
            let (key, mut element) = mark(key, 1);
            element.comment = Some("x".repeat(128));
            (key, element)
        };
        let elements = (0..100_000).map(element).collect();
        let add = Operation::AddElements { map: "slots".to_owned(), spec: mark_spec(), elements };
        nft.apply(&Transaction { operations: vec![add] }).unwrap();
        assert_eq!(events.drain().unwrap(), Changes::Foreign);
        assert_eq!(events.drain().unwrap(), Changes::None);
    });
}
