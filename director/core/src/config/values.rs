//! The scalars of the file: numbers in a range, durations, addresses, names.

mod network;
mod number;
mod period;
mod port;
mod quantity;
mod text;

pub(super) use network::{Endpoint, Granularity};
pub(super) use number::{Number, decimal};
pub(super) use period::{Period, words};
pub(super) use port::{Port, PortSpan, PortTable};
pub(super) use quantity::{Hex, Percent, Size};
pub(super) use text::{AbsolutePath, InterfaceName, Name, Text};
