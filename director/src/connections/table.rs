//! The kernel's table, as far as this needs it. Tests have another one.

use director_nft::netlink::{Conntrack, Error, Filter, Flow, Listing};
use std::fmt::Debug;

/// A table of connections. Everything that it opens blocks while the kernel works.
pub trait Table: Debug + Send + Sync {
    /// Begins to read the connections that fit.
    ///
    /// # Errors
    /// See [`Error`].
    fn list(&self, filter: &Filter) -> Result<Box<dyn Pieces>, Error>;

    /// A way to end connections.
    ///
    /// # Errors
    /// See [`Error`].
    fn ender(&self) -> Result<Box<dyn Ender>, Error>;
}

/// Connections, a hundred or two at a time.
pub trait Pieces: Send {
    /// Hands over the next ones; false once there are no more.
    ///
    /// # Errors
    /// See [`Error`].
    fn read(&mut self, each: &mut dyn FnMut(&Flow)) -> Result<bool, Error>;
}

/// Ends connections.
pub trait Ender: Send {
    /// All whose mark is `mark` in the bits of `mask`.
    ///
    /// # Errors
    /// See [`Error`]; some may have ended then.
    fn end_all(&mut self, mark: u32, mask: u32) -> Result<(), Error>;

    /// This one; false if it has ended by itself.
    ///
    /// # Errors
    /// See [`Error`].
    fn end(&mut self, flow: &Flow) -> Result<bool, Error>;
}

/// Conntrack, of the network namespace that the process is in.
#[derive(Debug, Clone, Copy)]
pub struct Kernel;

impl Table for Kernel {
    fn list(&self, filter: &Filter) -> Result<Box<dyn Pieces>, Error> {
        Ok(Box::new(Listing::open(filter)?))
    }

    fn ender(&self) -> Result<Box<dyn Ender>, Error> {
        Ok(Box::new(Conntrack::open()?))
    }
}

impl Pieces for Listing {
    fn read(&mut self, each: &mut dyn FnMut(&Flow)) -> Result<bool, Error> {
        Self::read(self, each)
    }
}

impl Ender for Conntrack {
    fn end_all(&mut self, mark: u32, mask: u32) -> Result<(), Error> {
        self.flush_mark(mark, mask)
    }

    fn end(&mut self, flow: &Flow) -> Result<bool, Error> {
        self.delete(flow)
    }
}
