//! Services that go by live connections, and those beside them.

use super::*;
use crate::model::Scheduler;
use crate::pool::Load;
use director_nft::ir::{EventMask, Rule, Statement};
use director_nft::transaction::Operation;

const VIPS: [&str; 2] = ["192.168.1.35", "fd00:1::35"];

/// [`FARM`] with another scheduler for `exchange`.
fn farm(scheduler: Scheduler) -> Farm {
    let mut farm = Farm::new(FARM);
    if let Some(service) = farm.model.services.get_mut("exchange") {
        service.scheduler = scheduler;
    }
    farm.layout = Layout::new(&farm.model, 200, None);
    farm.apply();
    farm
}

impl Farm {
    fn load(&mut self, active: [u32; 3], expected: u32) {
        let names = ["exchange1", "exchange2", "old"].map(str::to_owned);
        let loads = names.into_iter().zip(active.map(|active| Load { active, inactive: 0 })).collect();
        if let Some(offer) = self.offers.get_mut("exchange") {
            offer.demand = Demand { loads, expected };
        }
        let ruleset = self.ruleset();
        self.tracer.replace(&ruleset);
    }

    fn events(&mut self, vip: &str, port: u16) -> Option<EventMask> {
        self.send("198.51.100.1", vip, 6, port).events
    }
}

#[test]
fn events_are_told_of_services_that_are_counted_and_of_no_others() {
    let mut farm = farm(Scheduler::Wlc);
    let told = EventMask::NEW | EventMask::DESTROY | EventMask::PROTOINFO;
    assert_eq!(farm.events("192.168.1.35", 25), Some(told));
    assert_eq!(farm.events("192.168.1.35", 25), Some(told), "a returning client");
    assert_eq!(farm.events("192.168.1.38", 80), Some(EventMask::default()));
    assert_eq!(farm.events("192.168.1.36", 80), Some(EventMask::default()), "management");
    assert_eq!(farm.events("8.8.8.8", 80), None, "others' connections are others' business");
}

#[test]
fn no_rule_speaks_of_events_while_nobody_is_counted() {
    let mut farm = farm(Scheduler::Wrr);
    for (vip, port) in [("192.168.1.35", 25), ("192.168.1.38", 80), ("192.168.1.36", 80)] {
        assert_eq!(farm.events(vip, port), None);
    }
    let sets = |rule: &Rule| rule.statements.iter().any(|it| matches!(it, Statement::SetEvents(_)));
    assert!(!farm.ruleset().chains.values().any(|chain| chain.rules.iter().any(sets)));
}

#[test]
fn loads_change_slots_and_nothing_else() {
    for scheduler in [Scheduler::Lc, Scheduler::Wlc, Scheduler::Sed, Scheduler::Nq] {
        let mut farm = farm(scheduler);
        farm.load([0, 3, 9], 1);
        let before = farm.ruleset();
        farm.load([7, 0, 2], 30);
        let change = diff(&Observed::from(&before), &farm.ruleset());
        assert!(!change.is_empty());
        for operation in change.operations {
            assert!(
                matches!(&operation, Operation::AddElements { map, .. } | Operation::DeleteElements { map, .. } if map == "slots"),
                "{scheduler:?}: {operation:?}"
            );
        }
    }
}

#[test]
fn a_server_of_one_family_leaves_the_other_family_its_servers() {
    let mut farm = farm(Scheduler::Wlc);
    // `old` has nothing to do, and no IPv6 address.
    farm.load([50, 60, 0], 1);
    let goes = VIPS.map(|vip| {
        let client = if vip.contains(':') { "2001:db8:1::1" } else { "198.51.100.1" };
        farm.goes(client, vip, 6, 25)
    });
    assert_eq!(goes, ["10.0.1.3", "fd00:2::1"]);
}
