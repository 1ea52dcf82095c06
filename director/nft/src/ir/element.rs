//! Elements of sets and maps: keys, data, verdicts.

use super::DataType;
use std::net::{Ipv4Addr, Ipv6Addr};

/// One value of a field, in the type of that field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Datum {
    /// `ipv4_addr`
    Ipv4(Ipv4Addr),
    /// `ipv6_addr`
    Ipv6(Ipv6Addr),
    /// `inet_proto`: 6 is tcp, 17 is udp.
    Proto(u8),
    /// `inet_service`
    Port(u16),
    /// `mark`: a packet mark, a conntrack mark, a slot or a destination id (host byte order).
    Mark(u32),
}

impl Datum {
    /// The type it is a value of.
    #[must_use]
    pub fn data_type(self) -> DataType {
        match self {
            Self::Ipv4(_) => DataType::Ipv4Addr,
            Self::Ipv6(_) => DataType::Ipv6Addr,
            Self::Proto(_) => DataType::InetProto,
            Self::Port(_) => DataType::InetService,
            Self::Mark(_) => DataType::Mark,
        }
    }
}

/// A field of a key: one value, or in maps with `flags interval` a closed range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyPart {
    /// Exactly this value.
    Value(Datum),
    /// From the first to the second value, both included.
    Range(Datum, Datum),
}

/// The key of an element, a field for each type of the map's key (`a . b . c`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub Vec<KeyPart>);

impl Key {
    /// A key of single values.
    #[must_use]
    pub fn of(data: impl IntoIterator<Item = Datum>) -> Self {
        Self(data.into_iter().map(KeyPart::Value).collect())
    }
}

/// What an element carries beside its key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// The map's data; `None` in a set.
    pub data: Option<ElementData>,
    /// Shown by `nft list`; at most 128 bytes.
    pub comment: Option<String>,
}

/// Data of a map's element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElementData {
    /// One value for each type of the map's data.
    Values(Vec<Datum>),
    /// In a verdict map.
    Verdict(Verdict),
}

/// Where evaluation goes on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The packet passes this hook.
    Accept,
    /// The packet is dropped.
    Drop,
    /// On in that chain, and back behind this rule at its end.
    Jump(String),
    /// On in that chain, and at its end back to whoever jumped here.
    Goto(String),
}

impl Verdict {
    /// The chain it leads to.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(chain),
            Self::Accept | Self::Drop => None,
        }
    }
}

impl Element {
    /// The chain it leads to, in a verdict map.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        if let Some(ElementData::Verdict(verdict)) = &self.data { verdict.target() } else { None }
    }
}
