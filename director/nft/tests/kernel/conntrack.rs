//! Connections by their mark.

use crate::namespace::{chain, in_namespace, loaded, run};
use director_nft::ir::{
    BaseChain, ChainKind, Datum, Expression, Family, Hook, MarkTarget, Ruleset, Statement,
};
use director_nft::netlink::{Conntrack, Filter, Flow, Listing};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::ControlFlow;

const MASK: u32 = 0xffff_f000;

/// Every connection that begins here gets the mark.
fn marking(mark: u32) -> Ruleset {
    let value = Expression::Value(Datum::Mark(mark));
    let mut out = chain([vec![Statement::SetMark { target: MarkTarget::Ct, value }]]);
    out.base = Some(BaseChain { kind: ChainKind::Filter, hook: Hook::Output, priority: -150 });
    let mut ruleset = Ruleset::default();
    ruleset.chains.insert("out".to_owned(), out);
    ruleset
}

fn flows(conntrack: &mut Conntrack, mark: u32, mask: u32) -> Vec<Flow> {
    let mut flows = Vec::new();
    conntrack.dump(mark, mask, |flow| flows.push(flow.clone())).unwrap();
    flows
}

fn talk(address: &str) -> (UdpSocket, UdpSocket) {
    let server = UdpSocket::bind((address, 0)).unwrap();
    let client = UdpSocket::bind((address, 0)).unwrap();
    client.send_to(b"question", server.local_addr().unwrap()).unwrap();
    let (_, from) = server.recv_from(&mut [0; 16]).unwrap();
    server.send_to(b"answer", from).unwrap();
    client.recv_from(&mut [0; 16]).unwrap();
    (client, server)
}

#[test]
fn connections_are_found_and_ended_by_their_mark() {
    in_namespace(|| {
        std::fs::write("/proc/sys/net/netfilter/nf_conntrack_acct", "1").unwrap();
        let mut conntrack = Conntrack::open().unwrap();
        assert_eq!(flows(&mut conntrack, 0, 0), []);
        drop(loaded(&marking(0x8000_1001)));
        let (client, server) = talk("127.0.0.1");
        let (_six, _) = talk("::1");
        run("nft", &["delete", "table", "inet", "director"]);
        drop(loaded(&marking(0x8000_2001)));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();

        let first = flows(&mut conntrack, 0x8000_1000, MASK);
        assert_eq!(first.len(), 2, "{first:?}");
        let four = first.iter().find(|flow| flow.original.source.is_ipv4()).unwrap();
        assert_eq!((four.mark, four.protocol, four.tcp_state), (0x8000_1001, 17, None));
        assert_eq!(four.original.source, IpAddr::from([127, 0, 0, 1]));
        assert_eq!(four.original.source_port, client.local_addr().unwrap().port());
        assert_eq!(four.original.destination_port, server.local_addr().unwrap().port());
        assert_eq!(four.reply.source_port, four.original.destination_port);
        assert_eq!(four.status & 2, 2, "an answer was seen");
        assert!(four.timeout.is_some());
        assert_eq!(four.traffic.unwrap().map(|traffic| (traffic.packets, traffic.bytes)), [(1, 36), (1, 34)]);
        assert!(first.iter().any(|flow| flow.original.source.is_ipv6()));

        let second = flows(&mut conntrack, 0x8000_2000, MASK);
        assert_eq!(second.len(), 1, "{second:?}");
        assert_eq!((second[0].protocol, second[0].tcp_state), (6, Some(3)));

        conntrack.flush_mark(0x8000_1000, MASK).unwrap();
        assert_eq!(flows(&mut conntrack, 0x8000_1000, MASK), []);
        let left = flows(&mut conntrack, 0x8000_2000, MASK);
        assert_eq!(left.iter().map(|flow| flow.id).collect::<Vec<_>>(), [second[0].id]);
    });
}

fn found(conntrack: &mut Conntrack, filter: Filter) -> Vec<Flow> {
    let mut flows = Vec::new();
    conntrack
        .visit(&filter, |flow| {
            flows.push(flow.clone());
            ControlFlow::Continue(())
        })
        .unwrap();
    flows
}

#[test]
fn connections_are_found_by_what_they_are() {
    in_namespace(|| {
        let mut conntrack = Conntrack::open().unwrap();
        drop(loaded(&marking(0x8000_1001)));
        let (client, _server) = talk("127.0.0.1");
        let (_six, _) = talk("::1");
        let unanswered = UdpSocket::bind("127.0.0.2:0").unwrap();
        unanswered.send_to(b"x", client.local_addr().unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut count = |filter| found(&mut conntrack, filter).len();

        let all = Filter::default();
        assert_eq!(count(all), 4);
        let family = |family| Filter { family: Some(family), ..all };
        assert_eq!((count(family(Family::V4)), count(family(Family::V6))), (3, 1));
        let protocol = |protocol| Filter { protocol: Some(protocol), ..all };
        assert_eq!((count(protocol(6)), count(protocol(17))), (1, 3));
        assert_eq!(count(Filter { protocol: Some(17), ..family(Family::V4) }), 2);
        assert_eq!(count(Filter { protocol: Some(17), ..family(Family::V6) }), 1);
        assert_eq!(count(Filter { status: 2, ..all }), 3, "answered");
        assert_eq!(count(Filter { status_without: 2, ..all }), 1, "not answered");
        let client = |address: &str| Filter { client: Some(address.parse().unwrap()), ..all };
        assert_eq!(count(client("127.0.0.1")), 2);
        assert_eq!(count(client("127.0.0.2")), 1);
        assert_eq!(count(client("127.0.0.3")), 0);
        assert_eq!(count(Filter { protocol: Some(6), ..client("127.0.0.1") }), 1);
        assert_eq!((count(client("::1")), count(client("::2"))), (1, 0));
        assert_eq!(count(Filter { family: Some(Family::V6), ..client("127.0.0.1") }), 0);
        assert_eq!(count(Filter::mark(0x8000_1000, MASK)), 4);
        assert_eq!(count(Filter::mark(0x8000_2000, MASK)), 0);
    });
}

#[test]
fn one_connection_is_ended_and_no_other() {
    in_namespace(|| {
        let mut conntrack = Conntrack::open().unwrap();
        drop(loaded(&marking(0x8000_1001)));
        let (_four, _server) = talk("127.0.0.1");
        let (_six, _) = talk("::1");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        for address in ["127.0.0.1", "::1"] {
            run("ping", &["-c", "1", address]);
        }
        let mut left = found(&mut conntrack, Filter::default());
        assert_eq!(left.len(), 5);
        while let Some(flow) = left.pop() {
            let other = Flow { id: flow.id.wrapping_add(1), ..flow.clone() };
            assert!(
                !conntrack.delete(&other).unwrap(),
                "the addresses and ports of {flow:?}, but another one"
            );
            assert!(conntrack.delete(&flow).unwrap(), "{flow:?}");
            assert!(!conntrack.delete(&flow).unwrap(), "{flow:?} is gone");
            let ids =
                |flows: &[Flow]| flows.iter().map(|flow| flow.id).collect::<std::collections::BTreeSet<_>>();
            assert_eq!(ids(&found(&mut conntrack, Filter::default())), ids(&left));
        }
    });
}

#[test]
fn reading_can_stop_early_and_begin_again() {
    in_namespace(|| {
        let mut conntrack = Conntrack::open().unwrap();
        drop(loaded(&marking(0x8000_1001)));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let ports = 20_000..22_000;
        for port in ports.clone() {
            socket.send_to(b"x", ("127.0.0.1", port)).unwrap();
        }
        for enough in [1, 700] {
            let mut seen = 0;
            conntrack
                .visit(&Filter::default(), |_| {
                    seen += 1;
                    if seen == enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
                .unwrap();
            assert_eq!(seen, enough);
            assert_eq!(found(&mut conntrack, Filter::default()).len(), ports.len());
        }
    });
}

#[test]
fn connections_are_read_piece_by_piece() {
    const COUNT: usize = 1000;
    in_namespace(|| {
        drop(loaded(&marking(0x8000_1001)));
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let clients: Vec<_> = (0..COUNT).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        for client in &clients {
            client.send_to(b"question", server.local_addr().unwrap()).unwrap();
        }
        let mut whole = flows(&mut Conntrack::open().unwrap(), 0x8000_1000, MASK);
        let mut listing = Listing::open(&Filter::mark(0x8000_1000, MASK)).unwrap();
        let (mut found, mut pieces) = (Vec::new(), 0);
        while listing.read(|flow| found.push(flow.clone())).unwrap() {
            pieces += 1;
        }
        assert!(!listing.read(|_| panic!("it was over")).unwrap());
        assert!(pieces > 3, "{pieces} pieces");
        let id = |flow: &Flow| flow.id;
        whole.sort_by_key(id);
        found.sort_by_key(id);
        assert_eq!(found.len(), COUNT);
        assert!(found.iter().map(id).eq(whole.iter().map(id)));

        let mut others = Listing::open(&Filter::mark(0x8000_2000, MASK)).unwrap();
        while others.read(|flow| panic!("{flow:?}")).unwrap() {}

        let mut left = Listing::open(&Filter::mark(0x8000_1000, MASK)).unwrap();
        assert!(left.read(|_| {}).unwrap());
        drop(left);
        assert_eq!(flows(&mut Conntrack::open().unwrap(), 0x8000_1000, MASK).len(), COUNT);
    });
}
