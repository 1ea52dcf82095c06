//! Tells when somebody else changed the table.

use super::attribute::Message;
use super::constants::table;
use super::socket::Socket;
use super::{Error, Nft};
use crate::ir::TABLE;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// One large transaction of our own should fit, so that it is not taken for a foreign one.
const RECEIVE_BUFFER: libc::c_int = 8 * 1024 * 1024;

/// What happened to the table since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changes {
    /// Nothing.
    None,
    /// Only our own transactions.
    Ours,
    /// Somebody else changed the table, or may have: notifications were lost.
    Foreign,
}

/// Notifications of nf_tables, on a socket of their own that can be polled for reading.
pub struct Events {
    socket: Socket,
    ours: Vec<u32>,
}

impl Events {
    /// Listens in the network namespace of this thread. What `ours` applies does not count as foreign.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open<const N: usize>(ours: [&Nft; N]) -> Result<Self, Error> {
        let ours = ours.map(|nft| nft.socket.port()).to_vec();
        let open = || {
            let socket = Socket::open()?;
            socket.set_receive(RECEIVE_BUFFER)?;
            socket.join(libc::NFNLGRP_NFTABLES)?;
            Ok(Self { socket, ours })
        };
        open().map_err(|source| Error::Open { source })
    }

    /// Reads all that has come, without waiting. Changes of other tables count as nothing.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn drain(&mut self) -> Result<Changes, Error> {
        let mut changes = Changes::None;
        loop {
            match self.socket.receive() {
                Ok(messages) => {
                    for message in messages {
                        changes = changes.max(change(message, &self.ours));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(changes),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => changes = Changes::Foreign,
                Err(error) => {
                    return Err(Error::Request {
                        what: "reading notifications of nf_tables".to_owned(),
                        error,
                    });
                }
            }
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// A notification carries the port of the socket that caused it, and names its table in the first attribute,
/// whatever it is about. The generation's, which ends each transaction, names none.
fn change(message: Message<'_>, ours: &[u32]) -> Changes {
    let about_us = message.family().map(i32::from) == Some(libc::NFPROTO_INET)
        && message.attributes().get(table::NAME).and_then(|name| name.text()).as_deref() == Some(TABLE);
    match (about_us, ours.contains(&message.port)) {
        (false, _) => Changes::None,
        (true, true) => Changes::Ours,
        (true, false) => Changes::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::super::attribute::{Messages, Writer};
    use super::*;
    use proptest::prelude::*;

    fn of(family: u8, name: &str, port: u32) -> Changes {
        let mut message = Writer::message(0x0a09, 0, family);
        message.text(table::NAME, name);
        let bytes = message.finish(1);
        change(Message { port, ..Messages(&bytes).next().unwrap() }, &[6, 7])
    }

    #[test]
    fn only_changes_of_the_table_count_and_the_port_tells_whose() {
        assert_eq!(of(1, TABLE, 7), Changes::Ours);
        assert_eq!(of(1, TABLE, 8), Changes::Foreign);
        assert_eq!(of(1, "other", 8), Changes::None);
        assert_eq!(of(2, TABLE, 8), Changes::None);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for message in Messages(&bytes) {
                change(message, &[7]);
            }
        }
    }
}
