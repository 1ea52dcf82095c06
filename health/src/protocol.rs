//! Dialogues with servers as pure machines: bytes come in, in any pieces, and what to send and what to think of it
//! comes out. They touch no socket and take a bounded amount of memory, whatever a server sends.

pub mod rdp;
pub mod smtp;
mod speaker;

#[cfg(feature = "probe")]
pub(crate) use speaker::Speaker;
