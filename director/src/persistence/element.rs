//! Entries as elements of the kernel's maps.

use director_core::persistence::{Client, Entry};
use director_nft::ir::{Datum, Key, KeyPart};
use director_nft::netlink::DynamicElement;
use std::net::IpAddr;
use std::time::Duration;

/// Key of a client's entry.
#[must_use]
pub fn key(client: &Client) -> Key {
    let address = match client.address {
        IpAddr::V4(v4) => Datum::Ipv4(v4),
        IpAddr::V6(v6) => Datum::Ipv6(v6),
    };
    Key::of([address, Datum::Mark(client.mark)])
}

/// The entry that an element is; `None` if it is none.
#[must_use]
pub fn entry(element: &DynamicElement) -> Option<Entry> {
    let [KeyPart::Value(address), KeyPart::Value(Datum::Mark(mark))] = *element.key.0.as_slice() else {
        return None;
    };
    let address = match address {
        Datum::Ipv4(v4) => v4.into(),
        Datum::Ipv6(v6) => v6.into(),
        Datum::Proto(_) | Datum::Port(_) | Datum::Mark(_) => return None,
    };
    let [Datum::Mark(destination)] = *element.data.as_slice() else { return None };
    Some(Entry { client: Client { address, mark }, destination, left: element.expires })
}

/// The element that an entry is. Of its life, entries of its service have `timeout`.
#[must_use]
pub fn element(entry: &Entry, timeout: Duration) -> DynamicElement {
    DynamicElement {
        key: key(&entry.client),
        data: vec![Datum::Mark(entry.destination)],
        timeout: entry.left.map(|left| left.max(timeout)),
        expires: entry.left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_elements() {
        for (address, left) in [("198.51.100.0", Some(7)), ("2001:db8::", None)] {
            let client = Client { address: address.parse().unwrap(), mark: 80 };
            let it = Entry { client, destination: 0x8000_0001, left: left.map(Duration::from_secs) };
            let element = element(&it, Duration::from_secs(600));
            assert_eq!(element.timeout, left.map(|_| Duration::from_secs(600)));
            assert_eq!(entry(&element), Some(it));
        }
    }

    #[test]
    fn what_somebody_else_put_there_may_be_no_entry() {
        let element = |key: &[Datum], data: &[Datum]| DynamicElement {
            key: Key::of(key.iter().copied()),
            data: data.to_vec(),
            timeout: None,
            expires: None,
        };
        let (address, mark) = (Datum::Ipv4([198, 51, 100, 7].into()), Datum::Mark(1));
        assert!(entry(&element(&[address, mark], &[mark])).is_some());
        for (key, data) in
            [(vec![mark, mark], vec![mark]), (vec![address], vec![mark]), (vec![address, mark], vec![])]
        {
            assert_eq!(entry(&element(&key, &data)), None);
        }
    }
}
