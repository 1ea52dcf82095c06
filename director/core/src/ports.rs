//! Sets of ports as lists of ranges, and what operators do with them.

mod selection;
mod states;

pub use selection::{ParsePortsError, PortSelection};
pub use states::{PortException, PortOverride, PortState, PortStates};

use crate::model::PortRange;
use std::fmt;

/// The ports of `ranges` that are in `others` too, in the order of `ranges`, split where either is.
#[must_use]
pub fn intersect(ranges: &[PortRange], others: &[PortRange]) -> Vec<PortRange> {
    let common = |range: &PortRange, other: &PortRange| {
        let (first, last) = (range.first.max(other.first), range.last.min(other.last));
        (range.protocol == other.protocol && first <= last).then_some(PortRange { first, last, ..*range })
    };
    ranges.iter().flat_map(|range| others.iter().filter_map(move |other| common(range, other))).collect()
}

/// The ports of `ranges` that are not in `others`, in the order of `ranges`. Ranges are split where they must.
#[must_use]
pub fn subtract(ranges: &[PortRange], others: &[PortRange]) -> Vec<PortRange> {
    let mut left = ranges.to_vec();
    for other in others {
        left = left.iter().flat_map(|range| cut(*range, *other)).flatten().collect();
    }
    left
}

/// What is left of `range` below and above `other`.
fn cut(range: PortRange, other: PortRange) -> [Option<PortRange>; 2] {
    if range.protocol != other.protocol || other.last < range.first || range.last < other.first {
        return [Some(range), None];
    }
    let below = (range.first < other.first).then(|| PortRange { last: other.first - 1, ..range });
    let above = (other.last < range.last).then(|| PortRange { first: other.last + 1, ..range });
    [below, above]
}

impl fmt::Display for PortRange {
    /// `tcp port 80` or `tcp ports 1000-1010`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, first, last } = self;
        if first == last {
            write!(f, "{} port {first}", protocol.name())
        } else {
            write!(f, "{} ports {first}-{last}", protocol.name())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use crate::model::{Protocol, Service};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ranges() -> impl Strategy<Value = Vec<PortRange>> {
        // Few ports, at both ends of what there is: so that ranges meet.
        let ends = prop_oneof![(1_u16..30, 1_u16..30), (65_510_u16..=65_535, 65_510_u16..=65_535)];
        let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
        let range = (protocol, ends).prop_map(|(protocol, (a, b))| PortRange {
            protocol,
            first: a.min(b),
            last: a.max(b),
        });
        prop::collection::vec(range, 0..6)
    }

    /// tcp 80, 53 and 1000-1005, udp 53 and 1003-1010.
    pub(super) fn service() -> Service {
        let text = "
version: 1
nodes:
  lb1:
    public: {interface: eth0, address: 192.168.1.33/24}
    private: {interface: eth1, address: 10.0.1.33/24}
servers: {a: {address: 10.0.1.1}}
services:
  web:
    vip: 192.168.1.35
    ports: {tcp: [80, 53, 1000-1005], udp: [53, 1003-1010]}
    servers: {a: {}}
";
        let mut model = load(text, "test").unwrap_or_else(|report| panic!("{report}"));
        model.services.remove("web").unwrap()
    }

    pub(super) fn set(ranges: &[PortRange]) -> BTreeSet<(Protocol, u16)> {
        ranges.iter().flat_map(|it| (it.first..=it.last).map(|port| (it.protocol, port))).collect()
    }

    proptest! {
        #[test]
        fn they_are_what_sets_of_ports_are(a in ranges(), b in ranges()) {
            let (in_a, in_b) = (set(&a), set(&b));
            prop_assert_eq!(set(&subtract(&a, &b)), &in_a - &in_b);
            prop_assert_eq!(set(&intersect(&a, &b)), &in_a & &in_b);
            for range in subtract(&a, &b).iter().chain(&intersect(&a, &b)) {
                prop_assert!(0 < range.first && range.first <= range.last);
            }
        }

        #[test]
        fn what_is_cut_out_and_what_is_left_share_nothing(all in ranges(), out in ranges()) {
            let (left, cut) = (subtract(&all, &out), intersect(&all, &out));
            prop_assert!(intersect(&left, &cut).is_empty());
            prop_assert_eq!(&set(&left) | &set(&cut), set(&all));
        }
    }
}
