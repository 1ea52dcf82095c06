//! Connections as ctnetlink tells of them.

use crate::netlink::attribute::{Attribute, Attributes, Writer};
use crate::netlink::constants::conntrack as attr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tuple {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Source port; of ICMP the identifier; 0 where the protocol has none.
    pub source_port: u16,
    /// Destination port; of ICMP type and code, a byte each; 0 where the protocol has none.
    pub destination_port: u16,
}

/// Packets and bytes of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets so far.
    pub packets: u64,
    /// Bytes so far, network headers included.
    pub bytes: u64,
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// The kernel's number of the entry, unique as long as it lives.
    pub id: u32,
    /// The conntrack mark.
    pub mark: u32,
    /// Protocol number: 6 is tcp, 17 is udp.
    pub protocol: u8,
    /// As the client sent it: to the VIP.
    pub original: Tuple,
    /// As answers come: from the real server.
    pub reply: Tuple,
    /// `enum tcp_conntrack`: 3 is established. `None` for other protocols.
    pub tcp_state: Option<u8>,
    /// `IPS_…` bits: 2 seen reply, 4 assured, 0x20 destination translated.
    pub status: u32,
    /// Time until the entry is gone if no packet comes.
    pub timeout: Option<Duration>,
    /// Both directions, original first; `None` where `nf_conntrack_acct` is off.
    pub traffic: Option<[Traffic; 2]>,
}

/// ICMP of IPv4 and of IPv6: `IPPROTO_…` and the first of its three attributes (identifier, type, code).
const ICMP: [(u8, u16); 2] = [(1, attr::ICMP_ID), (58, attr::ICMPV6_ID)];

/// Reads a connection; `None` if something that every one has is missing.
pub(super) fn read(attributes: Attributes<'_>) -> Option<Flow> {
    let number = |kind| attributes.get(kind).and_then(|value| value.u32());
    let (protocol, original) = tuple(attributes.get(attr::TUPLE_ORIGINAL)?.nested())?;
    let (_, reply) = tuple(attributes.get(attr::TUPLE_REPLY)?.nested())?;
    Some(Flow {
        id: number(attr::ID)?,
        mark: number(attr::MARK).unwrap_or(0),
        protocol,
        original,
        reply,
        tcp_state: attributes.get(attr::PROTOCOL_INFO).and_then(tcp_state),
        status: number(attr::STATUS).unwrap_or(0),
        timeout: number(attr::TIMEOUT).map(|seconds| Duration::from_secs(seconds.into())),
        traffic: traffic(attributes, attr::COUNTERS_ORIGINAL)
            .zip(traffic(attributes, attr::COUNTERS_REPLY))
            .map(<[Traffic; 2]>::from),
    })
}

/// The state in an attribute of protocol information.
pub(super) fn tcp_state(info: Attribute<'_>) -> Option<u8> {
    info.nested().get(attr::INFO_TCP)?.nested().get(attr::INFO_TCP_STATE)?.u8()
}

/// Adds a tuple by which the kernel finds its connection.
pub(super) fn write(out: &mut Writer, kind: u16, protocol: u8, tuple: &Tuple) {
    out.nest(kind, |parts| {
        parts.nest(attr::TUPLE_IP, |addresses| {
            write_address(addresses, attr::IPV4_SOURCE, attr::IPV6_SOURCE, tuple.source);
            write_address(addresses, attr::IPV4_DESTINATION, attr::IPV6_DESTINATION, tuple.destination);
        });
        parts.nest(attr::TUPLE_PROTOCOL, |ports| {
            ports.bytes(attr::PROTOCOL_NUMBER, &[protocol]);
            if let Some((_, first)) = ICMP.iter().find(|(number, _)| *number == protocol) {
                let [kind, code] = tuple.destination_port.to_be_bytes();
                ports.bytes(*first, &tuple.source_port.to_be_bytes());
                ports.bytes(first + 1, &[kind]).bytes(first + 2, &[code]);
            } else {
                ports.bytes(attr::SOURCE_PORT, &tuple.source_port.to_be_bytes());
                ports.bytes(attr::DESTINATION_PORT, &tuple.destination_port.to_be_bytes());
            }
        });
    });
}

/// Adds an address, as an attribute of its family.
pub(super) fn write_address(out: &mut Writer, v4: u16, v6: u16, address: IpAddr) {
    match address {
        IpAddr::V4(four) => out.bytes(v4, &four.octets()),
        IpAddr::V6(six) => out.bytes(v6, &six.octets()),
    };
}

fn tuple(attributes: Attributes<'_>) -> Option<(u8, Tuple)> {
    let addresses = attributes.get(attr::TUPLE_IP)?.nested();
    let address = |v4, v6| -> Option<IpAddr> {
        match addresses.get(v4) {
            Some(four) => Some(Ipv4Addr::from(<[u8; 4]>::try_from(four.value).ok()?).into()),
            None => Some(Ipv6Addr::from(<[u8; 16]>::try_from(addresses.get(v6)?.value).ok()?).into()),
        }
    };
    let parts = attributes.get(attr::TUPLE_PROTOCOL)?.nested();
    let protocol = parts.get(attr::PROTOCOL_NUMBER)?.u8()?;
    let port = |kind| parts.get(kind).and_then(|port| port.u16()).unwrap_or(0);
    let byte = |kind| parts.get(kind).and_then(|byte| byte.u8()).unwrap_or(0);
    let (source_port, destination_port) = match ICMP.iter().find(|(number, _)| *number == protocol) {
        Some((_, first)) => (port(*first), u16::from_be_bytes([byte(first + 1), byte(first + 2)])),
        None => (port(attr::SOURCE_PORT), port(attr::DESTINATION_PORT)),
    };
    let tuple = Tuple {
        source: address(attr::IPV4_SOURCE, attr::IPV6_SOURCE)?,
        destination: address(attr::IPV4_DESTINATION, attr::IPV6_DESTINATION)?,
        source_port,
        destination_port,
    };
    Some((protocol, tuple))
}

fn traffic(attributes: Attributes<'_>, direction: u16) -> Option<Traffic> {
    let counters = attributes.get(direction)?.nested();
    Some(Traffic {
        packets: counters.get(attr::COUNTER_PACKETS)?.u64()?,
        bytes: counters.get(attr::COUNTER_BYTES)?.u64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn any_tuple()(
            v6: bool,
            addresses: [u128; 2],
            source_port: u16,
            destination_port: u16,
        ) -> Tuple {
            let [source, destination] = addresses.map(|bits| {
                let six = Ipv6Addr::from(bits);
                let [.., a, b, c, d] = six.octets();
                if v6 { IpAddr::V6(six) } else { IpAddr::from([a, b, c, d]) }
            });
            Tuple { source, destination, source_port, destination_port }
        }
    }

    proptest! {
        #[test]
        fn tuples_survive_the_wire(wanted in any_tuple(), protocol: u8) {
            let mut out = Writer::default();
            write(&mut out, attr::TUPLE_REPLY, protocol, &wanted);
            let nested = Attributes(out.written()).get(attr::TUPLE_REPLY).unwrap().nested();
            prop_assert_eq!(tuple(nested), Some((protocol, wanted)));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            read(Attributes(&bytes));
            tuple(Attributes(&bytes));
            tcp_state(Attribute { kind: attr::PROTOCOL_INFO, value: &bytes });
        }
    }
}
