use super::*;
use crate::hello::Refused;
use crate::vrrp::authentication::Key;
use crate::vrrp::channel;
use crate::vrrp::machine::Role;
use crate::vrrp::packet::{Accept, Addresses, Checksum};
use crate::vrrp::timing::{Interval, Priority};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::num::NonZeroU8;

pub(in crate::hello) fn hello() -> Hello {
    Hello {
        node: "lb1".into(),
        instance: 7,
        role: Role::Backup,
        priority: Priority::new(150).unwrap(),
        lowered: 0,
        fit: true,
        caught_up: false,
        stood_down: true,
        chosen: false,
        configuration: "0123456789abcdef".into(),
        version: "0.1.0".into(),
        interval: Interval::DEFAULT,
        refuses: None,
    }
}

prop_compose! {
    pub(in crate::hello) fn hellos()(
        node in "[-A-Za-z0-9_.]{1,64}",
        instance: u64,
        role in prop::sample::select(vec![Role::Initialize, Role::Backup, Role::Active]),
        priority in 1_u8..,
        lowered: u8,
        fit: bool,
        caught_up: bool,
        stood_down: bool,
        chosen: bool,
        configuration in "[0-9a-f]{1,64}",
        version in "[ -~]{1,64}",
        centiseconds in 1_u16..0x1000,
        refuses in prop::option::of(("[!-~]{1,64}", 0_u64..)),
    ) -> Hello {
        let priority = Priority::new(priority).unwrap();
        let interval = Interval::from_centiseconds(centiseconds).unwrap();
        let refuses = refuses.map(|(node, epoch)| Refused { node, epoch });
        Hello {
            node, instance, role, priority, lowered, fit, caught_up, stood_down, chosen, configuration, version, interval,
            refuses,
        }
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const EPOCH: u64 = 0x1122_3344_5566_7788;
const LB1: &str = "192.168.1.33";
const LB1_PRIVATE: &str = "10.0.1.33";

/// lb2's, whose peers are lb1 and lb3.
pub(in crate::hello) fn roster() -> Roster {
    let addresses = |last: u8| vec![IpAddr::from([192, 168, 1, last]), IpAddr::from([10, 0, 1, last])];
    Roster {
        node: "lb2".into(),
        own: addresses(34).into_iter().collect(),
        peers: [("lb1".into(), addresses(33)), ("lb3".into(), addresses(35))].into(),
    }
}

fn key(id: u8) -> Key {
    Key::new(id, &[id; 32]).unwrap()
}

fn ring(signing: u8, also: Option<u8>) -> Option<Keyring> {
    Keyring::new(key(signing), also.map(key)).ok()
}

fn lb1(keyring: Option<Keyring>) -> Speaker {
    Speaker::new(keyring, EPOCH)
}

fn lb2(keyring: Option<Keyring>) -> Listener {
    Listener::new(&roster(), keyring, [])
}

fn say(speaker: &mut Speaker) -> Vec<u8> {
    speaker.say(&hello(), ip(LB1))
}

fn hear(listener: &mut Listener, source: &str, message: &[u8]) -> Result<Option<Received>, Discard> {
    listener.receive(ip(source), 255, message)
}

fn refused<T>(discard: packet::Discard) -> Result<T, Discard> {
    Err(Discard::Common(discard))
}

fn heard(source: &str) -> Result<Option<Received>, Discard> {
    Ok(Some(Received { source: ip(source), peer: ip(LB1), hello: hello() }))
}

#[test]
fn a_peer_is_known_by_its_first_address_on_every_link() {
    for keyring in [None, ring(7, None)] {
        let (mut speaker, mut listener) = (lb1(keyring.clone()), lb2(keyring));
        assert_eq!(hear(&mut listener, LB1, &say(&mut speaker)), heard(LB1));
        let private = speaker.say(&hello(), ip(LB1_PRIVATE));
        assert_eq!(hear(&mut listener, LB1_PRIVATE, &private), heard(LB1_PRIVATE));
        assert!(listener.discards().iter().next().is_none());
    }
}

#[test]
fn refuses_whom_it_does_not_know_and_counts_it() {
    let mut listener = lb2(None);
    let message = say(&mut lb1(None));
    let stranger = ip("192.168.1.99");
    assert_eq!(hear(&mut listener, "192.168.1.99", &message), refused(packet::Discard::Stranger(stranger)));
    assert_eq!(hear(&mut listener, "10.0.1.34", &message), refused(packet::Discard::Own(ip("10.0.1.34"))));
    assert_eq!(listener.receive(ip(LB1), 254, &message), refused(packet::Discard::Hops { got: 254 }));
    assert_eq!(hear(&mut listener, LB1, b"hello"), Err(Discard::NotHello));
    let mut long = [message, vec![b' '; LONGEST]].concat();
    long.truncate(LONGEST);
    assert_eq!(hear(&mut listener, LB1, &long), heard(LB1));
    long.push(b' ');
    let length = packet::Discard::Length { got: long.len(), expected: LONGEST };
    assert_eq!(hear(&mut listener, LB1, &long), refused(length));
    assert_eq!(hear(&mut listener, LB1, br#"{"hello":2}"#), Err(Discard::Version { got: 2 }));
    assert_eq!(hear(&mut listener, LB1, br#"{"hello":1}"#), Err(Discard::Field("structure")));
    let counted: Vec<_> = listener.discards().iter().collect();
    let names = ["hello_field", "hello_version", "hop_limit", "length", "not_hello", "own", "stranger"];
    assert_eq!(counted, names.map(|name| (name, 1)));
}

#[test]
fn both_must_sign_or_none() {
    let signed = say(&mut lb1(ring(7, None)));
    let plain = say(&mut lb1(None));
    assert_eq!(hear(&mut lb2(None), LB1, &signed), refused(packet::Discard::Signed));
    assert_eq!(hear(&mut lb2(ring(7, None)), LB1, &plain), refused(packet::Discard::Unsigned));
    assert_eq!(hear(&mut lb2(ring(8, None)), LB1, &signed), refused(packet::Discard::UnknownKey { id: 7 }));
    let namesake = Keyring::new(Key::new(7, &[1; 32]).unwrap(), None).ok();
    assert_eq!(hear(&mut lb2(namesake), LB1, &signed), refused(packet::Discard::Signature));
}

/// Two directors, each with every pair of keys of a rotation: accept the new one, sign with it, drop the old one. They
/// take the steps one after the other, in either order, and hear each other after each.
#[test]
fn keys_are_changed_without_a_gap() {
    let rings = [ring(7, None), ring(7, Some(8)), ring(8, Some(7)), ring(8, None)];
    for first in 0..2 {
        let mut at = [0, 0];
        let mut speakers = [lb1(ring(7, None)), lb1(ring(7, None))];
        let mut listeners = [lb2(ring(7, None)), lb2(ring(7, None))];
        for step in 0..6 {
            let director = (first + step) % 2;
            at[director] += 1;
            let keyring = &rings[at[director]];
            speakers[director].configure(keyring.clone());
            listeners[director].configure(&roster(), keyring.clone());
            for (from, to) in [(0, 1), (1, 0)] {
                let message = say(&mut speakers[from]);
                assert_eq!(hear(&mut listeners[to], LB1, &message), heard(LB1), "{at:?}: {from} to {to}");
                assert_eq!(hear(&mut listeners[to], LB1, &message), refused(packet::Discard::Replayed));
            }
        }
        assert_eq!(at, [3, 3]);
    }
}

#[test]
fn nothing_signed_is_heard_twice_or_under_another_name() {
    let (mut speaker, mut listener) = (lb1(ring(7, None)), lb2(ring(7, None)));
    let first = say(&mut speaker);
    assert_eq!(hear(&mut listener, "192.168.1.35", &first), refused(packet::Discard::Signature));
    assert_eq!(hear(&mut listener, LB1_PRIVATE, &first), refused(packet::Discard::Signature));
    assert_eq!(hear(&mut listener, LB1, &first), heard(LB1));
    assert_eq!(hear(&mut listener, LB1, &first), refused(packet::Discard::Replayed));
    listener.configure(&roster(), ring(7, None));
    assert_eq!(
        hear(&mut listener, LB1, &first),
        refused(packet::Discard::Replayed),
        "a reload forgets nothing"
    );
    let overtaken = speaker.say(&hello(), ip(LB1_PRIVATE));
    let held_back = speaker.say(&hello(), ip(LB1_PRIVATE));
    let newest = say(&mut speaker);
    assert_eq!(hear(&mut listener, LB1, &newest), heard(LB1));
    assert_eq!(hear(&mut listener, LB1_PRIVATE, &overtaken), Ok(None), "old, though new on that link");

    let mut restarted = Listener::new(&roster(), ring(7, None), listener.heard());
    assert_eq!(hear(&mut restarted, LB1, &newest), refused(packet::Discard::Replayed));
    for _ in 0..64 {
        assert_eq!(hear(&mut listener, LB1, &say(&mut speaker)), heard(LB1));
    }
    assert_eq!(hear(&mut listener, LB1_PRIVATE, &held_back), refused(packet::Discard::Replayed));
    let mut anew = Speaker::new(ring(7, None), EPOCH + 1);
    assert_eq!(hear(&mut listener, LB1, &say(&mut anew)), heard(LB1));
    assert_eq!(hear(&mut listener, LB1, &say(&mut speaker)), refused(packet::Discard::Replayed), "the past");
}

/// The same secret signs both, under keys of their own.
#[test]
fn an_advert_is_no_hello_and_a_hello_is_no_advert() {
    let advertised = channel::Channel {
        vrid: NonZeroU8::new(51).unwrap(),
        local: ip(LB1),
        peers: BTreeSet::new(),
        anybody: true,
        addresses: Addresses::v4(vec!["192.168.1.35".parse().unwrap()]).unwrap(),
        interval: Interval::DEFAULT,
        checksum: Checksum::Rfc9568,
        accept: Accept::Either,
        keyring: ring(7, None),
    };
    let mut sender = channel::Sender::new(advertised, EPOCH);
    let advert = sender.advert(150, None, ip("192.168.1.34"));
    let unsealed = packet::unseal(&advert);
    assert_eq!(hear(&mut lb2(ring(7, None)), LB1, &unsealed), refused(packet::Discard::Signature));
    let keyring = ring(7, None).unwrap();
    let message = say(&mut lb1(ring(7, None)));
    let verify = |message, purpose| authentication::verify(message, &keyring, purpose, ip(LB1));
    let adverts = Purpose::Adverts { to: ip("192.168.1.34") };
    assert!(verify(&message, Purpose::Hellos).is_ok() && verify(&unsealed, adverts).is_ok());
    assert_eq!(verify(&message, adverts), Err(packet::Discard::Signature));
}

#[test]
fn no_bit_of_a_signed_hello_may_be_another() {
    let message = say(&mut lb1(ring(7, Some(8))));
    for bit in 0..message.len() * 8 {
        let mut changed = message.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(hear(&mut lb2(ring(7, Some(8))), LB1, &changed).is_err(), "bit {bit}");
    }
    for end in 0..message.len() {
        assert!(hear(&mut lb2(ring(7, Some(8))), LB1, &message[..end]).is_err(), "cut at {end}");
    }
}

/// Whatever comes in: no panic, and what passes says the same when it is sent on.
fn fuzz(bytes: &[u8]) {
    for keyring in [None, ring(7, Some(8))] {
        let mut listener = lb2(keyring);
        match hear(&mut listener, LB1, bytes) {
            Ok(received) => {
                let hello = received.unwrap().hello;
                assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
            }
            Err(discard) => {
                assert!(!discard.to_string().is_empty());
                assert_eq!(listener.discards().iter().collect::<Vec<_>>(), [(discard.name(), 1)]);
            }
        }
    }
}

#[test]
fn whatever_comes_in_does_no_harm() {
    let corpus = [Vec::new(), say(&mut lb1(None)), say(&mut lb1(ring(7, None)))];
    let mut random = StdRng::seed_from_u64(5);
    for seed in &corpus {
        (0..=seed.len()).for_each(|end| fuzz(&seed[..end]));
        for _ in 0..5000 {
            let mut bytes = seed.clone();
            for _ in 0..random.random_range(1..5) {
                let at = random.random_range(0..=bytes.len());
                match random.random_range(0..5) {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at, random.random()),
                    2 => bytes.extend(vec![random.random::<u8>(); random.random_range(0..2000)]),
                    // Of JSON there is more to see with its own signs.
                    3 => bytes.insert(at, br#"{}[]":,\0"#[random.random_range(0..9)]),
                    _ => bytes.iter_mut().skip(at).take(2).for_each(|byte| *byte = random.random()),
                }
            }
            fuzz(&bytes);
        }
    }
}
