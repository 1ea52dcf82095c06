//! Links: carriers, and adverts that come by one and not by another.

use super::*;

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
        let out = machine.handle(at(second * 1000), Input::Advert(Heard { link, ..first }));
        events.extend(told(&out).into_iter().map(|event| (second, event)));
    }
    let silent = |link| Event::LinkSilent(Link(link));
    let expected = [(15, silent(1)), (20, Event::LinkHeard(Link(1))), (24, silent(0))];
    assert_eq!(events, expected, "three adverts may be lost");
    assert_eq!(machine.status().links_silent, [Link(0)]);
    assert_eq!(machine.deadline(), Some(at(29_000) + DOWN));
}

#[test]
fn an_active_listens_for_no_adverts() {
    let mut machine = machine_of(settings(), Role::Backup);
    (11..20).for_each(|second| drop(machine.handle(at(second * 1000), heard(34, 150))));
    assert_eq!(machine.status().links_silent, [Link(1)]);
    drop(machine.handle(at(19_000) + DOWN, Input::Timer));
    assert_eq!((machine.role(), machine.status().links_silent), (Role::Active, vec![]));
}

#[test]
fn one_that_is_alone_takes_over_without_any_link() {
    let mut machine = backup_of(Settings { peers: Peers::None, ..settings() });
    (0..2).for_each(|link| drop(machine.handle(at(1000), Input::Link(Link(link), false))));
    assert_eq!(done(machine.handle(at(0) + DOWN, Input::Timer)), [advert(1), Acquire, Announce]);
}

#[test]
fn a_reload_keeps_what_is_known_of_links() {
    let alone = Settings { peers: Peers::None, ..settings() };
    for role in [Role::Initialize, Role::Backup, Role::Active] {
        let mut machine = machine_of(alone.clone(), role);
        drop(machine.handle(at(10_100), Input::Link(Link(1), false)));
        let other = Settings { priority: Priority::OWNER, ..alone.clone() };
        drop(machine.handle(at(10_200), Input::Configure(Box::new(other))));
        let status = machine.status();
        assert_eq!((status.links_down, status.priority), (vec![Link(1)], Priority::LOWEST));
        assert!(!status.fit);
    }
}

#[test]
fn a_reload_may_leave_a_backup_deaf_or_have_it_hear() {
    let with = |links: &[u8]| {
        let links = links.iter().copied().map(Link).collect();
        Input::Configure(Box::new(Settings { links, ..settings() }))
    };
    let mut machine = machine_of(settings(), Role::Backup);
    drop(machine.handle(at(10_100), Input::Link(Link(0), false)));
    drop(machine.handle(at(10_200), with(&[0])));
    assert_eq!(machine.deadline(), None, "its last link is down");
    drop(machine.handle(at(20_000), with(&[0, 1])));
    assert_eq!(machine.deadline(), Some(at(20_000) + down(Priority::LOWEST, Interval::DEFAULT)));
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
