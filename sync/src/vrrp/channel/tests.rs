use super::*;
use crate::vrrp::authentication::Key;
use crate::vrrp::packet::Kind;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const EPOCH: u64 = 0x1122_3344_5566_7788;

fn key(id: u8) -> Key {
    Key::new(id, &std::array::from_fn::<u8, 32, _>(|at| u8::try_from(at).unwrap() ^ id ^ 7)).unwrap()
}

fn channel(local: &str, peers: &[&str], keyring: Option<Keyring>) -> Channel {
    let vips = vec!["192.168.1.35".parse().unwrap(), "192.168.1.36".parse().unwrap()];
    Channel {
        vrid: NonZeroU8::new(51).unwrap(),
        local: ip(local),
        peers: peers.iter().map(|peer| ip(peer)).collect(),
        anybody: false,
        addresses: Addresses::v4(vips).unwrap(),
        interval: Interval::from_centiseconds(50).unwrap(),
        checksum: Checksum::Rfc9568,
        accept: Accept::Either,
        keyring,
    }
}

fn ring(signing: u8, also: Option<u8>) -> Option<Keyring> {
    Keyring::new(key(signing), also.map(key)).ok()
}

fn lb1(keyring: Option<Keyring>) -> Sender {
    Sender::new(channel("192.168.1.33", &["192.168.1.34"], keyring), EPOCH)
}

fn lb2(keyring: Option<Keyring>) -> Receiver {
    Receiver::new(channel("192.168.1.34", &["192.168.1.33", "192.168.1.32"], keyring), [])
}

fn from(source: &str, payload: &[u8], receiver: &mut Receiver) -> Result<Received, Discard> {
    receiver.receive(&Datagram { source: ip(source), destination: ip("192.168.1.34"), hops: 255, payload })
}

fn advert(sender: &mut Sender) -> Vec<u8> {
    sender.advert(150, None, ip("192.168.1.34"))
}

/// Computed by another implementation of HMAC-SHA256.
#[test]
fn signs_byte_by_byte() {
    let message = lb1(ring(7, None)).advert(0, Some(ip("192.168.1.34")), ip("192.168.1.34"));
    let hex: String = message.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        "31330002 00321d29 c0a80123 c0a80124",
        "01070000 1122334455667788 0000000000000000",
        "00000000000000000000ffffc0a80122",
        "a5f7bf6fe5450de3dc770a61fae6498e3429cd9dae10ceb7057ff47a523c0b0c",
    ];
    assert_eq!(hex, expected.concat().replace(' ', ""));
    let received = from("192.168.1.33", &message, &mut lb2(ring(7, None))).unwrap();
    assert_eq!((received.advert.priority, received.successor), (0, Some(ip("192.168.1.34"))));
}

#[test]
fn hears_peers_that_speak_plainly() {
    let mut receiver = lb2(None);
    let message = advert(&mut lb1(None));
    assert_eq!(message.len(), 16);
    for _ in 0..2 {
        let received = from("192.168.1.33", &message, &mut receiver).unwrap();
        assert_eq!((received.source, received.advert.priority), (ip("192.168.1.33"), 150));
        assert!(!received.other_addresses && !received.other_interval);
    }
    let mut everybody = channel("192.168.1.34", &[], None);
    everybody.anybody = true;
    assert!(from("192.168.1.99", &message, &mut Receiver::new(everybody, [])).is_ok());
}

#[test]
fn tells_of_another_configuration_and_listens_all_the_same() {
    let mut other = channel("192.168.1.33", &["192.168.1.34"], None);
    other.addresses = Addresses::v4(vec!["192.168.1.35".parse().unwrap()]).unwrap();
    other.interval = Interval::DEFAULT;
    let message = advert(&mut Sender::new(other, EPOCH));
    let received = from("192.168.1.33", &message, &mut lb2(None)).unwrap();
    assert!(received.other_addresses && received.other_interval);
}

/// `their` addresses, from 192.168.1.`last`, and `ours`, where anybody may speak.
fn overheard(
    last: u8,
    theirs: &[&str],
    ours: &[&str],
    keyring: Option<Keyring>,
) -> Result<Received, Discard> {
    let list = |addresses: &[&str]| Addresses::v4(addresses.iter().map(|it| it.parse().unwrap()).collect());
    let source = format!("192.168.1.{last}");
    let mut sender = channel(&source, &[], keyring.clone());
    sender.addresses = list(theirs).unwrap();
    let mut receiver = channel("192.168.1.34", &["192.168.1.33"], keyring);
    (receiver.anybody, receiver.addresses) = (true, list(ours).unwrap());
    from(&source, &advert(&mut Sender::new(sender, EPOCH)), &mut Receiver::new(receiver, []))
}

#[test]
fn another_virtual_router_with_our_number_is_not_heard() {
    let ours = ["192.168.1.35", "192.168.1.36"];
    let foreign = overheard(99, &["192.168.1.70", "192.168.1.71"], &ours, None);
    assert_eq!(foreign, Err(Discard::Foreign(ip("192.168.1.99"))));
    assert_eq!(Kind::from(foreign.unwrap_err()), Kind::Foreign);
    for (last, theirs, ours, keyring) in [
        (99, &["192.168.1.36", "192.168.1.70"][..], &ours[..], None),
        // A peer has another file for a moment.
        (33, &["192.168.1.70"], &ours, None),
        // Neither has any addresses to list, nor one of them.
        (99, &["192.168.1.99"], &["192.168.1.34"], None),
        (99, &["192.168.1.70"], &["192.168.1.34"], None),
        (99, &["192.168.1.99"], &ours, None),
        (99, &["192.168.1.70"], &ours, ring(7, None)),
    ] {
        let received = overheard(last, theirs, ours, keyring);
        assert!(received.is_ok_and(|it| it.other_addresses), "{last} with {theirs:?} to {ours:?}");
    }
}

#[test]
fn refuses_whom_it_does_not_know() {
    let mut receiver = lb2(None);
    let message = advert(&mut lb1(None));
    let own = ip("192.168.1.34");
    assert_eq!(from("192.168.1.34", &message, &mut receiver), Err(Discard::Own(own)));
    assert_eq!(from("192.168.1.99", &message, &mut receiver), Err(Discard::Stranger(ip("192.168.1.99"))));
    let open = Channel { anybody: true, ..channel("192.168.1.34", &[], None) };
    let mut open = Receiver::new(open, []);
    assert_eq!(from("fe80::1", &message, &mut open), Err(Discard::Stranger(ip("fe80::1"))), "another family");
    assert_eq!(from("fe80::1", &message, &mut receiver), Err(Discard::Stranger(ip("fe80::1"))));
    let mut other = channel("192.168.1.33", &[], None);
    other.vrid = NonZeroU8::new(52).unwrap();
    let message = advert(&mut Sender::new(other, EPOCH));
    assert_eq!(from("192.168.1.33", &message, &mut receiver), Err(Discard::Vrid { got: 52 }));
    assert_eq!(receiver.receive_ipv4(&[0x45]), Err(Discard::Length { got: 1, expected: 20 }));
    let counted: Vec<_> = receiver.discards().iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [(Kind::Length, 1), (Kind::Vrid, 1), (Kind::Own, 1), (Kind::Stranger, 2)]);
}

#[test]
fn both_must_sign_or_none() {
    let signed = advert(&mut lb1(ring(7, None)));
    let plain = advert(&mut lb1(None));
    assert_eq!(from("192.168.1.33", &signed, &mut lb2(None)), Err(Discard::Signed));
    assert_eq!(from("192.168.1.33", &plain, &mut lb2(ring(7, None))), Err(Discard::Unsigned));
    assert_eq!(from("192.168.1.33", &signed, &mut lb2(ring(8, None))), Err(Discard::UnknownKey { id: 7 }));
    let namesake = Keyring::new(Key::new(7, &[1; 32]).unwrap(), None).ok();
    assert_eq!(from("192.168.1.33", &signed, &mut lb2(namesake)), Err(Discard::Signature));
    let mut long = plain;
    long.push(0);
    (long[6], long[7]) = (0, 0);
    packet::seal(&mut long, ip("192.168.1.33"), ip("192.168.1.34"), Checksum::Rfc9568);
    let length = |expected| Err(Discard::Length { got: 17, expected });
    assert_eq!(from("192.168.1.33", &long, &mut lb2(None)), length(16));
    assert_eq!(from("192.168.1.33", &long, &mut lb2(ring(7, None))), length(16 + TRAILER));
}

/// Two directors, each with every pair of keys of a rotation: accept the new one, sign with it, drop the old one. They
/// take the steps one after the other, in either order, and hear each other after each.
#[test]
fn keys_are_changed_without_a_gap() {
    let rings = [ring(7, None), ring(7, Some(8)), ring(8, Some(7)), ring(8, None)];
    let ends = ["192.168.1.33", "192.168.1.34"];
    let agreed =
        |end: usize, keyring: &Option<Keyring>| channel(ends[end], &[ends[1 - end]], keyring.clone());
    for first in 0..2 {
        let mut at = [0, 0];
        let mut senders = [0, 1].map(|end| Sender::new(agreed(end, &rings[0]), EPOCH));
        let mut receivers = [0, 1].map(|end| Receiver::new(agreed(end, &rings[0]), []));
        for step in 0..6 {
            let director = (first + step) % 2;
            at[director] += 1;
            senders[director].configure(agreed(director, &rings[at[director]]));
            receivers[director].configure(agreed(director, &rings[at[director]]));
            for (end, other) in [(0, 1), (1, 0)] {
                let (source, destination) = (ip(ends[end]), ip(ends[other]));
                let payload = senders[end].advert(150, None, destination);
                let datagram = Datagram { source, destination, hops: 255, payload: &payload };
                assert!(receivers[other].receive(&datagram).is_ok(), "{at:?}: {source} to {destination}");
                assert_eq!(receivers[other].receive(&datagram), Err(Discard::Replayed), "{at:?}");
            }
        }
        assert_eq!(at, [3, 3]);
    }
}

#[test]
fn nothing_signed_is_heard_twice_or_under_another_name() {
    let (mut sender, mut receiver) = (lb1(ring(7, None)), lb2(ring(7, None)));
    let first = advert(&mut sender);
    assert_eq!(from("192.168.1.32", &first, &mut receiver), Err(Discard::Signature), "another's address");
    assert!(from("192.168.1.33", &first, &mut receiver).is_ok());
    assert_eq!(from("192.168.1.33", &first, &mut receiver), Err(Discard::Replayed));
    receiver.configure(channel("192.168.1.34", &["192.168.1.33"], ring(7, None)));
    assert_eq!(
        from("192.168.1.33", &first, &mut receiver),
        Err(Discard::Replayed),
        "a reload forgets nothing"
    );
    let second = advert(&mut sender);
    assert_ne!(first, second);
    let overtaken = advert(&mut sender);
    let newest = advert(&mut sender);
    assert!(from("192.168.1.33", &second, &mut receiver).is_ok());
    assert!(from("192.168.1.33", &newest, &mut receiver).is_ok());

    let mut restarted =
        Receiver::new(channel("192.168.1.34", &["192.168.1.33"], ring(7, None)), receiver.heard());
    assert_eq!(from("192.168.1.33", &second, &mut restarted), Err(Discard::Replayed));
    assert_eq!(from("192.168.1.33", &overtaken, &mut restarted), Err(Discard::Replayed), "nobody knows");
    assert!(from("192.168.1.33", &overtaken, &mut receiver).is_ok(), "here it is known");
    assert!(from("192.168.1.33", &advert(&mut sender), &mut restarted).is_ok());

    let mut anew = Sender::new(channel("192.168.1.33", &[], ring(7, None)), EPOCH + 1);
    assert!(from("192.168.1.33", &advert(&mut anew), &mut receiver).is_ok());
    assert_eq!(from("192.168.1.33", &advert(&mut sender), &mut receiver), Err(Discard::Replayed), "the past");
}

#[test]
fn no_bit_of_a_signed_advert_may_be_another() {
    let signed = advert(&mut lb1(ring(7, None)));
    // The checksum itself is not worth signing.
    for bit in (0..signed.len() * 8).filter(|bit| !(6..8).contains(&(bit / 8))) {
        let mut message = packet::unseal(&signed);
        message[bit / 8] ^= 1 << (bit % 8);
        // As somebody would who can sum up but not sign.
        packet::seal(&mut message, ip("192.168.1.33"), ip("192.168.1.34"), Checksum::Rfc9568);
        assert!(from("192.168.1.33", &message, &mut lb2(ring(7, None))).is_err(), "bit {bit}");
    }
}

/// The channel's local address, and one of its peers'.
fn ends(v6: bool) -> (IpAddr, IpAddr) {
    if v6 { (ip("fe80::34"), ip("fe80::33")) } else { (ip("192.168.1.34"), ip("192.168.1.33")) }
}

fn receiver(v6: bool, keyring: Option<Keyring>) -> Receiver {
    let (local, peer) = ends(v6);
    let mut channel = channel("192.168.1.34", &[], keyring);
    (channel.local, channel.peers) = (local, [peer].into());
    Receiver::new(channel, [])
}

#[test]
fn what_was_meant_for_another_director_is_refused() {
    let (mut sender, mut receiver) = (lb1(ring(7, None)), lb2(ring(7, None)));
    let for_lb3 = sender.advert(150, None, ip("192.168.1.32"));
    assert_eq!(from("192.168.1.33", &for_lb3, &mut receiver), Err(Discard::Signature));
}

#[test]
fn takes_as_many_addresses_as_an_advert_can_list() {
    for v6 in [false, true] {
        let (local, peer) = ends(v6);
        for keyring in [None, ring(7, None)] {
            for count in [1_u8, 255] {
                let mut channel = channel("192.168.1.33", &[], keyring.clone());
                let list = 0..u32::from(count);
                channel.addresses = if v6 {
                    Addresses::v6(list.map(|it| (u128::from(it) | 0xfd << 120).into()).collect())
                } else {
                    Addresses::v4(list.map(|it| (it | 10 << 24).into()).collect())
                }
                .unwrap();
                channel.local = peer;
                let listed = channel.addresses.clone();
                let payload = Sender::new(channel, EPOCH).advert(150, None, local);
                let datagram = Datagram { source: peer, destination: local, hops: 255, payload: &payload };
                let received = receiver(v6, keyring.clone()).receive(&datagram).unwrap();
                assert_eq!(received.advert.addresses, listed);
            }
        }
    }
}

/// Every kind, by what arrives and not by what is told to the counters.
#[test]
fn each_kind_of_refusal_is_counted_when_it_arrives() {
    let mut receiver = lb2(ring(7, None));
    let signed = advert(&mut lb1(ring(7, None)));
    let forged = |at: usize, to: u8| {
        let mut message = packet::unseal(&signed);
        message[at] = to;
        packet::seal(&mut message, ip("192.168.1.33"), ip("192.168.1.34"), Checksum::Rfc9568);
        message
    };
    let arrives = |source: &str, hops: u8, protocol: u8, payload: &[u8]| {
        let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
        let mut packet = vec![0x45, 0xc0, length[0], length[1], 0, 0, 0, 0, hops, protocol, 0, 0];
        for address in [source, "192.168.1.34"] {
            let address: std::net::Ipv4Addr = address.parse().unwrap();
            packet.extend(address.octets());
        }
        packet.extend(payload);
        packet
    };
    let lb1s = |payload: &[u8]| arrives("192.168.1.33", 255, 112, payload);
    let mut damaged = signed.clone();
    damaged[9] ^= 1;
    // What VRRPv2 looks like: authentication of type 1, every second, a password behind the addresses.
    let version_2 =
        [0x21, 51, 100, 1, 1, 1, 0x6f, 0x13, 192, 168, 1, 35, b's', b'e', b'c', b'r', b'e', b't', 0, 0];
    let cases = [
        (Kind::NotVrrp, arrives("192.168.1.33", 255, 17, &signed)),
        (Kind::Hops, arrives("192.168.1.33", 254, 112, &signed)),
        (Kind::Version, lb1s(&version_2)),
        (Kind::Type, lb1s(&forged(0, 0x32))),
        (Kind::Checksum, lb1s(&damaged)),
        (Kind::Length, lb1s(&signed[..7])),
        (Kind::Vrid, lb1s(&forged(1, 52))),
        (Kind::Interval, lb1s(&forged(5, 0))),
        (Kind::NoAddresses, lb1s(&forged(3, 0))),
        (Kind::Own, arrives("192.168.1.34", 255, 112, &signed)),
        (Kind::Stranger, arrives("192.168.1.99", 255, 112, &signed)),
        (Kind::Authentication, lb1s(&forged(2, 200))),
    ];
    for (kind, packet) in &cases {
        assert_eq!(receiver.receive_ipv4(packet).map_err(Kind::from), Err(*kind));
    }
    // The reserved bits are ignored (RFC 9568, section 5.2.6), but they are signed like the rest.
    assert_eq!(receiver.receive_ipv4(&lb1s(&forged(4, 0xf0))), Err(Discard::Signature));
    let mut reserved = packet::unseal(&advert(&mut lb1(None)));
    reserved[4] |= 0xf0;
    packet::seal(&mut reserved, ip("192.168.1.33"), ip("192.168.1.34"), Checksum::Rfc9568);
    assert!(from("192.168.1.33", &reserved, &mut lb2(None)).is_ok());

    assert!(receiver.receive_ipv4(&lb1s(&signed)).is_ok());
    assert_eq!(receiver.receive_ipv4(&lb1s(&signed)), Err(Discard::Replayed));
    // Foreign ones come only where anybody may speak, and unsigned.
    let cases = [(Kind::Authentication, 2), (Kind::Foreign, 0)];
    let times = |kind| cases.iter().find(|(case, _)| *case == kind).map_or(1, |(_, times)| *times);
    let counted: Vec<_> = receiver.discards().iter().collect();
    assert_eq!(counted, Kind::ALL.map(|kind| (kind, times(kind))));
}

/// Whatever comes in: no panic, what passes says the same when it is sent on, what does not is counted once.
fn fuzz(bytes: &[u8]) -> usize {
    let mut passed = 0;
    for (v6, keyring) in [(false, None), (false, ring(7, Some(8))), (true, None), (true, ring(7, Some(8)))] {
        let mut receiver = receiver(v6, keyring);
        let (destination, source) = ends(v6);
        let datagram = Datagram { source, destination, hops: 255, payload: bytes };
        for outcome in [receiver.receive_ipv4(bytes), receiver.receive(&datagram)] {
            match outcome {
                Ok(received) => {
                    let again = received.advert.encode(source, destination, Checksum::Rfc5798);
                    let datagram = Datagram { payload: &again, ..datagram };
                    assert_eq!(Advert::decode(&datagram, Accept::Either).unwrap().0, received.advert);
                }
                Err(discard) => assert!(!discard.to_string().is_empty()),
            }
        }
        let discarded: u64 = receiver.discards().iter().map(|(_, count)| count).sum();
        assert!(discarded <= 2 && receiver.heard().count() <= 1);
        passed += usize::from(discarded < 2);
    }
    passed
}

#[test]
fn whatever_comes_in_does_no_harm() {
    let header = [0x45, 0, 0, 36, 0, 1, 0, 0, 255, 112, 0, 0, 192, 168, 1, 33, 192, 168, 1, 34];
    let plain = advert(&mut lb1(None));
    let signed = advert(&mut lb1(ring(7, None)));
    let mut v6 = channel("192.168.1.33", &[], ring(7, None));
    v6.addresses = Addresses::v6(vec![[0xfd; 16].into(); 3]).unwrap();
    v6.local = ends(true).1;
    let v6 = Sender::new(v6, EPOCH).advert(150, None, ends(true).0);
    let corpus = [Vec::new(), header.to_vec(), [&header[..], &plain].concat(), plain, signed, v6];
    let mut random = StdRng::seed_from_u64(5);
    for (number, seed) in corpus.iter().enumerate() {
        assert_eq!(fuzz(seed), usize::from(number >= 2), "untouched, one of the receivers takes it");
        let cut: usize = (0..seed.len()).map(|end| fuzz(&seed[..end])).sum();
        assert_eq!(cut, 0);
        for _ in 0..5000 {
            let mut bytes = seed.clone();
            for _ in 0..random.random_range(1..5) {
                let at = random.random_range(0..=bytes.len());
                match random.random_range(0..4) {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at, random.random()),
                    2 => {
                        bytes.extend(std::iter::repeat_n(random.random::<u8>(), random.random_range(0..300)))
                    }
                    _ => bytes.iter_mut().skip(at).take(2).for_each(|byte| *byte = random.random()),
                }
            }
            if bytes.len() >= 8 && random.random_bool(0.8) {
                // Past the checksum there is more to see.
                (bytes[6], bytes[7]) = (0, 0);
                let (destination, source) = ends(random.random());
                packet::seal(&mut bytes, source, destination, Checksum::Rfc5798);
            }
            fuzz(&bytes);
        }
    }
}
