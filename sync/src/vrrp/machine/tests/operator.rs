//! What an operator wants.

use super::*;

#[test]
fn an_operator_moves_it_to_a_fit_peer_where_it_stays() {
    let settings = Settings { preempt: Preempt::Always, ..settings() };
    let mut machine = machine_of(settings, Role::Active);
    drop(machine.handle(at(10_100), Input::Peer(peer(34), good(50))));
    let out = machine.handle(at(10_200), step_down(None, false));
    assert_eq!(done(out), [Release, Output::Advertise { priority: 0, successor: Some(peer(34)) }]);
    for second in 11..40 {
        assert_eq!(done(machine.handle(at(second * 1000), heard(34, 50))), []);
        assert!(machine.deadline().is_some_and(|due| due > at(second * 1000 + 999)), "preempts at {second}");
    }
    assert!(machine.status().stood_down);
    let due = machine.deadline().unwrap();
    assert_eq!(done(machine.handle(due, Input::Timer)), [advert(100), Acquire, Announce], "the other died");
    assert!(!machine.status().stood_down);
}

fn left(last: u8, successor: Option<IpAddr>) -> Input {
    let (link, interval) = (Link(0), Interval::DEFAULT);
    Input::Advert(Heard { link, from: peer(last), priority: 0, interval, successor })
}

/// What a peer said before it left may come after its last advert.
#[test]
fn who_follows_waits_to_be_told_whether_an_operator_wants_it() {
    let says =
        |active, stood_down| Input::Peer(peer(34), good(150).map(|it| Peer { active, stood_down, ..it }));
    let mut machine = machine_of(settings(), Role::Backup);
    drop(machine.handle(at(10_000), Input::Fitness(Fitness::Unfit)));
    drop(machine.handle(at(10_000), says(true, false)));
    let out = machine.handle(at(10_100), left(34, Some(peer(35))));
    assert_eq!(done(out), [advert(1), Acquire, Announce]);
    let mut yields = machine.clone();
    for input in [says(true, false), Input::Peer(peer(33), good(50)), Input::Fitness(Fitness::Unfit)] {
        assert_eq!(done(machine.handle(at(10_200), input)), []);
    }
    assert!(!machine.status().chosen);
    assert_eq!(done(machine.handle(at(10_300), says(false, true))), []);
    assert!(machine.status().chosen);
    assert_eq!(done(machine.handle(at(10_400), Input::Peer(peer(34), None))), [], "it is off");
    assert_eq!(done(machine.handle(at(10_400), Input::Fitness(Fitness::Fit))), []);
    let out = machine.handle(at(10_500), Input::Fitness(Fitness::Unfit));
    assert_eq!(told(&out), [Event::Became(Role::Backup, Why::Yielded { to: Some(peer(33)) })], "it fails");

    drop(yields.handle(at(10_200), Input::Peer(peer(33), good(50))));
    let mut silent = yields.clone();
    assert_eq!(done(silent.handle(at(13_000), Input::Peer(peer(34), None))).len(), 2, "it never said");
    assert_eq!(done(yields.handle(at(10_300), says(false, false))).len(), 2, "it left by itself");
    let mut stranger = machine_of(settings(), Role::Backup);
    drop(stranger.handle(at(10_000), Input::Fitness(Fitness::Unfit)));
    drop(stranger.handle(at(10_100), left(34, Some(peer(35)))));
    assert_eq!(
        done(stranger.handle(at(10_200), Input::Peer(peer(33), good(50)))).len(),
        2,
        "it says no hello"
    );
}

/// What may have been an operator's wish is over with the Active that came of it.
#[test]
fn who_takes_over_from_a_lower_one_asks_nobody_whether_it_is_wanted() {
    let preempts = Settings { preempt: Preempt::Always, ..settings() };
    let mut machine = machine_of(preempts, Role::Backup);
    drop(machine.handle(at(10_000), Input::Fitness(Fitness::Lowered(20))));
    drop(machine.handle(at(10_000), Input::Peer(peer(34), good(150))));
    drop(machine.handle(at(10_100), left(34, Some(peer(36)))));
    drop(machine.handle(at(10_200), heard(36, 50)));
    let due = machine.deadline().unwrap();
    assert_eq!(done(machine.handle(due, Input::Timer)), [advert(80), Acquire, Announce]);
    let better = done(machine.handle(due, Input::Peer(peer(33), good(160))));
    assert_eq!(better, [Release, Output::Advertise { priority: 0, successor: Some(peer(33)) }]);
}

#[test]
fn nobody_preempts_whom_an_operator_chose() {
    let settings = Settings { preempt: Preempt::Always, ..settings() };
    let mut machine = machine_of(settings, Role::Backup);
    let says = |chosen| Input::Peer(peer(34), good(50).map(|it| Peer { active: true, chosen, ..it }));
    drop(machine.handle(at(10_000), says(true)));
    for second in 11..20 {
        assert_eq!(done(machine.handle(at(second * 1000), heard(34, 50))), []);
        assert!(machine.deadline().is_some_and(|due| due > at(second * 1000 + 999)), "preempts at {second}");
    }
    drop(machine.handle(at(19_500), says(false)));
    let from = peer(34);
    let priority = Priority::new(50).unwrap();
    assert_eq!(told(&machine.handle(at(20_000), heard(34, 50))), [Event::Preempts { from, priority }]);
}

/// Both have lost the same host: the one that the operator wants is Active, though its priority is lower.
#[test]
fn what_ails_both_does_not_undo_what_an_operator_wants() {
    let ailing = good(130).map(|peer| Peer { lowered: 20, ..peer });
    let mut machine = machine_of(settings(), Role::Backup);
    drop(machine.handle(at(10_100), Input::Fitness(Fitness::Lowered(20))));
    drop(machine.handle(at(10_100), Input::Peer(peer(34), ailing)));
    let left = machine.handle(at(10_200), left(34, Some(peer(35))));
    assert_eq!(done(left), [advert(80), Acquire, Announce]);
    assert_eq!(done(machine.handle(at(10_300), Input::Peer(peer(34), ailing))), []);
    let out = machine.handle(at(10_400), Input::Peer(peer(34), good(150)));
    assert_eq!(
        told(&out),
        [Event::Became(Role::Backup, Why::Yielded { to: Some(peer(34)) })],
        "it is well again"
    );
}

#[test]
fn a_peer_needs_no_connections_where_nobody_waits_for_them() {
    let unsynced = good(50).map(|peer| Peer { caught_up: false, ..peer });
    for (preempt, to) in [(Preempt::Never, None), (Preempt::Always, Some(peer(34)))] {
        let mut machine = machine_of(Settings { preempt, ..settings() }, Role::Active);
        drop(machine.handle(at(10_100), Input::Peer(peer(34), unsynced)));
        let out = done(machine.handle(at(10_200), step_down(to, false)));
        assert_eq!(out, [Release, Output::Advertise { priority: 0, successor: Some(peer(34)) }]);
    }
}

#[test]
fn an_operator_is_told_why_not() {
    let refusal = |machine: &mut Machine, to| match told(&machine.handle(at(10_500), step_down(to, false)))[..]
    {
        [Event::Refused(refusal)] => Some(refusal),
        _ => None,
    };
    let mut machine = machine_of(settings(), Role::Active);
    drop(machine.handle(at(10_100), Input::Peer(peer(33), good(50).map(|peer| Peer { fit: false, ..peer }))));
    drop(
        machine.handle(
            at(10_100),
            Input::Peer(peer(34), good(50).map(|peer| Peer { caught_up: false, ..peer })),
        ),
    );
    drop(machine.handle(at(10_100), Input::Peer(peer(36), None)));
    assert_eq!(refusal(&mut machine, None), Some(Refusal::NoFitPeer));
    assert_eq!(refusal(&mut machine, Some(peer(33))), Some(Refusal::Unfit(peer(33))));
    assert_eq!(refusal(&mut machine, Some(peer(34))), Some(Refusal::NotCaughtUp(peer(34))));
    assert_eq!(refusal(&mut machine, Some(peer(36))), Some(Refusal::Unknown(peer(36))));
    assert_eq!(refusal(&mut machine, Some(peer(35))), Some(Refusal::Itself));
    assert_eq!(refusal(&mut machine_of(settings(), Role::Backup), None), Some(Refusal::NotActive));
    let alone = Settings { peers: Peers::None, ..settings() };
    assert_eq!(refusal(&mut machine_of(alone, Role::Active), None), Some(Refusal::NoPeers));
    assert_eq!(machine.role(), Role::Active);
    let forced = machine.handle(at(10_500), step_down(Some(peer(33)), true));
    assert_eq!(done(forced), [Release, Output::Advertise { priority: 0, successor: Some(peer(33)) }]);
}
