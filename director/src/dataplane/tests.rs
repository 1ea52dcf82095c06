use super::*;
use director_core::availability::Override;
use director_core::config::load;
use director_nft::fake::{Fake, FakeError};
use director_nft::ir::Datum;

/// A fake kernel that refuses when told to, counts what it is asked, and lets somebody else in.
#[derive(Default)]
struct FakeKernel {
    fake: Fake,
    refuse: bool,
    applied: usize,
    observed: usize,
    packets: BTreeMap<Key, u64>,
}

#[derive(Debug, thiserror::Error)]
enum FakeKernelError {
    #[error("refused")]
    Refused,
    #[error("{0}")]
    Fake(FakeError),
}

impl Kernel for FakeKernel {
    type Error = FakeKernelError;

    fn apply(&mut self, transaction: &Transaction) -> Result<(), FakeKernelError> {
        if self.refuse {
            return Err(FakeKernelError::Refused);
        }
        self.applied += 1;
        self.fake.apply(transaction).map_err(FakeKernelError::Fake)
    }

    fn observe(&mut self) -> Result<Observed, FakeKernelError> {
        self.observed += 1;
        Ok(self.fake.observe())
    }

    fn packets(&mut self, map: &str, keys: Option<&[Key]>) -> Result<BTreeMap<Key, u64>, FakeKernelError> {
        let asked = |key: &Key| keys.is_none_or(|keys| keys.contains(key));
        let counted = self.packets.iter().filter(|(key, _)| map == "dests4" && asked(key));
        Ok(counted.map(|(key, packets)| (key.clone(), *packets)).collect())
    }
}

fn text(services: usize) -> String {
    let mut text = String::from(
        "version: 1
nodes:
  lb1:
    public: {interface: eth0, address: 192.168.1.33/24}
    private: {interface: eth1, address: 10.0.1.33/24}
servers:
  a: {address: 10.0.1.1}
  b: {address: 10.0.1.2}
services:
",
    );
    for port in 1..=services {
        text += &format!(
            "  s{port}: {{vip: 192.168.1.35, ports: {{tcp: {port}}}, servers: {{a: {{}}, b: {{}}}}}}\n"
        );
    }
    text
}

fn wanted(text: &str, registry: &mut Registry) -> Wanted {
    let model = load(text, "farm").unwrap_or_else(|report| panic!("{report}"));
    registry.assign(&model).unwrap();
    let availability = crate::targets::decide(&model, &BTreeMap::new(), &BTreeMap::new());
    let node = Arc::new(model.nodes["lb1"].clone());
    Wanted { model: Arc::new(model), node, registry: Arc::new(registry.clone()), availability }
}

/// `wanted` with a weight for server a of service s1.
fn weighted(wanted: &Wanted, weight: u16) -> Wanted {
    let a = Override { weight: Some(weight), drained: false };
    let overrides = BTreeMap::from([("s1".to_owned(), BTreeMap::from([("a".to_owned(), a)]))]);
    let availability = crate::targets::decide(&wanted.model, &BTreeMap::new(), &overrides);
    Wanted { availability, ..wanted.clone() }
}

/// A data plane that holds `wanted`.
fn running(wanted: &Wanted) -> (Dataplane<FakeKernel>, Connections) {
    let (mut dataplane, mut connections) = (Dataplane::new(FakeKernel::default()), Connections::default());
    let synced = dataplane.sync(wanted.clone(), &mut connections).unwrap();
    assert!(synced.whole && synced.operations > 0);
    (dataplane, connections)
}

fn holds(dataplane: &Dataplane<FakeKernel>, wanted: &Wanted) -> bool {
    dataplane.kernel.fake.ruleset() == &ruleset(dataplane.layout.as_ref().unwrap(), wanted)
}

#[test]
fn the_first_run_adopts_what_is_there_already() {
    let wanted = wanted(&text(3), &mut Registry::default());
    let (dataplane, mut connections) = running(&wanted);
    let mut restarted = Dataplane::new(dataplane.kernel);
    let synced = restarted.sync(wanted.clone(), &mut connections).unwrap();
    assert_eq!(synced, Synced { whole: true, operations: 0 });
}

#[test]
fn a_weight_touches_its_service_only() {
    let wanted = wanted(&text(50), &mut Registry::default());
    let (mut dataplane, mut connections) = running(&wanted);
    let (reads, heavier) = (dataplane.kernel.observed, weighted(&wanted, 2));
    let synced = dataplane.sync(heavier.clone(), &mut connections).unwrap();
    assert!(!synced.whole && synced.operations < 6, "{synced:?}");
    assert_eq!(dataplane.kernel.observed, reads, "nothing is read back for a part");
    assert!(holds(&dataplane, &heavier));
}

#[test]
fn nothing_is_sent_when_nothing_changed() {
    let wanted = wanted(&text(3), &mut Registry::default());
    let (mut dataplane, mut connections) = running(&wanted);
    let applied = dataplane.kernel.applied;
    let synced = dataplane.sync(wanted, &mut connections).unwrap();
    assert_eq!((synced, dataplane.kernel.applied), (Synced { whole: false, operations: 0 }, applied));
}

#[test]
fn slots_that_outgrow_their_map_get_a_larger_one() {
    let wanted = wanted(&text(1), &mut Registry::default());
    let (mut dataplane, mut connections) = running(&wanted);
    let heavier = weighted(&wanted, 2000);
    assert!(dataplane.sync(heavier.clone(), &mut connections).unwrap().whole);
    assert!(holds(&dataplane, &heavier));
}

#[test]
fn a_restart_keeps_maps_that_are_larger_than_need_be() {
    let wanted = wanted(&text(1), &mut Registry::default());
    let (mut dataplane, mut connections) = running(&wanted);
    dataplane.sync(weighted(&wanted, 2000), &mut connections).unwrap();
    dataplane.sync(wanted.clone(), &mut connections).unwrap();
    let mut restarted = Dataplane::new(dataplane.kernel);
    assert_eq!(restarted.sync(wanted, &mut connections).unwrap().operations, 0);
}

#[test]
fn what_somebody_else_broke_is_repaired() {
    let wanted = wanted(&text(3), &mut Registry::default());
    let (mut dataplane, mut connections) = running(&wanted);
    dataplane.kernel.fake.apply(&removal()).unwrap();
    dataplane.distrust();
    assert!(dataplane.sync(wanted.clone(), &mut connections).unwrap().operations > 0);
    assert!(holds(&dataplane, &wanted));
}

#[test]
fn a_refused_change_leaves_the_old_ruleset_and_the_next_run_reads_it() {
    let wanted = wanted(&text(3), &mut Registry::default());
    let (mut dataplane, mut connections) = running(&wanted);
    dataplane.kernel.refuse = true;
    assert!(dataplane.sync(weighted(&wanted, 5), &mut connections).is_err());
    assert!(holds(&dataplane, &wanted));
    dataplane.kernel.refuse = false;
    assert!(dataplane.sync(weighted(&wanted, 5), &mut connections).unwrap().whole);
}

#[test]
fn another_configuration_keeps_what_both_have() {
    let mut registry = Registry::default();
    let before = wanted(&text(3), &mut registry);
    let (mut dataplane, mut connections) = running(&before);
    let after = wanted(&text(2), &mut registry);
    let synced = dataplane.sync(after.clone(), &mut connections).unwrap();
    assert!(synced.whole && synced.operations < 10, "{synced:?}");
    assert!(holds(&dataplane, &after));
}

#[test]
fn counts_of_a_drained_server_are_taken_over_before_its_element_goes() {
    let mut registry = Registry::default();
    let wanted = wanted(&text(1), &mut registry);
    let (mut dataplane, mut connections) = running(&wanted);
    let id = registry.server("s1", "a").unwrap().get();
    dataplane.kernel.packets.insert(Key::of([Datum::Mark(id)]), 7);
    dataplane.sync(weighted(&wanted, 0), &mut connections).unwrap();
    assert_eq!(connections.total(id), 7);
    dataplane.kernel.packets.insert(Key::of([Datum::Mark(id)]), 1);
    dataplane.sync(wanted, &mut connections).unwrap();
    dataplane.count(&mut connections).unwrap();
    assert_eq!(connections.total(id), 8, "a new element counts from zero");
}

#[test]
fn removal_leaves_nothing() {
    let wanted = wanted(&text(3), &mut Registry::default());
    let (mut dataplane, _) = running(&wanted);
    dataplane.remove().unwrap();
    assert!(!dataplane.kernel.fake.observe().table);
    dataplane.remove().unwrap();
}
