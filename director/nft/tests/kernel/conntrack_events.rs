//! What conntrack tells of connections.

use crate::namespace::{chain, in_namespace, loaded, run};
use director_nft::ir::{
    BaseChain, ChainKind, Datum, EventMask, Expression, Hook, MarkTarget, Ruleset, Statement,
};
use director_nft::netlink::{Change, Conntrack, ConntrackEvent, ConntrackEvents};
use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

const MARK: u32 = 0x8000_1001;
const FLAG: u32 = 0x8000_0000;

/// `enum tcp_conntrack`
const SYN_SENT: u8 = 1;
const SYN_RECV: u8 = 2;
const ESTABLISHED: u8 = 3;
const FIN_WAIT: u8 = 4;
const CLOSE_WAIT: u8 = 5;
const LAST_ACK: u8 = 6;
const TIME_WAIT: u8 = 7;

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    New,
    Update,
    Destroy,
}

use Kind::{Destroy, New, Update};

/// Every connection that begins here gets the mark, and tells these events; `None`: all.
fn marking(mark: u32, events: Option<EventMask>) -> Ruleset {
    let value = Expression::Value(Datum::Mark(mark));
    let mut statements = vec![Statement::SetMark { target: MarkTarget::Ct, value }];
    statements.extend(events.map(Statement::SetEvents));
    let mut out = chain([statements]);
    out.base = Some(BaseChain { kind: ChainKind::Nat, hook: Hook::Output, priority: -100 });
    let mut ruleset = Ruleset::default();
    ruleset.chains.insert("out".to_owned(), out);
    ruleset
}

fn listen() -> ConntrackEvents {
    ConntrackEvents::open(FLAG, FLAG).unwrap()
}

/// Reads on until there are `count`, or for ten seconds.
fn hear(events: &mut ConntrackEvents, count: usize) -> Vec<(Kind, Change)> {
    let mut heard = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    while heard.len() < count && Instant::now() < deadline {
        let each = |event| match event {
            ConntrackEvent::New(it) => heard.push((New, it)),
            ConntrackEvent::Update(it) => heard.push((Update, it)),
            ConntrackEvent::Destroy(it) => heard.push((Destroy, it)),
            ConntrackEvent::Lost => panic!("lost"),
        };
        events.read(each).unwrap();
        thread::yield_now();
    }
    heard
}

fn nothing_more(events: &mut ConntrackEvents) {
    events.read(|event| panic!("{event:?}")).unwrap();
}

fn connect(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn states(heard: &[(Kind, Change)]) -> Vec<(&Kind, Option<u8>)> {
    heard.iter().map(|(kind, it)| (kind, it.tcp_state)).collect()
}

fn end(mark: u32) {
    Conntrack::open().unwrap().flush_mark(mark, u32::MAX).unwrap();
}

#[test]
fn a_connection_tells_its_mark_and_states_from_its_begin_to_its_end() {
    for mask in [None, Some(EventMask::NEW | EventMask::PROTOINFO | EventMask::DESTROY)] {
        in_namespace(move || {
            drop(loaded(&marking(MARK, mask)));
            let mut events = listen();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (client, server) = connect(&listener);
            let mut heard = hear(&mut events, 3);
            assert_eq!(
                states(&heard),
                [(&New, Some(SYN_SENT)), (&Update, Some(SYN_RECV)), (&Update, Some(ESTABLISHED))]
            );
            assert_eq!(heard[2].1.status & 6, 6, "answered and assured");
            drop(client);
            heard = hear(&mut events, 2);
            assert_eq!(states(&heard), [(&Update, Some(FIN_WAIT)), (&Update, Some(CLOSE_WAIT))]);
            drop(server);
            heard.extend(hear(&mut events, 2));
            assert_eq!(states(&heard[2..]), [(&Update, Some(LAST_ACK)), (&Update, Some(TIME_WAIT))]);
            end(MARK);
            heard.extend(hear(&mut events, 1));
            assert_eq!(states(&heard[4..]), [(&Destroy, Some(TIME_WAIT))]);
            let id = heard[0].1.id;
            assert!(heard.iter().all(|(_, it)| (it.id, it.mark, it.protocol) == (id, MARK, 6)), "{heard:?}");

            let server = UdpSocket::bind("127.0.0.1:0").unwrap();
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.send_to(b"question", server.local_addr().unwrap()).unwrap();
            server.send_to(b"answer", client.local_addr().unwrap()).unwrap();
            end(MARK);
            let wanted: &[_] = match mask {
                None => &[(&New, None), (&Update, None), (&Destroy, None)],
                Some(_) => &[(&New, None), (&Destroy, None)],
            };
            let heard = hear(&mut events, wanted.len());
            assert_eq!(states(&heard), wanted);
            assert!(heard.iter().all(|(_, it)| (it.mark, it.protocol) == (MARK, 17)), "{heard:?}");
            nothing_more(&mut events);
        });
    }
}

#[test]
fn a_rule_says_what_is_told() {
    in_namespace(|| {
        let mut events = listen();
        drop(loaded(&marking(MARK, Some(EventMask::default()))));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        drop(connect(&listener));
        end(MARK);
        nothing_more(&mut events);
    });
}

#[test]
fn only_connections_of_the_mark_are_heard() {
    in_namespace(|| {
        let mut one = ConntrackEvents::open(0x1000, u32::MAX).unwrap();
        let mut ours = listen();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for mark in [0, 0x1000, MARK] {
            drop(loaded(&marking(mark, None)));
            let _connection = connect(&listener);
            run("nft", &["delete", "table", "inet", "director"]);
        }
        for mark in [0, 0x1000, MARK] {
            end(mark);
        }
        for (events, mark) in [(&mut one, 0x1000), (&mut ours, MARK)] {
            let heard = hear(events, 4);
            assert!(heard.iter().all(|(_, it)| it.mark == mark), "{heard:?}");
            assert!(heard.iter().any(|(kind, _)| *kind == Destroy), "{heard:?}");
            nothing_more(events);
        }
    });
}

#[test]
fn counting_by_events_comes_to_what_the_table_holds() {
    in_namespace(|| {
        drop(loaded(&marking(MARK, Some(EventMask::NEW | EventMask::DESTROY))));
        let mut events = listen();
        let mut conntrack = Conntrack::open().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut kept = Vec::new();
        for round in 0..10_u16 {
            kept.push(connect(&listener));
            for port in 0..200 {
                socket.send_to(b"x", ("127.0.0.1", 20_000 + round * 200 + port)).unwrap();
            }
            if round == 5 {
                end(MARK);
            }
            // A flow that is known, unless it has just ended.
            socket.send_to(b"x", ("127.0.0.1", 20_000 + round * 200)).unwrap();
        }
        let mut live = BTreeSet::new();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let each = |event| match event {
                ConntrackEvent::New(it) => _ = live.insert(it.id),
                ConntrackEvent::Destroy(it) => assert!(live.remove(&it.id), "{it:?}"),
                ConntrackEvent::Update(_) | ConntrackEvent::Lost => panic!("{event:?}"),
            };
            events.read(each).unwrap();
            let mut there = BTreeSet::new();
            conntrack.dump(MARK, u32::MAX, |flow| _ = there.insert(flow.id)).unwrap();
            if live == there {
                assert!((800..1_000).contains(&live.len()), "{}", live.len());
                break;
            }
            assert!(Instant::now() < deadline, "{} by events, {} in the table", live.len(), there.len());
        }
    });
}

#[test]
fn a_rule_may_want_events_where_none_are_made() {
    in_namespace(|| {
        drop(loaded(&marking(MARK, None)));
        std::fs::write("/proc/sys/net/netfilter/nf_conntrack_events", "0").unwrap();
        let mut events = listen();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        drop(connect(&listener));
        nothing_more(&mut events);
        run("nft", &["delete", "table", "inet", "director"]);
        drop(loaded(&marking(MARK, Some(EventMask::NEW))));
        drop(connect(&listener));
        // The first packet changed the state before the rule said that anybody wants to hear of it.
        assert_eq!(states(&hear(&mut events, 1)), [(&New, None)]);
        nothing_more(&mut events);
    });
}

#[test]
fn what_is_lost_is_told_and_all_is_told_again_once_all_is_read() {
    in_namespace(|| {
        drop(loaded(&marking(MARK, None)));
        let mut events = ConntrackEvents::with_buffer(FLAG, FLAG, 4096).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for port in 20_000..21_000 {
            socket.send_to(b"x", ("127.0.0.1", port)).unwrap();
        }
        let mut heard = Vec::new();
        events.read(|event| heard.push(event)).unwrap();
        assert!(heard.contains(&ConntrackEvent::Lost) && heard.len() < 1_000, "{heard:?}");
        nothing_more(&mut events);
        socket.send_to(b"x", ("127.0.0.1", 30_000)).unwrap();
        assert_eq!(states(&hear(&mut events, 1)), [(&New, None)]);
    });
}
