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
        events.extend(told(&machine.handle(at(second * 1000), Input::Advert(Heard { link, ..first }))));
    }
    let expected = [Event::LinkSilent(Link(1)), Event::LinkHeard(Link(1)), Event::LinkSilent(Link(0))];
    assert_eq!(events, expected);
    assert_eq!(machine.status().links_silent, [Link(0)]);
    assert_eq!(machine.deadline(), Some(at(29_000) + DOWN));
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
