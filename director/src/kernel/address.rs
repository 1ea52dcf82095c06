//! VIPs and virtual gateways on their interfaces, over rtnetlink.

#[cfg(test)]
mod tests;

use futures_util::{StreamExt, TryStreamExt};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, CacheInfo};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use nix::errno::Errno;
use rtnetlink::{Handle, MulticastGroup};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// One step towards the wanted addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressChange {
    /// The address is missing.
    Add {
        /// The address.
        address: IpAddr,
        /// Where it belongs.
        interface: String,
    },
    /// The address is ours and no longer wanted.
    Remove {
        /// The address.
        address: IpAddr,
        /// Where it is.
        interface: String,
    },
}

/// The steps from what is present to what is wanted, both as addresses with their interface: removals first, as an
/// address may move from one interface to another.
///
/// Only what stands in `ours` is removed. It is removed even if it is not present, so that whoever carries the step
/// out forgets it: should somebody else add that address later, it is not ours.
#[must_use]
pub fn plan(
    wanted: &[(IpAddr, String)],
    present: &[(IpAddr, String)],
    ours: &BTreeSet<(IpAddr, String)>,
) -> Vec<AddressChange> {
    let wanted: BTreeSet<&(IpAddr, String)> = wanted.iter().collect();
    let present: BTreeSet<&(IpAddr, String)> = present.iter().collect();
    let removals = ours.iter().filter(|it| !wanted.contains(it));
    let additions = wanted.difference(&present);
    let remove = |(address, interface): &(IpAddr, String)| AddressChange::Remove {
        address: *address,
        interface: interface.clone(),
    };
    let add = |(address, interface): &(IpAddr, String)| AddressChange::Add {
        address: *address,
        interface: interface.clone(),
    };
    removals.map(remove).chain(additions.map(|it| add(it))).collect()
}

/// Why addresses are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// No netlink socket.
    #[error("cannot open a netlink socket: {0}")]
    Open(io::Error),
    /// The kernel does not tell its addresses.
    #[error("cannot read the addresses of this machine: {0}")]
    List(io::Error),
    /// No such interface.
    #[error("cannot add {address}: there is no interface {interface:?}")]
    NoInterface {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
    },
    /// The interface is administratively down.
    #[error("cannot add {address}: interface {interface:?} is down; it is added as soon as that is up")]
    InterfaceDown {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
    },
    /// The kernel did not take the address.
    #[error("cannot add {address} to {interface:?}: {error}{}", hint(.error))]
    Add {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// The kernel kept the address.
    #[error("cannot remove {address} from {interface:?}: {error}{}", hint(.error))]
    Remove {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
        /// What the kernel said.
        error: io::Error,
    },
}

/// The addresses of the network namespace it was opened in.
#[derive(Debug)]
pub struct Addresses {
    handle: Handle,
    changed: Arc<Notify>,
    /// Serve the sockets; end with this value.
    _tasks: JoinSet<()>,
}

impl Addresses {
    /// Opens its sockets, and listens for changes from now on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The kernel gives no socket.
    pub fn open() -> Result<Self, AddressError> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        // Two sockets: a flood of notifications fills the receive buffer of theirs, and an answer that finds no room
        // is lost for good.
        let (notifications, _, mut messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(AddressError::Open)?;
        let (requests, handle, _) = rtnetlink::new_connection().map_err(AddressError::Open)?;
        let changed = Arc::new(Notify::new());
        let notify = Arc::clone(&changed);
        let mut tasks = JoinSet::new();
        tasks.spawn(notifications);
        tasks.spawn(requests);
        tasks.spawn(async move {
            // What a message says does not matter, nor how many there are, nor that some were lost.
            while messages.next().await.is_some() {
                notify.notify_one();
            }
        });
        Ok(Self { handle, changed, _tasks: tasks })
    }

    /// Waits until an address or a link has changed since the last call, by whomever. Cancel safe.
    pub async fn changed(&mut self) {
        self.changed.notified().await;
    }

    /// All addresses with their interface, whatever their prefix length.
    ///
    /// # Errors
    /// The kernel can't be asked.
    pub async fn list(&self) -> Result<Vec<(IpAddr, String)>, AddressError> {
        let links: Vec<LinkMessage> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| AddressError::List(words(error)))?;
        let names: BTreeMap<u32, &str> =
            links.iter().filter_map(|link| Some((link.header.index, name(link)?))).collect();
        let all: Vec<AddressMessage> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| AddressError::List(words(error)))?;
        let with_name = |message: &AddressMessage| {
            Some((address(message)?, (*names.get(&message.header.index)?).to_owned()))
        };
        Ok(all.iter().filter_map(with_name).collect())
    }

    /// Adds an address to an interface that is up; as a host address, so that routes stay as they are. An address
    /// that is there already is left as it is.
    ///
    /// # Errors
    /// The interface is missing or down, or the kernel refused.
    pub async fn add(&self, address: IpAddr, interface: &str) -> Result<(), AddressError> {
        let failed = |error| AddressError::Add { address, interface: interface.to_owned(), error };
        let link = self.link(interface).await.map_err(failed)?;
        let Some(link) = link else {
            return Err(AddressError::NoInterface { address, interface: interface.to_owned() });
        };
        if !link.header.flags.contains(LinkFlags::Up) {
            return Err(AddressError::InterfaceDown { address, interface: interface.to_owned() });
        }
        let mut request = self.handle.address().add(link.header.index, address, host_prefix(address));
        if address.is_ipv6() {
            let message = request.message_mut();
            // Whoever takes an address over announces it; waiting for objections would keep it from working.
            message.header.flags |= AddressHeaderFlags::Nodad;
            // Deprecated: the director's own connections leave from its own address, as do masqueraded ones.
            let mut lifetimes = CacheInfo::default();
            lifetimes.ifa_preferred = 0;
            lifetimes.ifa_valid = u32::MAX;
            message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
        }
        match request.execute().await.map_err(words) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes an address as [`Self::add`] adds it; the same address with another prefix length is not ours and
    /// stays. An address or interface that is not there is no error.
    ///
    /// # Errors
    /// The kernel refused.
    pub async fn remove(&self, address: IpAddr, interface: &str) -> Result<(), AddressError> {
        let failed = |error| AddressError::Remove { address, interface: interface.to_owned(), error };
        let Some(link) = self.link(interface).await.map_err(failed)? else { return Ok(()) };
        let mut message = AddressMessage::default();
        message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.prefix_len = host_prefix(address);
        message.header.index = link.header.index;
        message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
        match self.handle.address().del(message).execute().await.map_err(words) {
            Err(error) if error.kind() != io::ErrorKind::AddrNotAvailable => Err(failed(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn link(&self, interface: &str) -> io::Result<Option<LinkMessage>> {
        let mut links = self.handle.link().get().match_name(interface).execute();
        match links.try_next().await.map_err(words) {
            Ok(link) => Ok(link),
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn name(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| {
        if let LinkAttribute::IfName(name) = attribute { Some(name.as_str()) } else { None }
    })
}

/// On a link between two points `Address` is the other end's.
fn address(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| {
        if let AddressAttribute::Local(address) = attribute { Some(*address) } else { None }
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| {
            if let AddressAttribute::Address(address) = attribute { Some(*address) } else { None }
        })
    })
}

fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The kernel's own words instead of the library's.
fn words(error: rtnetlink::Error) -> io::Error {
    if let rtnetlink::Error::NetlinkError(message) = &error {
        message.to_io()
    } else {
        io::Error::other(error)
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM) => " (CAP_NET_ADMIN is needed)",
        Some(Errno::EACCES) => " (is IPv6 disabled there, by disable_ipv6?)",
        _ => "",
    }
}
