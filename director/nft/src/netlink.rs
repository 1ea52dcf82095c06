//! The kernel's side: transactions are lowered to netlink batches, and the table is read back.
//!
//! Tables, chains, rules and their expressions are built by libnftnl, and sockets are libmnl's; sets, elements and
//! all reading are safe code, because libnftnl's safe side knows neither maps nor data. Everything blocks only as
//! long as the kernel works, and acts on the network namespace of the thread that opened it.

mod attribute;
mod batch;
mod conntrack;
mod constants;
mod datagrams;
mod datum;
mod dynamic;
mod element;
mod error;
mod events;
mod expression;
mod lower;
mod read;
mod rehearse;
mod set;
mod socket;
mod userdata;

pub use conntrack::{
    Change, Conntrack, ConntrackEvent, ConntrackEvents, Filter, Flow, Listing, Traffic, Tuple,
};
pub use dynamic::{DynamicElement, Put};
use element::ReadElement;
pub use error::Error;
pub use events::{Changes, Events};

use crate::ir::{Key, MapSpec};
use crate::observed::Observed;
use crate::transaction::Transaction;
use batch::Batch;
use socket::Socket;
use std::collections::BTreeMap;
use std::io;

/// The table `inet director` of the network namespace in which this was opened.
pub struct Nft {
    socket: Socket,
}

/// Packets and bytes that matched an element.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counter {
    /// Packets since the element was added.
    pub packets: u64,
    /// Bytes since the element was added.
    pub bytes: u64,
}

impl Nft {
    /// Opens a socket to nf_tables.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open() -> Result<Self, Error> {
        Ok(Self { socket: Socket::open().map_err(|source| Error::Open { source })? })
    }

    /// Applies a transaction: all of it, or nothing.
    ///
    /// # Errors
    /// [`Error::Refused`] names the first operation that the kernel refused. After [`Error::Unknown`] the state must
    /// be read again; after all others nothing has changed.
    pub fn apply(&mut self, transaction: &Transaction) -> Result<(), Error> {
        self.exchange(transaction, Batch::new(transaction)?)
    }

    /// Reads the table back. Without one, [`Observed::table`] is false.
    ///
    /// # Errors
    /// [`Error::Request`], and [`Error::Busy`] if others never cease to change nf_tables.
    pub fn observe(&mut self) -> Result<Observed, Error> {
        read::table(&mut self.socket)
    }

    /// The counters of a map whose elements count (`MapSpec::counter`); empty if they don't.
    ///
    /// # Errors
    /// [`Error::Request`], with `ENOENT` if there is no such map.
    pub fn counters(&mut self, map: &str) -> Result<BTreeMap<Key, Counter>, Error> {
        let spec = self.specification(map)?;
        let elements = read::elements(&mut self.socket, map, &spec)?;
        Ok(elements.into_iter().filter_map(counted).collect())
    }

    /// As [`Self::counters`], without beginning anew when others change nf_tables meanwhile: elements may be missing
    /// then, or not be there any more.
    ///
    /// # Errors
    /// As [`Self::counters`].
    pub fn counters_in_passing(&mut self, map: &str) -> Result<BTreeMap<Key, Counter>, Error> {
        let spec = self.specification(map)?;
        let elements = read::elements_in_passing(&mut self.socket, map, &spec)?;
        Ok(elements.into_iter().filter_map(counted).collect())
    }

    /// The counters of some elements; those that are not there are left out. A request each: cheaper than
    /// [`Self::counters`] where only a few of many are wanted.
    ///
    /// # Errors
    /// As [`Self::counters`].
    pub fn counters_of(&mut self, map: &str, keys: &[Key]) -> Result<BTreeMap<Key, Counter>, Error> {
        let spec = self.specification(map)?;
        let mut counters = BTreeMap::new();
        for key in keys {
            counters.extend(read::element(&mut self.socket, map, &spec, key)?.and_then(counted));
        }
        Ok(counters)
    }

    fn specification(&mut self, map: &str) -> Result<MapSpec, Error> {
        read::specification(&mut self.socket, map)?.ok_or_else(|| Error::Request {
            what: format!("reading the map {map}"),
            error: io::Error::from_raw_os_error(libc::ENOENT),
        })
    }

    /// Sends a batch and hears what becomes of it.
    fn exchange(&mut self, transaction: &Transaction, mut batch: Batch) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        self.send(&mut batch)?;
        let result = self.outcome(transaction, &batch);
        if result.is_err() {
            self.socket.drain();
        }
        result
    }

    fn send(&mut self, batch: &mut Batch) -> Result<(), Error> {
        self.socket.drain();
        let first = self.socket.reserve(batch.count());
        let bytes = batch.numbered(first);
        self.socket.send(bytes).map_err(|error| match error.raw_os_error() {
            Some(libc::EMSGSIZE) => Error::TooLarge { bytes: bytes.len() },
            _ => Error::Request { what: "sending a transaction".to_owned(), error },
        })
    }

    /// Reads acknowledgements up to the last one, or to the first refusal: a batch that failed never ends.
    fn outcome(&mut self, transaction: &Transaction, batch: &Batch) -> Result<(), Error> {
        let mut lost = None;
        loop {
            let messages = match self.socket.receive() {
                Ok(messages) => messages,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    lost = Some(error);
                    continue;
                }
                Err(error) => return Err(Error::Unknown { error: lost.unwrap_or(error) }),
            };
            for (message, errno) in batch.answers(messages) {
                match (errno, lost.take()) {
                    (0, None) if batch.is_last(message) => return Ok(()),
                    (0, None) => {}
                    (0, Some(error)) => return Err(Error::Unknown { error }),
                    (errno, _) => {
                        let owner = batch.owner(message);
                        let operation = owner.and_then(|at| Some((at, transaction.operations.get(at)?)));
                        return Err(Error::refused(operation, errno));
                    }
                }
            }
        }
    }
}

fn counted(read: ReadElement) -> Option<(Key, Counter)> {
    let (packets, bytes) = read.counter?;
    Some((read.key, Counter { packets, bytes }))
}
