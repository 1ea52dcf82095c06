//! Connections in the kernel's conntrack table, by their mark.

use super::Error;
use super::attribute::{Attributes, Message, Writer};
use super::constants::conntrack as attr;
use super::socket::{INTERRUPTED, Socket};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The conntrack table of the network namespace in which this was opened.
pub struct Conntrack {
    socket: Socket,
}

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tuple {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Source port; 0 where the protocol has none.
    pub source_port: u16,
    /// Destination port; 0 where the protocol has none.
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

impl Conntrack {
    /// Opens a socket to conntrack.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open() -> Result<Self, Error> {
        Ok(Self { socket: Socket::open().map_err(|source| Error::Open { source })? })
    }

    /// Ends all connections, of both families, whose mark is `mark` in the bits of `mask`.
    ///
    /// # Errors
    /// [`Error::Request`]; some of them may have ended then.
    pub fn flush_mark(&mut self, mark: u32, mask: u32) -> Result<(), Error> {
        let mut request = message(attr::DELETE, libc::NLM_F_ACK);
        request.u32(attr::MARK, mark).u32(attr::MARK_MASK, mask);
        self.socket
            .request(request, |_| {})
            .map_err(|error| failed("ending connections by their mark", error))
    }

    /// Hands over all connections, of both families, whose mark is `mark` in the bits of `mask`. Those that come or
    /// go meanwhile may be missed, and one may be handed over twice.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn dump(&mut self, mark: u32, mask: u32, mut each: impl FnMut(&Flow)) -> Result<(), Error> {
        let mut request = message(attr::GET, libc::NLM_F_DUMP);
        request.u32(attr::MARK, mark).u32(attr::MARK_MASK, mask);
        let result = self.socket.request(request, |answer| {
            if let Some(flow) = flow(answer.attributes()) {
                each(&flow);
            }
        });
        match result {
            // The table of connections never stands still.
            Err(error) if error.raw_os_error() == Some(INTERRUPTED) => Ok(()),
            other => other.map_err(|error| failed("reading connections by their mark", error)),
        }
    }

    /// How many connections there are, whatever their mark.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn count(&mut self) -> Result<u32, Error> {
        let mut entries = None;
        let request = message(attr::GET_STATISTICS, libc::NLM_F_ACK);
        self.socket
            .request(request, |answer| entries = statistics(answer))
            .and_then(|()| entries.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData)))
            .map_err(|error| failed("counting connections", error))
    }
}

fn message(kind: u8, flags: libc::c_int) -> Writer {
    let [low, high, ..] = (flags | libc::NLM_F_REQUEST).to_le_bytes();
    let subsystem = libc::NFNL_SUBSYS_CTNETLINK.to_le_bytes()[0];
    // No family: all of them.
    Writer::message(u16::from_be_bytes([subsystem, kind]), u16::from_le_bytes([low, high]), 0)
}

fn failed(what: &str, error: io::Error) -> Error {
    Error::Request { what: what.to_owned(), error }
}

fn statistics(answer: Message<'_>) -> Option<u32> {
    answer.attributes().get(attr::STATISTICS_ENTRIES)?.u32()
}

fn flow(attributes: Attributes<'_>) -> Option<Flow> {
    let number = |kind| attributes.get(kind).and_then(|value| value.u32());
    let (protocol, original) = tuple(attributes.get(attr::TUPLE_ORIGINAL)?.nested())?;
    let (_, reply) = tuple(attributes.get(attr::TUPLE_REPLY)?.nested())?;
    let tcp_state = attributes
        .get(attr::PROTOCOL_INFO)
        .and_then(|info| info.nested().get(attr::INFO_TCP)?.nested().get(attr::INFO_TCP_STATE)?.u8());
    Some(Flow {
        id: number(attr::ID)?,
        mark: number(attr::MARK).unwrap_or(0),
        protocol,
        original,
        reply,
        tcp_state,
        status: number(attr::STATUS).unwrap_or(0),
        timeout: number(attr::TIMEOUT).map(|seconds| Duration::from_secs(seconds.into())),
        traffic: traffic(attributes, attr::COUNTERS_ORIGINAL)
            .zip(traffic(attributes, attr::COUNTERS_REPLY))
            .map(<[Traffic; 2]>::from),
    })
}

fn tuple(attributes: Attributes<'_>) -> Option<(u8, Tuple)> {
    let addresses = attributes.get(attr::TUPLE_IP)?.nested();
    let address = |v4, v6| -> Option<IpAddr> {
        match addresses.get(v4) {
            Some(four) => Some(Ipv4Addr::from(<[u8; 4]>::try_from(four.value).ok()?).into()),
            None => Some(Ipv6Addr::from(<[u8; 16]>::try_from(addresses.get(v6)?.value).ok()?).into()),
        }
    };
    let protocol = attributes.get(attr::TUPLE_PROTOCOL)?.nested();
    let port = |kind| protocol.get(kind).and_then(|port| port.u16()).unwrap_or(0);
    let tuple = Tuple {
        source: address(attr::IPV4_SOURCE, attr::IPV6_SOURCE)?,
        destination: address(attr::IPV4_DESTINATION, attr::IPV6_DESTINATION)?,
        source_port: port(attr::SOURCE_PORT),
        destination_port: port(attr::DESTINATION_PORT),
    };
    Some((protocol.get(attr::PROTOCOL_NUMBER)?.u8()?, tuple))
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

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            flow(Attributes(&bytes));
            tuple(Attributes(&bytes));
        }
    }
}
