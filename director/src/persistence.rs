//! Persistence entries in the kernel: kept from time to time as [`director_core::persistence`] decides, and shown to
//! operators.
//!
//! The control loop only lends what is needed; reading a large table takes its time, and happens elsewhere, on sockets
//! of its own.

mod element;
mod list;
mod round;
mod row;
#[cfg(test)]
mod tests;

pub use element::{element, entry, key};
pub use list::{Kernel, Selection, Table, View};
pub use round::{Round, carry_out};
pub use row::Row;
