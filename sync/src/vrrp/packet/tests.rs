use super::*;
use proptest::prelude::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn v4(vrid: u8, priority: u8, centiseconds: u16, addresses: &[&str]) -> Advert {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    advert(vrid, priority, centiseconds, Addresses::v4(addresses).unwrap())
}

fn advert(vrid: u8, priority: u8, centiseconds: u16, addresses: Addresses) -> Advert {
    let interval = Interval::from_centiseconds(centiseconds).unwrap();
    Advert { vrid: NonZeroU8::new(vrid).unwrap(), priority, interval, addresses }
}

fn datagram<'a>(source: &str, destination: &str, payload: &'a [u8]) -> Datagram<'a> {
    Datagram { source: ip(source), destination: ip(destination), hops: 255, payload }
}

const RFC_5798: Accept = Accept::Only(Checksum::Rfc5798);
const RFC_9568: Accept = Accept::Only(Checksum::Rfc9568);

/// What keepalived 2.2.7 sends, IP header and all.
#[test]
fn speaks_as_keepalived_over_ipv4() {
    let vips = ["192.168.1.35", "192.168.1.36"];
    let heard = [
        (
            "45c0 0024 0001 0000 ff70 18cd c0a8 0121 e000 0012 3133 9602 0032 12a3 c0a8 0123 c0a8 0124",
            v4(51, 150, 50, &vips),
        ),
        (
            "45c0 0024 000c 0000 ff70 18c2 c0a8 0121 e000 0012 3133 0002 0032 a8a3 c0a8 0123 c0a8 0124",
            v4(51, 0, 50, &vips),
        ),
        (
            "45c0 0020 0001 0000 ff70 3719 c0a8 0121 c0a8 0122 3134 6401 0064 da57 0a00 01fe",
            v4(52, 100, 100, &["10.0.1.254"]),
        ),
    ];
    for (packet, advert) in heard {
        let packet = bytes(packet);
        let datagram = Datagram::from_ipv4(&packet).unwrap();
        assert_eq!(Advert::decode(&datagram, RFC_5798), Ok((advert.clone(), &[][..])));
        assert_eq!(Advert::decode(&datagram, Accept::Either), Ok((advert.clone(), &[][..])));
        assert_eq!(Advert::decode(&datagram, RFC_9568), Err(Discard::Checksum));
        let encoded = advert.encode(datagram.source, datagram.destination, Checksum::Rfc5798);
        assert_eq!(encoded, datagram.payload);
    }
}

/// What keepalived 2.2.7 sends, without the IP header, which raw IPv6 sockets don't show.
#[test]
fn speaks_as_keepalived_over_ipv6() {
    let addresses = || Addresses::v6(vec!["fe80::35".parse().unwrap(), "fd00::35".parse().unwrap()]).unwrap();
    let vips = "fe80 0000 0000 0000 0000 0000 0000 0035 fd00 0000 0000 0000 0000 0000 0000 0035";
    for (head, priority) in [("3133 9602 0001 adc6", 150), ("3133 0002 0001 43c7", 0)] {
        let payload = bytes(&[head, vips].concat());
        let datagram = datagram("fe80::10c2:ccff:fe28:b4fd", "ff02::12", &payload);
        let advert = advert(51, priority, 1, addresses());
        for accept in [RFC_5798, RFC_9568, Accept::Either] {
            assert_eq!(Advert::decode(&datagram, accept), Ok((advert.clone(), &[][..])));
        }
        for checksum in [Checksum::Rfc5798, Checksum::Rfc9568] {
            assert_eq!(advert.encode(datagram.source, datagram.destination, checksum), payload);
        }
    }
}

/// RFC 9568, section 5.1, with the checksum of section 5.2.8 over the message alone.
#[test]
fn speaks_as_rfc_9568() {
    let advert = v4(51, 150, 50, &["192.168.1.35", "192.168.1.36"]);
    #[rustfmt::skip]
    let expected = [
        0x31,           // version 3, advertisement
        51, 150, 2,     // VRID, priority, addresses
        0x00, 0x32,     // reserved, 50 centiseconds
        0xb4, 0xff,     // checksum
        192, 168, 1, 35,
        192, 168, 1, 36,
    ];
    let payload = advert.encode(ip("192.168.1.33"), ip("224.0.0.18"), Checksum::Rfc9568);
    assert_eq!(payload, expected);
    let datagram = datagram("192.168.1.33", "224.0.0.18", &payload);
    assert_eq!(Advert::decode(&datagram, RFC_9568), Ok((advert.clone(), &[][..])));
    assert_eq!(Advert::decode(&datagram, RFC_5798), Err(Discard::Checksum));

    // The reserved bits are ignored (section 5.2.6), and their sum is the checksum's affair.
    let mut reserved = payload.clone();
    (reserved[4], reserved[6], reserved[7]) = (0xf0, 0xc4, 0xfe);
    let datagram = Datagram { payload: &reserved, ..datagram };
    assert_eq!(Advert::decode(&datagram, RFC_9568), Ok((advert, &[][..])));
}

#[test]
fn says_why_it_refuses() {
    let good = v4(51, 150, 50, &["192.168.1.35"]).unsealed();
    let decode = |change: &dyn Fn(&mut Vec<u8>), hops| {
        let mut message = good.clone();
        change(&mut message);
        let (source, destination) = (ip("192.168.1.33"), ip("224.0.0.18"));
        if message.len() >= 8 && message[6..8] == [0, 0] {
            seal(&mut message, source, destination, Checksum::Rfc9568);
        }
        let datagram = Datagram { source, destination, hops, payload: &message };
        Advert::decode(&datagram, Accept::Either).map(|_| ())
    };
    assert_eq!(decode(&|_| {}, 255), Ok(()));
    assert_eq!(decode(&|_| {}, 254), Err(Discard::Hops { got: 254 }));
    assert_eq!(decode(&|it| it[0] = 0x21, 255), Err(Discard::Version { got: 2 }));
    assert_eq!(decode(&|it| it[0] = 0x32, 255), Err(Discard::Type { got: 2 }));
    assert_eq!(decode(&|it| it[7] = 1, 255), Err(Discard::Checksum));
    assert_eq!(decode(&|it| it[1] = 0, 255), Err(Discard::Vrid { got: 0 }));
    assert_eq!(decode(&|it| it[5] = 0, 255), Err(Discard::Interval));
    assert_eq!(decode(&|it| it[3] = 0, 255), Err(Discard::NoAddresses));
    assert_eq!(decode(&|it| it[3] = 2, 255), Err(Discard::Length { got: 12, expected: 16 }));
    assert_eq!(decode(&|it| it.truncate(7), 255), Err(Discard::Length { got: 7, expected: 8 }));
    assert_eq!(decode(&|it| it.clear(), 255), Err(Discard::Length { got: 0, expected: 8 }));
}

#[test]
fn takes_ip_headers_apart() {
    let good = bytes("45c0 0020 0001 0000 ff70 3719 c0a8 0121 c0a8 0122 3134 6401 0064 da57 0a00 01fe");
    let payload = good[20..].to_vec();
    let taken = Datagram::from_ipv4(&good).unwrap();
    assert_eq!(taken, datagram("192.168.1.33", "192.168.1.34", &payload));
    let padded = [&good[..], &[0; 14]].concat();
    assert_eq!(Datagram::from_ipv4(&padded).map(|it| it.payload), Ok(&payload[..]), "filled up by Ethernet");
    let mut options = good.clone();
    (options[0], options[3]) = (0x46, 0x24);
    options.splice(20..20, [1; 4]);
    assert_eq!(Datagram::from_ipv4(&options).map(|it| it.payload), Ok(&payload[..]));
    for end in 0..good.len() {
        assert!(matches!(Datagram::from_ipv4(&good[..end]), Err(Discard::Length { .. })), "cut at {end}");
    }
    for (at, value) in [(0, 0x65), (9, 6)] {
        let mut other = good.clone();
        other[at] = value;
        assert_eq!(Datagram::from_ipv4(&other), Err(Discard::NotVrrp));
    }
}

#[test]
fn lists_1_to_255_addresses() {
    let address: Ipv4Addr = "192.168.1.35".parse().unwrap();
    assert!(Addresses::v4(vec![]).is_err());
    assert!(Addresses::v6(vec![]).is_err());
    assert!(Addresses::v4(vec![address; 255]).is_ok());
    assert_eq!(
        Addresses::v4(vec![address; 256]).unwrap_err().to_string(),
        "an advert lists 1 to 255 addresses, not 256"
    );
    let many =
        (0..300_u32).flat_map(|it| [IpAddr::from(it.to_be_bytes()), Ipv6Addr::from_bits(it.into()).into()]);
    for model in [IpAddr::from(address), Ipv6Addr::LOCALHOST.into()] {
        let listed = Addresses::like(model, many.clone()).unwrap().to_vec();
        assert_eq!(listed.len(), 255);
        assert!(listed.iter().all(|it| it.is_ipv4() == model.is_ipv4()));
    }
    let list = |order: [&str; 2]| v4(1, 1, 1, &order).addresses;
    assert!(list(["10.0.0.1", "10.0.0.2"]).same(&list(["10.0.0.2", "10.0.0.1"])));
    assert!(!list(["10.0.0.1", "10.0.0.2"]).same(&list(["10.0.0.1", "10.0.0.3"])));
}

#[test]
fn link_local_addresses_come_first() {
    let list = |order: &[&str]| Addresses::v6(order.iter().map(|it| it.parse().unwrap()).collect()).unwrap();
    assert_eq!(list(&["fd00::2", "fe80::35", "fd00::1"]), list(&["fe80::35", "fd00::2", "fd00::1"]));
    assert_eq!(list(&["fd00::2", "fd00::1"]).to_vec(), [ip("fd00::2"), ip("fd00::1")]);
}

#[test]
fn every_kind_of_refusal_has_its_own_counter() {
    let mut discards = Discards::default();
    discards.count(Discard::Hops { got: 1 });
    discards.count(Discard::Hops { got: 2 });
    discards.count(Discard::Unsigned);
    discards.count(Discard::Signature);
    discards.count(Discard::Replayed);
    let counted: Vec<_> = discards.iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [(Kind::Hops, 2), (Kind::Authentication, 2), (Kind::Replayed, 1)]);
    let names: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), Kind::ALL.len());
    assert!(Kind::ALL.iter().enumerate().all(|(position, &kind)| kind as usize == position));
}

fn addresses() -> impl Strategy<Value = Addresses> {
    let v4 =
        proptest::collection::vec(any::<Ipv4Addr>(), 1..256).prop_map(|list| Addresses::v4(list).unwrap());
    let v6 =
        proptest::collection::vec(any::<Ipv6Addr>(), 1..256).prop_map(|list| Addresses::v6(list).unwrap());
    prop_oneof![v4, v6]
}

prop_compose! {
    fn adverts()(vrid in 1_u8..=255, priority: u8, centiseconds in 1_u16..0x1000, addresses in addresses()) -> Advert {
        advert(vrid, priority, centiseconds, addresses)
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(advert in adverts(), source: u128, destination: u128, rfc_9568: bool) {
        let family = |bits: u128| match advert.addresses.0 {
            List::V4(_) => IpAddr::V4(Ipv4Addr::from_bits((bits & 0xffff_ffff).try_into().unwrap())),
            List::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        };
        let checksum = if rfc_9568 { Checksum::Rfc9568 } else { Checksum::Rfc5798 };
        let (source, destination) = (family(source), family(destination));
        let payload = advert.encode(source, destination, checksum);
        let datagram = Datagram { source, destination, hops: HOPS, payload: &payload };
        prop_assert_eq!(Advert::decode(&datagram, Accept::Only(checksum)), Ok((advert.clone(), &[][..])));
        prop_assert_eq!(Advert::decode(&datagram, Accept::Either), Ok((advert, &[][..])));
    }

    #[test]
    fn no_flipped_bit_is_missed(advert in adverts(), at: prop::sample::Index, bit in 0_u8..8) {
        let (source, destination) = match advert.addresses.0 {
            List::V4(_) => (ip("192.168.1.33"), ip("224.0.0.18")),
            List::V6(_) => (ip("fe80::1"), ip("ff02::12")),
        };
        let mut payload = advert.encode(source, destination, Checksum::Rfc5798);
        let at = at.index(payload.len());
        payload[at] ^= 1 << bit;
        let datagram = Datagram { source, destination, hops: HOPS, payload: &payload };
        prop_assert!(Advert::decode(&datagram, RFC_5798).is_err());
    }
}
