//! What makes two directors one: which of them is Active, and telling the neighbours who has an address now.
//!
//! [`vrrp`] decides who is Active and speaks VRRPv3 about it; [`hello`] is what the directors tell each other besides.
//! Both touch neither a socket nor a clock. [`arp`] and [`ndisc`] make the frames for the neighbours and touch nothing;
//! [`announce`] says when, and is the edge that sends them.

#![forbid(unsafe_code)]

pub mod agenda;
pub mod announce;
pub mod arp;
mod checksum;
#[cfg(feature = "authentication")]
pub mod hello;
pub mod ndisc;
pub mod vrrp;

/// An Ethernet hardware address.
pub type Mac = [u8; 6];
