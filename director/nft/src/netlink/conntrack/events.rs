//! Tells of connections as they come, change and go.
//!
//! What the kernel tells, 6.1 as 6.18:
//! - Every message has both tuples, id, status, and the mark if it is not 0. The TCP state is in those of its changes,
//!   and in the last one; a new connection's has it too, because its first packet changes the state.
//! - A TCP connection that ends in order yields new (`SYN_SENT`), update (`SYN_RECV`), update (`ESTABLISHED`,
//!   assured), update (`FIN_WAIT`), update (`CLOSE_WAIT`), update (`LAST_ACK`), update (`TIME_WAIT`) and, when the
//!   entry times out, destroy. A reset yields update (`CLOSE`) in the place of what would have come before destroy; as
//!   the only answer, destroy at once.
//! - A UDP flow yields new, update (the first answer), update (assured, by a packet of a flow that lasts more than two
//!   seconds) and destroy.
//! - `ct event set` keeps messages back in which none of the events named happened. With `new,protoinfo,destroy`, a
//!   TCP connection's are as above, and a UDP flow's are new and destroy.
//! - Where `net.netfilter.nf_conntrack_events` is 2, the default, a connection that began while nobody listened, in
//!   any namespace, tells nothing, not even its end. Where it is 0, only connections tell that `ct event set` names
//!   events for, and their first message has no TCP state.

use super::flow::tcp_state;
use crate::netlink::Error;
use crate::netlink::attribute::{Message, Messages};
use crate::netlink::constants::conntrack as attr;
use crate::netlink::datagrams::Datagrams;
use crate::netlink::socket::Socket;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// Room for some 50,000 events, for the time in which nobody reads.
const RECEIVE_BUFFER: libc::c_int = 32 * 1024 * 1024;

/// Calls in one reading, 128 messages each: more than the buffer holds, so that what waited is read, and bounded.
const CALLS: u32 = 1024;

/// The multicast groups that tell of new, changed and ended connections.
const GROUPS: [libc::c_int; 3] =
    [libc::NFNLGRP_CONNTRACK_NEW, libc::NFNLGRP_CONNTRACK_UPDATE, libc::NFNLGRP_CONNTRACK_DESTROY];

/// Notifications of conntrack, on a socket of their own that can be polled for reading.
///
/// While one is open, in any network namespace, the kernel makes events of the connections in all of them; only
/// those begun since then have any.
pub struct ConntrackEvents {
    socket: Socket,
    datagrams: Datagrams,
    mark: u32,
    mask: u32,
}

/// What a notification tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConntrackEvent {
    /// A connection began.
    New(Change),
    /// It changed.
    Update(Change),
    /// Its entry is gone.
    Destroy(Change),
    /// More was told than the socket has room for. What is lost came after all that was read before, and before
    /// what is read when nothing waits any more: only then the kernel tells again.
    Lost,
}

/// A connection that a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// As [`super::Flow::id`], the same from the first to the last message. It is a hash: among 100,000 connections, two
    /// have the same with a probability of two thirds.
    pub id: u32,
    /// The conntrack mark.
    pub mark: u32,
    /// Protocol number: 6 is tcp, 17 is udp.
    pub protocol: u8,
    /// `enum tcp_conntrack`; `None` for other protocols, and if the notification does not tell it.
    pub tcp_state: Option<u8>,
    /// As [`super::Flow::status`].
    pub status: u32,
}

impl ConntrackEvents {
    /// Listens, in the network namespace of this thread, to connections whose mark is `mark` in the bits of `mask`,
    /// of which there must be one. The kernel drops what it would tell of others before that takes room.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open(mark: u32, mask: u32) -> Result<Self, Error> {
        Self::with_buffer(mark, mask, RECEIVE_BUFFER)
    }

    /// [`Self::open`] with room for so many bytes, of which a message takes 640, whatever its length.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn with_buffer(mark: u32, mask: u32, bytes: libc::c_int) -> Result<Self, Error> {
        let open = || {
            let socket = Socket::open()?;
            socket.set_receive(bytes)?;
            socket.keep(attr::MARK, mark, mask)?;
            GROUPS.into_iter().try_for_each(|group| socket.join(group))?;
            Ok(Self { socket, datagrams: Datagrams::new(), mark, mask })
        };
        open().map_err(|source| Error::Open { source })
    }

    /// Reads all that has come, without waiting.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn read(&mut self, mut each: impl FnMut(ConntrackEvent)) -> Result<(), Error> {
        for _ in 0..CALLS {
            match self.datagrams.receive(self.socket.as_fd()) {
                Ok(()) => {
                    for datagram in self.datagrams.iter() {
                        let heard = Messages(datagram).filter_map(|it| event(it, self.mark, self.mask));
                        heard.for_each(&mut each);
                        if datagram.is_empty() {
                            each(ConntrackEvent::Lost);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => each(ConntrackEvent::Lost),
                Err(error) => {
                    let what = "reading notifications of conntrack".to_owned();
                    return Err(Error::Request { what, error });
                }
            }
        }
        Ok(())
    }
}

impl AsFd for ConntrackEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for ConntrackEvents {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// `None` if it is about another connection, or about none.
fn event(message: Message<'_>, mark: u32, mask: u32) -> Option<ConntrackEvent> {
    let [kind, subsystem] = message.kind.to_le_bytes();
    let begins = i32::from(message.flags) & libc::NLM_F_CREATE != 0;
    let happened = match kind {
        _ if i32::from(subsystem) != libc::NFNL_SUBSYS_CTNETLINK => return None,
        attr::DELETE => ConntrackEvent::Destroy,
        attr::NEW if begins => ConntrackEvent::New,
        attr::NEW => ConntrackEvent::Update,
        _ => return None,
    };
    let (mut tuple, mut info, mut id, mut status, mut marked) = (None, None, None, 0, 0);
    for attribute in message.attributes() {
        match attribute.kind {
            attr::TUPLE_ORIGINAL => tuple = Some(attribute),
            attr::PROTOCOL_INFO => info = Some(attribute),
            attr::ID => id = attribute.u32(),
            attr::STATUS => status = attribute.u32()?,
            attr::MARK => marked = attribute.u32()?,
            _ => {}
        }
    }
    if marked & mask != mark {
        return None;
    }
    let protocol = tuple?.nested().get(attr::TUPLE_PROTOCOL)?.nested().get(attr::PROTOCOL_NUMBER)?.u8()?;
    Some(happened(Change { id: id?, mark: marked, protocol, tcp_state: info.and_then(tcp_state), status }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::attribute::Writer;
    use proptest::prelude::*;

    const MARK: u32 = 0x8000_1001;

    fn heard(kind: u8, flags: libc::c_int, mark: u32) -> Vec<ConntrackEvent> {
        let mut out = Writer::message(u16::from_be_bytes([1, kind]), u16::try_from(flags).unwrap(), 2);
        out.nest(attr::TUPLE_ORIGINAL, |tuple| {
            tuple.nest(attr::TUPLE_PROTOCOL, |parts| {
                parts.bytes(attr::PROTOCOL_NUMBER, &[6]);
            });
        });
        out.u32(attr::ID, 7).u32(attr::STATUS, 0x0e).u32(attr::MARK, mark);
        out.nest(attr::PROTOCOL_INFO, |info| {
            info.nest(attr::INFO_TCP, |tcp| {
                tcp.bytes(attr::INFO_TCP_STATE, &[3]);
            });
        });
        let bytes = out.finish(0);
        Messages(&bytes).filter_map(|message| event(message, 0x8000_0000, 0x8000_0000)).collect()
    }

    #[test]
    fn messages_say_what_happened_to_which_connection() {
        let it = Change { id: 7, mark: MARK, protocol: 6, tcp_state: Some(3), status: 0x0e };
        let create = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        assert_eq!(heard(attr::NEW, create, MARK), [ConntrackEvent::New(it)]);
        assert_eq!(heard(attr::NEW, 0, MARK), [ConntrackEvent::Update(it)]);
        assert_eq!(heard(attr::DELETE, 0, MARK), [ConntrackEvent::Destroy(it)]);
        assert_eq!(heard(attr::NEW, create, 0x1001), [], "another mark");
        assert_eq!(heard(attr::GET, 0, MARK), []);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), mask: u32) {
            for message in Messages(&bytes) {
                event(message, 0, mask);
            }
            event(Message { kind: 0x0100, flags: 0, sequence: 0, port: 0, payload: &bytes }, 0, 0);
        }
    }
}
