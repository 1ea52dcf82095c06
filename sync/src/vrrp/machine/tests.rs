mod links;
mod operator;
mod two_actives;

use super::*;
use crate::vrrp::timing::Interval;
use Output::{Acquire, Announce, Release};
use std::collections::BTreeSet;

const SECOND: Duration = Duration::from_secs(1);
/// Skew time of priority 100 at 1 s.
const SKEW: Duration = Duration::from_nanos(609_375_000);
const DOWN: Duration = Duration::from_nanos(3_609_375_000);

fn settings() -> Settings {
    Settings {
        priority: Priority::DEFAULT,
        address: peer(35),
        interval: Interval::DEFAULT,
        preempt: Preempt::AfterSync,
        preempt_delay: Duration::ZERO,
        startup_delay: Duration::ZERO,
        starts_active: false,
        peers: Peers::Several,
        links: BTreeSet::from([Link(0), Link(1)]),
    }
}

fn peer(last: u8) -> IpAddr {
    [192, 168, 1, last].into()
}

fn at(millis: u64) -> Time {
    Time::default() + Duration::from_millis(millis)
}

fn heard(last: u8, priority: u8) -> Input {
    Input::Advert(Heard {
        link: Link(0),
        from: peer(last),
        priority,
        interval: Interval::DEFAULT,
        successor: None,
    })
}

/// An advert of one that adverts every so many centiseconds.
fn paced(last: u8, priority: u8, centiseconds: u16) -> Input {
    let interval = Interval::from_centiseconds(centiseconds).unwrap();
    let Input::Advert(heard) = heard(last, priority) else { unreachable!() };
    Input::Advert(Heard { interval, ..heard })
}

fn advert(priority: u8) -> Output {
    Output::Advertise { priority, successor: None }
}

fn good(priority: u8) -> Option<Peer> {
    Some(Peer {
        priority: Priority::new(priority).unwrap(),
        lowered: 0,
        fit: true,
        caught_up: true,
        active: false,
        stood_down: false,
        chosen: false,
    })
}

fn step_down(to: Option<IpAddr>, force: bool) -> Input {
    Input::StepDown { to, force }
}

/// What is to be done, without what is to be told.
fn done(out: Vec<Output>) -> Vec<Output> {
    out.into_iter().filter(|output| !matches!(output, Output::Note(_))).collect()
}

fn told(out: &[Output]) -> Vec<Event> {
    out.iter()
        .filter_map(|output| if let Output::Note(event) = output { Some(*event) } else { None })
        .collect()
}

fn backup_of(settings: Settings) -> Machine {
    let mut machine = Machine::new(settings, at(0));
    assert_eq!(done(machine.handle(at(0), Input::Start)), []);
    machine
}

/// A machine that became `role` at 10 s.
fn machine_of(settings: Settings, role: Role) -> Machine {
    let mut machine = backup_of(settings);
    match role {
        Role::Initialize => drop(machine.handle(at(10_000), Input::Shutdown)),
        Role::Backup => drop(machine.handle(at(10_000), heard(34, 150))),
        Role::Active => {
            let start = Time::default() + DOWN.max(machine.settings.startup_delay);
            assert_eq!(done(machine.handle(start, Input::Timer)), [advert(100), Acquire, Announce]);
            (machine.since, machine.sent, machine.deadline) = (at(10_000), at(10_000), Some(at(11_000)));
        }
    }
    assert_eq!(machine.role(), role);
    machine
}

#[test]
fn every_state_answers_every_input() {
    use Role::{Active, Backup, Initialize};
    let link = |up| Input::Link(Link(1), up);
    let configure = || Input::Configure(Box::new(Settings { priority: Priority::LOWEST, ..settings() }));
    let unfit = Input::Fitness(Fitness::Unfit);
    let yields = || vec![Release, advert(0)];
    let stays = Vec::new;
    let table: Vec<(u32, Role, Input, Role, Vec<Output>)> = vec![
        (line!(), Initialize, Input::Start, Backup, stays()),
        (line!(), Initialize, Input::Shutdown, Initialize, stays()),
        (line!(), Initialize, heard(34, 0), Initialize, stays()),
        (line!(), Initialize, heard(34, 99), Initialize, stays()),
        (line!(), Initialize, heard(34, 101), Initialize, stays()),
        (line!(), Initialize, Input::Timer, Initialize, stays()),
        (line!(), Initialize, link(false), Initialize, stays()),
        (line!(), Initialize, link(true), Initialize, stays()),
        (line!(), Initialize, unfit.clone(), Initialize, stays()),
        (line!(), Initialize, Input::CaughtUp(true), Initialize, stays()),
        (line!(), Initialize, Input::Peer(peer(34), good(1)), Initialize, stays()),
        (line!(), Initialize, step_down(None, true), Initialize, stays()),
        (line!(), Initialize, configure(), Initialize, stays()),
        (line!(), Backup, Input::Start, Backup, stays()),
        (line!(), Backup, Input::Shutdown, Initialize, stays()),
        (line!(), Backup, heard(34, 0), Backup, stays()),
        (line!(), Backup, heard(34, 99), Backup, stays()),
        (line!(), Backup, heard(34, 100), Backup, stays()),
        (line!(), Backup, heard(34, 101), Backup, stays()),
        (line!(), Backup, Input::Timer, Backup, stays()),
        (line!(), Backup, link(false), Backup, stays()),
        (line!(), Backup, link(true), Backup, stays()),
        (line!(), Backup, unfit.clone(), Backup, stays()),
        (line!(), Backup, Input::CaughtUp(true), Backup, stays()),
        (line!(), Backup, Input::Peer(peer(34), good(1)), Backup, stays()),
        (line!(), Backup, step_down(None, true), Backup, stays()),
        (line!(), Backup, configure(), Backup, stays()),
        (line!(), Active, Input::Start, Active, stays()),
        (line!(), Active, Input::Shutdown, Initialize, yields()),
        (line!(), Active, heard(34, 0), Active, vec![advert(100)]),
        (line!(), Active, heard(36, 99), Active, vec![advert(100), Announce]),
        (line!(), Active, heard(34, 100), Active, vec![advert(100), Announce]),
        (line!(), Active, heard(35, 255), Active, stays()),
        (line!(), Active, heard(36, 100), Backup, vec![Release, advert(100)]),
        (line!(), Active, heard(34, 101), Backup, vec![Release, advert(100)]),
        (line!(), Active, Input::Timer, Active, vec![advert(100)]),
        (line!(), Active, link(false), Backup, yields()),
        (line!(), Active, link(true), Active, stays()),
        (line!(), Active, unfit, Backup, yields()),
        (line!(), Active, Input::Fitness(Fitness::Lowered(50)), Active, stays()),
        (line!(), Active, Input::CaughtUp(true), Active, stays()),
        (line!(), Active, Input::Peer(peer(34), good(254)), Active, stays()),
        (line!(), Active, step_down(None, false), Active, stays()),
        (line!(), Active, step_down(None, true), Backup, yields()),
        (line!(), Active, configure(), Active, vec![advert(1)]),
    ];
    for (line, before, input, after, expected) in table {
        let mut machine = machine_of(settings(), before);
        let out = machine.handle(at(11_000), input);
        assert_eq!((machine.role(), done(out)), (after, expected), "line {line}");
    }
}

#[test]
fn a_backup_takes_over_after_three_intervals_and_the_skew_time() {
    let mut machine = machine_of(settings(), Role::Backup);
    assert_eq!(machine.deadline(), Some(at(10_000) + DOWN));
    assert_eq!(machine.handle(at(13_609), Input::Timer), [], "not yet");
    let out = machine.handle(at(10_000) + DOWN, Input::Timer);
    assert_eq!(told(&out), [Event::Became(Role::Active, Why::Silence)]);
    assert_eq!(done(out), [advert(100), Acquire, Announce]);
    assert_eq!(machine.deadline(), Some(at(10_000) + DOWN + SECOND));
}

#[test]
fn a_backup_goes_by_the_interval_of_the_active() {
    let mut machine = backup_of(settings());
    let interval = Interval::from_centiseconds(10).unwrap();
    let out = machine.handle(at(1000), paced(34, 150, 10));
    assert_eq!(told(&out), [Event::Interval { from: peer(34), interval }]);
    assert_eq!(machine.deadline(), Some(at(1000) + DOWN / 10));
    assert_eq!(machine.handle(at(1100), paced(34, 150, 10)), [], "told once");
}

#[test]
fn a_backup_is_deaf_to_its_own_address() {
    let mut machine = backup_of(settings());
    assert_eq!(machine.handle(at(1000), heard(35, 255)), []);
    assert_eq!((machine.deadline(), machine.status().active), (Some(at(0) + DOWN), None));
}

#[test]
fn an_active_that_leaves_is_followed_after_the_skew_time() {
    let mut machine = machine_of(settings(), Role::Backup);
    assert_eq!(machine.handle(at(10_500), heard(34, 0)), []);
    assert_eq!(machine.deadline(), Some(at(10_500) + SKEW));
    assert_eq!(machine.handle(at(10_600), heard(34, 0)), [], "the same by another link");
    assert_eq!(machine.deadline(), Some(at(10_500) + SKEW));
    assert_eq!(machine.handle(at(10_500) + SKEW, Input::Timer).first(), Some(&advert(100)));

    let mut machine = machine_of(settings(), Role::Backup);
    drop(machine.handle(at(10_500), paced(34, 0, 10)));
    assert_eq!(machine.deadline(), Some(at(10_500) + SKEW / 10), "its interval counts");
}

#[test]
fn the_only_other_router_follows_at_once_if_it_is_fit() {
    let mut machine = machine_of(Settings { peers: Peers::One, ..settings() }, Role::Backup);
    let mut unfit = machine.clone();
    let out = machine.handle(at(10_500), heard(34, 0));
    assert_eq!(done(out), [advert(100), Acquire, Announce]);

    drop(unfit.handle(at(10_400), Input::Fitness(Fitness::Unfit)));
    assert_eq!(unfit.handle(at(10_500), heard(34, 0)), []);
    assert_eq!(unfit.deadline(), Some(at(10_500) + skew(Priority::LOWEST, Interval::DEFAULT)));
}

#[test]
fn the_one_who_is_named_follows_at_once_and_the_others_wait_for_it() {
    let Input::Advert(leaves) = heard(34, 0) else { return };
    let named = Input::Advert(Heard { successor: Some(peer(35)), ..leaves });
    let mut machine = machine_of(settings(), Role::Backup);
    assert_eq!(done(machine.handle(at(10_500), named)), [advert(100), Acquire, Announce]);

    let other = Input::Advert(Heard { successor: Some(peer(36)), ..leaves });
    let mut machine = machine_of(settings(), Role::Backup);
    assert_eq!(done(machine.handle(at(10_500), other)), []);
    assert_eq!(machine.deadline(), Some(at(10_500) + SECOND + SKEW));
}

/// When a Backup of priority 100 takes over from an Active of priority 50 that adverts from 10 s on.
fn preempts_at(settings: Settings, caught_up_at: Option<u64>) -> Option<u64> {
    let mut machine = machine_of(settings, Role::Backup);
    for tick in 100..400 {
        let now = at(tick * 100);
        if caught_up_at == Some(tick * 100) {
            assert_eq!(machine.handle(now, Input::CaughtUp(true)), []);
        }
        let due = machine.deadline().is_some_and(|due| due <= now);
        let out = machine.handle(now, if due { Input::Timer } else { heard(34, 50) });
        if out.contains(&Acquire) {
            return Some(tick * 100);
        }
    }
    None
}

#[test]
fn preempts_as_it_is_told() {
    let with = |preempt, seconds| Settings { preempt, preempt_delay: SECOND * seconds, ..settings() };
    assert_eq!(preempts_at(with(Preempt::Never, 0), Some(10_000)), None);
    assert_eq!(preempts_at(with(Preempt::Always, 0), None), Some(13_700));
    assert_eq!(
        preempts_at(with(Preempt::Always, 5), None),
        Some(18_600),
        "an advert at 14.9 s was the last that counted"
    );
    assert_eq!(preempts_at(with(Preempt::AfterSync, 0), None), None);
    assert_eq!(preempts_at(with(Preempt::AfterSync, 0), Some(20_000)), Some(23_600));
    assert_eq!(preempts_at(with(Preempt::AfterSync, 20), Some(20_000)), Some(33_600));
    let owner = Settings { priority: Priority::OWNER, startup_delay: SECOND, ..with(Preempt::Never, 0) };
    assert_eq!(preempts_at(owner, None), Some(13_100));
}

#[test]
fn whom_it_preempts_is_still_there() {
    let mut machine = machine_of(Settings { preempt: Preempt::Always, ..settings() }, Role::Backup);
    drop(machine.handle(at(10_000), heard(34, 50)));
    drop(machine.handle(at(10_000), Input::Peer(peer(34), good(50))));
    let due = machine.deadline().unwrap();
    assert_eq!(done(machine.handle(due, Input::Timer)), [advert(100), Acquire, Announce]);
    let out = done(machine.handle(due, Input::Fitness(Fitness::Unfit)));
    assert_eq!(out, [Release, Output::Advertise { priority: 0, successor: Some(peer(34)) }]);
}

#[test]
fn an_equal_active_is_not_preempted() {
    let mut machine = backup_of(Settings { preempt: Preempt::Always, ..settings() });
    for second in 1..10 {
        assert_eq!(done(machine.handle(at(second * 1000), heard(34, 100))), []);
        assert_eq!(machine.deadline(), Some(at(second * 1000) + DOWN));
    }
}

#[test]
fn a_better_active_in_between_begins_the_delay_anew() {
    let patient = Settings { preempt: Preempt::Always, preempt_delay: SECOND * 5, ..settings() };
    let mut machine = machine_of(patient, Role::Backup);
    let lower = |machine: &mut Machine, ticks: std::ops::RangeInclusive<u64>| {
        ticks.for_each(|tick| drop(machine.handle(at(tick * 100), heard(34, 50))));
    };
    lower(&mut machine, 101..=140);
    drop(machine.handle(at(14_050), heard(36, 150)));
    lower(&mut machine, 141..=190);
    assert_eq!(machine.deadline(), Some(at(19_000) + DOWN), "it has heard the lower one for 4.9 s");
    lower(&mut machine, 191..=200);
    assert!(machine.deadline() < Some(at(20_000) + DOWN));
}

#[test]
fn what_was_synced_before_a_change_of_role_is_void() {
    let mut machine = machine_of(settings(), Role::Backup);
    drop(machine.handle(at(10_100), Input::CaughtUp(true)));
    drop(machine.handle(at(10_200), heard(34, 0)));
    drop(machine.handle(at(10_200) + SKEW, Input::Timer));
    drop(machine.handle(at(11_000), heard(34, 150)));
    assert_eq!(machine.role(), Role::Backup);
    assert!(!machine.status().caught_up);
}

#[test]
fn the_owner_is_active_at_once_unless_it_has_to_wait() {
    let owner = Settings { priority: Priority::OWNER, ..settings() };
    let mut machine = Machine::new(owner.clone(), at(0));
    assert_eq!(done(machine.handle(at(0), Input::Start)), [advert(255), Acquire, Announce]);
    let mut machine = Machine::new(Settings { startup_delay: SECOND * 5, ..owner }, at(0));
    assert_eq!(done(machine.handle(at(0), Input::Start)), []);
    assert_eq!(machine.deadline(), Some(at(5000)));
}

#[test]
fn a_startup_delay_ends_with_the_first_advert() {
    let mut machine = backup_of(Settings { startup_delay: SECOND * 60, ..settings() });
    assert_eq!(machine.deadline(), Some(at(60_000)));
    drop(machine.handle(at(1000), heard(34, 150)));
    assert_eq!(machine.deadline(), Some(at(1000) + DOWN));

    let preempts = Settings { preempt: Preempt::Always, startup_delay: SECOND * 60, ..settings() };
    let mut machine = backup_of(preempts);
    drop(machine.handle(at(1000), heard(34, 50)));
    assert_eq!(machine.deadline(), Some(at(1000) + DOWN), "of one that it takes over from too");
}

#[test]
fn one_that_expects_to_be_the_first_waits_for_one_interval() {
    let mut machine = backup_of(Settings { starts_active: true, ..settings() });
    assert_eq!(machine.deadline(), Some(at(0) + SECOND + SKEW));
    drop(machine.handle(at(900), heard(34, 150)));
    assert_eq!(machine.deadline(), Some(at(900) + DOWN), "there is an Active");
    let delayed = Settings { starts_active: true, startup_delay: SECOND * 60, ..settings() };
    assert_eq!(backup_of(delayed).deadline(), Some(at(60_000)));
}

#[test]
fn a_frozen_active_gives_up_before_anything_else() {
    for input in
        [Input::Timer, Input::Shutdown, heard(34, 50), heard(34, 0), step_down(None, true), Input::Start]
    {
        let mut machine = machine_of(settings(), Role::Active);
        let out = machine.handle(at(13_000), input.clone());
        assert_eq!(told(&out)[0], Event::Became(Role::Backup, Why::Frozen(SECOND * 3)), "{input:?}");
        assert_eq!(done(out), [Release], "{input:?}");
    }
    let mut machine = machine_of(settings(), Role::Active);
    assert_eq!(done(machine.handle(at(12_999), Input::Timer)), [advert(100)], "in time");
    let mut alone = machine_of(Settings { peers: Peers::None, ..settings() }, Role::Active);
    assert_eq!(done(alone.handle(at(99_000), Input::Timer)), [advert(100)], "nobody else was there");
}

#[test]
fn a_backup_that_wakes_late_listens_once_more() {
    let mut machine = machine_of(settings(), Role::Backup);
    let late = SECOND * 2;
    let wake = at(10_000) + DOWN + late;
    assert_eq!(machine.handle(wake, Input::Timer), [Output::Note(Event::Overslept(late))]);
    assert_eq!(machine.deadline(), Some(wake + DOWN));
    let again = wake + DOWN + late;
    let mut heard_it = machine.clone();
    assert_eq!(done(machine.handle(again, Input::Timer)), [advert(100), Acquire, Announce], "not for ever");

    drop(heard_it.handle(wake, heard(34, 150)));
    assert_eq!(heard_it.handle(again, Input::Timer), [Output::Note(Event::Overslept(late))], "it began anew");

    let mut alone = backup_of(Settings { peers: Peers::None, ..settings() });
    assert_eq!(
        done(alone.handle(wake, Input::Timer)),
        [advert(100), Acquire, Announce],
        "there is nobody to hear"
    );
}

#[test]
fn a_lowered_active_yields_to_a_better_peer_alone() {
    let lowered = Input::Fitness(Fitness::Lowered(30));
    let mut machine = machine_of(settings(), Role::Active);
    drop(machine.handle(at(10_100), Input::Peer(peer(33), good(70))));
    assert_eq!(done(machine.handle(at(10_100), lowered.clone())), [], "it is no better");
    assert_eq!(done(machine.handle(at(11_000), Input::Timer)), [advert(70)]);
    let unsynced = good(254).map(|peer| Peer { caught_up: false, ..peer });
    assert_eq!(done(machine.handle(at(11_000), Input::Peer(peer(34), unsynced))), []);
    let unfit = good(254).map(|peer| Peer { fit: false, ..peer });
    assert_eq!(done(machine.handle(at(11_000), Input::Peer(peer(34), unfit))), []);
    let no_better_off = good(254).map(|peer| Peer { lowered: 30, ..peer });
    assert_eq!(done(machine.handle(at(11_000), Input::Peer(peer(34), no_better_off))), []);
    let out = machine.handle(at(11_000), Input::Peer(peer(34), good(71)));
    assert_eq!(told(&out), [Event::Became(Role::Backup, Why::Yielded { to: Some(peer(34)) })]);
    assert_eq!(done(out), [Release, Output::Advertise { priority: 0, successor: Some(peer(34)) }]);

    let mut machine = machine_of(Settings { preempt: Preempt::Always, ..settings() }, Role::Active);
    drop(machine.handle(at(10_100), Input::Peer(peer(34), unsynced)));
    assert_eq!(done(machine.handle(at(10_100), lowered)).len(), 2, "nobody asks for connections");
}

#[test]
fn a_lowered_active_that_a_reload_puts_below_a_peer_yields() {
    let mut machine = machine_of(settings(), Role::Active);
    drop(machine.handle(at(10_100), Input::Fitness(Fitness::Lowered(30))));
    assert_eq!(done(machine.handle(at(10_100), Input::Peer(peer(34), good(60)))), []);
    let lower = Settings { priority: Priority::new(80).unwrap(), ..settings() };
    let out = done(machine.handle(at(10_200), Input::Configure(Box::new(lower))));
    let leaves = Output::Advertise { priority: 0, successor: Some(peer(34)) };
    assert_eq!(out, [advert(50), Release, leaves]);
}

#[test]
fn only_so_many_peers_are_remembered() {
    let mut machine = machine_of(settings(), Role::Active);
    let stranger = |number: u16| IpAddr::from([10, 0, number.to_be_bytes()[0], number.to_be_bytes()[1]]);
    let mut tell =
        |number, priority| machine.handle(at(10_100), Input::Peer(stranger(number), good(priority)));
    (0..300).for_each(|number| drop(tell(number, 50)));
    drop(tell(0, 60));
    drop(tell(299, 70));
    let out = done(machine.handle(at(10_200), step_down(None, false)));
    let leaves = Output::Advertise { priority: 0, successor: Some(stranger(0)) };
    assert_eq!(out, [Release, leaves], "what is known goes on to be told");
}

#[test]
fn an_unfit_active_stays_where_nobody_else_is_fit() {
    let down = Input::Link(Link(0), false);
    let mut alone = machine_of(Settings { peers: Peers::None, ..settings() }, Role::Active);
    assert_eq!(done(alone.handle(at(10_100), down.clone())), []);
    let mut machine = machine_of(settings(), Role::Active);
    drop(machine.handle(at(10_100), Input::Peer(peer(34), None)));
    assert_eq!(done(machine.handle(at(10_100), down.clone())), [], "out of reach");

    let mut machine = machine_of(settings(), Role::Active);
    assert_eq!(done(machine.handle(at(10_100), down.clone())), [Release, advert(0)], "nothing is known");
    let due = machine.deadline().unwrap();
    assert_eq!(done(machine.handle(due, Input::Timer)), [advert(1), Acquire, Announce], "nobody came");
    assert_eq!(done(machine.handle(due, down.clone())), [], "it tries once");
    drop(machine.handle(due, Input::Link(Link(0), true)));
    assert_eq!(machine.status().priority, Priority::DEFAULT);
    assert_eq!(done(machine.handle(due, down.clone())), [Release, advert(0)], "it was well in between");

    let mut machine = machine_of(settings(), Role::Backup);
    drop(machine.handle(at(10_100), Input::Peer(peer(34), good(150))));
    let due = machine.deadline().unwrap();
    assert_eq!(done(machine.handle(due, Input::Timer)), [advert(100), Acquire, Announce]);
    assert_eq!(done(machine.handle(due, down)), [], "what was known of the peer is void: it was silent");
}

#[test]
fn a_new_interval_is_told_at_once() {
    let mut machine = machine_of(settings(), Role::Active);
    let fast = Settings { interval: Interval::MINIMUM, ..settings() };
    let out = machine.handle(at(10_500), Input::Configure(Box::new(fast)));
    assert_eq!(done(out), [advert(100)]);
    assert_eq!(machine.deadline(), Some(at(10_510)));
    assert_eq!(done(machine.handle(at(10_510), Input::Timer)), [advert(100)]);
}
