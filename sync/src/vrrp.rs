//! Redundancy: VRRPv3 (RFC 9568), for IPv4 and IPv6.
//!
//! | module | has |
//! |---|---|
//! | [`timing`] | moments, intervals, priorities, skew and down interval: all time is computed there |
//! | [`packet`] | adverts to bytes and back, with a named reason for each one that is refused |
//! | [`authentication`] | the trailer that two directors sign adverts with, and protection against replay |
//! | [`channel`] | sending and receiving adverts on one link: codec, authentication and expectations together |
//! | [`machine`] | who is Active: a state machine without I/O |

#[cfg(feature = "authentication")]
pub mod authentication;
#[cfg(feature = "authentication")]
pub mod channel;
pub mod machine;
pub mod packet;
pub mod timing;
