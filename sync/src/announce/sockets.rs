//! Sends announcements out of interfaces.

use crate::{Mac, arp, ndisc};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use pnet_datalink::{Channel, ChannelType, Config, DataLinkSender, NetworkInterface, channel};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::time::Duration;

/// Why an announcement could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// No socket for that interface.
    #[error("cannot send out of {interface:?}: {error}")]
    Open {
        /// The interface.
        interface: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// The frame did not go out.
    #[error("cannot announce {address} on {interface:?}: {error}")]
    Send {
        /// The address.
        address: IpAddr,
        /// The interface.
        interface: String,
        /// What the kernel said.
        error: io::Error,
    },
}

/// An interface that announcements go out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlet<'a> {
    /// Its name, for errors.
    pub name: &'a str,
    /// Its number.
    pub index: u32,
    /// Where the address is, for the neighbours.
    pub mac: Mac,
}

/// Sends announcements, and receives nothing: it costs passing packets nothing, and sending waits for nothing.
///
/// It is one packet socket of no protocol, which no packet is handed to. It stays open, as the kernel takes some 10 ms
/// to close one; every frame names its interface anyway.
pub struct Sockets {
    socket: OwnedFd,
    senders: BTreeMap<u32, Box<dyn DataLinkSender>>,
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indices = self.senders.keys();
        f.debug_struct("Sockets").field("socket", &self.socket).field("indices", &indices).finish()
    }
}

impl Sockets {
    /// Opens it, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// The process may not open packet sockets.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
        Ok(Self { socket, senders: BTreeMap::new() })
    }

    /// Tells the neighbours behind an interface that `address` is there now, by one frame. A frame may get lost.
    ///
    /// # Errors
    /// The interface is missing, down or has no room in its queue.
    pub fn announce(&mut self, outlet: Outlet<'_>, address: IpAddr) -> Result<(), AnnounceError> {
        let open = |error| AnnounceError::Open { interface: outlet.name.to_owned(), error };
        let sender = match self.senders.remove(&outlet.index) {
            Some(sender) => sender,
            None => self.sender(outlet).map_err(open)?,
        };
        let sender = self.senders.entry(outlet.index).or_insert(sender);
        let sent = match address {
            IpAddr::V4(address) => sender.send_to(&arp::announcement(outlet.mac, address), None),
            // The director forwards between its interfaces, and the kernel says so too when it is asked.
            IpAddr::V6(address) => sender.send_to(&ndisc::announcement(outlet.mac, address, true), None),
        };
        sent.unwrap_or_else(|| Err(io::Error::other("the frame is too long")))
            .map_err(|error| AnnounceError::Send { address, interface: outlet.name.to_owned(), error })
    }

    /// Forgets interfaces that are no more.
    pub fn keep_only(&mut self, known: impl Fn(u32) -> bool) {
        self.senders.retain(|index, _| known(*index));
    }

    fn sender(&self, outlet: Outlet<'_>) -> io::Result<Box<dyn DataLinkSender>> {
        let config = Config {
            // Only a copy of the descriptor is closed at the end, and so nothing has to be waited for.
            socket_fd: Some(self.socket.try_clone()?.into_raw_fd()),
            channel_type: ChannelType::Layer3(NO_PROTOCOL),
            promiscuous: false,
            write_timeout: Some(Duration::ZERO),
            write_buffer_size: 0,
            read_buffer_size: 0,
            ..Config::default()
        };
        let interface = NetworkInterface {
            name: outlet.name.to_owned(),
            description: String::new(),
            index: outlet.index,
            mac: None,
            ips: Vec::new(),
            flags: 0,
        };
        match channel(&interface, config)? {
            Channel::Ethernet(sender, _) => Ok(sender),
            _ => Err(io::Error::other("not Ethernet")),
        }
    }
}

const NO_PROTOCOL: u16 = 0;
