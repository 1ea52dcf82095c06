use super::*;
use crate::vrrp::authentication::Key;
use crate::vrrp::packet::Kind;
use proptest::prelude::*;
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
        peers: Some(peers.iter().map(|peer| ip(peer)).collect()),
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
        "31330002 0032e88c c0a80123 c0a80124",
        "01070000 1122334455667788 0000000000000000",
        "00000000000000000000ffffc0a80122",
        "e1edbad9a2b39ff22d551269e60a6358cd76a6a48198f75ee025e0c2d4c1a2ff",
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
    everybody.peers = None;
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

#[test]
fn refuses_whom_it_does_not_know() {
    let mut receiver = lb2(None);
    let message = advert(&mut lb1(None));
    let own = ip("192.168.1.34");
    assert_eq!(from("192.168.1.34", &message, &mut receiver), Err(Discard::Own(own)));
    assert_eq!(from("192.168.1.99", &message, &mut receiver), Err(Discard::Stranger(ip("192.168.1.99"))));
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

#[test]
fn keys_are_changed_without_a_gap() {
    let steps = [
        (ring(7, None), ring(7, Some(8))),
        (ring(7, Some(8)), ring(8, Some(7))),
        (ring(8, Some(7)), ring(8, None)),
    ];
    for (before, after) in steps {
        for (sends, hears) in [(before.clone(), after.clone()), (after, before)] {
            assert!(from("192.168.1.33", &advert(&mut lb1(sends)), &mut lb2(hears)).is_ok());
        }
    }
}

#[test]
fn nothing_signed_is_heard_twice_or_under_another_name() {
    let (mut sender, mut receiver) = (lb1(ring(7, None)), lb2(ring(7, None)));
    let first = advert(&mut sender);
    assert_eq!(from("192.168.1.32", &first, &mut receiver), Err(Discard::Signature), "another's address");
    assert!(from("192.168.1.33", &first, &mut receiver).is_ok());
    assert_eq!(from("192.168.1.33", &first, &mut receiver), Err(Discard::Replayed));
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

proptest! {
    #[test]
    fn no_change_of_a_signed_advert_passes(at: prop::sample::Index, to: u8) {
        let mut message = advert(&mut lb1(ring(7, None)));
        let at = at.index(message.len());
        prop_assume!(message[at] != to);
        message[at] = to;
        // As somebody would who can sum up but not sign; the checksum itself is not worth signing.
        prop_assume!(!(6..8).contains(&at));
        (message[6], message[7]) = (0, 0);
        packet::seal(&mut message, ip("192.168.1.33"), ip("192.168.1.34"), Checksum::Rfc9568);
        prop_assert!(from("192.168.1.33", &message, &mut lb2(ring(7, None))).is_err());
    }
}

/// Whatever comes in: no panic, and what passes says the same when it is sent on.
fn fuzz(bytes: &[u8]) {
    for keyring in [None, ring(7, Some(8))] {
        let mut receiver = lb2(keyring);
        let outcomes = [receiver.receive_ipv4(bytes), from("192.168.1.33", bytes, &mut receiver)];
        for outcome in outcomes {
            match outcome {
                Ok(received) => {
                    let (source, destination) = (received.source, ip("192.168.1.34"));
                    let again = received.advert.encode(source, destination, Checksum::Rfc5798);
                    let datagram = Datagram { source, destination, hops: 255, payload: &again };
                    assert_eq!(Advert::decode(&datagram, Accept::Either).unwrap().0, received.advert);
                }
                Err(discard) => assert!(!discard.to_string().is_empty()),
            }
        }
        let passed = receiver.heard().count();
        assert!(passed <= 1);
    }
    let mut v6 = channel("192.168.1.34", &[], ring(7, None));
    (v6.local, v6.peers) = (ip("fe80::34"), None);
    let (source, destination) = (ip("fe80::33"), ip("ff02::12"));
    drop(Receiver::new(v6, []).receive(&Datagram { source, destination, hops: 255, payload: bytes }));
}

#[test]
fn whatever_comes_in_does_no_harm() {
    let header = [0x45, 0, 0, 36, 0, 1, 0, 0, 255, 112, 0, 0, 192, 168, 1, 33, 192, 168, 1, 34];
    let plain = advert(&mut lb1(None));
    let signed = advert(&mut lb1(ring(7, None)));
    let corpus = [Vec::new(), header.to_vec(), [&header[..], &plain].concat(), plain, signed];
    let mut random = StdRng::seed_from_u64(5);
    for seed in &corpus {
        (0..=seed.len()).for_each(|end| fuzz(&seed[..end]));
        for _ in 0..3000 {
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
            if bytes.len() >= 8 && random.random_bool(0.7) {
                // Past the checksum there is more to see.
                (bytes[6], bytes[7]) = (0, 0);
                packet::seal(&mut bytes, ip("192.168.1.33"), ip("192.168.1.34"), Checksum::Rfc9568);
            }
            fuzz(&bytes);
        }
    }
}
