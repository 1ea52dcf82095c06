//! VIPs and virtual gateways on their interfaces, over rtnetlink.

mod changes;
pub mod picture;
#[cfg(test)]
mod tests;

pub use changes::Changes;

use futures_util::TryStreamExt;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, CacheInfo};
use netlink_packet_route::link::MacVlanMode;
use nix::errno::Errno;
use picture::{Change, Picture};
use rtnetlink::{Handle, LinkMacVlan, LinkUnspec};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::mpsc::sync_channel;
use std::thread as threads;
use std::time::Duration;
use sync::Mac;
use tokio::runtime::Builder;

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
    wanted: &BTreeSet<(IpAddr, String)>,
    present: &BTreeSet<(IpAddr, String)>,
    ours: &BTreeSet<(IpAddr, String)>,
) -> Vec<AddressChange> {
    let removals = ours.difference(wanted);
    let additions = wanted.difference(present);
    let remove = |(address, interface): &(IpAddr, String)| AddressChange::Remove {
        address: *address,
        interface: interface.clone(),
    };
    let add = |(address, interface): &(IpAddr, String)| AddressChange::Add {
        address: *address,
        interface: interface.clone(),
    };
    removals.map(remove).chain(additions.map(add)).collect()
}

/// Why addresses are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// No netlink socket.
    #[error("cannot open a netlink socket: {0}")]
    Open(io::Error),
    /// No packet socket.
    #[error("cannot open a packet socket: {0} (CAP_NET_RAW is needed)")]
    Raw(io::Error),
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
    /// It is there with another prefix length, with which it can't be given up.
    #[error(
        "{address} is on {interface:?} with prefix length {prefix}, by another hand: it would stay there while this \
         director is Backup; take it out of the network's configuration and off the interface \
         (ip address delete {address}/{prefix} dev {interface}): the director adds it itself"
    )]
    Foreign {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
        /// Its prefix length.
        prefix: u8,
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
    /// The kernel did not take another lifetime.
    #[error("cannot keep {address} on {interface:?}: {error}{}", hint(.error))]
    Renew {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// The interface is not up, or not down.
    #[error("cannot set interface {interface:?} {up}: {error}{}", hint(.error))]
    Raise {
        /// The interface.
        interface: String,
        /// `up` or `down`.
        up: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
    /// There is no interface for the virtual MAC address.
    #[error("cannot add interface {interface:?} for the virtual MAC address: {error}{}", link_hint(.error))]
    AddLink {
        /// The interface.
        interface: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// There is nothing for it to be on top of.
    #[error("cannot add interface {interface:?} for the virtual MAC address: there is no interface {base:?}")]
    NoBase {
        /// The interface.
        interface: String,
        /// What it is to be on top of.
        base: String,
    },
    /// Somebody else's has its name.
    #[error(
        "cannot add interface {interface:?} for the virtual MAC address: there is one of that name that no director \
         made; rename or remove it"
    )]
    Taken {
        /// The interface.
        interface: String,
    },
    /// The interface for the virtual MAC address stays.
    #[error("cannot remove interface {interface:?}: {error}{}", hint(.error))]
    RemoveLink {
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

/// The addresses of the network namespace it was opened in. Clones share a socket.
#[derive(Debug, Clone)]
pub struct Addresses {
    handle: Handle,
}

impl Addresses {
    /// Opens its socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// The kernel gives no socket, or no thread.
    pub fn open() -> Result<Self, AddressError> {
        Self::served(|| ())
    }

    /// As [`Self::open`]. A thread serves the socket, which ends with the last clone: the kernel carries a request out
    /// while it is being sent, and has the sender wait while others change links or addresses. The thread does
    /// `first` before all else.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn served(first: impl FnOnce() + Send + 'static) -> Result<Self, AddressError> {
        let (opened, outcome) = sync_channel(1);
        let serve = move || {
            first();
            let connection = Builder::new_current_thread().enable_io().build().and_then(|runtime| {
                let _context = runtime.enter();
                let (connection, handle, _) = rtnetlink::new_connection()?;
                Ok((runtime, connection, handle))
            });
            match connection {
                Ok((runtime, connection, handle)) => {
                    if opened.send(Ok(handle)).is_ok() {
                        runtime.block_on(connection);
                    }
                }
                // Whoever asked waits for it.
                Err(error) => drop(opened.send(Err(error))),
            }
        };
        threads::Builder::new().name("addresses".to_owned()).spawn(serve).map_err(AddressError::Open)?;
        let handle = outcome.recv().map_err(|_| AddressError::Open(ErrorKind::BrokenPipe.into()))?;
        Ok(Self { handle: handle.map_err(AddressError::Open)? })
    }

    /// All links and addresses.
    ///
    /// # Errors
    /// The kernel can't be asked.
    pub async fn picture(&self) -> Result<Picture, AddressError> {
        let failed = |error| AddressError::List(words(error));
        let mut picture = Picture::default();
        let mut links = self.handle.link().get().execute();
        while let Some(link) = links.try_next().await.map_err(failed)? {
            picture.take(Change::link(&link));
        }
        let mut addresses = self.handle.address().get().execute();
        while let Some(address) = addresses.try_next().await.map_err(failed)? {
            picture.take(Change::address(&address));
        }
        Ok(picture)
    }

    /// Adds an address to an interface; as a host address, so that routes stay as they are. It goes by itself after
    /// the `lease`, in whole seconds and at least one, unless [`Self::renew`] is called; without a lease it stays.
    /// False: it was there already, and is left as it is.
    ///
    /// # Errors
    /// The kernel refused.
    pub async fn add(
        &self,
        address: IpAddr,
        interface: &Interface<'_>,
        lease: Option<Duration>,
    ) -> Result<bool, AddressError> {
        match self.place(address, interface.index, lease, false).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(AddressError::Add { address, interface: interface.name.to_owned(), error }),
        }
    }

    /// Gives a host address a new lifetime, from now on. Nobody notices: it is there all the time.
    ///
    /// # Errors
    /// The kernel refused.
    pub async fn renew(
        &self,
        address: IpAddr,
        interface: &Interface<'_>,
        lease: Option<Duration>,
    ) -> Result<(), AddressError> {
        self.place(address, interface.index, lease, true).await.map_err(|error| AddressError::Renew {
            address,
            interface: interface.name.to_owned(),
            error,
        })
    }

    /// Removes an address as [`Self::add`] adds it; the same address with another prefix length is not ours and
    /// stays. An address or interface that is not there is no error.
    ///
    /// # Errors
    /// The kernel refused.
    pub async fn remove(&self, address: IpAddr, interface: &Interface<'_>) -> Result<(), AddressError> {
        let mut message = AddressMessage::default();
        message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.prefix_len = host_prefix(address);
        message.header.index = interface.index;
        message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
        match self.handle.address().del(message).execute().await.map_err(words) {
            Ok(()) => Ok(()),
            Err(error) if gone(&error) => Ok(()),
            Err(error) => Err(AddressError::Remove { address, interface: interface.name.to_owned(), error }),
        }
    }

    /// Makes an interface administratively up, or down.
    ///
    /// # Errors
    /// The kernel refused.
    pub async fn raise(&self, interface: &Interface<'_>, up: bool) -> Result<(), AddressError> {
        let link = LinkUnspec::new_with_index(interface.index);
        let link = if up { link.up() } else { link.down() };
        let done = self.handle.link().set(link.build()).execute().await.map_err(words);
        let interface = interface.name.to_owned();
        done.map_err(|error| AddressError::Raise { interface, up: if up { "up" } else { "down" }, error })
    }

    /// Makes a macvlan with a MAC address of its own on top of another link. It is down, and hears nothing of others
    /// on top of that link.
    ///
    /// # Errors
    /// The kernel refused.
    pub async fn add_macvlan(&self, name: &str, base: u32, mac: Mac) -> Result<(), AddressError> {
        let link = LinkMacVlan::new(name, base, MacVlanMode::Private).address(mac.to_vec()).build();
        let done = self.handle.link().add(link).execute().await.map_err(words);
        done.map_err(|error| AddressError::AddLink { interface: name.to_owned(), error })
    }

    /// Removes a link; one that is not there is no error.
    ///
    /// # Errors
    /// The kernel refused.
    pub async fn remove_link(&self, interface: &Interface<'_>) -> Result<(), AddressError> {
        match self.handle.link().del(interface.index).execute().await.map_err(words) {
            Ok(()) => Ok(()),
            Err(error) if gone(&error) => Ok(()),
            Err(error) => Err(AddressError::RemoveLink { interface: interface.name.to_owned(), error }),
        }
    }

    async fn place(
        &self,
        address: IpAddr,
        index: u32,
        lease: Option<Duration>,
        replace: bool,
    ) -> io::Result<()> {
        let mut request = self.handle.address().add(index, address, host_prefix(address));
        let message = request.message_mut();
        let mut lifetimes = CacheInfo::default();
        lifetimes.ifa_valid = lease.map_or(u32::MAX, seconds);
        lifetimes.ifa_preferred = lifetimes.ifa_valid;
        if address.is_ipv6() {
            // Whoever takes an address over announces it; waiting for objections would keep it from working.
            message.header.flags |= AddressHeaderFlags::Nodad;
            // Deprecated: the director's own connections leave from its own address, as do masqueraded ones.
            lifetimes.ifa_preferred = 0;
        }
        message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
        let request = if replace { request.replace() } else { request };
        request.execute().await.map_err(words)
    }
}

/// An interface as the kernel and people know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface<'a> {
    /// Its name, for errors.
    pub name: &'a str,
    /// Its number.
    pub index: u32,
}

/// The greatest number means for ever.
fn seconds(lease: Duration) -> u32 {
    u32::try_from(lease.as_secs()).unwrap_or(u32::MAX - 1).clamp(1, u32::MAX - 1)
}

/// Neither the address nor its interface is there.
fn gone(error: &io::Error) -> bool {
    let known = error.raw_os_error().map(Errno::from_raw);
    matches!(known, Some(Errno::EADDRNOTAVAIL | Errno::ENODEV))
}

pub(crate) const fn host_prefix(address: IpAddr) -> u8 {
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

fn link_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EOPNOTSUPP) => " (has this kernel the module macvlan?)",
        Some(Errno::EADDRINUSE) => {
            " (another interface has this MAC address there: is another virtual router's vrid the same?)"
        }
        Some(Errno::EBUSY) => " (the interface below is part of a bridge or bond: name that in the file)",
        _ => hint(error),
    }
}
