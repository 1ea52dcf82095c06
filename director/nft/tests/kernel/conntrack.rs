//! Connections by their mark.

use crate::namespace::{chain, in_namespace, loaded, run};
use director_nft::ir::{BaseChain, ChainKind, Datum, Expression, Hook, MarkTarget, Ruleset, Statement};
use director_nft::netlink::{Conntrack, Flow};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};

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

        assert_eq!(conntrack.count().unwrap(), 3);
        conntrack.flush_mark(0x8000_1000, MASK).unwrap();
        assert_eq!(flows(&mut conntrack, 0x8000_1000, MASK), []);
        assert_eq!(flows(&mut conntrack, 0x8000_2000, MASK), second);
    });
}
