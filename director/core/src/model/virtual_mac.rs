//! The virtual router's MAC address, and the interfaces that have it.
//!
//! With it the addresses are on an interface of their own, on top of the side's: neighbours keep what they know, and
//! switches alone learn a move. What the director sends leaves by the side's own interface, to which the routes lead;
//! what comes to the addresses comes in by the other.

use super::{Model, Node, Redundancy, Side};
use std::collections::BTreeSet;
use sync::Mac;

impl Redundancy {
    /// The virtual router's MAC address (RFC 9568, section 7.3). The one for IPv4 serves IPv6 too.
    #[must_use]
    pub const fn mac(&self) -> Mac {
        [0, 0, 0x5e, 0, 1, self.vrid.get()]
    }

    /// The interface on `node` that has the addresses of a side: the side's own, or the one with the virtual MAC
    /// address. A link has room for that address once: where one interface serves both sides, so does the other.
    #[must_use]
    pub fn carrier(&self, node: &Node, side: Side) -> String {
        let shared = node.public.interface == node.private.interface;
        match side {
            _ if !self.virtual_mac => side.of(node).interface.clone(),
            Side::Private if !shared => format!("vrrp{}-prv", self.vrid),
            Side::Public | Side::Private => format!("vrrp{}-pub", self.vrid),
        }
    }
}

impl Model {
    /// See [`Redundancy::carrier`].
    #[must_use]
    pub fn carrier(&self, node: &Node, side: Side) -> String {
        let own = || side.of(node).interface.clone();
        self.redundancy.as_ref().map_or_else(own, |redundancy| redundancy.carrier(node, side))
    }

    /// The interfaces on `node` that packets come in by from a side.
    #[must_use]
    pub fn entrances(&self, node: &Node, side: Side) -> BTreeSet<String> {
        [side.of(node).interface.clone(), self.carrier(node, side)].into()
    }
}
