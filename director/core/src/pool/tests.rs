use super::*;
use crate::availability::{Advice, Asked};
use crate::clocks::Clocks;
use crate::config::load;
use crate::model::{Quorum, Ramp, RealServer, SlowStart, Thresholds};
use crate::overrides::{Drain, ReturningClients, WeightOverride};
use crate::ports::PortStates;
use proptest::prelude::*;
use std::time::Duration;

/// A service with servers a to d, regular and of weight 1, and whatever is known of them.
struct Farm {
    service: Service,
    health: BTreeMap<String, Health>,
    overrides: BTreeMap<String, Override>,
    demand: Demand,
    now: u64,
    wall: u64,
    pool: Pool,
}

impl Farm {
    fn new(servers: &[(&str, u16, u8)]) -> Self {
        let text = "
version: 1
nodes: {lb1: {public: {interface: eth0, address: 192.168.1.33/24}, private: {interface: eth1, address: 10.0.1.33/24}}}
servers: {a: {address: 10.0.1.1}}
services: {web: {vip: 192.168.1.35, ports: {tcp: 80}, servers: {a: {}}}}
";
        let mut model = load(text, "farm").unwrap_or_else(|report| panic!("{report}"));
        let mut service = model.services.remove("web").unwrap();
        let template = service.servers.remove("a").unwrap();
        for (name, weight, priority) in servers {
            let server = RealServer {
                name: (*name).to_owned(),
                weight: Weight::new(*weight),
                role: Role::Regular { priority: *priority },
                ..template.clone()
            };
            service.servers.insert((*name).to_owned(), server);
        }
        Self {
            service,
            health: BTreeMap::new(),
            overrides: BTreeMap::new(),
            demand: Demand::default(),
            now: 1_000,
            wall: 1_700_000_000,
            pool: Pool::default(),
        }
    }

    fn server(&mut self, name: &str) -> &mut RealServer {
        self.service.servers.get_mut(name).unwrap()
    }

    fn sorry(mut self, names: &[&str]) -> Self {
        for name in names {
            self.server(name).role = Role::Sorry;
        }
        self
    }

    fn slowly(mut self, seconds: u64, ramp: Ramp) -> Self {
        self.service.slow_start = Some(SlowStart { duration: Duration::from_secs(seconds), ramp });
        self
    }

    fn down(&mut self, name: &str) {
        self.health.insert(name.to_owned(), Health::Down("refused".into()));
    }

    fn up(&mut self, name: &str) {
        self.health.remove(name);
    }

    fn slow(&mut self, name: &str, percent: u8) {
        let advice = Advice { slow_weight: Some(percent), ..Advice::default() };
        self.health.insert(name.to_owned(), Health::Up(advice));
    }

    fn asks(&mut self, name: &str, weight: u16) {
        let asked = Asked { weight: Weight::new(weight), by: "load: busy".into() };
        self.health.insert(name.to_owned(), Health::Up(Advice { weight: Some(asked), ..Advice::default() }));
    }

    fn drain(&mut self, name: &str) {
        let drain = Some(Drain { returning_clients: Some(ReturningClients::Stay), ..Drain::default() });
        self.overrides.insert(name.to_owned(), Override { weight: None, drain });
    }

    fn weigh(&mut self, name: &str, weight: u16) {
        let weight = Some(WeightOverride { weight, until: None });
        self.overrides.insert(name.to_owned(), Override { weight, drain: None });
    }

    fn load(&mut self, name: &str, connections: u32) {
        let load = Load { active: connections / 3, inactive: connections - connections / 3 };
        self.demand.loads.insert(name.to_owned(), load);
    }

    fn offer(&mut self) -> Offer {
        let observation = Observation {
            health: &self.health,
            overrides: &self.overrides,
            ports: &PortStates::default(),
            demand: &self.demand,
            now: Clocks { wall: self.wall, steady: self.now },
        };
        self.pool.offer(&self.service, &observation)
    }

    /// Shares of the servers in the order of their names, in [`WHOLE`]ths.
    fn shares(&mut self) -> Vec<u32> {
        self.offer().servers.values().map(|it| it.share).collect()
    }

    /// The same in whole units of weight.
    fn weights(&mut self) -> Vec<u32> {
        self.shares().into_iter().map(|share| share / WHOLE).collect()
    }

    fn state(&mut self, name: &str) -> State {
        self.offer().servers[name].state
    }

    fn admits(&mut self, name: &str) -> bool {
        self.offer().servers[name].admits_returning
    }
}

#[test]
fn rr_ignores_weights_but_for_zero() {
    let mut farm = Farm::new(&[("a", 5, 0), ("b", 0, 0), ("c", 2, 0)]);
    assert_eq!(farm.weights(), [5, 0, 2]);
    farm.service.scheduler = Scheduler::Rr;
    assert_eq!(farm.weights(), [1, 0, 1]);
}

#[test]
fn the_lowest_level_with_a_server_that_can_serves() {
    let mut farm = Farm::new(&[("a", 3, 0), ("b", 2, 0), ("c", 1, 1), ("d", 1, 7)]);
    assert_eq!(farm.weights(), [3, 2, 0, 0]);
    farm.down("a");
    assert_eq!(farm.weights(), [0, 2, 0, 0]);
    farm.drain("b");
    assert_eq!(farm.weights(), [0, 0, 1, 0]);
    farm.weigh("c", 0);
    assert_eq!(farm.weights(), [0, 0, 0, 1]);
    assert_eq!(farm.offer().serving, Serving::Regular { priority: 7 });
    farm.down("d");
    assert_eq!((farm.weights(), farm.offer().serving), (vec![0; 4], Serving::Nobody));
    farm.up("a");
    assert_eq!(farm.weights(), [3, 0, 0, 0], "traffic returns at once");
    assert_eq!(farm.offer().serving, Serving::Regular { priority: 0 });
}

#[test]
fn a_server_on_standby_is_as_one_of_weight_0() {
    for expire in [true, false] {
        let mut farm = Farm::new(&[("a", 1, 0), ("b", 4, 1)]);
        farm.service.quiescence.expire_quiescent_template = expire;
        let offer = farm.offer();
        let spare = &offer.servers["b"];
        assert_eq!((spare.state, spare.weight.get(), spare.share), (State::Standby, 0, 0));
        assert_eq!(spare.reason, "waits: priority 0 serves");
        assert_eq!((spare.admits_returning, spare.keeps_connections), (!expire, true));
    }
}

#[test]
fn a_server_whose_turn_it_is_not_takes_no_place_beside_others() {
    let mut farm = Farm::new(&[("a", 1, 0), ("b", 2, 0), ("c", 3, 1), ("d", 4, 0)]).sorry(&["d"]);
    let places = |farm: &mut Farm| -> Vec<u16> {
        farm.offer().servers.values().map(|it| it.full_weight.get()).collect()
    };
    farm.down("b");
    assert_eq!(places(&mut farm), [1, 2, 0, 0], "one that failed keeps its place");
    farm.down("a");
    assert_eq!(places(&mut farm), [0, 0, 3, 0]);
    farm.down("c");
    assert_eq!(places(&mut farm), [0, 0, 0, 4]);
    farm.up("a");
    farm.down("d");
    assert_eq!(places(&mut farm), [1, 2, 0, 0]);
}

#[test]
fn sorry_servers_serve_by_weight_while_no_regular_one_can() {
    let mut farm = Farm::new(&[("a", 1, 0), ("b", 1, 1), ("c", 3, 0), ("d", 2, 0)]).sorry(&["c", "d"]);
    assert_eq!(farm.weights(), [1, 0, 0, 0]);
    let sorry = farm.offer().servers["c"].clone();
    assert_eq!((sorry.state, sorry.admits_returning), (State::Standby, false));
    assert_eq!(sorry.reason, "waits: regular servers serve");
    farm.down("a");
    assert_eq!(farm.weights(), [0, 1, 0, 0], "the next level comes first");
    farm.weigh("b", 0);
    assert_eq!((farm.weights(), farm.offer().serving), (vec![0, 0, 3, 2], Serving::Sorry));
    assert!(farm.admits("c"));
    farm.down("c");
    assert_eq!(farm.weights(), [0, 0, 0, 2]);
    farm.drain("d");
    assert_eq!((farm.weights(), farm.offer().serving), (vec![0; 4], Serving::Nobody));
    farm.up("a");
    assert_eq!(farm.weights(), [1, 0, 0, 0]);
    assert!(!farm.admits("c") && !farm.admits("d"), "nobody stays with a sorry server");
    assert!(farm.offer().servers["d"].keeps_connections);
}

#[test]
fn clients_of_a_regular_server_without_weight_may_return_while_sorry_servers_serve() {
    let mut farm = Farm::new(&[("a", 1, 0), ("b", 1, 0)]).sorry(&["b"]);
    farm.drain("a");
    assert_eq!(farm.offer().serving, Serving::Sorry);
    assert!(farm.admits("a"), "its drain lets them stay");
}

#[test]
fn the_quorum_is_lost_below_and_gained_above_it() {
    let mut farm = Farm::new(&[("a", 10, 0), ("b", 30, 0), ("c", 60, 3), ("s", 1, 0)]).sorry(&["s"]);
    farm.service.quorum = Quorum { weight: 70, hysteresis: 20 };
    let mut at = |weights: [u16; 3]| {
        ["a", "b", "c"].iter().zip(weights).for_each(|(name, weight)| farm.weigh(name, weight));
        let offer = farm.offer();
        assert_eq!(offer.quorum.weight, weights.iter().map(|it| u32::from(*it)).sum::<u32>());
        assert_eq!(offer.serving == Serving::Sorry, !offer.quorum.held);
        offer.quorum.held
    };
    assert!(at([10, 30, 30]), "at first the quorum itself will do");
    assert!(at([10, 10, 30]), "50 is not below 70 - 20");
    assert!(!at([10, 9, 30]));
    assert!(!at([10, 19, 60]), "89 is below 70 + 20");
    assert!(at([10, 20, 60]));
    assert!(!at([0, 0, 0]));
}

#[test]
fn a_first_decision_below_the_quorum_has_lost_it() {
    let mut farm = Farm::new(&[("a", 50, 0), ("s", 1, 0)]).sorry(&["s"]);
    farm.service.quorum = Quorum { weight: 51, hysteresis: 50 };
    assert!(!farm.offer().quorum.held);
}

#[test]
fn without_quorum_sorry_servers_replace_the_whole_pool() {
    let mut farm = Farm::new(&[("a", 40, 0), ("b", 60, 0), ("s", 1, 0)]).sorry(&["s"]);
    farm.service.quorum = Quorum { weight: 100, hysteresis: 0 };
    farm.service.quiescence.expire_quiescent_template = false;
    farm.down("b");
    assert_eq!(farm.weights(), [0, 0, 1]);
    let rest = farm.offer().servers["a"].clone();
    assert_eq!((rest.state, rest.admits_returning), (State::Standby, false));
    assert_eq!(rest.reason, "waits: the quorum is lost, 40 of 100");
    assert!(rest.keeps_connections, "established connections go on");
    farm.up("b");
    assert_eq!(farm.weights(), [40, 60, 0]);
}

#[test]
fn without_a_sorry_server_that_can_serve_a_lost_quorum_changes_nothing() {
    let mut farm = Farm::new(&[("a", 40, 0), ("b", 60, 0), ("s", 1, 0)]).sorry(&["s"]);
    farm.service.quorum = Quorum { weight: 100, hysteresis: 0 };
    farm.down("b");
    farm.down("s");
    let offer = farm.offer();
    assert_eq!((offer.quorum.held, offer.serving), (false, Serving::Regular { priority: 0 }));
    assert_eq!(farm.weights(), [40, 0, 0]);
    farm.up("s");
    assert_eq!(farm.weights(), [0, 0, 1]);
}

#[test]
fn an_overloaded_server_gets_no_new_connections_until_it_is_below_the_lower_threshold() {
    let mut farm = Farm::new(&[("a", 1, 0), ("b", 1, 0)]);
    farm.server("a").thresholds = Some(Thresholds { upper: 100, lower: 80 });
    let mut overloaded = |connections| {
        farm.load("a", connections);
        let offer = farm.offer();
        let it = &offer.servers["a"];
        assert_eq!(it.share == 0, it.state == State::Overloaded);
        assert!(it.admits_returning, "its persistent clients return all the same");
        assert_eq!(it.full_weight.get(), 1, "it keeps its place");
        it.state == State::Overloaded
    };
    assert!(!overloaded(99));
    assert!(overloaded(100));
    assert!(overloaded(80));
    assert!(!overloaded(79));
    assert!(!overloaded(99));
    assert!(overloaded(500));
    assert!(!overloaded(0));
}

#[test]
fn a_level_that_is_overloaded_is_helped_by_the_next_one_and_then_by_the_sorry_servers() {
    let mut farm = Farm::new(&[("a", 1, 0), ("b", 1, 0), ("c", 1, 1), ("s", 1, 0)]).sorry(&["s"]);
    for name in ["a", "b", "c"] {
        farm.server(name).thresholds = Some(Thresholds { upper: 10, lower: 5 });
    }
    farm.load("a", 10);
    assert_eq!(farm.weights(), [0, 1, 0, 0]);
    farm.load("b", 10);
    assert_eq!(farm.weights(), [0, 0, 1, 0]);
    assert_eq!((farm.state("a"), farm.admits("a")), (State::Overloaded, true));
    farm.load("c", 10);
    assert_eq!(farm.weights(), [0, 0, 0, 1]);
    assert!(farm.offer().quorum.held && farm.admits("c"));
    farm.load("b", 4);
    assert_eq!(farm.weights(), [0, 1, 0, 0]);
    assert_eq!(farm.state("c"), State::Standby);
}

#[test]
fn a_failure_weighs_more_than_a_load() {
    let mut farm = Farm::new(&[("a", 1, 0)]);
    farm.server("a").thresholds = Some(Thresholds { upper: 1, lower: 1 });
    farm.load("a", 1);
    farm.down("a");
    assert_eq!(farm.state("a"), State::Down);
    farm.up("a");
    assert_eq!(farm.state("a"), State::Overloaded);
    farm.drain("a");
    assert_eq!(farm.state("a"), State::Drained);
}

/// Parts of a server that comes back beside another one, second by second.
fn climb(seconds: u64, ramp: Ramp) -> Vec<u32> {
    let mut farm = Farm::new(&[("a", 1, 0), ("b", 1, 0)]).slowly(seconds, ramp);
    farm.down("a");
    farm.offer();
    farm.up("a");
    let climb = (0..=seconds).map(|_| {
        let shares = farm.shares();
        assert_eq!(shares[1], WHOLE);
        farm.now += 1;
        shares[0]
    });
    climb.collect()
}

#[test]
fn a_linear_ramp_rises_evenly() {
    assert_eq!(climb(31, Ramp::Linear), (1..=32).collect::<Vec<_>>());
    assert_eq!(climb(4, Ramp::Linear), [1, 8, 16, 24, 32]);
    assert_eq!(climb(1, Ramp::Linear), [1, 32]);
}

#[test]
fn a_doubling_ramp_doubles_five_times() {
    assert_eq!(climb(5, Ramp::Doubling), [1, 2, 4, 8, 16, 32]);
    assert_eq!(climb(10, Ramp::Doubling), [1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 32]);
    assert_eq!(climb(3, Ramp::Doubling), [1, 2, 8, 32]);
}

#[test]
fn every_way_to_begin_serving_is_a_slow_one() {
    type Change = fn(&mut Farm);
    let begin: [(&str, Change, Change); 4] = [
        ("failure", |farm| farm.down("a"), |farm| farm.up("a")),
        ("drain", |farm| farm.drain("a"), |farm| farm.overrides.clear()),
        ("weight 0", |farm| farm.weigh("a", 0), |farm| farm.weigh("a", 4)),
        (
            "reload",
            |farm| drop(farm.service.servers.remove("a")),
            |farm| {
                let server = RealServer { name: "a".into(), ..farm.server("b").clone() };
                farm.service.servers.insert("a".into(), server);
            },
        ),
    ];
    for (what, out, back) in begin {
        let mut farm = Farm::new(&[("a", 4, 0), ("b", 4, 0)]).slowly(60, Ramp::Linear);
        assert_eq!(farm.weights(), [4, 4], "the start of the service is none");
        out(&mut farm);
        assert_eq!(farm.shares().last(), Some(&(4 * WHOLE)));
        back(&mut farm);
        assert_eq!(farm.shares(), [4, 4 * WHOLE], "{what}");
        assert_eq!(farm.offer().servers["a"].reason, "starts slowly: 1/32 of its weight");
        assert_eq!(farm.pool.next_change(), Some(1_002));
        farm.now += 60;
        assert_eq!((farm.weights(), farm.pool.next_change()), (vec![4, 4], None), "{what}");
    }
}

#[test]
fn servers_that_start_together_have_all_there_is_between_them() {
    let mut farm = Farm::new(&[("a", 1, 0), ("b", 3, 0), ("c", 2, 1)]).slowly(60, Ramp::Linear);
    farm.down("a");
    farm.down("b");
    assert_eq!((farm.weights(), farm.pool.next_change()), (vec![0, 0, 2], None));
    farm.up("a");
    assert_eq!((farm.weights(), farm.pool.next_change()), (vec![1, 0, 0], None), "alone it needs no ramp");
    farm.now += 1;
    farm.up("b");
    assert_eq!(farm.shares(), [1, 3, 0], "nearly together: nearly alike");
    farm.now += 30;
    assert_eq!(farm.shares(), [17, 3 * 16, 0]);
}

#[test]
fn a_change_of_weight_keeps_the_ramp() {
    let mut farm = Farm::new(&[("a", 4, 0), ("b", 4, 0)]).slowly(31, Ramp::Linear);
    farm.down("a");
    farm.offer();
    farm.up("a");
    farm.offer();
    farm.now += 9;
    farm.weigh("a", 100);
    assert_eq!(farm.shares(), [31 * WHOLE, 4 * WHOLE], "10/32 of 100, to the unit");
    farm.server("b").weight = Weight::new(7);
    assert_eq!(farm.shares(), [31 * WHOLE, 7 * WHOLE]);
    farm.weigh("a", 31);
    assert_eq!(farm.shares(), [310, 7 * WHOLE], "light ones to the part");
}

#[test]
fn a_server_that_was_overloaded_is_warm() {
    let mut farm = Farm::new(&[("a", 1, 0), ("b", 1, 0)]).slowly(60, Ramp::Linear);
    farm.server("a").thresholds = Some(Thresholds { upper: 10, lower: 5 });
    farm.load("a", 10);
    assert_eq!(farm.weights(), [0, 1]);
    farm.load("a", 0);
    assert_eq!(farm.weights(), [1, 1]);
}

#[test]
fn fo_and_ovf_know_no_slow_start() {
    for scheduler in [Scheduler::Fo, Scheduler::Ovf] {
        let mut farm = Farm::new(&[("a", 9, 0), ("b", 1, 0)]).slowly(60, Ramp::Linear);
        farm.service.scheduler = scheduler;
        farm.down("a");
        farm.offer();
        farm.up("a");
        assert_eq!(farm.weights(), [9, 1], "{scheduler:?}");
    }
}

#[test]
fn a_ramp_goes_on_whatever_the_wall_clock_does() {
    let mut farm = Farm::new(&[("a", 1, 0), ("b", 1, 0)]).slowly(31, Ramp::Linear);
    farm.down("a");
    farm.offer();
    farm.up("a");
    farm.offer();
    farm.now += 15;
    for wall in [farm.wall + 3600, farm.wall - 3600, 0, u64::MAX] {
        farm.wall = wall;
        assert_eq!(farm.shares(), [16, WHOLE], "{wall}");
        assert_eq!(farm.pool.next_change(), Some(farm.now + 1), "{wall}");
    }
}

#[test]
fn a_slow_server_keeps_a_part_of_its_weight() {
    let mut farm = Farm::new(&[("a", 4, 0), ("b", 4, 0)]);
    farm.slow("a", 50);
    assert_eq!(farm.shares(), [64, 128]);
    let it = farm.offer().servers["a"].clone();
    assert_eq!((it.state, it.weight.get(), it.reason.as_str()), (State::Up, 4, "slow: 50% of its weight"));
    farm.slow("a", 1);
    assert_eq!(farm.shares(), [4, 128], "1/32 of it at least");
    farm.slow("a", 100);
    assert_eq!(farm.shares(), [128, 128]);
    farm.up("a");
    assert_eq!(farm.shares(), [128, 128]);
    assert_eq!(farm.offer().servers["a"].reason, "");
}

#[test]
fn a_slow_server_of_great_weight_keeps_whole_units_of_it() {
    let mut farm = Farm::new(&[("a", 1000, 0), ("b", 1000, 0)]);
    farm.slow("a", 30);
    assert_eq!(farm.weights(), [313, 1000], "10/32");
}

#[test]
fn a_slow_server_that_starts_slowly_has_both() {
    let mut farm = Farm::new(&[("a", 4, 0), ("b", 4, 0)]).slowly(31, Ramp::Linear);
    farm.down("a");
    farm.offer();
    farm.slow("a", 50);
    assert_eq!(farm.shares(), [4, 128], "1/32 of it at least");
    farm.now += 15;
    assert_eq!(farm.shares(), [32, 128], "half of 16/32");
    let reason = &farm.offer().servers["a"].reason;
    assert_eq!(reason, "starts slowly: 16/32 of its weight; slow: 50% of its weight");
    farm.now += 16;
    assert_eq!(farm.shares(), [64, 128]);
    assert_eq!(farm.pool.next_change(), None);
}

#[test]
fn a_weight_that_a_probe_asks_for_counts_as_a_configured_one() {
    let mut farm = Farm::new(&[("a", 4, 0), ("b", 4, 0), ("c", 1, 1)]);
    farm.service.quorum = Quorum { weight: 6, hysteresis: 0 };
    farm.asks("a", 9);
    assert_eq!(farm.weights(), [9, 4, 0]);
    farm.asks("b", 0);
    assert_eq!((farm.weights(), farm.offer().quorum.weight), (vec![9, 0, 0], 10));
    assert_eq!(farm.state("b"), State::Quiescent);
    farm.asks("a", 0);
    assert_eq!(farm.weights(), [0, 0, 1], "the next level serves");
}

#[test]
fn who_first_serves_does_not_depend_on_being_slow_where_one_server_gets_all() {
    let mut farm = Farm::new(&[("a", 9, 0), ("b", 8, 0)]);
    farm.service.scheduler = Scheduler::Fo;
    farm.slow("a", 10);
    assert_eq!(farm.weights(), [9, 8]);
}

/// What may happen to a server: (which, what, how much).
fn events() -> impl Strategy<Value = Vec<(usize, u8, u16, u64)>> {
    prop::collection::vec((0usize..6, 0u8..9, 0u16..60, 0u64..40), 1..40)
}

fn arbitrary_farm() -> impl Strategy<Value = Farm> {
    let server = (0u16..5, 0u8..3, prop::option::of((1u32..50, 0u32..50)), prop::bool::weighted(0.2));
    let quorum = (1u32..12, 0u32..12);
    let slow = prop::option::of((1u64..100, any::<bool>()));
    (prop::collection::vec(server, 1..6), quorum, slow, any::<bool>()).prop_map(
        |(servers, (weight, hysteresis), slow, expire)| {
            let mut farm = Farm::new(&[]);
            let template = Farm::new(&[("a", 1, 0)]).server("a").clone();
            for (number, (weight, priority, limits, sorry)) in servers.into_iter().enumerate() {
                let name = format!("s{number}");
                let role = if sorry { Role::Sorry } else { Role::Regular { priority } };
                let thresholds = limits.map(|(upper, lower)| Thresholds { upper, lower: 1 + lower % upper });
                let server = RealServer {
                    name: name.clone(),
                    weight: Weight::new(weight),
                    role,
                    thresholds,
                    ..template.clone()
                };
                farm.service.servers.insert(name, server);
            }
            farm.service.quorum = Quorum { weight, hysteresis: hysteresis % weight };
            farm.service.quiescence.expire_quiescent_template = expire;
            farm.service.slow_start = slow.map(|(seconds, linear)| SlowStart {
                duration: Duration::from_secs(seconds),
                ramp: if linear { Ramp::Linear } else { Ramp::Doubling },
            });
            farm
        },
    )
}

fn happen(farm: &mut Farm, (server, what, much, seconds): (usize, u8, u16, u64)) {
    let name = format!("s{server}");
    farm.now += seconds;
    match what {
        0 => farm.down(&name),
        1 => farm.up(&name),
        2 => farm.drain(&name),
        3 => farm.weigh(&name, much % 5),
        4 => drop(farm.overrides.remove(&name)),
        5 => farm.slow(&name, 1 + u8::try_from(much).unwrap()),
        6 => farm.asks(&name, much % 5),
        7 => drop(farm.health.insert(name, Health::Unknown("not probed yet".into()))),
        _ => farm.load(&name, u32::from(much)),
    }
}

impl std::fmt::Debug for Farm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}, {:?}, {:?}", self.service.servers, self.service.quorum, self.service.slow_start)
    }
}

proptest! {
    #[test]
    fn whatever_happens_shares_are_those_of_the_tier_that_serves(mut farm in arbitrary_farm(), events in events()) {
        for event in events {
            happen(&mut farm, event);
            let offer = farm.offer();
            let share = |name: &str| offer.servers[name].share;
            for server in farm.service.servers.values() {
                let it = &offer.servers[&server.name];
                let alone = availability(
                    server,
                    farm.service.quiescence,
                    farm.health.get(&server.name).unwrap_or(&Health::default()),
                    farm.overrides.get(&server.name).copied().unwrap_or_default(),
                    farm.now,
                );
                prop_assert_eq!(it.share > 0, it.state == State::Up, "{:?}", it);
                prop_assert!(it.share <= alone.share && it.keeps_connections == alone.keeps_connections);
                prop_assert!(alone.state == State::Up || it.state == alone.state, "waiting hides no failure");
                if it.share > 0 {
                    prop_assert_eq!((it.weight, it.full_weight), (alone.weight, alone.full_weight));
                    let serves = match (&server.role, offer.serving) {
                        (Role::Regular { priority }, Serving::Regular { priority: level }) => *priority == level,
                        (Role::Sorry, Serving::Sorry) => true,
                        _ => false,
                    };
                    prop_assert!(serves, "{} has a share while {:?} serve", server.name, offer.serving);
                }
                if server.role == Role::Sorry && matches!(offer.serving, Serving::Regular { .. }) {
                    prop_assert!(!it.admits_returning);
                }
            }
            let anybody = farm.service.servers.keys().any(|name| share(name) > 0);
            prop_assert_eq!(anybody, offer.serving != Serving::Nobody);
        }
    }

    #[test]
    fn deciding_again_changes_nothing(mut farm in arbitrary_farm(), events in events()) {
        for event in events {
            happen(&mut farm, event);
            let offer = farm.offer();
            let next = farm.pool.next_change();
            prop_assert_eq!(farm.offer(), offer);
            prop_assert_eq!(farm.pool.next_change(), next);
        }
    }

    #[test]
    fn an_offer_changes_by_itself_when_it_said_so_and_only_then(mut farm in arbitrary_farm(), events in events()) {
        for event in events {
            happen(&mut farm, event);
        }
        let mut offer = farm.offer();
        for _ in 0..200 {
            let due = farm.pool.next_change();
            prop_assert!(due.is_none_or(|due| due > farm.now));
            farm.now += 1;
            let next = farm.offer();
            if due.is_none_or(|due| farm.now < due) {
                prop_assert_eq!(&next, &offer);
            } else {
                prop_assert_ne!(&next, &offer);
            }
            for (name, it) in &next.servers {
                prop_assert!(it.share >= offer.servers[name].share, "{} falls", name);
            }
            offer = next;
        }
        prop_assert!(farm.pool.next_change().is_none(), "every ramp ends");
    }
}
