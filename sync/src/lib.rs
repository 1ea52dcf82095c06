//! What makes two directors one: so far, telling the neighbours who has an address now.
//!
//! [`arp`] and [`ndisc`] make the frames and touch nothing; [`announce`] is the edge that sends them.

#![forbid(unsafe_code)]

pub mod announce;
pub mod arp;
pub mod ndisc;

/// An Ethernet hardware address.
pub type Mac = [u8; 6];
