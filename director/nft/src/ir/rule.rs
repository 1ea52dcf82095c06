//! Rules: statements, and the expressions they read.

use super::{DataType, Datum, Verdict};
use std::time::Duration;

/// A rule: statements evaluated in order until one does not match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Evaluated in order; the first that does not match ends the rule.
    pub statements: Vec<Statement>,
    /// Shown by `nft list`; at most 128 bytes.
    pub comment: Option<String>,
}

/// A match or an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// Goes on only if the packet's field is (or is not) the value.
    Match(Match),
    /// `key vmap @map`: follows the verdict found; goes on if none is.
    Vmap {
        /// What is looked up.
        key: Vec<Selector>,
        /// Name of a verdict map.
        map: String,
    },
    /// `meta mark set …` or `ct mark set …`; a map look-up that finds nothing ends the rule.
    SetMark {
        /// Which mark is written.
        target: MarkTarget,
        /// What is written.
        value: Expression,
    },
    /// `update @map { key timeout t : data }`: adds the element, or refreshes its time (never its data). Ends the
    /// rule if the map is full.
    Update {
        /// Name of a dynamic map.
        map: String,
        /// The element's key.
        key: Vec<Selector>,
        /// Life of the element from now on.
        timeout: Option<Duration>,
        /// The element's data.
        data: Option<Selector>,
    },
    /// `delete @map { key : data }`: ends the rule if there is none.
    Delete {
        /// Name of a dynamic map.
        map: String,
        /// The element's key.
        key: Vec<Selector>,
        /// Any value of the map's data type (the kernel wants one and ignores it).
        data: Option<Selector>,
    },
    /// `dnat ip to …`
    Dnat(Dnat),
    /// `masquerade`: the source becomes the outgoing interface's address.
    Masquerade,
    /// Ends the connection attempt with an answer.
    Reject(Reject),
    /// Counts packets and bytes.
    Counter,
    /// Ends the rule with a verdict.
    Verdict(Verdict),
}

impl Statement {
    /// The map it looks things up in, or changes.
    #[must_use]
    pub fn map(&self) -> Option<&str> {
        match self {
            Self::Vmap { map, .. }
            | Self::Update { map, .. }
            | Self::Delete { map, .. }
            | Self::SetMark { value: Expression::Map { map, .. }, .. }
            | Self::Dnat(Dnat { map, .. }) => Some(map),
            Self::Match(_)
            | Self::SetMark { .. }
            | Self::Masquerade
            | Self::Reject(_)
            | Self::Counter
            | Self::Verdict(_) => None,
        }
    }

    /// The chain it leads to, if it names one itself.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        if let Self::Verdict(verdict) = self { verdict.target() } else { None }
    }

    /// The fields it reads, in the order it reads them.
    pub fn selectors(&self) -> impl Iterator<Item = Selector> + '_ {
        let (key, more): (&[Selector], Option<Selector>) = match self {
            Self::Match(Match::Value { selector, .. } | Match::Prefix { selector, .. })
            | Self::SetMark { value: Expression::Field(selector), .. } => (&[], Some(*selector)),
            Self::Vmap { key, .. }
            | Self::SetMark {
                value: Expression::Map { key, .. } | Expression::Jhash(Jhash { key, .. }),
                ..
            }
            | Self::Dnat(Dnat { key, .. }) => (key, None),
            Self::Update { key, data, .. } | Self::Delete { key, data, .. } => (key, *data),
            Self::Match(_)
            | Self::SetMark { .. }
            | Self::Masquerade
            | Self::Reject(_)
            | Self::Counter
            | Self::Verdict(_) => (&[], None),
        };
        key.iter().copied().chain(more)
    }
}

/// A comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// `selector value` or `selector != value`
    Value {
        /// The field.
        selector: Selector,
        /// True for `!=`.
        negate: bool,
        /// What it is compared with.
        value: Datum,
    },
    /// `ip saddr 10.0.1.0/24`: the field, masked, is this network's address.
    Prefix {
        /// The field, without a prefix of its own.
        selector: Selector,
        /// True for `!=`.
        negate: bool,
        /// The network's address, host bits zero.
        address: Datum,
        /// Its length.
        length: u8,
    },
    /// `iifname "eth0"` or `!=`
    InputInterface {
        /// True for `!=`.
        negate: bool,
        /// Name of the interface, at most 15 bytes.
        name: String,
    },
    /// `oifname "eth0"` or `!=`
    OutputInterface {
        /// True for `!=`.
        negate: bool,
        /// Name of the interface, at most 15 bytes.
        name: String,
    },
    /// `ct status dnat`: the connection's destination has been translated.
    CtStatusDnat,
}

/// A field of the packet or of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector {
    /// `meta nfproto`: compare with [`Datum::Proto`] 2 (ipv4) or 10 (ipv6).
    Nfproto,
    /// `meta l4proto`
    L4Proto,
    /// `meta mark`
    MetaMark,
    /// `ct mark`
    CtMark,
    /// `ip saddr`, the leading bits only (`ip saddr & 255.255.255.0`) where a prefix below 32 is given.
    Ip4Saddr {
        /// 0 to 32.
        prefix: u8,
    },
    /// `ip daddr`
    Ip4Daddr,
    /// `ip6 saddr`, the leading bits only where a prefix below 128 is given.
    Ip6Saddr {
        /// 0 to 128.
        prefix: u8,
    },
    /// `ip6 daddr`
    Ip6Daddr,
    /// `th sport`: source port of tcp or udp.
    ThSport,
    /// `th dport`: destination port of tcp or udp.
    ThDport,
}

impl Selector {
    /// Type of the field's value.
    #[must_use]
    pub fn data_type(self) -> DataType {
        match self {
            Self::Nfproto | Self::L4Proto => DataType::InetProto,
            Self::MetaMark | Self::CtMark => DataType::Mark,
            Self::Ip4Saddr { .. } | Self::Ip4Daddr => DataType::Ipv4Addr,
            Self::Ip6Saddr { .. } | Self::Ip6Daddr => DataType::Ipv6Addr,
            Self::ThSport | Self::ThDport => DataType::InetService,
        }
    }

    /// The family whose header holds the field: packets of the other one do not match.
    #[must_use]
    pub fn family(self) -> Option<Family> {
        match self {
            Self::Ip4Saddr { .. } | Self::Ip4Daddr => Some(Family::V4),
            Self::Ip6Saddr { .. } | Self::Ip6Daddr => Some(Family::V6),
            Self::Nfproto | Self::L4Proto | Self::MetaMark | Self::CtMark | Self::ThSport | Self::ThDport => {
                None
            }
        }
    }
}

/// A mark that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkTarget {
    /// `meta mark`: the packet's firewall mark.
    Meta,
    /// `ct mark`: the connection's mark.
    Ct,
}

/// A value computed while the packet waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// A constant.
    Value(Datum),
    /// A field.
    Field(Selector),
    /// `key map @map`
    Map {
        /// What is looked up.
        key: Vec<Selector>,
        /// Name of a map.
        map: String,
    },
    /// `numgen …`
    Numgen(Numgen),
    /// `jhash …`
    Jhash(Jhash),
}

/// `numgen inc mod 4 offset 65536`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numgen {
    /// How the next number comes about.
    pub mode: NumgenMode,
    /// Numbers are 0 to this less one; at least 1.
    pub modulus: u32,
    /// Added to the number. `modulus + offset` must fit 32 bits.
    pub offset: u32,
}

/// How a generator counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumgenMode {
    /// One up each time.
    Increment,
    /// Uniformly at random.
    Random,
}

/// `jhash ip saddr & 255.255.255.0 . th sport mod 251 seed 0x1234 offset 65536`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jhash {
    /// What is hashed: at least one field.
    pub key: Vec<Selector>,
    /// Numbers are 0 to this less one; at least 1.
    pub modulus: u32,
    /// The same key comes to the same number wherever the seed is the same.
    pub seed: u32,
    /// Added to the number. `modulus + offset` must fit 32 bits.
    pub offset: u32,
}

/// `dnat ip to ct mark map @dests4`; without a hit the rule ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dnat {
    /// Family of the new destination.
    pub family: Family,
    /// What is looked up.
    pub key: Vec<Selector>,
    /// Name of a map to an address, or to `address . port`.
    pub map: String,
    /// The map's data holds a port too (and nft wants an `l4proto` match before it).
    pub port: bool,
}

/// Family of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// Its number in `meta nfproto`.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }
}

/// How an attempt is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// `reject with tcp reset`; needs a tcp match before it.
    TcpReset,
    /// `reject with icmpx port-unreachable`
    PortUnreachable,
}
