mod arbitrary;

use super::{diff, removal};
use crate::fake::Fake;
use crate::ir::{
    BaseChain, Chain, ChainKind, DataType, Datum, Element, ElementData, Hook, Key, Map, MapData, MapSpec,
    Rule, Ruleset, Selector, Statement, Verdict,
};
use crate::namespace;
use crate::observed::Observed;
use crate::render;
use crate::transaction::{Operation, Transaction};
use proptest::prelude::*;

/// A kernel that holds `ruleset`.
fn kernel(ruleset: &Ruleset) -> Fake {
    let mut fake = Fake::new();
    fake.apply(&diff(&Observed::default(), ruleset)).unwrap();
    fake
}

fn words(transaction: &Transaction) -> Vec<String> {
    transaction.operations.iter().map(render::operation).collect()
}

proptest! {
    #[test]
    fn leads_from_any_ruleset_to_any_other(a in arbitrary::ruleset(), b in arbitrary::ruleset()) {
        let mut fake = kernel(&a);
        prop_assert_eq!(fake.ruleset(), &a);
        fake.apply(&diff(&fake.observe(), &b)).unwrap();
        prop_assert_eq!(fake.ruleset(), &b);
        prop_assert!(diff(&fake.observe(), &b).is_empty());
        fake.apply(&diff(&fake.observe(), &Ruleset::default())).unwrap();
        prop_assert_eq!(fake.observe(), Observed { table: true, ..Observed::default() });
    }

    #[test]
    fn touches_no_element_that_stays(a in arbitrary::ruleset(), b in arbitrary::ruleset()) {
        let stays = |map: &str, key: &Key| {
            let (Some(from), Some(to)) = (a.maps.get(map), b.maps.get(map)) else { return false };
            from.spec == to.spec
                && from.elements.get(key).is_some_and(|element| to.elements.get(key) == Some(element))
        };
        for operation in diff(&Observed::from(&a), &b).operations {
            if let Operation::AddElements { map, elements, .. } = &operation {
                prop_assert!(!elements.iter().any(|(key, _)| stays(map, key)));
            }
            if let Operation::DeleteElements { map, keys, .. } = &operation {
                prop_assert!(!keys.iter().any(|key| stays(map, key)));
            }
            if let Operation::DeleteMap { name } = &operation {
                let spec = |ruleset: &Ruleset| ruleset.maps.get(name).map(|map| map.spec.clone());
                prop_assert_ne!(spec(&a), spec(&b));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 50, failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn the_kernel_takes_what_the_fake_takes(a in arbitrary::ruleset(), b in arbitrary::ruleset()) {
        let first = render::transaction(&diff(&Observed::default(), &a));
        let second = render::transaction(&diff(&Observed::from(&a), &b));
        let script = "nft -f - <<EOF &&\n".to_owned() + &first + "EOF\nnft -f - && nft list table inet director";
        let Some((success, listed)) = namespace::run(&script, &second) else { return Ok(()) };
        prop_assert!(success, "{}\nfrom\n{}\nby\n{}", listed, first, second);
        // What nft makes of a plain `reject` behind a field of IPv4. The answer is the same.
        let listed = listed.replace("reject with icmp port-unreachable", "reject");
        let expected = render::ruleset(&b);
        prop_assert_eq!(pieces(&listed), pieces(&expected));
    }
}

/// Lines and elements, sorted: the kernel lists things in the order they came.
fn pieces(listing: &str) -> Vec<&str> {
    let lines =
        listing.lines().map(|line| line.trim().trim_start_matches("elements = { ").trim_end_matches(" }"));
    let mut pieces: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    pieces.retain(|piece| !piece.is_empty());
    pieces.sort_unstable();
    pieces
}

/// A base chain that leads through map `vips` to chain `service`.
fn small() -> Ruleset {
    let base = BaseChain { kind: ChainKind::Nat, hook: Hook::Prerouting, priority: -100 };
    let vmap = Statement::Vmap { key: vec![Selector::MetaMark], map: "vips".to_owned() };
    let accept = Statement::Verdict(Verdict::Accept);
    let spec = MapSpec { key: vec![DataType::Mark], data: MapData::Verdict, ..MapSpec::default() };
    let rule = |statement| Rule { statements: vec![statement], comment: None };
    let elements = [(Key::of([Datum::Mark(80)]), to("service", Some("exchange")))];
    Ruleset {
        chains: [
            ("prerouting".to_owned(), Chain { base: Some(base), rules: vec![rule(vmap)] }),
            ("service".to_owned(), Chain { base: None, rules: vec![rule(accept)] }),
        ]
        .into(),
        maps: [("vips".to_owned(), Map { spec, elements: elements.into() })].into(),
    }
}

fn to(chain: &str, comment: Option<&str>) -> Element {
    let verdict = Verdict::Goto(chain.to_owned());
    Element { data: Some(ElementData::Verdict(verdict)), comment: comment.map(str::to_owned) }
}

#[test]
fn elements_come_before_rules_and_base_chains_rules_last() {
    assert_eq!(
        words(&diff(&Observed::default(), &small())),
        [
            "add table inet director",
            "add map vips",
            "add base chain prerouting",
            "add chain service",
            "add element 0x00000050 to map vips",
            "add rule to chain service",
            "add rule to chain prerouting",
        ]
    );
}

#[test]
fn an_element_is_replaced_in_place() {
    for (chain, comment) in [("other", Some("exchange")), ("service", Some("renamed")), ("service", None)] {
        let mut wanted = small();
        wanted.chains.insert("other".to_owned(), Chain::default());
        let mut fake = kernel(&wanted);
        let elements = &mut wanted.maps.get_mut("vips").unwrap().elements;
        elements.insert(Key::of([Datum::Mark(80)]), to(chain, comment));
        let transaction = diff(&fake.observe(), &wanted);
        assert_eq!(
            words(&transaction),
            ["delete element 0x00000050 from map vips", "add element 0x00000050 to map vips"]
        );
        fake.apply(&transaction).unwrap();
        assert_eq!(fake.ruleset(), &wanted);
    }
}

#[test]
fn a_map_of_another_kind_is_made_anew_and_bound_again() {
    let mut wanted = small();
    wanted.maps.get_mut("vips").unwrap().spec.size = Some(64);
    let expected = [
        "flush chain prerouting",
        "delete map vips",
        "add map vips",
        "add element 0x00000050 to map vips",
        "add rule to chain prerouting",
    ];
    let mut fake = kernel(&small());
    let transaction = diff(&fake.observe(), &wanted);
    assert_eq!(words(&transaction), expected);
    fake.apply(&transaction).unwrap();
    assert_eq!(fake.ruleset(), &wanted);

    let mut foreign = Observed::from(&wanted);
    foreign.maps.get_mut("vips").unwrap().spec = None;
    assert_eq!(words(&diff(&foreign, &wanted)), expected);
}

#[test]
fn a_rule_that_is_not_ours_has_its_chain_written_anew() {
    let mut there = Observed::from(&small());
    there.chains.get_mut("service").unwrap().rules.push(None);
    assert_eq!(words(&diff(&there, &small())), ["flush chain service", "add rule to chain service"]);
    there.chains.get_mut("service").unwrap().rules.clear();
    assert_eq!(words(&diff(&there, &small())), ["add rule to chain service"]);
}

#[test]
fn a_chain_with_another_hook_is_made_anew() {
    let mut there = Observed::from(&small());
    if let Some(base) = &mut there.chains.get_mut("prerouting").unwrap().base {
        base.priority = -90;
    }
    assert_eq!(
        words(&diff(&there, &small())),
        [
            "flush chain prerouting",
            "delete chain prerouting",
            "add base chain prerouting",
            "add rule to chain prerouting",
        ]
    );
}

#[test]
fn elements_of_dynamic_maps_are_left_alone() {
    let spec = MapSpec {
        key: vec![DataType::Mark],
        data: MapData::Values(vec![DataType::Mark]),
        dynamic: true,
        ..MapSpec::default()
    };
    let map = Map { spec, elements: [].into() };
    let wanted = Ruleset { maps: [("persist".to_owned(), map)].into(), ..Ruleset::default() };
    let mut there = Observed::from(&wanted);
    let entry = Element { data: Some(ElementData::Values(vec![Datum::Mark(2)])), comment: None };
    there.maps.get_mut("persist").unwrap().elements.insert(Key::of([Datum::Mark(1)]), entry);
    assert_eq!(diff(&there, &wanted), Transaction::default());
}

#[test]
fn the_table_is_removed_whether_it_is_there_or_not() {
    let mut fake = kernel(&small());
    fake.apply(&removal()).unwrap();
    assert_eq!(fake.observe(), Observed::default());
    fake.apply(&removal()).unwrap();
    assert_eq!(fake.observe(), Observed::default());
}
