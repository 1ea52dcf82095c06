//! What limits, watches and protects connections, on real packets of both families.

use crate::namespace::{chain, elements, in_namespace, listed, loaded, run};
use director_nft::diff::diff;
use director_nft::ir::{
    BaseChain, Chain, ChainKind, CtStates, DataType, Datum, Element, ElementData, EventMask, Expression,
    Hook, Key, Map, MapData, MapSpec, MarkTarget, Match, Rate, RateUnit, Reject, Ruleset, Selector,
    Statement, Synproxy, TcpFlags, Verdict,
};
use director_nft::netlink::{Conntrack, Nft};
use director_nft::observed::Observed;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn hooked(
    kind: ChainKind,
    hook: Hook,
    priority: i32,
    rules: impl IntoIterator<Item = Vec<Statement>>,
) -> Chain {
    Chain { base: Some(BaseChain { kind, hook, priority }), ..chain(rules) }
}

fn ruleset<const N: usize>(chains: [(&str, Chain); N]) -> Ruleset {
    Ruleset { chains: chains.map(|(name, chain)| (name.to_owned(), chain)).into(), ..Ruleset::default() }
}

fn to_port(port: u16) -> Statement {
    Statement::Match(Match::Value { selector: Selector::ThDport, negate: false, value: Datum::Port(port) })
}

fn state(states: CtStates) -> Statement {
    Statement::Match(Match::CtState(states))
}

/// Flags of which none must be set.
fn without(mask: TcpFlags) -> Statement {
    Statement::Match(Match::TcpFlags { mask, value: TcpFlags::default(), negate: false })
}

fn set_mark(mark: u32) -> Statement {
    Statement::SetMark { target: MarkTarget::Meta, value: Expression::Value(Datum::Mark(mark)) }
}

fn setting(name: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/{name}"), value).unwrap();
}

/// The ruleset is in the kernel, and nothing would have to be changed.
fn stands(nft: &mut Nft, ruleset: &Ruleset) {
    let observed = nft.observe().unwrap();
    assert_eq!(observed, Observed::from(ruleset));
    assert!(diff(&observed, ruleset).is_empty());
}

/// A datum of the address's family.
fn datum(address: &str) -> Datum {
    match address.parse().unwrap() {
        IpAddr::V4(address) => Datum::Ipv4(address),
        IpAddr::V6(address) => Datum::Ipv6(address),
    }
}

/// How many of `count` packets to the discard port get past the output hook.
fn passed(source: &str, destination: &str, count: usize) -> usize {
    let socket = UdpSocket::bind((source, 0)).unwrap();
    (0..count)
        .filter(|_| match socket.send_to(b"x", (destination, 9)) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => false,
            Err(error) => panic!("{error}"),
        })
        .count()
}

#[test]
fn each_client_has_a_bucket_of_its_own() {
    in_namespace(|| {
        run("ip", &["address", "add", "fd00::2/128", "dev", "lo", "nodad"]);
        let limit = |map: &str, client| {
            let rate = Rate { count: 1, per: RateUnit::Hour, burst: 3 };
            let timeout = Some(Duration::from_secs(7_200));
            let key = vec![client, Selector::MetaMark];
            let limit = Statement::Limit { map: map.to_owned(), key, timeout, rate };
            vec![to_port(9), set_mark(80), limit, Statement::Verdict(Verdict::Drop)]
        };
        let rules = [
            limit("limit4", Selector::Ip4Saddr { prefix: 32 }),
            limit("limit6", Selector::Ip6Saddr { prefix: 128 }),
        ];
        let mut ruleset = ruleset([("out", hooked(ChainKind::Filter, Hook::Output, 0, rules))]);
        for (name, address) in [("limit4", DataType::Ipv4Addr), ("limit6", DataType::Ipv6Addr)] {
            let key = vec![address, DataType::Mark];
            let spec = MapSpec { key, dynamic: true, timeout: true, size: Some(2), ..MapSpec::default() };
            ruleset.maps.insert(name.to_owned(), Map { spec, elements: [].into() });
        }
        let mut nft = loaded(&ruleset);
        for (map, one, other) in [("limit4", "127.0.0.1", "127.0.0.2"), ("limit6", "::1", "fd00::2")] {
            assert_eq!(passed(one, one, 9), 3);
            assert_eq!(passed(other, one, 2), 2);
            assert_eq!(passed(other, one, 2), 1);
            let elements = elements(&mut nft, map);
            assert_eq!(elements.len(), 2);
            let mine = Key::of([datum(one), Datum::Mark(80)]);
            let element = elements.into_iter().find(|element| element.key == mine).unwrap();
            let left = element.expires.unwrap();
            assert!(left <= Duration::from_secs(7_200) && left > Duration::from_secs(7_000), "{left:?}");
            stands(&mut nft, &ruleset);
            assert_eq!(nft.delete_dynamic(map, &[mine]).unwrap(), 1);
            assert_eq!(passed(one, one, 4), 3, "a new bucket is full");
        }
        assert_eq!(passed("127.0.0.3", "127.0.0.1", 9), 9, "who finds no room for a bucket is not limited");
        let text = listed();
        assert!(text.contains("127.0.0.1 . 0x00000050 limit rate over 1/hour burst 3 packets"), "{text}");
    });
}

/// A socket that hears of all connections of this namespace.
fn listener() -> OwnedFd {
    let (kind, flags) = (SockType::Raw, SockFlag::SOCK_NONBLOCK);
    let protocol = SockProtocol::NetlinkNetFilter;
    let socket = socket(AddressFamily::Netlink, kind, flags, protocol).unwrap();
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0b111)).unwrap();
    socket
}

/// How often a beginning and how often an end was told of connections to the discard port.
fn heard(listener: &OwnedFd) -> (usize, usize) {
    const NEW: u16 = 1 << 8;
    const DELETE: u16 = 1 << 8 | 2;
    const CREATE: u16 = 0x400;
    // Protocol's nest: CTA_PROTO_DST_PORT (3), in network order.
    const TO_DISCARD: [u8; 6] = [6, 0, 3, 0, 0, 9];
    let (mut begun, mut ended) = (0, 0);
    let mut buffer = [0; 8192];
    while let Ok(length) = recv(listener.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
        let message = &buffer[..length];
        let number = |at: usize| u16::from_ne_bytes([message[at], message[at + 1]]);
        if message.windows(6).any(|window| window == TO_DISCARD) {
            begun += usize::from(number(4) == NEW && number(6) & CREATE != 0);
            ended += usize::from(number(4) == DELETE);
        }
    }
    (begun, ended)
}

/// What is heard of a UDP flow, and of a refused tcp connection, if their events are narrowed to `events`.
fn told(address: &str, events: Option<EventMask>) -> [(usize, usize); 2] {
    let narrow = events.map(Statement::SetEvents);
    let rule = [to_port(9), state(CtStates::NEW)].into_iter().chain(narrow).collect();
    let ruleset = ruleset([("out", hooked(ChainKind::Nat, Hook::Output, -100, [rule]))]);
    let mut nft = loaded(&ruleset);
    stands(&mut nft, &ruleset);
    let listener = listener();
    let mut told = [(0, 0); 2];
    assert_eq!(passed(address, address, 1), 1);
    forget_connections();
    told[0] = heard(&listener);
    TcpStream::connect((address, 9)).unwrap_err();
    forget_connections();
    told[1] = heard(&listener);
    run("nft", &["flush", "ruleset"]);
    told
}

fn forget_connections() {
    Conntrack::open().unwrap().flush_mark(0, 0).unwrap();
}

#[test]
fn listeners_hear_of_the_events_that_a_connection_may_tell() {
    in_namespace(|| {
        for address in ["127.0.0.1", "::1"] {
            assert_eq!(told(address, None), [(1, 1); 2]);
            assert_eq!(told(address, Some(EventMask::NEW)), [(1, 0); 2]);
            assert_eq!(told(address, Some(EventMask::DESTROY | EventMask::ASSURED)), [(0, 1); 2]);
            let protocol = told(address, Some(EventMask::PROTOINFO));
            assert_eq!(
                protocol,
                [(0, 0), (1, 0)],
                "a SYN changes the protocol's state, and begins a connection"
            );
            assert_eq!(told(address, Some(EventMask::default())), [(0, 0); 2]);
        }
    });
}

#[test]
fn sources_are_fixed_by_mark_and_counted() {
    in_namespace(|| {
        run("ip", &["address", "add", "fd00::7/128", "dev", "lo", "nodad"]);
        let marked = |port, mark| vec![to_port(port), set_mark(mark)];
        let vmap = Statement::Vmap { key: vec![Selector::MetaMark], map: "delivery".to_owned() };
        let is_mark = |mark| {
            let (selector, value) = (Selector::MetaMark, Datum::Mark(mark));
            Statement::Match(Match::Value { selector, negate: false, value })
        };
        let snat = |address: &str| Statement::Snat(address.parse().unwrap());
        let rules = [vec![vmap], vec![is_mark(82), snat("127.0.0.9")]];
        let mut ruleset = ruleset([
            (
                "mark",
                hooked(
                    ChainKind::Filter,
                    Hook::Output,
                    -150,
                    [marked(7001, 80), marked(7002, 81), marked(7003, 82)],
                ),
            ),
            ("post", hooked(ChainKind::Nat, Hook::Postrouting, 100, rules)),
            ("fixed", chain([vec![snat("127.0.0.7")], vec![snat("fd00::7")]])),
        ]);
        let element = |mark, verdict| {
            let data = Some(ElementData::Verdict(verdict));
            (Key::of([Datum::Mark(mark)]), Element { data, comment: None })
        };
        let goto = Verdict::Goto("fixed".to_owned());
        let elements = [element(80, goto.clone()), element(81, Verdict::Accept), element(99, goto)].into();
        let spec = MapSpec {
            key: vec![DataType::Mark],
            data: MapData::Verdict,
            counter: true,
            ..MapSpec::default()
        };
        ruleset.maps.insert("delivery".to_owned(), Map { spec, elements });
        let mut nft = loaded(&ruleset);

        let seen = |address: &str, port| {
            let server = UdpSocket::bind((address, port)).unwrap();
            UdpSocket::bind((address, 0)).unwrap().send_to(b"x", server.local_addr().unwrap()).unwrap();
            server.recv_from(&mut [0; 4]).unwrap().1.ip().to_string()
        };
        assert_eq!(seen("127.0.0.1", 7001), "127.0.0.7");
        assert_eq!(seen("::1", 7001), "fd00::7");
        assert_eq!(seen("127.0.0.1", 7002), "127.0.0.1");
        assert_eq!(seen("127.0.0.1", 7003), "127.0.0.9");
        assert_eq!(seen("::1", 7003), "::1", "of the other family");

        let count = |mark| nft.counters("delivery").unwrap()[&Key::of([Datum::Mark(mark)])].packets;
        assert_eq!([80, 81, 99].map(count), [2, 1, 0]);
        stands(&mut nft, &ruleset);
        let text = listed();
        for expected in [
            "0x00000050 counter packets 2 bytes ",
            "0x00000051 counter packets 1 bytes ",
            "0x00000063 counter packets 0 bytes 0 : goto fixed",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }

        let mut moved = ruleset.clone();
        let map = moved.maps.get_mut("delivery").unwrap();
        map.elements.extend([element(99, Verdict::Drop)]);
        let difference = diff(&nft.observe().unwrap(), &moved);
        nft.apply(&difference).unwrap();
        stands(&mut nft, &moved);
        let count = |mark| nft.counters("delivery").unwrap()[&Key::of([Datum::Mark(mark)])].packets;
        assert_eq!([80, 99].map(count), [2, 0], "what stays goes on counting");
    });
}

#[test]
fn packets_of_no_connection_are_answered_with_a_reset() {
    in_namespace(|| {
        setting("netfilter/nf_conntrack_tcp_loose", "0");
        let listeners = ["127.0.0.1:0", "[::1]:0"].map(|address| TcpListener::bind(address).unwrap());
        let rules = listeners.each_ref().map(|listener| {
            let middle = without(TcpFlags::SYN | TcpFlags::RST);
            let reset = Statement::Reject(Reject::TcpReset);
            vec![state(CtStates::INVALID), middle, to_port(listener.local_addr().unwrap().port()), reset]
        });
        let ruleset = ruleset([
            ("input", hooked(ChainKind::Filter, Hook::Input, 0, rules.clone())),
            ("forward", hooked(ChainKind::Filter, Hook::Forward, 0, rules)),
        ]);
        let mut nft = loaded(&ruleset);
        stands(&mut nft, &ruleset);
        for listener in listeners {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            client.write_all(b"known").unwrap();
            server.read_exact(&mut [0; 5]).unwrap();
            forget_connections();
            client.write_all(b"stray").unwrap();
            assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
    });
}

/// A network namespace that is connected with this one, and gone with this value.
struct Peer(Child);

impl Peer {
    /// This side is `near`, 10.9.0.1 and fd09::1; the other one 10.9.0.2 and fd09::2.
    fn connect() -> Self {
        // The shell is in its namespace once it answers.
        let mut child = Command::new("unshare")
            .args(["-n", "sh", "-c", "echo ready; exec sleep 600"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
        let peer = Self(child);
        let process = peer.0.id().to_string();
        run("ip", &["link", "add", "near", "type", "veth", "peer", "name", "far", "netns", &process]);
        for address in ["10.9.0.1/24", "fd09::1/64"] {
            run("ip", &["address", "add", address, "dev", "near", "nodad"]);
        }
        run("ip", &["link", "set", "near", "up"]);
        for address in ["10.9.0.2/24", "fd09::2/64"] {
            peer.run("ip", &["address", "add", address, "dev", "far", "nodad"]);
        }
        peer.run("ip", &["link", "set", "far", "up"]);
        peer
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let process = self.0.id().to_string();
        run("nsenter", &[&["-t", &process, "-n", program], arguments].concat())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A column of the SYN proxy's statistics, over all processors.
fn proxied(column: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/stat/synproxy").unwrap();
    let place = text.lines().next().unwrap().split_whitespace().position(|name| name == column).unwrap();
    let values = text.lines().skip(1).map(|line| line.split_whitespace().nth(place).unwrap());
    values.map(|value| u64::from_str_radix(value, 16).unwrap()).sum()
}

#[test]
fn a_server_hears_of_clients_that_have_finished_their_handshake() {
    in_namespace(|| {
        let synproxy =
            Statement::Synproxy(Synproxy { mss: 1460, wscale: 7, timestamp: true, sack_perm: true });
        if !Nft::open().unwrap().supports(&synproxy).unwrap() {
            let _ = writeln!(std::io::stderr(), "SKIPPED: this kernel has no synproxy");
            return;
        }
        let peer = Peer::connect();
        setting("netfilter/nf_conntrack_tcp_loose", "0");
        let first = state(CtStates::INVALID | CtStates::NEW);
        let from = Statement::Match(Match::InputInterface { negate: false, name: "near".to_owned() });
        let chain = hooked(ChainKind::Filter, Hook::Input, 0, [vec![from, to_port(80), first, synproxy]]);
        let ruleset = ruleset([("input", chain)]);
        let mut nft = loaded(&ruleset);
        stands(&mut nft, &ruleset);
        for (number, address) in [(1, "10.9.0.1"), (2, "fd09::1")] {
            let listener = TcpListener::bind((address, 80)).unwrap();
            let client = format!("exec 3<>/dev/tcp/{address}/80; echo question >&3; cat <&3");
            let server = std::thread::spawn(move || {
                let (mut stream, from) = listener.accept().unwrap();
                stream.read_exact(&mut [0; 9]).unwrap();
                stream.write_all(b"answer").unwrap();
                from.ip().to_string()
            });
            assert_eq!(peer.run("timeout", &["20", "bash", "-c", &client]), "answer");
            assert_eq!(server.join().unwrap(), address.replace("::1", "::2").replace(".0.1", ".0.2"));
            assert_eq!((proxied("syn_received"), proxied("cookie_valid")), (number, number));
        }
    });
}
