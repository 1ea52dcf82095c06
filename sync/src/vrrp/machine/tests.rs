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
    let Input::Advert(fast) = heard(34, 150) else { return };
    let out = machine.handle(at(1000), Input::Advert(Heard { interval, ..fast }));
    assert_eq!(told(&out), [Event::Interval { from: peer(34), interval }]);
    assert_eq!(machine.deadline(), Some(at(1000) + DOWN / 10));
    assert_eq!(machine.handle(at(1100), Input::Advert(Heard { interval, ..fast })), [], "told once");
}

#[test]
fn an_active_that_leaves_is_followed_after_the_skew_time() {
    let mut machine = machine_of(settings(), Role::Backup);
    assert_eq!(machine.handle(at(10_500), heard(34, 0)), []);
    assert_eq!(machine.deadline(), Some(at(10_500) + SKEW));
    assert_eq!(machine.handle(at(10_600), heard(34, 0)), [], "the same by another link");
    assert_eq!(machine.deadline(), Some(at(10_500) + SKEW));
    assert_eq!(machine.handle(at(10_500) + SKEW, Input::Timer).first(), Some(&advert(100)));
}

#[test]
fn the_only_other_router_follows_at_once() {
    let mut machine = machine_of(Settings { peers: Peers::One, ..settings() }, Role::Backup);
    let out = machine.handle(at(10_500), heard(34, 0));
    assert_eq!(done(out), [advert(100), Acquire, Announce]);
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

#[test]
fn the_last_word_of_the_loser_starts_no_race() {
    let mut machine = machine_of(settings(), Role::Backup);
    let deadline = machine.deadline();
    assert_eq!(machine.handle(at(10_500), heard(33, 0)), []);
    assert_eq!(machine.deadline(), deadline);
}

#[test]
fn a_pause_of_the_active_is_no_silent_link() {
    let mut machine = machine_of(settings(), Role::Backup);
    let Input::Advert(first) = heard(34, 150) else { return };
    // It comes by one link before it comes by the other, and then nothing for longer than links are patient.
    for milliseconds in [11_000, 12_000, 15_200, 16_200] {
        for link in [Link(0), Link(1)] {
            let now = at(milliseconds + u64::from(link.0));
            assert_eq!(told(&machine.handle(now, Input::Advert(Heard { link, ..first }))), []);
        }
    }
}

#[test]
fn adverts_of_any_link_keep_a_backup_quiet_and_the_silent_link_is_told_once() {
    let mut machine = machine_of(settings(), Role::Backup);
    let Input::Advert(first) = heard(34, 150) else { return };
    let mut events = Vec::new();
    for second in 11..30 {
        let link = Link(u8::from(second >= 20));
        events.extend(told(&machine.handle(at(second * 1000), Input::Advert(Heard { link, ..first }))));
    }
    let expected = [Event::LinkSilent(Link(1)), Event::LinkHeard(Link(1)), Event::LinkSilent(Link(0))];
    assert_eq!(events, expected);
    assert_eq!(machine.status().links_silent, [Link(0)]);
    assert_eq!(machine.deadline(), Some(at(29_000) + DOWN));
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
    assert_eq!(done(machine.handle(again, Input::Timer)), [advert(100), Acquire, Announce], "not for ever");
}

#[test]
fn a_deaf_backup_takes_nothing_over() {
    let mut machine = machine_of(settings(), Role::Backup);
    drop(machine.handle(at(10_000), Input::Link(Link(0), false)));
    assert!(machine.deadline().is_some(), "it hears by the other link");
    drop(machine.handle(at(10_000), Input::Link(Link(1), false)));
    assert_eq!(machine.deadline(), None);
    drop(machine.handle(at(20_000), Input::Link(Link(1), true)));
    assert_eq!(machine.deadline(), Some(at(20_000) + down(Priority::LOWEST, Interval::DEFAULT)));
    drop(machine.handle(at(20_000), Input::Link(Link(0), true)));
    assert_eq!(machine.status().priority, Priority::DEFAULT);
}

#[test]
fn an_advert_that_was_on_its_way_does_not_make_a_deaf_backup_hear() {
    let deaf = || {
        let mut machine = machine_of(settings(), Role::Backup);
        drop(machine.handle(at(10_000), Input::Link(Link(0), false)));
        drop(machine.handle(at(10_000), Input::Link(Link(1), false)));
        drop(machine.handle(at(10_001), heard(34, 150)));
        machine
    };
    let mut machine = deaf();
    let due = machine.deadline().unwrap();
    assert_eq!(machine.handle(due, Input::Timer), []);
    assert_eq!(machine.deadline(), None);

    let mut machine = deaf();
    drop(machine.handle(at(13_500), Input::Link(Link(0), true)));
    let listens = down(Priority::LOWEST, Interval::DEFAULT);
    assert_eq!(machine.deadline(), Some(at(13_500) + listens), "what it missed was no silence");
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
fn a_lowered_active_yields_to_a_better_peer_alone() {
    let lowered = Input::Fitness(Fitness::Lowered(30));
    let mut machine = machine_of(settings(), Role::Active);
    drop(machine.handle(at(10_100), Input::Peer(peer(33), good(70))));
    assert_eq!(done(machine.handle(at(10_100), lowered)), [], "it is no better");
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
    let mut adverts = 0;
    for millis in (10_000..11_000).step_by(10) {
        let out = machine.handle(at(millis), heard(34, 50));
        adverts += out.iter().filter(|&output| *output == advert(100)).count();
    }
    assert_eq!(adverts, usize::from(active::ANSWERS));
    let status = machine.status();
    assert_eq!((status.dual_active_episodes, status.dual_active), (1, Duration::from_millis(990)));
    for second in 11..20 {
        drop(machine.handle(at(second * 1000), Input::Timer));
    }
    drop(machine.handle(at(19_500), heard(34, 50)));
    let status = machine.status();
    assert_eq!((status.dual_active_episodes, status.dual_active), (2, Duration::from_millis(990)));
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
fn links_that_come_and_go_are_told_once() {
    for role in [Role::Initialize, Role::Backup, Role::Active] {
        let mut machine = machine_of(Settings { peers: Peers::None, ..settings() }, role);
        let mut tell = |up| told(&machine.handle(at(10_500), Input::Link(Link(1), up)));
        assert_eq!([tell(true), tell(false), tell(false)], [vec![], vec![Event::LinkDown(Link(1))], vec![]]);
        assert_eq!([tell(true), tell(true)], [vec![Event::LinkUp(Link(1))], vec![]]);
    }
}

#[test]
fn a_link_that_comes_back_was_not_silent() {
    let mut machine = machine_of(settings(), Role::Backup);
    drop(machine.handle(at(10_500), Input::Link(Link(1), false)));
    for second in 11..20 {
        assert_eq!(told(&machine.handle(at(second * 1000), heard(34, 150))), []);
    }
    assert_eq!(told(&machine.handle(at(19_900), Input::Link(Link(1), true))), [Event::LinkUp(Link(1))]);
    for second in 20..24 {
        assert_eq!(told(&machine.handle(at(second * 1000), heard(34, 150))), [], "second {second}");
    }
    assert_eq!(told(&machine.handle(at(24_000), heard(34, 150))), [Event::LinkSilent(Link(1))]);
}

#[test]
fn adverts_that_waited_together_leave_no_link_silent() {
    let mut machine = machine_of(settings(), Role::Backup);
    let by = |link, millis| {
        let Input::Advert(it) = heard(34, 150) else { return (at(0), Input::Timer) };
        (at(millis), Input::Advert(Heard { link: Link(link), ..it }))
    };
    let mut hear = |(now, input)| told(&machine.handle(now, input));
    for (link, millis) in
        [(0, 11_000), (1, 11_000), (0, 20_000), (0, 20_000), (1, 20_000), (0, 21_000), (0, 22_000)]
    {
        assert_eq!(hear(by(link, millis)), []);
    }
    assert_eq!(hear(by(0, 24_000)), []);
    assert_eq!(hear(by(0, 25_000)), [Event::LinkSilent(Link(1))]);
}
