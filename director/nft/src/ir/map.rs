//! Named sets and maps.

use super::{Element, Key};
use std::collections::BTreeMap;
use std::time::Duration;

/// A named set or map: its specification, and the elements that user space puts there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// What can't change without making the map anew.
    pub spec: MapSpec,
    /// Elements by key. Empty for maps that packets fill (`dynamic`): their elements are the kernel's.
    pub elements: BTreeMap<Key, Element>,
}

/// What can't change without making the map anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MapSpec {
    /// Types of the key's fields; more than one is a concatenation.
    pub key: Vec<DataType>,
    /// What elements carry.
    pub data: MapData,
    /// Keys may hold ranges. Only for concatenated keys (the kernel's pipapo set).
    pub interval: bool,
    /// Rules add, refresh and delete elements; user space leaves them alone.
    pub dynamic: bool,
    /// Elements may time out (a rule's `update` says when).
    pub timeout: bool,
    /// Default life of an element.
    pub default_timeout: Option<Duration>,
    /// How often the kernel frees elements that timed out (they stop matching at once, whatever this says). Its
    /// default of 1 s walks a large table every second.
    pub gc_interval: Option<Duration>,
    /// Most elements the map may hold. For maps that are not dynamic it also picks the kernel's fixed-size hash,
    /// whose look-up is cheaper, and preallocates its buckets.
    pub size: Option<u32>,
    /// Every element counts the packets that matched it.
    pub counter: bool,
}

/// What the elements of a map carry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MapData {
    /// Nothing: a set.
    #[default]
    None,
    /// Values of these types.
    Values(Vec<DataType>),
    /// A verdict.
    Verdict,
}

/// Type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataType {
    /// `ipv4_addr`, 4 bytes in network order.
    Ipv4Addr,
    /// `ipv6_addr`, 16 bytes.
    Ipv6Addr,
    /// `inet_proto`, 1 byte.
    InetProto,
    /// `inet_service`, 2 bytes in network order.
    InetService,
    /// `mark`, 4 bytes in host order.
    Mark,
}
