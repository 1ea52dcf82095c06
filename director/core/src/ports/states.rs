//! States of ports that operators set at run time. They win over the configuration until they are reset.

use super::{intersect, subtract};
use crate::model::{PortRange, Service};
use serde::{Deserialize, Serialize};

/// What becomes of connections to a port of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortState {
    /// They are served.
    Enabled,
    /// New ones are refused, established ones go on.
    Drained,
    /// New ones are refused, established ones end.
    Disabled,
}

/// Ports and the state that an operator gave them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortOverride {
    /// The ports.
    #[serde(flatten)]
    pub ports: PortRange,
    /// Their state.
    pub state: PortState,
}

/// Ports of a service that are not simply enabled by the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortException {
    /// The ports, within a range of the service's.
    pub ports: PortRange,
    /// What the configuration says.
    pub configured: PortState,
    /// What an operator says.
    pub set: Option<PortState>,
}

/// What operators set for ports of a service. No port is in it twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PortStates(Vec<PortOverride>);

impl PortState {
    /// The word that the API, the tables and the metrics use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Drained => "drained",
            Self::Disabled => "disabled",
        }
    }
}

impl PortException {
    /// The state in force.
    #[must_use]
    pub fn state(&self) -> PortState {
        self.set.unwrap_or(self.configured)
    }
}

impl PortStates {
    /// Most ranges of a service that differ from their neighbours.
    pub const MAX: usize = 1024;

    /// True if nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same with another state for `ports`; `None`: as configured. Neighbours of one state become one range.
    /// `None` is returned if that makes more than [`Self::MAX`] ranges.
    #[must_use]
    pub fn with(&self, ports: &[PortRange], state: Option<PortState>) -> Option<Self> {
        let others = self.0.iter().flat_map(|it| {
            subtract(&[it.ports], ports).into_iter().map(|ports| PortOverride { ports, ..*it })
        });
        let new = ports.iter().filter_map(|ports| Some(PortOverride { ports: *ports, state: state? }));
        let mut all: Vec<PortOverride> = others.chain(new).collect();
        all.sort();
        all.dedup_by(|next, before| {
            let joined = next.state == before.state
                && next.ports.protocol == before.ports.protocol
                && before.ports.last.checked_add(1) == Some(next.ports.first);
            if joined {
                before.ports.last = next.ports.last;
            }
            joined
        });
        (all.len() <= Self::MAX).then_some(Self(all))
    }

    /// Ports of the service that are refused, in order, each range within one of the service's.
    #[must_use]
    pub fn closed(&self, service: &Service) -> Vec<PortRange> {
        self.in_state(service, |state| state != PortState::Enabled)
    }

    /// Those of the closed ports whose connections end.
    #[must_use]
    pub fn ended(&self, service: &Service) -> Vec<PortRange> {
        self.in_state(service, |state| state == PortState::Disabled)
    }

    /// What there is to tell about the service's ports, in order.
    #[must_use]
    pub fn exceptions(&self, service: &Service) -> Vec<PortException> {
        let disabled = &service.disabled_ports;
        let set = self.0.iter().flat_map(|it| {
            let ports = intersect(&service.ports, &[it.ports]);
            let exception =
                |configured| move |ports| PortException { ports, configured, set: Some(it.state) };
            let open = subtract(&ports, disabled).into_iter().map(exception(PortState::Enabled));
            open.chain(intersect(&ports, disabled).into_iter().map(exception(PortState::Disabled)))
                .collect::<Vec<_>>()
        });
        let configured = PortState::Disabled;
        let rest = subtract(disabled, &self.ranges(|_| true)).into_iter();
        let mut all: Vec<_> =
            set.chain(rest.map(|ports| PortException { ports, configured, set: None })).collect();
        all.sort();
        all
    }

    fn in_state(&self, service: &Service, wanted: fn(PortState) -> bool) -> Vec<PortRange> {
        let mut ports = if wanted(PortState::Disabled) {
            subtract(&service.disabled_ports, &self.ranges(|_| true))
        } else {
            Vec::new()
        };
        ports.extend(intersect(&service.ports, &self.ranges(wanted)));
        ports.sort();
        ports
    }

    fn ranges(&self, wanted: fn(PortState) -> bool) -> Vec<PortRange> {
        self.0.iter().filter(|it| wanted(it.state)).map(|it| it.ports).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Protocol;
    use crate::ports::tests::{service, set};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn tcp(first: u16, last: u16) -> PortRange {
        PortRange { protocol: Protocol::Tcp, first, last }
    }

    #[test]
    fn a_piece_of_a_range_has_its_own_state_and_neighbours_join() {
        let service = service();
        let states = PortStates::default().with(&[tcp(1002, 1003)], Some(PortState::Drained)).unwrap();
        assert_eq!(states.closed(&service), [tcp(1002, 1003)]);
        assert_eq!(states.ended(&service), []);
        let states = states.with(&[tcp(1003, 1004)], Some(PortState::Disabled)).unwrap();
        assert_eq!(states.closed(&service), [tcp(1002, 1002), tcp(1003, 1004)]);
        assert_eq!(states.ended(&service), [tcp(1003, 1004)]);
        let states = states.with(&[tcp(1002, 1002)], Some(PortState::Disabled)).unwrap();
        assert_eq!(states.0.len(), 1);
        assert!(states.with(&[tcp(1, 65_535)], None).unwrap().is_empty());
    }

    #[test]
    fn what_is_set_wins_over_the_configuration_until_it_is_reset() {
        let mut service = service();
        service.disabled_ports = vec![tcp(80, 80), tcp(1000, 1001)];
        let none = PortStates::default();
        assert_eq!(none.closed(&service), service.disabled_ports);
        assert_eq!(none.ended(&service), service.disabled_ports);
        let states = none.with(&[tcp(80, 80), tcp(1001, 1002)], Some(PortState::Enabled)).unwrap();
        assert_eq!(states.closed(&service), [tcp(1000, 1000)]);
        let told: Vec<_> =
            states.exceptions(&service).iter().map(|it| (it.ports, it.configured, it.set)).collect();
        let (disabled, enabled) = (PortState::Disabled, Some(PortState::Enabled));
        assert_eq!(
            told,
            [
                (tcp(80, 80), disabled, enabled),
                (tcp(1000, 1000), disabled, None),
                (tcp(1001, 1001), disabled, enabled),
                (tcp(1002, 1002), PortState::Enabled, enabled),
            ]
        );
        assert_eq!(
            states.with(&[tcp(80, 80)], None).unwrap().closed(&service),
            [tcp(80, 80), tcp(1000, 1000)]
        );
    }

    #[test]
    fn there_is_a_limit() {
        let every_other: Vec<_> = (1..=1024).map(|it| tcp(2 * it, 2 * it)).collect();
        let full = PortStates::default().with(&every_other, Some(PortState::Drained)).unwrap();
        assert!(full.with(&[tcp(1, 1)], Some(PortState::Drained)).is_some(), "it joins another");
        assert!(full.with(&[tcp(1, 1)], Some(PortState::Disabled)).is_none());
    }

    fn changes() -> impl Strategy<Value = Vec<(PortRange, Option<PortState>)>> {
        let range = (any::<bool>(), 990_u16..1015, 0_u16..8).prop_map(|(udp, first, more)| PortRange {
            protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
            first,
            last: first + more,
        });
        let state = prop_oneof![
            Just(None),
            Just(Some(PortState::Enabled)),
            Just(Some(PortState::Drained)),
            Just(Some(PortState::Disabled)),
        ];
        prop::collection::vec((range, state), 0..12)
    }

    proptest! {
        /// Against a table of single ports.
        #[test]
        fn the_last_word_on_a_port_holds(changes in changes(), first in 1000_u16..1006, more in 0_u16..3) {
            let mut service = service();
            service.disabled_ports = intersect(&service.ports, &[tcp(first, first + more)]);
            let mut states = PortStates::default();
            let mut table = BTreeMap::new();
            for (ports, state) in &changes {
                states = states.with(&[*ports], *state).unwrap();
                table.extend(set(&[*ports]).into_iter().map(|port| (port, *state)));
            }
            let disabled = set(&service.disabled_ports);
            let state = |port: &(Protocol, u16)| {
                let configured = if disabled.contains(port) { PortState::Disabled } else { PortState::Enabled };
                table.get(port).copied().flatten().unwrap_or(configured)
            };
            let (closed, ended) = (states.closed(&service), states.ended(&service));
            for port in set(&service.ports) {
                prop_assert_eq!(set(&closed).contains(&port), state(&port) != PortState::Enabled);
                prop_assert_eq!(set(&ended).contains(&port), state(&port) == PortState::Disabled);
            }
            let told: Vec<_> = states.exceptions(&service).iter().filter(|it| it.state() != PortState::Enabled).map(|it| it.ports).collect();
            prop_assert_eq!(set(&told), set(&closed));
            // Open and closed ports are all there are, and none is both.
            let open = subtract(&service.ports, &closed);
            prop_assert_eq!(&set(&open) | &set(&closed), set(&service.ports));
            prop_assert!(intersect(&open, &closed).is_empty());
        }
    }
}
