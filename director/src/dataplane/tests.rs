use super::*;
use crate::decide::{Demands, Overrides, Pools, PortOverrides, Situation};
use crate::targets::VerdictMap;
use director_core::clocks::Clocks;
use director_core::config::load;
use director_core::overrides::{Override, WeightOverride};
use director_core::pool::Offers;
use director_nft::fake::{Fake, FakeError};
use director_nft::ir::Datum;

/// A fake kernel that refuses when told to, counts what it is asked, and lets somebody else in.
#[derive(Default)]
struct FakeKernel {
    fake: Fake,
    refuse: bool,
    without_synproxy: bool,
    applied: usize,
    observed: usize,
    packets: BTreeMap<Key, u64>,
    entries: BTreeMap<String, Vec<DynamicElement>>,
    put: BTreeMap<String, Vec<DynamicElement>>,
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

    fn supports(&mut self, statement: &Statement) -> Result<bool, FakeKernelError> {
        Ok(!self.without_synproxy || !matches!(statement, Statement::Synproxy(_)))
    }

    fn entries(&mut self, map: &str, _: usize) -> Result<Vec<DynamicElement>, FakeKernelError> {
        Ok(self.entries.get(map).cloned().unwrap_or_default())
    }

    fn put(&mut self, map: &str, elements: &[DynamicElement]) -> Result<(), FakeKernelError> {
        self.put.insert(map.to_owned(), elements.to_vec());
        Ok(())
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

/// A configuration and what its servers may get.
#[derive(Clone)]
struct Wanted {
    skeleton: Skeleton,
    offers: Offers,
}

fn offers(model: &Model, overrides: &Overrides) -> Offers {
    let (verdicts, ports, demands) = (&VerdictMap::new(), &PortOverrides::new(), &Demands::new());
    Situation { model, verdicts, overrides, ports, demands, now: Clocks::default() }.offers(&mut Pools::new())
}

fn wanted(text: &str, registry: &mut Registry) -> Wanted {
    let model = load(text, "farm").unwrap_or_else(|report| panic!("{report}"));
    registry.assign(&model).unwrap();
    let offers = offers(&model, &Overrides::new());
    let node = Arc::new(model.nodes["lb1"].clone());
    let skeleton = Skeleton { model: Arc::new(model), node, registry: Arc::new(registry.clone()) };
    Wanted { skeleton, offers }
}

/// `wanted` with a weight for server a of service s1.
fn weighted(wanted: &Wanted, weight: u16) -> Wanted {
    let a = Override { weight: Some(WeightOverride { weight, until: None }), drain: None };
    let overrides = BTreeMap::from([("s1".to_owned(), BTreeMap::from([("a".to_owned(), a)]))]);
    let offers = offers(&wanted.skeleton.model, &overrides);
    Wanted { offers, ..wanted.clone() }
}

/// A data plane, and what it was last told.
struct Running {
    dataplane: Dataplane<FakeKernel>,
    connections: Connections,
    offers: Offers,
}

impl Running {
    fn on(kernel: FakeKernel) -> Self {
        let (dataplane, connections) = (Dataplane::new(kernel), Connections::default());
        Self { dataplane, connections, offers: BTreeMap::new() }
    }

    fn sync(&mut self, wanted: &Wanted) -> Result<Synced, SyncError<FakeKernelError>> {
        let mut before = std::mem::replace(&mut self.offers, wanted.offers.clone());
        before.retain(|name, servers| wanted.offers.get(name) != Some(servers));
        self.dataplane.sync(&wanted.skeleton, &wanted.offers, &before, &mut self.connections)
    }

    /// Reads all counters.
    fn count(&mut self) {
        let maps: Vec<&str> = self.dataplane.counting_maps().collect();
        for map in maps {
            for (key, packets) in self.kernel().packets(map, None).unwrap() {
                self.connections.count(map, &key, packets);
            }
        }
    }

    fn kernel(&mut self) -> &mut FakeKernel {
        &mut self.dataplane.kernel
    }

    fn holds(&self, wanted: &Wanted) -> bool {
        let Skeleton { model, node, registry } = &wanted.skeleton;
        let layout = self.dataplane.layout.as_ref().unwrap();
        let ruleset = plan::ruleset(layout, model, node, registry, &wanted.offers);
        self.dataplane.kernel.fake.ruleset() == &ruleset
    }
}

/// A data plane that holds `wanted`.
fn running(wanted: &Wanted) -> Running {
    let mut running = Running::on(FakeKernel::default());
    let synced = running.sync(wanted).unwrap();
    assert!(synced.whole && synced.operations > 0);
    running
}

#[test]
fn the_first_run_adopts_what_is_there_already() {
    let wanted = wanted(&text(3), &mut Registry::default());
    let mut restarted = Running::on(running(&wanted).dataplane.kernel);
    let synced = restarted.sync(&wanted).unwrap();
    assert_eq!(synced, Synced { whole: true, operations: 0, retired: false });
}

#[test]
fn a_weight_touches_its_service_only() {
    let wanted = wanted(&text(50), &mut Registry::default());
    let mut running = running(&wanted);
    let (reads, heavier) = (running.kernel().observed, weighted(&wanted, 2));
    let synced = running.sync(&heavier).unwrap();
    assert!(!synced.whole && synced.operations < 6, "{synced:?}");
    assert_eq!(running.kernel().observed, reads, "nothing is read back for a part");
    assert!(running.holds(&heavier));
}

#[test]
fn nothing_is_sent_when_nothing_changed() {
    let wanted = wanted(&text(3), &mut Registry::default());
    let mut running = running(&wanted);
    let applied = running.kernel().applied;
    let synced = running.sync(&wanted).unwrap();
    assert_eq!(
        (synced, running.kernel().applied),
        (Synced { whole: false, operations: 0, retired: false }, applied)
    );
}

#[test]
fn slots_that_outgrow_their_map_get_a_larger_one() {
    let wanted = wanted(&text(1), &mut Registry::default());
    let mut running = running(&wanted);
    let heavier = weighted(&wanted, 2000);
    assert!(running.sync(&heavier).unwrap().whole);
    assert!(running.holds(&heavier));
}

#[test]
fn a_restart_keeps_maps_that_are_larger_than_need_be() {
    let wanted = wanted(&text(1), &mut Registry::default());
    let mut running = running(&wanted);
    running.sync(&weighted(&wanted, 2000)).unwrap();
    running.sync(&wanted).unwrap();
    let mut restarted = Running::on(running.dataplane.kernel);
    assert_eq!(restarted.sync(&wanted).unwrap().operations, 0);
}

#[test]
fn what_somebody_else_broke_is_repaired() {
    let wanted = wanted(&text(3), &mut Registry::default());
    let mut running = running(&wanted);
    running.kernel().fake.apply(&removal()).unwrap();
    running.dataplane.distrust();
    assert!(running.sync(&wanted).unwrap().operations > 0);
    assert!(running.holds(&wanted));
}

#[test]
fn a_refused_change_leaves_the_old_ruleset_and_the_next_run_reads_it() {
    let wanted = wanted(&text(3), &mut Registry::default());
    let mut running = running(&wanted);
    running.kernel().refuse = true;
    assert!(running.sync(&weighted(&wanted, 5)).is_err());
    assert!(running.holds(&wanted));
    running.kernel().refuse = false;
    assert!(running.sync(&weighted(&wanted, 5)).unwrap().whole);
}

#[test]
fn another_configuration_keeps_what_both_have() {
    let mut registry = Registry::default();
    let before = wanted(&text(3), &mut registry);
    let mut running = running(&before);
    let after = wanted(&text(2), &mut registry);
    let synced = running.sync(&after).unwrap();
    assert!(synced.whole && synced.operations < 10, "{synced:?}");
    assert!(running.holds(&after));
}

#[test]
fn counts_of_a_drained_server_are_taken_over_before_its_element_goes() {
    let mut registry = Registry::default();
    let wanted = wanted(&text(1), &mut registry);
    let mut running = running(&wanted);
    let id = registry.server("s1", "a").unwrap().get();
    running.kernel().packets.insert(Key::of([Datum::Mark(id)]), 7);
    running.sync(&weighted(&wanted, 0)).unwrap();
    assert_eq!(running.connections.total(id), 7);
    running.kernel().packets.insert(Key::of([Datum::Mark(id)]), 1);
    running.sync(&wanted).unwrap();
    running.count();
    assert_eq!(running.connections.total(id), 8, "a new element counts from zero");
}

#[test]
fn counts_of_an_element_that_the_kernel_would_not_remove_are_taken_over_once() {
    let mut registry = Registry::default();
    let wanted = wanted(&text(1), &mut registry);
    let mut running = running(&wanted);
    let id = registry.server("s1", "a").unwrap().get();
    running.kernel().packets.insert(Key::of([Datum::Mark(id)]), 7);
    running.kernel().refuse = true;
    running.sync(&weighted(&wanted, 0)).unwrap_err();
    running.count();
    assert_eq!(running.connections.total(id), 7);
}

#[test]
fn counts_of_a_map_that_is_no_longer_needed_are_taken_over() {
    let mut registry = Registry::default();
    let before = wanted(&text(1), &mut registry);
    let mut running = running(&before);
    let id = registry.server("s1", "a").unwrap().get();
    running.kernel().packets.insert(Key::of([Datum::Mark(id)]), 7);
    let six = [("192.168.1.", "fd00::"), ("10.0.1.", "fd01::"), ("/24", "/64")];
    let text = six.into_iter().fold(text(1), |text, (four, six)| text.replace(four, six));
    let after = wanted(&text, &mut registry);
    assert!(running.sync(&after).unwrap().retired);
    assert!(running.dataplane.counting_maps().all(|map| map != "dests4"));
    assert_eq!(running.connections.total(id), 7);
}

#[test]
fn counts_go_on_after_somebody_else_removed_everything() {
    let mut registry = Registry::default();
    let wanted = wanted(&text(1), &mut registry);
    let mut running = running(&wanted);
    let key = Key::of([Datum::Mark(registry.server("s1", "a").unwrap().get())]);
    running.kernel().packets.insert(key.clone(), 7);
    running.count();
    running.kernel().fake.apply(&removal()).unwrap();
    running.dataplane.distrust();
    running.sync(&wanted).unwrap();
    running.kernel().packets.insert(key, 9);
    running.count();
    let id = registry.server("s1", "a").unwrap().get();
    assert_eq!(running.connections.total(id), 16, "the new element counts from zero");
}

#[test]
fn a_kernel_without_a_syn_proxy_runs_services_unprotected_and_says_so() {
    let text = text(2);
    let guarded = text.replace("{tcp: 1},", "{tcp: 1}, syn_protection: true,");
    for without_synproxy in [false, true] {
        let mut registry = Registry::default();
        let (plain, guarded) = (wanted(&text, &mut registry), wanted(&guarded, &mut registry));
        let mut running = Running::on(FakeKernel { without_synproxy, ..FakeKernel::default() });
        running.sync(&plain).unwrap();
        assert!(!running.dataplane.unprotected(), "nobody has asked for it");
        running.sync(&guarded).unwrap();
        assert_eq!(running.dataplane.unprotected(), without_synproxy);
        assert_eq!(
            running.dataplane.kernel.fake.ruleset().chains.contains_key("handshake4"),
            !without_synproxy
        );
        running.sync(&weighted(&guarded, 2)).unwrap();
        running.dataplane.distrust();
        assert_eq!(running.sync(&weighted(&guarded, 2)).unwrap().operations, 0, "nothing is amiss");
        assert_eq!(running.dataplane.unprotected(), without_synproxy);
        running.sync(&plain).unwrap();
        assert!(!running.dataplane.unprotected());
    }
}

#[test]
fn removal_leaves_nothing() {
    let wanted = wanted(&text(3), &mut Registry::default());
    let mut running = running(&wanted);
    running.dataplane.remove().unwrap();
    assert!(!running.kernel().fake.observe().table);
    running.dataplane.remove().unwrap();
}

#[test]
fn persistence_entries_outlive_another_size_of_their_map() {
    let persistent = text(1).replace("ports: {tcp: 1}", "persistence: {timeout: 60s}, ports: {tcp: 1}");
    let limited = |limit: u32| format!("{persistent}kernel: {{persistence_entries: {limit}}}\n");
    let mut registry = Registry::default();
    let mut running = running(&wanted(&limited(4096), &mut registry));
    let entry = |number: u32| DynamicElement {
        key: Key::of([Datum::Ipv4(number.into()), Datum::Mark(80)]),
        data: vec![Datum::Mark(0x8000_0001)],
        timeout: (number > 0).then_some(Duration::from_secs(60)),
        expires: (number > 0).then(|| Duration::from_millis(number.into())),
    };
    running.kernel().entries.insert("persist4".to_owned(), (0..2000).map(entry).collect());
    running.sync(&wanted(&limited(8192), &mut registry)).unwrap();
    assert_eq!(running.kernel().put["persist4"].len(), 2000);
    running.kernel().put.clear();

    running.sync(&wanted(&limited(8192), &mut registry)).unwrap();
    assert!(running.kernel().put.is_empty(), "the map stays");

    running.sync(&wanted(&limited(1024), &mut registry)).unwrap();
    let kept = &running.kernel().put["persist4"];
    let pin_and_longest: Vec<DynamicElement> =
        std::iter::once(0).chain((2000 - 917..2000).rev()).map(entry).collect();
    assert_eq!(kept, &pin_and_longest, "nine in ten have room");
}
