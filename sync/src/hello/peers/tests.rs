use super::*;
use crate::hello::Refused;
use crate::hello::channel::tests::{hello, hellos, roster};
use crate::vrrp::timing::Priority;
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(millis: u64) -> Time {
    Time::default() + Duration::from_millis(millis)
}

const LB1: &str = "192.168.1.33";

fn peers() -> Peers {
    let mut peers = Peers::default();
    assert_eq!(peers.configure(&roster(), &hello().configuration), []);
    peers
}

fn hear(peers: &mut Peers, millis: u64, hello: Hello) -> Vec<Outcome> {
    peers.hear(at(millis), Received { source: ip("10.0.1.33"), peer: ip(LB1), hello })
}

fn says(fit: bool) -> Outcome {
    let peer = Peer {
        priority: Priority::new(150).unwrap(),
        lowered: 0,
        fit,
        caught_up: false,
        active: false,
        stood_down: true,
        chosen: false,
    };
    Outcome::Peer(ip(LB1), Some(peer))
}

fn lb1() -> String {
    "lb1".into()
}

fn news(news: News) -> Outcome {
    Outcome::News(news)
}

#[test]
fn a_peer_comes_goes_silent_and_comes_again() {
    let mut peers = peers();
    assert_eq!(
        (peers.deadline(), peers.expire(at(9000))),
        (None, vec![]),
        "one that never spoke is not known"
    );
    let came = [Outcome::Answer, news(News::Heard { node: lb1() }), says(true)];
    assert_eq!(hear(&mut peers, 10_000, hello()), came);
    assert_eq!(hear(&mut peers, 11_000, Hello { fit: false, ..hello() }), [says(false)]);
    assert_eq!((peers.deadline(), peers.expire(at(13_999))), (Some(at(14_000)), vec![]));
    let gone = [news(News::Silent { node: lb1() }), Outcome::Peer(ip(LB1), None)];
    assert_eq!(peers.expire(at(14_000)), gone);
    assert_eq!((peers.deadline(), peers.expire(at(20_000))), (None, vec![]), "it is told once");
    let known = peers.iter().next().unwrap();
    assert_eq!((known.heard, known.reachable), (Some(at(11_000)), false));
    assert!(!known.says.as_ref().unwrap().fit, "what it said last");
    assert_eq!(hear(&mut peers, 21_000, hello()), came);
}

#[test]
fn one_that_takes_no_part_is_not_fit_and_one_that_started_anew_gets_an_answer() {
    let mut peers = peers();
    hear(&mut peers, 0, hello());
    let stopped = || Hello { role: Role::Initialize, ..hello() };
    assert_eq!(hear(&mut peers, 1, stopped()), [news(News::Stopped { node: lb1() }), says(false)]);
    assert_eq!(hear(&mut peers, 2, stopped()), [says(false)], "by the other link");
    let mut silent = peers.clone();
    assert_eq!(silent.expire(at(3002)), [Outcome::Peer(ip(LB1), None)]);
    let back = [Outcome::Answer, news(News::Heard { node: lb1() }), says(true)];
    assert_eq!(hear(&mut peers, 3, Hello { instance: 8, ..hello() }), back);
    assert_eq!(hear(&mut silent, 9000, Hello { instance: 8, ..hello() }), back);
}

#[test]
fn only_who_is_refused_hears_of_it() {
    let mut peers = peers();
    hear(&mut peers, 0, hello());
    let refuses = |node: &str| Hello { refuses: Some(Refused { node: node.into(), epoch: 9 }), ..hello() };
    assert_eq!(hear(&mut peers, 1, refuses("lb2")), [Outcome::Refused(9), says(true)]);
    assert_eq!(hear(&mut peers, 2, refuses("lb3")), [says(true)]);
}

/// It asks nobody who is fit, but has to know it before it can hand over.
#[test]
fn one_that_becomes_active_gets_an_answer_once() {
    let mut peers = peers();
    hear(&mut peers, 0, Hello { role: Role::Backup, ..hello() });
    let active = || Hello { role: Role::Active, ..hello() };
    let first = hear(&mut peers, 1, active());
    assert!(
        matches!(first[..], [Outcome::Answer, Outcome::Peer(_, Some(Peer { active: true, .. }))]),
        "{first:?}"
    );
    let other_link = hear(&mut peers, 2, active());
    assert!(matches!(other_link[..], [Outcome::Peer(_, Some(Peer { active: true, .. }))]), "{other_link:?}");
}

#[test]
fn another_configuration_is_told_once_and_so_is_the_same_again() {
    let mut peers = peers();
    let configuration = |same| news(News::Configuration { node: lb1(), same });
    let other = || Hello { configuration: "ff".into(), ..hello() };
    assert_eq!(hear(&mut peers, 0, other())[2], configuration(false));
    assert_eq!(hear(&mut peers, 1, other()), [says(true)]);
    peers.expire(at(4000));
    assert!(!hear(&mut peers, 5000, other()).contains(&configuration(false)));
    assert_eq!(peers.configure(&roster(), "ff"), [configuration(true)], "ours was changed");
    assert_eq!(peers.configure(&roster(), "ff"), []);
    assert_eq!(hear(&mut peers, 5001, hello()), [configuration(false), says(true)], "theirs was");
    assert_eq!(hear(&mut peers, 5002, other()), [configuration(true), says(true)]);
}

#[test]
fn two_machines_that_run_as_one_node_are_told_of() {
    let mut peers = peers();
    let misnamed = |says: &str, ours| {
        news(News::Misnamed { address: ip("10.0.1.33"), node: lb1(), says: says.into(), ours })
    };
    let named = |node: &str| Hello { node: node.into(), ..hello() };
    assert_eq!(hear(&mut peers, 0, named("lb2")), [misnamed("lb2", true)]);
    assert_eq!(hear(&mut peers, 1, named("lb2")), [], "once");
    assert_eq!(hear(&mut peers, 2, named("lb3")), [misnamed("lb3", false)]);
    assert!(peers.iter().all(|known| known.heard.is_none()), "who knows who that is");
    assert_eq!(hear(&mut peers, 3, hello()).len(), 3);
    assert_eq!(hear(&mut peers, 4, named("lb3")), [misnamed("lb3", false)], "again");
}

#[test]
fn two_directors_that_take_turns_are_told_of_and_a_restart_is_not() {
    let mut peers = peers();
    let told = |outcomes: Vec<Outcome>| outcomes.contains(&news(News::Twins { node: lb1() }));
    for (now, instance, twins) in [
        (0, 1, false),
        (1, 2, false),
        (2, 3, false),
        (3, 2, true),
        (4, 3, false),
        (1000, 2, false),
        (9000, 3, true),
    ] {
        assert_eq!(told(hear(&mut peers, now, Hello { instance, ..hello() })), twins, "{instance} at {now}");
    }
}

/// Until it says hello by the name that it has now, nothing is known of it.
#[test]
fn who_has_another_name_now_can_not_be_reached_by_the_old_one() {
    let mut peers = peers();
    hear(&mut peers, 0, hello());
    let mut renamed = roster();
    let addresses = renamed.peers.remove("lb1").unwrap();
    renamed.peers.insert("lb9".into(), addresses);
    assert_eq!(peers.configure(&renamed, &hello().configuration), [Outcome::Peer(ip(LB1), None)]);
    assert!(peers.iter().all(|known| !known.reachable && known.says.is_none()));
    let came = [Outcome::Answer, news(News::Heard { node: "lb9".into() }), says(true)];
    assert_eq!(hear(&mut peers, 1, Hello { node: "lb9".into(), ..hello() }), came);
}

#[test]
fn who_is_not_expected_any_more_can_not_be_reached() {
    let mut peers = peers();
    hear(&mut peers, 0, hello());
    let mut fewer = roster();
    fewer.peers.remove("lb3");
    assert_eq!(peers.configure(&fewer, &hello().configuration), []);
    let alone = Roster { peers: BTreeMap::new(), ..roster() };
    assert_eq!(peers.configure(&alone, &hello().configuration), [Outcome::Peer(ip(LB1), None)]);
    assert_eq!(hear(&mut peers, 1, hello()), []);
    assert_eq!((peers.iter().count(), peers.deadline()), (0, None));
}

proptest! {
    /// What the machine is told last is what the peer said last, or nothing if that is 3 s ago.
    #[test]
    fn the_machine_knows_what_was_said_last(steps in proptest::collection::vec((0_u64..5000, hellos()), 1..50)) {
        let mut peers = peers();
        let mut now = 0;
        for (wait, hello) in steps {
            let hello = Hello { node: lb1(), ..hello };
            let expected = Peer {
                priority: hello.priority,
                lowered: hello.lowered,
                fit: hello.fit && hello.role != Role::Initialize,
                caught_up: hello.caught_up,
                active: hello.role == Role::Active,
                stood_down: hello.stood_down,
                chosen: hello.chosen,
            };
            let out = hear(&mut peers, now, hello);
            prop_assert_eq!(out.last(), Some(&Outcome::Peer(ip(LB1), Some(expected))));
            now += wait;
            let silent = peers.expire(at(now)).last() == Some(&Outcome::Peer(ip(LB1), None));
            prop_assert_eq!(silent, wait >= 3000);
        }
    }
}
