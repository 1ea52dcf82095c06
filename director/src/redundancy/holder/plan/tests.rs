use super::*;
use crate::kernel::address::picture::{Change, Link};
use proptest::prelude::*;
use std::net::IpAddr;

const LINKS: [&str; 3] = ["eth0", "eth1", "vrrp51-pub"];

fn placed() -> impl Strategy<Value = Placed> {
    let interface = prop::sample::select(&LINKS[..]);
    (0..4_u8, interface).prop_map(|(host, interface)| ([192, 168, 1, host].into(), interface.to_owned()))
}

fn some() -> impl Strategy<Value = BTreeSet<Placed>> {
    prop::collection::btree_set(placed(), 0..8)
}

/// Links that are up, down or missing, and host addresses on them, for ever or not.
fn picture() -> impl Strategy<Value = Picture> {
    let links = prop::collection::vec(prop::option::of(any::<bool>()), LINKS.len());
    let addresses = prop::collection::btree_map(placed(), any::<bool>(), 0..8);
    (links, addresses).prop_map(|(links, addresses)| {
        let mut picture = Picture::default();
        for ((index, name), up) in (1..).zip(LINKS).zip(links) {
            if let Some(up) = up {
                let name = name.to_owned();
                picture.take(Change::Link(Link { index, name, up, carrier: up, mac: None, base: None }));
            }
        }
        for ((address, interface), permanent) in addresses {
            put(&mut picture, address, &interface, permanent);
        }
        picture
    })
}

fn put(picture: &mut Picture, address: IpAddr, interface: &str, permanent: bool) {
    if let Some(index) = picture.link(interface).map(|link| link.index) {
        picture.put(address, index, permanent);
    }
}

fn orders() -> impl Strategy<Value = Addresses> {
    (some(), some(), any::<bool>()).prop_map(|(wanted, ours, raises)| {
        let links = if raises { ["vrrp51-pub".to_owned()].into() } else { BTreeSet::new() };
        Addresses { wanted, ours, links }
    })
}

/// What the kernel makes of a step.
fn take(picture: &mut Picture, step: Step, lease: bool) {
    match step {
        Step::Remove((address, interface)) => {
            let index = picture.link(&interface).unwrap().index;
            picture.put_off(address, index);
        }
        Step::Raise(name, up) => {
            let index = picture.link(&name).unwrap().index;
            picture.raise(index, up);
        }
        Step::Add((address, interface)) => {
            assert!(picture.link_for(address, &interface).is_ok(), "the kernel refuses it");
            put(picture, address, &interface, !lease);
        }
        Step::Renew((address, interface)) => put(picture, address, &interface, !lease),
    }
}

proptest! {
    #[test]
    fn the_way_leads_to_the_goal_and_touches_nothing_else(
        before in picture(),
        ordered in orders(),
        holding in prop::sample::select(&[Holding::AsFound, Holding::Held, Holding::Released][..]),
        lease: bool,
    ) {
        let goal = Goal { ordered: &ordered, holding, lease };
        let mut after = before.clone();
        let plan = goal.plan(&before, |_| false);
        for step in plan.steps {
            take(&mut after, step, lease);
        }
        if holding == Holding::AsFound {
            prop_assert_eq!(after, before);
            return Ok(());
        }
        prop_assert_eq!(goal.plan(&after, |_| true).steps, [], "one way is enough");
        let held = |placed: &Placed| holding == Holding::Held && ordered.wanted.contains(placed);
        for placed in before.placed().union(&after.placed()) {
            if !ordered.ours.contains(placed) {
                let lifetime = |picture: &Picture| picture.host(placed.0, &placed.1);
                prop_assert_eq!(lifetime(&before), lifetime(&after), "it is not ours");
            }
        }
        for placed in &ordered.ours {
            let there = after.host(placed.0, &placed.1);
            if held(placed) {
                prop_assert!(there == Some(!lease) || plan.errors.contains_key(placed));
            } else {
                prop_assert_eq!(there, None);
            }
        }
        for name in &ordered.links {
            prop_assert!(after.link(name).is_none_or(|link| link.up == (holding == Holding::Held)));
        }
    }

    #[test]
    fn addresses_go_before_others_come(picture in picture(), ordered in orders(), lease: bool) {
        let steps = Goal { ordered: &ordered, holding: Holding::Held, lease }.plan(&picture, |_| false).steps;
        let removes = |step: &Step| matches!(step, Step::Remove(_));
        prop_assert!(steps.iter().skip_while(|step| removes(step)).all(|step| !removes(step)));
    }

    #[test]
    fn a_lease_of_another_length_is_renewed(picture in picture(), wanted in some()) {
        let ordered = Addresses { ours: wanted.clone(), wanted, ..Addresses::default() };
        let goal = Goal { ordered: &ordered, holding: Holding::Held, lease: true };
        let plan = goal.plan(&picture, |_| false);
        for placed in plan.in_place {
            prop_assert!(plan.steps.contains(&Step::Renew(placed)));
        }
    }
}
