//! Links and addresses as the kernel last said.

use super::{AddressError, host_prefix};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use sync::Mac;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// It is administratively up.
    pub up: bool,
    /// It is connected.
    pub carrier: bool,
    /// Its address, where neighbours ask for addresses by ARP and neighbour discovery.
    pub mac: Option<Mac>,
    /// It is a macvlan on top of the link of this number.
    pub base: Option<u32>,
}

/// An address on an interface, one for each prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    index: u32,
    address: IpAddr,
    prefix: u8,
}

impl Entry {
    /// The number of the link.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// The address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }
}

/// Something that the kernel said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A link is there, or is another now.
    Link(Link),
    /// The link of this number is gone.
    LinkGone(u32),
    /// An address is there, or has another lifetime; true: for ever.
    Address(Entry, bool),
    /// An address is gone.
    AddressGone(Entry),
    /// Some of what it said was lost: only [`super::Addresses::picture`] tells.
    Lost,
}

impl Change {
    pub(super) fn link(message: &LinkMessage) -> Option<Self> {
        let name = message.attributes.iter().find_map(|attribute| {
            if let LinkAttribute::IfName(name) = attribute { Some(name.clone()) } else { None }
        })?;
        let mac = message.attributes.iter().find_map(|attribute| {
            if let LinkAttribute::Address(mac) = attribute {
                Mac::try_from(mac.as_slice()).ok()
            } else {
                None
            }
        });
        let kind = message.attributes.iter().find_map(|attribute| {
            let LinkAttribute::LinkInfo(information) = attribute else { return None };
            information.iter().find(|it| **it == LinkInfo::Kind(InfoKind::MacVlan))
        });
        let base = message.attributes.iter().find_map(|attribute| {
            if let LinkAttribute::Link(index) = attribute { Some(*index) } else { None }
        });
        let flags = message.header.flags;
        let asked = message.header.link_layer_type == LinkLayerType::Ether
            && !flags.intersects(LinkFlags::Loopback | LinkFlags::Noarp | LinkFlags::Pointopoint);
        let link = Link {
            index: message.header.index,
            name,
            up: flags.contains(LinkFlags::Up),
            carrier: flags.contains(LinkFlags::LowerUp),
            mac: mac.filter(|_| asked),
            base: base.filter(|_| kind.is_some()),
        };
        of_links(message).then_some(Self::Link(link))
    }

    pub(super) fn link_gone(message: &LinkMessage) -> Option<Self> {
        of_links(message).then_some(Self::LinkGone(message.header.index))
    }

    pub(super) fn address(message: &AddressMessage) -> Option<Self> {
        let permanent = message.header.flags.contains(AddressHeaderFlags::Permanent);
        Some(Self::Address(entry(message)?, permanent))
    }

    pub(super) fn address_gone(message: &AddressMessage) -> Option<Self> {
        entry(message).map(Self::AddressGone)
    }
}

/// A port that leaves a bridge is told as a link that goes, of the bridge's family.
fn of_links(message: &LinkMessage) -> bool {
    message.header.interface_family == AddressFamily::Unspec
}

fn entry(message: &AddressMessage) -> Option<Entry> {
    let local = message.attributes.iter().find_map(|attribute| {
        if let AddressAttribute::Local(address) = attribute { Some(*address) } else { None }
    });
    // On a link between two points `Address` is the other end's.
    let address = local.or_else(|| {
        message.attributes.iter().find_map(|attribute| {
            if let AddressAttribute::Address(address) = attribute { Some(*address) } else { None }
        })
    })?;
    Some(Entry { index: message.header.index, address, prefix: message.header.prefix_len })
}

/// What is known of links and addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    links: BTreeMap<u32, Link>,
    indices: BTreeMap<String, u32>,
    /// True: for ever.
    addresses: BTreeMap<Entry, bool>,
}

impl Picture {
    /// Takes a change in; true if it changed what is known, beyond the time that an address has left.
    pub fn take(&mut self, change: impl Into<Option<Change>>) -> bool {
        match change.into() {
            Some(Change::Link(link)) => {
                let before = self.links.insert(link.index, link.clone());
                let changed = before.as_ref() != Some(&link);
                if let Some(before) = before {
                    self.forget_name(&before);
                }
                self.indices.insert(link.name, link.index);
                changed
            }
            Some(Change::LinkGone(index)) => {
                self.addresses.retain(|entry, _| entry.index != index);
                let gone = self.links.remove(&index);
                if let Some(gone) = &gone {
                    self.forget_name(gone);
                }
                gone.is_some()
            }
            Some(Change::Address(entry, permanent)) => {
                self.addresses.insert(entry, permanent) != Some(permanent)
            }
            Some(Change::AddressGone(entry)) => self.addresses.remove(&entry).is_some(),
            Some(Change::Lost) | None => false,
        }
    }

    /// The interface of this name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.get(self.indices.get(name)?)
    }

    /// The name of the interface of this number.
    #[must_use]
    pub fn name(&self, index: u32) -> Option<&str> {
        self.links.get(&index).map(|link| link.name.as_str())
    }

    /// All interfaces.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// There is an interface of this number.
    #[must_use]
    pub fn knows(&self, index: u32) -> bool {
        self.links.contains_key(&index)
    }

    /// The interface that `address` can be added to.
    ///
    /// # Errors
    /// It is missing or down.
    pub fn link_for(&self, address: IpAddr, interface: &str) -> Result<&Link, AddressError> {
        match self.link(interface) {
            None => Err(AddressError::NoInterface { address, interface: interface.to_owned() }),
            Some(link) if !link.up => {
                Err(AddressError::InterfaceDown { address, interface: interface.to_owned() })
            }
            Some(link) => Ok(link),
        }
    }

    /// Prefix lengths of `address` on an interface; none if it isn't there.
    pub fn prefixes(&self, address: IpAddr, interface: &str) -> impl Iterator<Item = u8> {
        self.entries(address, interface).map(|(entry, _)| entry.prefix)
    }

    /// `address` is on an interface, whoever put it there.
    #[must_use]
    pub fn has(&self, address: IpAddr, interface: &str) -> bool {
        self.entries(address, interface).next().is_some()
    }

    /// Whether `address` is on an interface as a host address: `None` if it isn't, true if it is for ever.
    #[must_use]
    pub fn host(&self, address: IpAddr, interface: &str) -> Option<bool> {
        let host = |(entry, _): &(&Entry, &bool)| entry.prefix == host_prefix(address);
        self.entries(address, interface).find(host).map(|(_, permanent)| *permanent)
    }

    /// All addresses with their interface, whatever their prefix length.
    #[must_use]
    pub fn placed(&self) -> BTreeSet<(IpAddr, String)> {
        let named = |entry: &Entry| Some((entry.address, self.links.get(&entry.index)?.name.clone()));
        self.addresses.keys().filter_map(named).collect()
    }

    /// The host address `address` is on the link of this number now: what the kernel confirmed, and will say once more.
    pub fn put(&mut self, address: IpAddr, index: u32, permanent: bool) {
        self.take(Change::Address(Entry { index, address, prefix: host_prefix(address) }, permanent));
    }

    /// The link of this number is administratively up, or down: what the kernel confirmed.
    pub fn raise(&mut self, index: u32, up: bool) {
        if let Some(link) = self.links.get_mut(&index) {
            link.up = up;
        }
    }

    /// The host address `address` is off the link of this number now.
    pub fn put_off(&mut self, address: IpAddr, index: u32) {
        self.take(Change::AddressGone(Entry { index, address, prefix: host_prefix(address) }));
    }

    /// Unless another link has it by now.
    fn forget_name(&mut self, link: &Link) {
        if self.indices.get(&link.name) == Some(&link.index) {
            self.indices.remove(&link.name);
        }
    }

    fn entries(&self, address: IpAddr, interface: &str) -> impl Iterator<Item = (&Entry, &bool)> {
        let link = self.link(interface).into_iter();
        link.flat_map(move |link| {
            let at = |prefix| Entry { index: link.index, address, prefix };
            self.addresses.range(at(0)..=at(u8::MAX))
        })
    }
}
