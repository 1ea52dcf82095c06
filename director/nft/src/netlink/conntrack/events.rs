//! Tells of connections as they come, change and go.

use super::flow::tcp_state;
use crate::netlink::Error;
use crate::netlink::attribute::Message;
use crate::netlink::constants::conntrack as attr;
use crate::netlink::socket::Socket;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// Room for some 60,000 events, for the time in which nobody reads.
const RECEIVE_BUFFER: libc::c_int = 32 * 1024 * 1024;

/// The multicast groups that tell of new, changed and ended connections.
const GROUPS: [libc::c_int; 3] =
    [libc::NFNLGRP_CONNTRACK_NEW, libc::NFNLGRP_CONNTRACK_UPDATE, libc::NFNLGRP_CONNTRACK_DESTROY];

/// Notifications of conntrack, on a socket of their own that can be polled for reading.
///
/// While one is open, in any network namespace, the kernel makes events of the connections in all of them; only
/// those begun since then have any.
pub struct ConntrackEvents {
    socket: Socket,
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
    /// As [`super::Flow::id`].
    pub id: u32,
    /// The conntrack mark; 0 also where none is told.
    pub mark: u32,
    /// Protocol number: 6 is tcp, 17 is udp.
    pub protocol: u8,
    /// `enum tcp_conntrack`; `None` for other protocols, and if the notification does not tell it.
    pub tcp_state: Option<u8>,
}

impl ConntrackEvents {
    /// Listens in the network namespace of this thread.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open() -> Result<Self, Error> {
        let open = || {
            let socket = Socket::open()?;
            socket.grow_receive(RECEIVE_BUFFER)?;
            GROUPS.into_iter().try_for_each(|group| socket.join(group))?;
            Ok(Self { socket })
        };
        open().map_err(|source| Error::Open { source })
    }

    /// Reads all that has come, without waiting.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn read(&mut self, mut each: impl FnMut(ConntrackEvent)) -> Result<(), Error> {
        loop {
            match self.socket.receive() {
                Ok(messages) => messages.filter_map(event).for_each(&mut each),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => each(ConntrackEvent::Lost),
                Err(error) => {
                    let what = "reading notifications of conntrack".to_owned();
                    return Err(Error::Request { what, error });
                }
            }
        }
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

fn event(message: Message<'_>) -> Option<ConntrackEvent> {
    let attributes = message.attributes();
    let protocol = attributes.get(attr::TUPLE_ORIGINAL)?.nested().get(attr::TUPLE_PROTOCOL)?.nested();
    let change = Change {
        id: attributes.get(attr::ID)?.u32()?,
        mark: attributes.get(attr::MARK).and_then(|mark| mark.u32()).unwrap_or(0),
        protocol: protocol.get(attr::PROTOCOL_NUMBER)?.u8()?,
        tcp_state: attributes.get(attr::PROTOCOL_INFO).and_then(tcp_state),
    };
    let [kind, _] = message.kind.to_le_bytes();
    let begins = i32::from(message.flags) & libc::NLM_F_CREATE != 0;
    match kind {
        attr::DELETE => Some(ConntrackEvent::Destroy(change)),
        attr::NEW if begins => Some(ConntrackEvent::New(change)),
        attr::NEW => Some(ConntrackEvent::Update(change)),
        _ => None,
    }
}
