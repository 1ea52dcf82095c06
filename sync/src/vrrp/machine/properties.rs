//! What holds for any settings.

use super::*;
use crate::vrrp::timing::{Interval, skew};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn address(last: u8) -> IpAddr {
    [10, 0, 1, last].into()
}

fn preempt() -> impl Strategy<Value = Preempt> {
    prop_oneof![Just(Preempt::Never), Just(Preempt::Always), Just(Preempt::AfterSync)]
}

fn interval() -> impl Strategy<Value = Interval> {
    (1_u16..0x1000).prop_map(|centiseconds| Interval::from_centiseconds(centiseconds).unwrap())
}

prop_compose! {
    fn settings()(
        priority in 1_u8..255,
        last in 1_u8..255,
        interval in interval(),
        preempt in preempt(),
        preempt_delay in 0_u64..5000,
        startup_delay in 0_u64..5000,
        starts_active in any::<bool>(),
        peers in prop_oneof![Just(Peers::One), Just(Peers::Several)],
    ) -> Settings {
        Settings {
            priority: Priority::new(priority).unwrap(),
            address: address(last),
            interval,
            preempt,
            preempt_delay: Duration::from_millis(preempt_delay),
            startup_delay: Duration::from_millis(startup_delay),
            starts_active,
            peers,
            links: BTreeSet::from([Link(0)]),
        }
    }
}

fn input() -> impl Strategy<Value = Input> {
    let someone = || any::<u8>().prop_map(address);
    let says = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let peer = (1_u8..=255, any::<u8>(), says).prop_map(|(priority, lowered, says)| Peer {
        priority: Priority::new(priority).unwrap(),
        lowered,
        fit: says.0,
        caught_up: says.1,
        active: says.2,
        stood_down: says.3,
        chosen: says.4,
    });
    let heard = (0_u8..3, someone(), any::<u8>(), interval(), proptest::option::of(someone()));
    prop_oneof![
        Just(Input::Start),
        Just(Input::Shutdown),
        Just(Input::Timer),
        heard.prop_map(|(link, from, priority, interval, successor)| {
            Input::Advert(Heard { link: Link(link), from, priority, interval, successor })
        }),
        (0_u8..3, any::<bool>()).prop_map(|(link, up)| Input::Link(Link(link), up)),
        prop_oneof![Just(Fitness::Fit), Just(Fitness::Unfit), any::<u8>().prop_map(Fitness::Lowered)]
            .prop_map(Input::Fitness),
        any::<bool>().prop_map(Input::CaughtUp),
        (someone(), proptest::option::of(peer)).prop_map(|(address, peer)| Input::Peer(address, peer)),
        (proptest::option::of(someone()), any::<bool>())
            .prop_map(|(to, force)| Input::StepDown { to, force }),
        settings().prop_map(|settings| Input::Configure(Box::new(settings))),
    ]
}

/// Machines on one segment that loses nothing and takes no time, timers fired in their order.
#[derive(Debug)]
struct Segment {
    now: Time,
    machines: Vec<Machine>,
    /// Only a signed advert says who is to follow.
    signed: bool,
}

impl Segment {
    fn new(settings: &[Settings]) -> Self {
        let machines = settings.iter().map(|settings| Machine::new(settings.clone(), Time::default()));
        let mut segment = Self { now: Time::default(), machines: machines.collect(), signed: true };
        (0..settings.len()).for_each(|at| segment.tell(at, Input::Start));
        segment
    }

    fn tell(&mut self, at: usize, input: Input) {
        let out = self.machines[at].handle(self.now, input);
        for output in out {
            let Output::Advertise { priority, successor } = output else { continue };
            let Settings { address: from, interval, .. } = self.machines[at].settings;
            let successor = successor.filter(|_| self.signed);
            let heard = Heard { link: Link(0), from, priority, interval, successor };
            for other in (0..self.machines.len()).filter(|&other| other != at) {
                self.tell(other, Input::Advert(heard));
            }
        }
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let timers =
                self.machines.iter().enumerate().filter_map(|(at, machine)| Some((machine.deadline()?, at)));
            let Some((due, at)) = timers.min().filter(|(due, _)| *due <= end) else { break };
            self.now = due;
            self.tell(at, Input::Timer);
        }
        self.now = end;
    }

    /// Each says hello to each other one.
    fn greet(&mut self) {
        let all = 0..self.machines.len();
        for (from, to) in all.clone().flat_map(|from| all.clone().map(move |to| (from, to))) {
            let machine = &self.machines[from];
            let Status { role, priority, fitness, fit, caught_up, stood_down, chosen, .. } = machine.status();
            let (lowered, active) = (fitness.lowered(), role == Role::Active);
            let peer = Peer { priority, lowered, fit, caught_up, active, stood_down, chosen };
            let address = machine.settings.address;
            self.tell(to, Input::Peer(address, Some(peer)));
        }
    }

    fn actives(&self) -> Vec<usize> {
        (0..self.machines.len()).filter(|&at| self.machines[at].role() == Role::Active).collect()
    }
}

fn segment() -> impl Strategy<Value = Segment> {
    proptest::collection::vec(settings(), 2..5).prop_map(|mut all| {
        let (interval, first, several) = (all[0].interval, all[0].starts_active, all.len() > 2);
        for (last, settings) in (1..).zip(&mut all) {
            (settings.address, settings.interval, settings.startup_delay) =
                (address(last), interval, Duration::ZERO);
            // Else a lower one may be the first.
            settings.starts_active = first;
            settings.peers = if several { Peers::Several } else { Peers::One };
        }
        Segment::new(&all)
    })
}

impl Segment {
    fn priority(&self, at: usize) -> Priority {
        self.machines[at].settings.priority
    }

    /// Of several equal ones the first that comes to it is Active.
    fn highest(&self, but: Option<usize>) -> Priority {
        let rest = (0..self.machines.len()).filter(|&at| Some(at) != but);
        rest.map(|at| self.priority(at)).max().unwrap()
    }
}

proptest! {
    #[test]
    fn no_order_of_inputs_breaks_it(
        settings in settings(),
        steps in proptest::collection::vec((0_u64..20_000_000_000, input()), 1..100),
    ) {
        let mut machine = Machine::new(settings, Time::default());
        let (mut now, mut holds) = (Time::default(), false);
        for (pause, input) in steps {
            now = now + Duration::from_nanos(pause);
            let out = machine.handle(now, input.clone());
            for (position, output) in out.iter().enumerate() {
                match output {
                    Output::Acquire => prop_assert!(!std::mem::replace(&mut holds, true)),
                    Output::Release => prop_assert!(std::mem::replace(&mut holds, false)),
                    Output::Announce => prop_assert!(holds),
                    Output::Advertise { priority: LEAVING, .. } => prop_assert!(!holds, "leaves with the addresses on"),
                    Output::Advertise { .. } => {
                        let gives = out[..position].contains(&Output::Release);
                        prop_assert!(holds || gives || out[position..].contains(&Output::Acquire));
                    }
                    Output::Note(event) => prop_assert!(!event.to_string().is_empty()),
                }
            }
            prop_assert_eq!(holds, machine.role() == Role::Active);
            prop_assert!(input != Input::Timer || machine.deadline().is_none_or(|due| due > now));
            prop_assert!(machine.status().priority <= machine.settings.priority);
        }
    }

    #[test]
    fn the_timer_means_nothing_before_its_time(settings in settings(), early in 0_u64..10_000_000) {
        let mut machine = Machine::new(settings, Time::default());
        drop(machine.handle(Time::default(), Input::Start));
        for _ in 0..3 {
            let due = machine.deadline().unwrap();
            let before = machine.status();
            let now = Time::from_nanos(due.as_nanos() - 1 - early.min(due.as_nanos() - before.since.as_nanos() - 1));
            prop_assert_eq!(machine.handle(now, Input::Timer), []);
            prop_assert_eq!(machine.status(), before);
            drop(machine.handle(due, Input::Timer));
        }
    }

    #[test]
    fn one_is_active_after_a_down_interval_and_it_is_the_highest(mut segment in segment()) {
        let interval = segment.machines[0].settings.interval.duration();
        segment.run_for(interval * 4);
        let best = segment.actives()[0];
        prop_assert_eq!(segment.priority(best), segment.highest(None));
        for _ in 0..20 {
            segment.run_for(interval / 3);
            prop_assert_eq!(segment.actives(), [best]);
        }
    }

    #[test]
    fn who_leaves_is_followed_within_the_skew_time(mut segment in segment()) {
        let interval = segment.machines[0].settings.interval;
        segment.run_for(interval.duration() * 5);
        let first = segment.actives()[0];
        segment.tell(first, Input::Shutdown);
        let highest = segment.highest(Some(first));
        segment.run_for(skew(highest, interval));
        let actives = segment.actives();
        prop_assert_eq!(actives.len(), 1);
        prop_assert_eq!(segment.priority(actives[0]), highest);
    }

    #[test]
    fn of_two_equal_actives_the_higher_address_stays(settings in settings(), other in 1_u8..255) {
        let twin = Settings { address: address(other), ..settings.clone() };
        prop_assume!(twin.address != settings.address);
        let mut segment = Segment::new(&[settings, twin]);
        for at in 0..2 {
            // Neither hears the other as it takes over.
            let due = segment.machines[at].deadline().unwrap();
            drop(segment.machines[at].handle(due, Input::Timer));
            segment.now = due;
        }
        prop_assert_eq!(segment.actives(), [0, 1]);
        segment.run_for(segment.machines[0].settings.interval.duration());
        let higher = usize::from(segment.machines[1].settings.address > segment.machines[0].settings.address);
        prop_assert_eq!(segment.actives(), [higher]);
    }

    #[test]
    fn who_comes_back_preempts_if_it_may(mut segment in segment(), mode in preempt(), synced: bool) {
        let interval = segment.machines[0].settings.interval.duration();
        segment.run_for(interval * 5);
        let best = segment.actives()[0];
        segment.machines[best].settings.preempt = mode;
        segment.tell(best, Input::Shutdown);
        segment.run_for(interval * 5);
        let second = segment.actives()[0];
        segment.tell(best, Input::Start);
        if synced {
            segment.tell(best, Input::CaughtUp(true));
        }
        let delay = segment.machines[best].settings.preempt_delay;
        segment.run_for(delay + interval * 6);
        let higher = segment.priority(best) > segment.priority(second);
        let may = mode == Preempt::Always || mode == Preempt::AfterSync && synced;
        prop_assert_eq!(segment.actives(), [if higher && may { best } else { second }]);
    }

    #[test]
    fn whom_the_operator_names_becomes_active_at_once(mut segment in segment(), to in 0_usize..5) {
        let interval = segment.machines[0].settings.interval.duration();
        segment.run_for(interval * 5);
        let first = segment.actives()[0];
        let to = to % segment.machines.len();
        segment.machines.iter_mut().for_each(|machine| machine.settings.preempt = Preempt::Never);
        segment.tell(first, Input::StepDown { to: Some(address(u8::try_from(to).unwrap() + 1)), force: true });
        prop_assert_eq!(segment.actives(), [to]);
        segment.run_for(interval * 10);
        prop_assert_eq!(segment.actives(), [to]);
    }

    #[test]
    fn whom_the_operator_wants_stays_until_it_is_worse_off(
        mut segment in segment(),
        to in 1_usize..5,
        ailment in prop_oneof![Just(Fitness::Unfit), (0_u8..200).prop_map(Fitness::Lowered)],
        signed: bool,
        synced: bool,
    ) {
        let interval = segment.machines[0].settings.interval.duration();
        segment.run_for(interval * 5);
        let first = segment.actives()[0];
        let to = (first + to.min(segment.machines.len() - 1)) % segment.machines.len();
        // Else whoever is quicker follows.
        segment.signed = signed || segment.machines.len() > 2;
        segment.tell(to, Input::Fitness(ailment));
        segment.greet();
        segment.tell(first, Input::StepDown { to: Some(segment.machines[to].settings.address), force: true });
        segment.run_for(interval * u32::from(!segment.signed));
        let delay = segment.machines.iter().map(|machine| machine.settings.preempt_delay).max().unwrap();
        for _ in 0..30 {
            prop_assert_eq!(segment.actives(), [to]);
            segment.greet();
            (0..segment.machines.len()).for_each(|at| segment.tell(at, Input::CaughtUp(synced)));
            segment.run_for(interval / 3 + delay / 20);
        }
        segment.tell(to, Input::Link(Link(0), false));
        segment.greet();
        segment.run_for(interval * u32::from(!segment.signed));
        let actives = segment.actives();
        prop_assert!(actives.len() == 1 && actives != [to], "{actives:?} follow {to}");
        prop_assert!(segment.machines.len() == 2 || actives != [first], "there is one that did not step down");
        segment.greet();
        segment.run_for(interval * 5);
        prop_assert_eq!(segment.actives().len(), 1);
    }

    #[test]
    fn a_restart_ends_what_the_operator_wanted(mut segment in segment(), to in 1_usize..5) {
        let interval = segment.machines[0].settings.interval.duration();
        segment.run_for(interval * 5);
        let first = segment.actives()[0];
        let to = (first + to.min(segment.machines.len() - 1)) % segment.machines.len();
        segment.tell(to, Input::Fitness(Fitness::Unfit));
        segment.greet();
        segment.tell(first, Input::StepDown { to: Some(segment.machines[to].settings.address), force: true });
        segment.greet();
        segment.tell(first, Input::Shutdown);
        segment.greet();
        segment.run_for(interval * 5);
        prop_assert_eq!(segment.actives(), [to], "while it is off it has not changed its mind");
        segment.tell(first, Input::Start);
        segment.greet();
        segment.run_for(interval * 5);
        let actives = segment.actives();
        prop_assert!(actives.len() == 1 && actives != [to], "{actives:?} follow {to}");
    }
}
