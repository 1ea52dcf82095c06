//! Why an advert was refused, and how often.

use std::net::IpAddr;

/// Why an advert was refused. It changes nothing then: not even the sender is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Discard {
    /// Another protocol, or another version of IP.
    #[error("it is not a VRRP message over IPv4")]
    NotVrrp,
    /// RFC 9568, section 7.1: it must be 255.
    #[error("its TTL or hop limit is {got}, not 255: it crossed a router, or was forged")]
    Hops {
        /// What it was.
        got: u8,
    },
    /// Not version 3.
    #[error("it is of VRRP version {got}: let the peer speak version 3 (vrrp_version 3 in keepalived)")]
    Version {
        /// What it was.
        got: u8,
    },
    /// Not an advertisement.
    #[error("it is of type {got}: only advertisements (type 1) are known")]
    Type {
        /// What it was.
        got: u8,
    },
    /// Damaged, or the other reading of the checksum.
    #[error(
        "its checksum is wrong: it was damaged, or the peer sums up with (RFC 5798) or without (RFC 9568) a pseudo-header, and that is not accepted here"
    )]
    Checksum,
    /// Cut off, or longer than it says.
    #[error("it has {got} bytes where {expected} belong")]
    Length {
        /// Bytes there are.
        got: usize,
        /// Bytes there should be.
        expected: usize,
    },
    /// Another virtual router's, or 0.
    #[error("it is of virtual router {got}, which is not ours")]
    Vrid {
        /// What it was.
        got: u8,
    },
    /// An interval of 0.
    #[error("it says that adverts come every 0 s")]
    Interval,
    /// RFC 9568, section 5.2.5: none must be ignored.
    #[error("it lists no addresses")]
    NoAddresses,
    /// Sent by this director: multicast comes back, or somebody has its address.
    #[error("it comes from our own address {0}")]
    Own(IpAddr),
    /// Not one of the configured peers.
    #[error("it comes from {0}, which is not a configured peer")]
    Stranger(IpAddr),
    /// Unsigned, from somebody who is no peer, and with other addresses.
    #[error(
        "{0} lists none of our addresses: another virtual router here has the same vrid. Give one of them another vrid"
    )]
    Foreign(IpAddr),
    /// Signatures are asked for.
    #[error("it is not signed: give the peer the same key_file")]
    Unsigned,
    /// Signatures are not expected.
    #[error(
        "it is signed, or has more bytes at its end than belong there: give this director the peer's key_file"
    )]
    Signed,
    /// A key that isn't on the ring.
    #[error("it is signed with key {id}, which is not known here")]
    UnknownKey {
        /// The number of the key.
        id: u8,
    },
    /// Forged, damaged, or another key under the same number.
    #[error("its signature is wrong: the keys differ, or it was forged")]
    Signature,
    /// Heard before, or too old to tell.
    #[error(
        "it was heard before: it is replayed, or its sender begins to count anew: it is a clone, or lost its state folder and its clock went back"
    )]
    Replayed,
}

/// What a [`Discard`] is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// [`Discard::NotVrrp`]
    NotVrrp,
    /// [`Discard::Hops`]
    Hops,
    /// [`Discard::Version`]
    Version,
    /// [`Discard::Type`]
    Type,
    /// [`Discard::Checksum`]
    Checksum,
    /// [`Discard::Length`]
    Length,
    /// [`Discard::Vrid`]
    Vrid,
    /// [`Discard::Interval`]
    Interval,
    /// [`Discard::NoAddresses`]
    NoAddresses,
    /// [`Discard::Own`]
    Own,
    /// [`Discard::Stranger`]
    Stranger,
    /// [`Discard::Foreign`]
    Foreign,
    /// [`Discard::Unsigned`], [`Discard::Signed`], [`Discard::UnknownKey`], [`Discard::Signature`]
    Authentication,
    /// [`Discard::Replayed`]
    Replayed,
}

impl Kind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 14] = [
        Self::NotVrrp,
        Self::Hops,
        Self::Version,
        Self::Type,
        Self::Checksum,
        Self::Length,
        Self::Vrid,
        Self::Interval,
        Self::NoAddresses,
        Self::Own,
        Self::Stranger,
        Self::Foreign,
        Self::Authentication,
        Self::Replayed,
    ];

    /// A short name for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotVrrp => "not_vrrp",
            Self::Hops => "hop_limit",
            Self::Version => "version",
            Self::Type => "type",
            Self::Checksum => "checksum",
            Self::Length => "length",
            Self::Vrid => "vrid",
            Self::Interval => "interval",
            Self::NoAddresses => "no_addresses",
            Self::Own => "own",
            Self::Stranger => "stranger",
            Self::Foreign => "other_router",
            Self::Authentication => "authentication",
            Self::Replayed => "replayed",
        }
    }
}

impl From<Discard> for Kind {
    fn from(discard: Discard) -> Self {
        match discard {
            Discard::NotVrrp => Self::NotVrrp,
            Discard::Hops { .. } => Self::Hops,
            Discard::Version { .. } => Self::Version,
            Discard::Type { .. } => Self::Type,
            Discard::Checksum => Self::Checksum,
            Discard::Length { .. } => Self::Length,
            Discard::Vrid { .. } => Self::Vrid,
            Discard::Interval => Self::Interval,
            Discard::NoAddresses => Self::NoAddresses,
            Discard::Own(_) => Self::Own,
            Discard::Stranger(_) => Self::Stranger,
            Discard::Foreign(_) => Self::Foreign,
            Discard::Unsigned | Discard::Signed | Discard::UnknownKey { .. } | Discard::Signature => {
                Self::Authentication
            }
            Discard::Replayed => Self::Replayed,
        }
    }
}

/// How many adverts were refused, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Discards([u64; Kind::ALL.len()]);

impl Discards {
    /// Counts one.
    pub fn count(&mut self, discard: Discard) {
        if let Some(count) = self.0.get_mut(Kind::from(discard) as usize) {
            *count += 1;
        }
    }

    /// Each kind, those that never happened too.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, u64)> {
        Kind::ALL.into_iter().zip(self.0)
    }
}
