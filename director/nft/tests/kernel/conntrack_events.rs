//! What conntrack tells of connections.

use crate::namespace::{chain, in_namespace, loaded};
use director_nft::ir::{
    BaseChain, ChainKind, Datum, EventMask, Expression, Hook, MarkTarget, Ruleset, Statement,
};
use director_nft::netlink::{Change, Conntrack, ConntrackEvent, ConntrackEvents, Flow};
use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream, UdpSocket};

const MARK: u32 = 0x8000_1001;

/// Every connection that begins here gets the mark, and tells these events; `None`: all.
fn marking(events: Option<EventMask>) -> Ruleset {
    let value = Expression::Value(Datum::Mark(MARK));
    let mut statements = vec![Statement::SetMark { target: MarkTarget::Ct, value }];
    statements.extend(events.map(Statement::SetEvents));
    let mut out = chain([statements]);
    out.base = Some(BaseChain { kind: ChainKind::Filter, hook: Hook::Output, priority: -150 });
    let mut ruleset = Ruleset::default();
    ruleset.chains.insert("out".to_owned(), out);
    ruleset
}

/// A TCP connection to the loopback address from its begin to its end.
fn talk() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    drop(listener.accept().unwrap());
    drop(client);
}

fn told(events: &mut ConntrackEvents) -> Vec<ConntrackEvent> {
    let mut all = Vec::new();
    events.read(|event| all.push(event)).unwrap();
    all
}

fn flows() -> Vec<Flow> {
    let mut flows = Vec::new();
    Conntrack::open().unwrap().dump(MARK, u32::MAX, |flow| flows.push(flow.clone())).unwrap();
    flows
}

#[test]
fn a_connection_tells_its_mark_and_states_from_its_begin_to_its_end() {
    in_namespace(|| {
        drop(loaded(&marking(Some(EventMask::NEW | EventMask::DESTROY | EventMask::PROTOINFO))));
        let mut events = ConntrackEvents::open().unwrap();
        talk();
        let all = told(&mut events);
        let Some(ConntrackEvent::New(first)) = all.first().copied() else { panic!("{all:?}") };
        // SYN_SENT
        assert_eq!(first, Change { id: first.id, mark: MARK, protocol: 6, tcp_state: Some(1) });
        let state = |event: &ConntrackEvent| {
            let ConntrackEvent::Update(it) = event else { return None };
            it.tcp_state.filter(|_| it.id == first.id && it.mark == MARK)
        };
        let states: Vec<u8> = all.iter().filter_map(state).collect();
        assert_eq!((states.len(), &states[..3]), (all.len() - 1, [2, 3, 4].as_slice()), "{all:?}");
        assert_eq!(states.last(), Some(&7), "TIME_WAIT: {all:?}");
        assert_eq!(flows().iter().map(|flow| flow.id).collect::<Vec<_>>(), [first.id]);

        Conntrack::open().unwrap().flush_mark(MARK, u32::MAX).unwrap();
        let all = told(&mut events);
        assert!(
            matches!(all[..], [ConntrackEvent::Destroy(it)] if it.id == first.id && it.mark == MARK),
            "{all:?}"
        );
    });
}

#[test]
fn a_rule_says_what_is_told() {
    in_namespace(|| {
        let mut events = ConntrackEvents::open().unwrap();
        drop(loaded(&marking(Some(EventMask::default()))));
        talk();
        assert_eq!((told(&mut events), flows().len()), (Vec::new(), 1));
    });
}

#[test]
fn what_is_lost_is_told_and_all_is_told_again_once_all_is_read() {
    in_namespace(|| {
        drop(loaded(&marking(None)));
        let mut events = ConntrackEvents::open().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut lost = false;
        // As many as the buffer can't hold, by ports in turn.
        for _ in 0..3 {
            for port in 1_024..65_000 {
                let _ = socket.send_to(b"question", ("127.0.0.1", port));
            }
            Conntrack::open().unwrap().flush_mark(MARK, u32::MAX).unwrap();
            lost = told(&mut events).contains(&ConntrackEvent::Lost);
            if lost {
                break;
            }
        }
        assert!(lost);
        talk();
        let mut news = BTreeMap::new();
        for event in told(&mut events) {
            assert_ne!(event, ConntrackEvent::Lost);
            if let ConntrackEvent::New(it) = event {
                news.insert(it.id, it.protocol);
            }
        }
        assert!(news.values().any(|protocol| *protocol == 6), "{news:?}");
    });
}
