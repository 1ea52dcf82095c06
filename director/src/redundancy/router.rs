//! A virtual router as one of its directors sees it: what the state machine and the links are told. Every director
//! comes to the same view of families, addresses and names.

use super::{Addresses, Router};
use director_core::model::{Mode, Node, Side};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use sync::hello::Roster;
use sync::vrrp::channel::Channel;
use sync::vrrp::machine::{Link, Peers, Settings};
use sync::vrrp::packet::{self, Accept, GROUP_V4, GROUP_V6};
use sync::vrrp::timing::Priority;

/// What one director has to do with its virtual router.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// For the state machine.
    pub(super) settings: Settings,
    /// Where adverts go, in the order of the file: the first decides by which address a node is known.
    pub(super) paths: Vec<Path>,
    /// Who the directors are, and where: addresses in the order of the paths.
    pub(super) roster: Roster,
}

/// A link that adverts go by.
#[derive(Debug, Clone)]
pub(super) struct Path {
    /// Its number for the state machine.
    pub(super) link: Link,
    /// Which side of the director it is.
    pub(super) side: Side,
    /// Its interface.
    pub(super) interface: String,
    /// How adverts are made and taken.
    pub(super) channel: Channel,
    /// Where adverts are sent to.
    pub(super) destinations: Vec<IpAddr>,
    /// The nodes' addresses here, and those that they are known by.
    pub(super) known_as: BTreeMap<IpAddr, IpAddr>,
}

/// Why a director can't take part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ViewError {
    /// Nothing to send adverts by.
    #[error("redundancy names no link to send adverts by")]
    NoLinks,
    /// The file is another one's.
    #[error("there is no node named {0:?}")]
    UnknownNode(String),
    /// The directors can't reach each other there.
    #[error("the nodes have no addresses of the same family on the {} side", .0.name())]
    NoFamily(Side),
}

impl View {
    /// `addresses` are the virtual router's.
    ///
    /// # Errors
    /// See [`ViewError`]; a configuration that was checked gives none.
    pub(super) fn new(router: &Router, addresses: &Addresses) -> Result<Self, ViewError> {
        let own = router.nodes.get(&router.node);
        let own = own.ok_or_else(|| ViewError::UnknownNode(router.node.clone()))?;
        let sides = &router.settings.links;
        let by_side: Vec<BTreeMap<&str, IpAddr>> =
            sides.iter().map(|&side| chosen(&router.nodes, side)).collect::<Result<_, _>>()?;
        let first = by_side.first().ok_or(ViewError::NoLinks)?;
        let address = |on: &BTreeMap<&str, IpAddr>, node: &str| on.get(node).copied();
        let own_address = address(first, &own.name).ok_or(ViewError::NoLinks)?;

        let everywhere = |node: &str| by_side.iter().filter_map(|on| address(on, node)).collect();
        let others = first.keys().filter(|&&name| name != own.name);
        let roster = Roster {
            node: own.name.clone(),
            own: by_side.iter().filter_map(|on| address(on, &own.name)).collect(),
            peers: others.map(|&name| (name.to_owned(), everywhere(name))).collect(),
        };

        let mut paths = Vec::new();
        for (number, (&side, on)) in (0_u8..).zip(sides.iter().zip(&by_side)) {
            let local = address(on, &own.name).ok_or(ViewError::NoFamily(side))?;
            let others: BTreeSet<IpAddr> = on.values().copied().filter(|&it| it != local).collect();
            let unicast = router.settings.mode == Mode::Unicast;
            let group = if local.is_ipv4() { GROUP_V4.into() } else { GROUP_V6.into() };
            paths.push(Path {
                link: Link(number),
                side,
                interface: side.of(own).interface.clone(),
                destinations: if unicast { others.iter().copied().collect() } else { vec![group] },
                known_as: on.iter().filter_map(|(name, &here)| Some((here, *first.get(name)?))).collect(),
                channel: Channel {
                    vrid: router.settings.vrid,
                    local,
                    peers: others,
                    anybody: !unicast,
                    addresses: listed(addresses, &router.settings.carrier(own, side), local),
                    interval: router.settings.interval,
                    checksum: router.settings.checksum,
                    accept: Accept::Either,
                    keyring: router.keyring.clone(),
                },
            });
        }
        let settings = Settings {
            priority: router.settings.priorities.get(&own.name).copied().unwrap_or(Priority::DEFAULT),
            address: own_address,
            interval: router.settings.interval,
            preempt: router.settings.preempt,
            preempt_delay: router.settings.preempt_delay,
            startup_delay: router.settings.startup_delay,
            starts_active: router.settings.starts_active,
            peers: count(router, roster.peers.len()),
            links: paths.iter().map(|path| path.link).collect(),
        };
        Ok(Self { settings, paths, roster })
    }
}

impl Path {
    /// The address that the sender of an advert from `source` is known by; a stranger by that one.
    pub(super) fn sender(&self, source: IpAddr) -> IpAddr {
        self.known_as.get(&source).copied().unwrap_or(source)
    }
}

/// Each node's address for adverts on a side: its first one of the family that all of them have. The first node's
/// order decides between two.
fn chosen(nodes: &BTreeMap<String, Node>, side: Side) -> Result<BTreeMap<&str, IpAddr>, ViewError> {
    let of = |node: &Node, v4: bool| {
        side.of(node).addresses.iter().map(|it| it.address()).find(|it| it.is_ipv4() == v4)
    };
    let candidates = nodes.values().next().map(|node| &*side.of(node).addresses);
    let families = candidates.unwrap_or_default().iter().map(|it| it.address().is_ipv4());
    let all = |v4| nodes.values().map(|node| Some((node.name.as_str(), of(node, v4)?))).collect();
    families.map(all).find_map(|all: Option<_>| all).ok_or(ViewError::NoFamily(side))
}

/// More directors than the file has may speak on a multicast group, unless only signed adverts count.
fn count(router: &Router, others: usize) -> Peers {
    let open = router.settings.mode == Mode::Multicast && router.keyring.is_none();
    match others {
        _ if open => Peers::Several,
        0 => Peers::None,
        1 => Peers::One,
        _ => Peers::Several,
    }
}

/// The virtual router's addresses as adverts on `interface` list them: those of their family that belong there. RFC
/// 9568, section 5.2.5 wants one at least: where there are none it is the sender's own.
fn listed(addresses: &Addresses, interface: &str, local: IpAddr) -> packet::Addresses {
    let here = addresses.wanted.iter().filter(|(_, on)| on == interface).map(|&(address, _)| address);
    packet::Addresses::like(local, here).unwrap_or_else(|| packet::Addresses::one(local))
}

#[cfg(test)]
mod tests;
