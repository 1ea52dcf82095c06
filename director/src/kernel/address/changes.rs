//! What the kernel says about links and addresses without being asked.

use super::AddressError;
use super::picture::Change;
use futures_util::StreamExt;
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Changes in the network namespace it was opened in.
///
/// It has a socket of its own: a flood of notifications fills the receive buffer, and an answer that finds no room is
/// lost for good.
#[derive(Debug)]
pub struct Changes {
    changes: mpsc::UnboundedReceiver<Change>,
    /// Serve the socket; end with this value.
    _tasks: JoinSet<()>,
}

impl Changes {
    /// Opens its socket, and listens from now on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The kernel gives no socket.
    pub fn open() -> Result<Self, AddressError> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (connection, _, mut messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(AddressError::Open)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        let (tell, changes) = mpsc::unbounded_channel();
        tasks.spawn(async move {
            while let Some((message, _)) = messages.next().await {
                if let Some(change) = change(message)
                    && tell.send(change).is_err()
                {
                    break;
                }
            }
        });
        Ok(Self { changes, _tasks: tasks })
    }

    /// What has changed since the last call, by whomever: at least one change, the oldest first. Cancel safe.
    pub async fn next(&mut self) -> Vec<Change> {
        let Some(first) = self.changes.recv().await else {
            // The socket is no good any more, nor what is known by it.
            match Self::open() {
                Ok(fresh) => *self = fresh,
                Err(_) => tokio::time::sleep(REOPEN).await,
            }
            return vec![Change::Lost];
        };
        let mut changes = vec![first];
        while let Ok(next) = self.changes.try_recv() {
            changes.push(next);
        }
        changes
    }
}

/// Anything that isn't understood may have been anything.
fn change(message: NetlinkMessage<RouteNetlinkMessage>) -> Option<Change> {
    let NetlinkPayload::InnerMessage(message) = message.payload else { return Some(Change::Lost) };
    if let RouteNetlinkMessage::NewAddress(address) = message {
        Change::address(&address)
    } else if let RouteNetlinkMessage::DelAddress(address) = message {
        Change::address_gone(&address)
    } else if let RouteNetlinkMessage::NewLink(link) = message {
        Change::link(&link)
    } else if let RouteNetlinkMessage::DelLink(link) = message {
        Change::link_gone(&link)
    } else {
        Some(Change::Lost)
    }
}

/// Time until the next attempt to open a socket.
const REOPEN: Duration = Duration::from_secs(1);
