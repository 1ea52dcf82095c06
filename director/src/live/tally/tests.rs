use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

const SERVICE: u32 = 0x8000_3000;
const OTHER: u32 = 0x8000_4000;

fn tally() -> Tally {
    let mut tally = Tally::new(ServiceNumber::of_mark(SERVICE).into_iter().collect());
    tally.note(Event::New(tcp(99, SERVICE | 3, 1)));
    assert!(!tally.has_moved(), "nothing is known yet of the others");
    tally.replace(Census::default());
    assert_eq!(tally.take_moved().len(), 1, "what was counted elsewhere before holds no more");
    tally
}

fn tcp(id: u32, mark: u32, state: u8) -> Connection {
    Connection { id, mark, phase: Phase::of(6, Some(state)) }
}

fn load(active: u32, inactive: u32) -> Load {
    Load { active, inactive }
}

#[test]
fn a_connection_counts_from_its_first_packet_to_its_last() {
    let (mut tally, server) = (tally(), SERVICE | 1);
    let mut after = |event| {
        tally.note(event);
        tally.load(server)
    };
    assert_eq!(after(Event::New(tcp(7, server, 1))), load(1, 0));
    assert_eq!(after(Event::Changed(tcp(7, server, 3))), load(1, 0));
    assert_eq!(after(Event::Changed(Connection { id: 7, mark: server, phase: None })), load(1, 0));
    assert_eq!(after(Event::Changed(tcp(7, server, 4))), load(0, 1));
    assert_eq!(after(Event::Changed(tcp(7, server, 7))), load(0, 0), "TIME_WAIT");
    assert_eq!(after(Event::Changed(tcp(7, server, 1))), load(1, 0), "it opens anew");
    assert_eq!(after(Event::Gone(tcp(7, server, 1))), load(0, 0));
    assert_eq!(after(Event::Gone(tcp(7, server, 1))), load(0, 0));
    assert_eq!(after(Event::New(Connection { id: 8, mark: server, phase: Phase::of(17, None) })), load(1, 0));
    assert_eq!(tally.arrivals(ServiceNumber::of_mark(SERVICE).unwrap()), 1 + 2);
}

#[test]
fn others_move_nothing() {
    let mut tally = tally();
    for mark in [0, 80, SERVICE & !0x8000_0000, OTHER | 1] {
        tally.note(Event::New(tcp(1, mark, 3)));
        tally.note(Event::Gone(tcp(1, mark, 3)));
        assert!(!tally.has_moved(), "{mark:x}");
    }
    tally.note(Event::Changed(tcp(1, SERVICE | 1, 7)));
    assert!(!tally.has_moved(), "it was over when we came");
    tally.note(Event::New(tcp(1, SERVICE | 1, 1)));
    assert_eq!(tally.take_moved().len(), 1);
    tally.note(Event::Changed(tcp(1, SERVICE | 1, 3)));
    assert!(!tally.has_moved(), "it still is one");
}

#[test]
fn a_census_finds_what_nobody_told() {
    let (mut tally, server) = (tally(), SERVICE | 1);
    let census = |ids: &[u32]| Census(ids.iter().map(|id| tcp(*id, server, 3)).collect());
    assert_eq!(tally.replace(census(&[1, 2, 2])), Findings { corrected: 2, silent: 2 });
    assert_eq!((tally.load(server), tally.take_moved().len()), (load(2, 0), 1));
    tally.note(Event::Changed(tcp(2, server, 3)));
    tally.note(Event::New(tcp(3, server, 3)));
    tally.take_moved();
    assert_eq!(tally.replace(census(&[1, 2, 3])), Findings { corrected: 0, silent: 1 });
    assert!(tally.take_moved().is_empty());
    assert_eq!(tally.replace(census(&[2, 3])), Findings { corrected: 1, silent: 0 });
    assert_eq!((tally.load(server), tally.take_moved().len()), (load(2, 0), 1));
}

/// The kernel: connections, and a queue of events that holds so many.
#[derive(Default)]
struct Kernel {
    connections: BTreeMap<u32, Connection>,
    queue: VecDeque<Event>,
    lost: bool,
}

const QUEUE: usize = 8;

impl Kernel {
    fn tell(&mut self, event: Event) {
        // Nothing more is taken until all has been read.
        self.lost |= self.queue.len() == QUEUE;
        if !self.lost {
            self.queue.push_back(event);
        }
    }

    /// A packet of a connection, after which it is in this state; `None`: its time is up.
    fn step(&mut self, id: u32, state: Option<u8>) {
        let mark = [SERVICE | 1, SERVICE | 2, OTHER | 1][id as usize % 3];
        let event = match state {
            Some(state) => {
                let it = tcp(id, mark, state);
                if self.connections.insert(id, it).is_some() { Event::Changed(it) } else { Event::New(it) }
            }
            None => match self.connections.remove(&id) {
                Some(it) => Event::Gone(it),
                None => return,
            },
        };
        self.tell(event);
    }

    fn load(&self, destination: u32) -> Load {
        let mut load = Load::default();
        for it in self.connections.values().filter(|it| it.mark == destination) {
            match it.phase {
                Some(Phase::Active) => load.active += 1,
                Some(Phase::Closing) => load.inactive += 1,
                Some(Phase::Over) | None => {}
            }
        }
        load
    }
}

#[derive(Debug, Clone)]
enum Step {
    Packet(u32, Option<u8>),
    Read(usize),
    Census,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let packet =
        (0_u32..12, prop::option::weighted(0.8, 1_u8..9)).prop_map(|(id, state)| Step::Packet(id, state));
    let read = (0_usize..6).prop_map(Step::Read);
    prop::collection::vec(prop_oneof![8 => packet, 3 => read, 1 => Just(Step::Census)], 0..200)
}

proptest! {
    /// As the reader does it: what is lost makes it read all that waits, and then take a census.
    #[test]
    fn counts_are_those_of_the_kernel_once_all_is_read(steps in steps()) {
        let (mut kernel, mut tally) = (Kernel::default(), tally());
        for step in steps.into_iter().chain([Step::Read(QUEUE)]) {
            let census = match step {
                Step::Packet(id, state) => {
                    kernel.step(id, state);
                    false
                }
                Step::Read(events) => {
                    let events = if kernel.lost { QUEUE } else { events };
                    for event in kernel.queue.drain(..events.min(kernel.queue.len())) {
                        tally.note(event);
                    }
                    std::mem::take(&mut kernel.lost)
                }
                Step::Census => !kernel.lost,
            };
            if census {
                tally.replace(Census(kernel.connections.values().copied().collect()));
            }
        }
        for destination in [SERVICE | 1, SERVICE | 2] {
            prop_assert_eq!(tally.load(destination), kernel.load(destination));
        }
        prop_assert_eq!(tally.load(OTHER | 1), Load::default());
    }

    #[test]
    fn a_service_has_moved_if_a_count_of_it_has(steps in steps()) {
        let (mut kernel, mut tally) = (Kernel::default(), tally());
        let loads = |tally: &Tally| [1, 2].map(|server| tally.load(SERVICE | server));
        for step in steps {
            let before = loads(&tally);
            match step {
                Step::Packet(id, state) => {
                    kernel.step(id, state);
                    kernel.queue.drain(..).for_each(|event| tally.note(event));
                }
                Step::Read(_) => {}
                Step::Census => {
                    tally.replace(Census(kernel.connections.values().copied().collect()));
                }
            }
            prop_assert_eq!(!tally.take_moved().is_empty(), loads(&tally) != before);
        }
    }
}
