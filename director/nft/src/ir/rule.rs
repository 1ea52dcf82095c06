//! Rules: statements, and the expressions they read.

use super::{CtStates, DataType, Datum, EventMask, TcpFlags, Verdict};
use std::net::IpAddr;
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
    /// `delete @map { key : data }`: goes on, whether there was one or not.
    Delete {
        /// Name of a dynamic map.
        map: String,
        /// The element's key.
        key: Vec<Selector>,
        /// Any value of the map's data type (the kernel wants one and ignores it).
        data: Option<Selector>,
    },
    /// `update @set { key timeout t limit rate over 10/second burst 20 packets }`: every element is a token bucket,
    /// full when a packet makes it. Goes on only if the bucket has no token for this packet; else the packet takes
    /// one, and the rule ends. It also ends if there is no room for another element: who finds none is not limited.
    Limit {
        /// Name of a dynamic set.
        map: String,
        /// The element's key: whose packets are counted together.
        key: Vec<Selector>,
        /// Life of the element from now on. An element that ages out forgets what was spent, so this is best no
        /// shorter than filling the bucket takes.
        timeout: Option<Duration>,
        /// How many packets are let through. An element keeps the rate it was made with.
        rate: Rate,
    },
    /// `dnat ip to …`
    Dnat(Dnat),
    /// `snat ip to 10.0.1.254`: the source becomes this address. Packets of the other family go on.
    Snat(IpAddr),
    /// `masquerade`: the source becomes the outgoing interface's address.
    Masquerade,
    /// Ends the connection attempt with an answer.
    Reject(Reject),
    /// Counts packets and bytes.
    Counter,
    /// `ct event set new,destroy`: listeners hear of the connection only when one of these happens (and then all
    /// that happened by the same packet). With none of them they never hear of it, not even of its end.
    ///
    /// The kernel sets the mask of connections that can report at all: those that began while somebody listened, or
    /// all with `net.netfilter.nf_conntrack_events=1`. To others, an empty mask does nothing, and a mask of some
    /// events makes them able to report where that setting is 0.
    SetEvents(EventMask),
    /// `synproxy …`: answers a client's handshake, and begins one with the server only once the client has finished
    /// its own. Ends the rule unless the packet is tcp.
    Synproxy(Synproxy),
    /// `reset tcp option timestamp`: the packet says nothing of timestamps. Ends the rule unless the packet is tcp and
    /// has the option. Since Linux 5.18.
    StripTimestamp,
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
            | Self::Limit { map, .. }
            | Self::SetMark { value: Expression::Map { map, .. }, .. }
            | Self::Dnat(Dnat { map, .. }) => Some(map),
            Self::Match(_)
            | Self::SetMark { .. }
            | Self::Snat(_)
            | Self::Masquerade
            | Self::Reject(_)
            | Self::Counter
            | Self::SetEvents(_)
            | Self::Synproxy(_)
            | Self::StripTimestamp
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
            | Self::Limit { key, .. }
            | Self::Dnat(Dnat { key, .. }) => (key, None),
            Self::Update { key, data, .. } | Self::Delete { key, data, .. } => (key, *data),
            Self::Match(_)
            | Self::SetMark { .. }
            | Self::Snat(_)
            | Self::Masquerade
            | Self::Reject(_)
            | Self::Counter
            | Self::SetEvents(_)
            | Self::Synproxy(_)
            | Self::StripTimestamp
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
    /// `ct state invalid,new`: the packet is in one of these states (at least one).
    CtState(CtStates),
    /// `tcp flags syn / fin,syn,rst,ack`: of the flags in `mask`, exactly those in `value` are set. Only tcp packets
    /// match, whether negated or not.
    TcpFlags {
        /// The flags that are looked at, at least one.
        mask: TcpFlags,
        /// Those of them that are set.
        value: TcpFlags,
        /// True for any other combination of them.
        negate: bool,
    },
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

/// `10/second burst 20 packets`: a token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come in each unit of time, at least 1. Beyond 10^9 a second nothing is limited: the kernel counts
    /// whole nanoseconds.
    pub count: u64,
    /// The unit of time.
    pub per: RateUnit,
    /// Most tokens there are at a time, at least 1.
    pub burst: u32,
}

impl Rate {
    /// The kernel's way to count: nanoseconds a token takes to come, and nanoseconds that fill the bucket. `None` if
    /// the kernel can't count that far, or if count or burst is 0.
    #[must_use]
    pub fn nanoseconds(self) -> Option<(u64, u64)> {
        let token = self.per.seconds().checked_mul(1_000_000_000)?.checked_div(self.count)?;
        let burst = u64::from(self.burst);
        self.count.checked_add(burst)?;
        let bucket = token.checked_mul(burst)?;
        (burst > 0).then_some((token, bucket))
    }
}

/// The units of time that nft has for rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateUnit {
    /// 1 s
    Second,
    /// 60 s
    Minute,
    /// 3,600 s
    Hour,
    /// 86,400 s
    Day,
    /// 604,800 s
    Week,
}

impl RateUnit {
    /// Its length.
    #[must_use]
    pub fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 604_800,
        }
    }
}

/// `synproxy mss 1460 wscale 7 timestamp sack-perm`: what the client is told before the server can be asked. It should
/// be what the servers say themselves.
///
/// A limit of the kernel's (6.18): once the server has sent data, its reset gets a wrong sequence number on the way,
/// and the client takes no notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synproxy {
    /// Longest segment, in bytes.
    pub mss: u16,
    /// By how many bits windows are scaled: 0 to 14.
    pub wscale: u8,
    /// Timestamps may be used. Without them the kernel's cookie has no room for the client's other options.
    pub timestamp: bool,
    /// Selective acknowledgements may be used.
    pub sack_perm: bool,
}

/// How an attempt is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// `reject with tcp reset`; needs a tcp match before it.
    TcpReset,
    /// `reject with icmpx port-unreachable`
    PortUnreachable,
}
