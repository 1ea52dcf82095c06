//! What the kernel can't choose by itself.

use super::StateFilter;
use director_core::model::Network;
use director_nft::netlink::Flow;
use std::collections::BTreeSet;

/// Conditions on a connection. All must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Its destination id is one of these.
    pub ids: Option<BTreeSet<u32>>,
    /// Its client is in this network.
    pub client: Option<Network>,
    /// It is in this state.
    pub state: Option<StateFilter>,
}

impl Conditions {
    /// True if there is no condition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// True if all conditions hold.
    #[must_use]
    pub fn hold(&self, flow: &Flow) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&flow.mark))
            && self.client.is_none_or(|network| network.contains(flow.original.source))
            && self.state.is_none_or(|state| state.matches(flow.into()))
    }
}
