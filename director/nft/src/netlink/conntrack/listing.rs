//! The table of connections, read piece by piece: for readers that want no more than they can take.

use super::{Filter, Flow, failed, flow, question};
use crate::netlink::Error;
use crate::netlink::socket::Socket;
use std::io;

/// A way through the connections that fit a filter, in the network namespace in which it was opened.
/// Dropping it ends it; while nobody reads on, the kernel keeps nothing but a place in its table.
pub struct Listing {
    socket: Socket,
    sequence: u32,
    filter: Filter,
    over: bool,
}

impl Listing {
    /// Begins with the connections that fit.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::Request`].
    pub fn open(filter: &Filter) -> Result<Self, Error> {
        let mut socket = Socket::open().map_err(|source| Error::Open { source })?;
        let sequence = socket.reserve(1);
        socket.send(&question(filter).finish(sequence)).map_err(lost)?;
        Ok(Self { socket, sequence, filter: *filter, over: false })
    }

    /// Hands over the next connections, at most some 32 KiB of the kernel's form (a hundred or two); false once
    /// there are no more. Those that come or go meanwhile may be missed, and one may be handed over twice.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn read(&mut self, mut each: impl FnMut(&Flow)) -> Result<bool, Error> {
        if self.over {
            return Ok(false);
        }
        for message in self.socket.receive().map_err(lost)?.filter(|it| it.sequence == self.sequence) {
            if matches!(i32::from(message.kind), libc::NLMSG_ERROR | libc::NLMSG_DONE) {
                self.over = true;
                return match message.errno() {
                    0 => Ok(false),
                    errno => Err(lost(io::Error::from_raw_os_error(errno))),
                };
            }
            if let Some(flow) = flow::read(message.attributes()).filter(|flow| self.filter.fits(flow)) {
                each(&flow);
            }
        }
        Ok(true)
    }
}

fn lost(error: io::Error) -> Error {
    failed("reading connections", error)
}
