//! Two directors that are Active at once.

use super::*;

#[test]
fn the_last_word_of_the_loser_starts_no_race() {
    let mut machine = machine_of(settings(), Role::Backup);
    let deadline = machine.deadline();
    assert_eq!(machine.handle(at(10_500), heard(33, 0)), []);
    assert_eq!(machine.deadline(), deadline);
}

#[test]
fn of_two_actives_a_backup_goes_by_the_better() {
    let mut machine = machine_of(settings(), Role::Backup);
    drop(machine.handle(at(10_100), heard(36, 120)));
    assert_eq!(machine.status().active, Some((peer(34), Priority::new(150).unwrap(), at(10_000))));
    assert_eq!(machine.deadline(), Some(at(10_100) + DOWN), "somebody is Active");
    drop(machine.handle(at(10_200), heard(36, 0)));
    assert_eq!(machine.deadline(), Some(at(10_100) + DOWN));
    drop(machine.handle(at(13_000), heard(36, 120)));
    assert_eq!(machine.status().active.map(|(from, ..)| from), Some(peer(36)), "the better one is silent");
}

#[test]
fn a_better_active_stays_while_a_lower_one_is_heard_too() {
    let mut machine = machine_of(Settings { preempt: Preempt::Always, ..settings() }, Role::Backup);
    assert_eq!(machine.handle(at(10_100), heard(36, 50)), []);
    assert_eq!(machine.status().active.map(|(from, ..)| from), Some(peer(34)));
    assert_eq!(machine.deadline(), Some(at(10_000) + DOWN));
}

#[test]
fn the_last_word_of_whom_it_preempts_is_no_second_active() {
    let preempts = Settings { preempt: Preempt::Always, ..settings() };
    let mut machine = machine_of(preempts, Role::Backup);
    drop(machine.handle(at(10_000), heard(34, 50)));
    let begin = machine.deadline().unwrap();
    let why = Why::Preempted { from: peer(34), priority: Priority::new(50).unwrap() };
    assert_eq!(told(&machine.handle(begin, Input::Timer)), [Event::Became(Role::Active, why)]);
    let dual = |output: &Output| matches!(output, Output::Note(Event::DualActive { .. }));
    let word = machine.handle(begin + Duration::from_millis(1), heard(34, 50));
    assert_eq!(done(word.clone()), [advert(100), Announce], "switches hear where the addresses are");
    assert!(!word.iter().any(dual));
    drop(machine.handle(begin + SECOND, Input::Timer));
    let more = machine.handle(begin + SECOND + Duration::from_millis(1), heard(34, 50));
    assert!(more.iter().any(dual));
    assert_eq!(machine.status().dual_active_episodes, 1);

    let mut loser = machine_of(settings(), Role::Active);
    assert!(!loser.handle(at(10_500), heard(33, 150)).iter().any(dual));
    assert_eq!((loser.role(), loser.status().dual_active_episodes), (Role::Backup, 0));
}

#[test]
fn two_actives_are_counted_and_answered_within_bounds() {
    let mut machine = machine_of(settings(), Role::Active);
    let mut answered = Vec::new();
    for millis in (10_000..11_000).step_by(10) {
        answered.extend(done(machine.handle(at(millis), heard(34, 50))));
    }
    assert_eq!(answered, vec![[advert(100), Announce]; active::ANSWERS.into()].concat());
    let status = machine.status();
    assert_eq!((status.dual_active_episodes, status.dual_active), (1, Duration::from_millis(990)));
    for second in 11..20 {
        drop(machine.handle(at(second * 1000), Input::Timer));
    }
    assert_eq!(
        done(machine.handle(at(19_500), heard(34, 50))),
        [advert(100), Announce],
        "as often once more"
    );
    let status = machine.status();
    assert_eq!((status.dual_active_episodes, status.dual_active), (2, Duration::from_millis(990)));
}

#[test]
fn who_becomes_active_again_answers_as_often() {
    let mut machine = machine_of(Settings { peers: Peers::One, ..settings() }, Role::Active);
    (0..9).for_each(|_| drop(machine.handle(at(10_100), heard(34, 50))));
    drop(machine.handle(at(10_200), heard(34, 150)));
    assert_eq!(done(machine.handle(at(10_300), heard(34, 0))), [advert(100), Acquire, Announce]);
    assert_eq!(done(machine.handle(at(10_400), heard(34, 50))), [advert(100), Announce]);
}

#[test]
fn the_loser_goes_by_the_interval_of_the_winner() {
    let mut machine = machine_of(settings(), Role::Active);
    drop(machine.handle(at(10_500), paced(34, 150, 10)));
    let due = at(10_500) + DOWN / 10;
    assert_eq!(machine.deadline(), Some(due));
    let late = SECOND / 2;
    assert_eq!(machine.handle(due + late, Input::Timer), [Output::Note(Event::Overslept(late))]);
}

#[test]
fn the_last_word_of_a_slow_active_may_come_late() {
    let fast = Settings {
        preempt: Preempt::Always,
        interval: Interval::from_centiseconds(10).unwrap(),
        ..settings()
    };
    let mut machine = backup_of(fast);
    drop(machine.handle(at(10_000), heard(34, 50)));
    let begin = machine.deadline().unwrap();
    drop(machine.handle(begin, Input::Timer));
    drop(machine.handle(begin + SECOND / 10, Input::Timer));
    drop(machine.handle(begin + SECOND / 5, Input::Timer));
    assert_eq!(told(&machine.handle(begin + SECOND / 5, heard(34, 50))), []);
}

#[test]
fn peers_that_say_they_are_active_are_counted_without_adverts() {
    let mut machine = machine_of(settings(), Role::Active);
    let claims = |active| Input::Peer(peer(34), good(50).map(|it| Peer { active, ..it }));
    let mut says = |millis, active| told(&machine.handle(at(millis), claims(active)));
    let priority = Priority::new(50).unwrap();
    // Said before it heard us.
    assert_eq!(says(10_100, true), []);
    assert_eq!(says(10_200, false), []);
    assert_eq!(says(10_300, true), []);
    assert_eq!(says(11_200, true), []);
    assert_eq!(says(11_300, true), [Event::DualActive { from: peer(34), priority }]);
    assert_eq!(says(12_300, true), []);
    let status = machine.status();
    assert_eq!((status.dual_active_episodes, status.dual_active), (1, SECOND));
    machine.sent = at(12_300);
    let ended: Vec<_> =
        (13..17).map(|second| told(&machine.handle(at(second * 1000), Input::Timer))).collect();
    assert_eq!(ended, [vec![], vec![], vec![], vec![Event::DualActiveEnded]]);
}

#[test]
fn whoever_gives_up_says_that_two_actives_are_over() {
    let mut machine = machine_of(settings(), Role::Active);
    let priority = Priority::new(50).unwrap();
    assert_eq!(
        told(&machine.handle(at(10_100), heard(34, 50))),
        [Event::DualActive { from: peer(34), priority }]
    );
    let priority = Priority::new(150).unwrap();
    let outranked = Event::Became(Role::Backup, Why::Outranked { by: peer(36), priority });
    assert_eq!(told(&machine.handle(at(10_200), heard(36, 150))), [outranked, Event::DualActiveEnded]);
}

/// Adverts may come every 10 ms, hellos come every second.
#[test]
fn what_a_peer_claims_holds_until_its_next_hello() {
    let fast = Settings { interval: Interval::MINIMUM, ..settings() };
    let mut machine = machine_of(settings(), Role::Active);
    drop(machine.handle(at(10_000), Input::Configure(Box::new(fast))));
    let claims = || Input::Peer(peer(34), good(50).map(|it| Peer { active: true, ..it }));
    let mut events = Vec::new();
    for tick in 1000..1300 {
        let mut tell = |input| events.extend(told(&machine.handle(at(tick * 10), input)));
        tell(Input::Timer);
        if tick % 100 == 0 {
            tell(claims());
        }
        if tick == 1101 {
            tell(heard(34, 50));
        }
    }
    let priority = Priority::new(50).unwrap();
    assert_eq!(events, [Event::DualActive { from: peer(34), priority }], "once, and without an end");
}

#[test]
fn what_one_peer_claims_makes_another_no_more_credible() {
    let mut machine = machine_of(settings(), Role::Active);
    let claims = |last, active| Input::Peer(peer(last), good(50).map(|it| Peer { active, ..it }));
    assert_eq!(told(&machine.handle(at(10_100), claims(33, true))), []);
    assert_eq!(told(&machine.handle(at(11_200), claims(34, true))), [], "it may not have heard us yet");
    assert_eq!(told(&machine.handle(at(11_200), claims(36, false))), []);
    let priority = Priority::new(50).unwrap();
    let dual = Event::DualActive { from: peer(33), priority };
    assert_eq!(told(&machine.handle(at(11_200), claims(33, true))), [dual]);
}
