//! Connections in the kernel's conntrack table.

mod events;
mod filter;
mod flow;
mod listing;

pub use events::{Change, ConntrackEvent, ConntrackEvents};
pub use filter::Filter;
pub use flow::{Flow, Traffic, Tuple};
pub use listing::Listing;

use super::Error;
use super::attribute::Writer;
use super::constants::conntrack as attr;
use super::socket::{INTERRUPTED, Socket};
use crate::ir::Family;
use std::io;
use std::ops::ControlFlow;

/// The conntrack table of the network namespace in which this was opened.
pub struct Conntrack {
    socket: Socket,
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
        let mut request = message(attr::DELETE, libc::NLM_F_ACK, 0);
        request.u32(attr::MARK, mark).u32(attr::MARK_MASK, mask);
        self.socket
            .request(request, |_| {})
            .map_err(|error| failed("ending connections by their mark", error))
    }

    /// Ends this very connection; false if it is gone already, even if another one has its addresses and ports now.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn delete(&mut self, flow: &Flow) -> Result<bool, Error> {
        let family = if flow.original.source.is_ipv6() { Family::V6 } else { Family::V4 };
        let mut request = message(attr::DELETE, libc::NLM_F_ACK, family.number());
        flow::write(&mut request, attr::TUPLE_ORIGINAL, flow.protocol, &flow.original);
        request.u32(attr::ID, flow.id);
        match self.socket.request(request, |_| {}) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(failed("ending a connection", error)),
        }
    }

    /// Hands over all connections, of both families, whose mark is `mark` in the bits of `mask`. Those that come or
    /// go meanwhile may be missed, and one may be handed over twice.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn dump(&mut self, mark: u32, mask: u32, mut each: impl FnMut(&Flow)) -> Result<(), Error> {
        self.visit(&Filter::mark(mark, mask), |flow| {
            each(flow);
            ControlFlow::Continue(())
        })
    }

    /// Hands over the connections that fit, one by one, until `each` has seen enough. Those that come or go
    /// meanwhile may be missed, and one may be handed over twice. Memory does not grow with their number.
    ///
    /// Stopping early takes a new socket, in the network namespace that the calling thread has now.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn visit(
        &mut self,
        filter: &Filter,
        mut each: impl FnMut(&Flow) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let result = self.socket.visit(question(filter), |answer| match flow::read(answer.attributes()) {
            Some(flow) if filter.fits(&flow) => each(&flow),
            _ => ControlFlow::Continue(()),
        });
        match result {
            // The table of connections never stands still.
            Err(error) if error.raw_os_error() == Some(INTERRUPTED) => Ok(()),
            Err(error) => Err(failed("reading connections", error)),
            Ok(ControlFlow::Continue(())) => Ok(()),
            Ok(ControlFlow::Break(())) => {
                match Socket::open() {
                    Ok(socket) => self.socket = socket,
                    Err(_) => self.socket.drain(),
                }
                Ok(())
            }
        }
    }
}

/// Asks for the connections that fit.
fn question(filter: &Filter) -> Writer {
    let mut request = message(attr::GET, libc::NLM_F_DUMP, filter.family_number());
    filter.write(&mut request);
    request
}

fn message(kind: u8, flags: libc::c_int, family: u8) -> Writer {
    let [low, high, ..] = (flags | libc::NLM_F_REQUEST).to_le_bytes();
    let subsystem = libc::NFNL_SUBSYS_CTNETLINK.to_le_bytes()[0];
    Writer::message(u16::from_be_bytes([subsystem, kind]), u16::from_le_bytes([low, high]), family)
}

fn failed(what: &str, error: io::Error) -> Error {
    Error::Request { what: what.to_owned(), error }
}
