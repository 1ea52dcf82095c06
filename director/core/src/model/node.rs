//! The directors themselves.

use super::Network;
use std::net::IpAddr;

/// One director of the pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, the key in the configuration: what `--node` or the host name says.
    pub name: String,
    /// Towards the clients; carries the VIPs and management addresses.
    pub public: Attachment,
    /// Towards the real servers; carries the virtual gateway.
    pub private: Attachment,
}

/// A network interface of a director and its own addresses there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Name of the interface: 1 to 15 bytes.
    pub interface: String,
    /// The director's own addresses on it, at least one. Set up by the administrator, not by the director.
    pub addresses: Vec<Network>,
}

impl Attachment {
    /// True if `address` lies in a network of this interface.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|network| network.contains(address))
    }
}
