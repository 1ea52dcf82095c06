//! Sets of ports as lists of ranges.

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
    use crate::model::Protocol;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ranges() -> impl Strategy<Value = Vec<PortRange>> {
        // Few ports, at both ends of what there is: so that ranges meet.
        let port = prop_oneof![1_u16..30, 65_510_u16..=65_535];
        let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
        let range = (protocol, port.clone(), port).prop_map(|(protocol, a, b)| PortRange {
            protocol,
            first: a.min(b),
            last: a.max(b),
        });
        prop::collection::vec(range, 0..6)
    }

    fn set(ranges: &[PortRange]) -> BTreeSet<(Protocol, u16)> {
        ranges.iter().flat_map(|it| (it.first..=it.last).map(|port| (it.protocol, port))).collect()
    }

    proptest! {
        // Each set has up to 65,535 members.
        #![proptest_config(ProptestConfig::with_cases(24))]

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
