//! Raw sockets for the adverts of one link.

use crate::redundancy::inlet::{Inlet, on_link};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU8;
use sync::vrrp::packet::{GROUP_V4, GROUP_V6, HOPS, PROTOCOL};

/// Where adverts are sent and heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The interface.
    pub(super) interface: String,
    /// The director's address there.
    pub(super) local: IpAddr,
    /// Adverts to the multicast group of this virtual router are heard; `None`: only those to `local`.
    pub(super) group: Option<NonZeroU8>,
}

/// One socket sends from the director's address, the other hears whatever comes by the interface.
#[derive(Debug)]
pub(super) struct Sockets {
    sender: Socket,
    inlet: Inlet,
    index: u32,
}

impl Sockets {
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// There is no such interface, it does not have the address (yet), or raw sockets are not allowed.
    pub(super) fn open(place: &Place) -> io::Result<Self> {
        let index = if_nametoindex(place.interface.as_str())?;
        let receiver = raw(place)?;
        match (place.local, place.group) {
            (IpAddr::V4(_), group) => {
                receiver.set_multicast_all_v4(false)?;
                if let Some(vrid) = group {
                    receiver.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))?;
                    receiver.attach_filter(&only(vrid, true))?;
                }
            }
            (IpAddr::V6(_), group) => {
                receiver.set_multicast_all_v6(false)?;
                // Unlike over IPv4, one that is not bound hears other sockets' groups all the same.
                receiver.bind(&on_link(place.local, NO_PORT, index))?;
                receiver.set_recv_hoplimit_v6(true)?;
                setsockopt(&receiver, sockopt::Ipv6RecvPacketInfo, &true)?;
                if let Some(vrid) = group {
                    receiver.join_multicast_v6(&GROUP_V6, index)?;
                    receiver.attach_filter(&only(vrid, false))?;
                }
            }
        }
        let sender = raw(place)?;
        sender.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])?;
        if place.local.is_ipv4() {
            sender.set_ttl_v4(HOPS.into())?;
            sender.set_multicast_ttl_v4(HOPS.into())?;
            sender.set_multicast_loop_v4(false)?;
            sender.set_tos_v4(INTERNETWORK_CONTROL)?;
        } else {
            sender.set_unicast_hops_v6(HOPS.into())?;
            sender.set_multicast_hops_v6(HOPS.into())?;
            sender.set_multicast_loop_v6(false)?;
            sender.set_multicast_if_v6(index)?;
            sender.set_tclass_v6(INTERNETWORK_CONTROL)?;
        }
        sender.bind(&on_link(place.local, NO_PORT, index))?;
        Ok(Self { sender, inlet: Inlet::new(receiver)?, index })
    }

    /// The number of the interface.
    pub(super) const fn index(&self) -> u32 {
        self.index
    }

    /// What comes in: over IPv4 with its IP header.
    pub(super) fn inlet(&self) -> &Inlet {
        &self.inlet
    }

    /// Sends at once, or not at all.
    ///
    /// # Errors
    /// The queue is full, the interface is down.
    pub(super) fn send(&self, message: &[u8], destination: IpAddr) -> io::Result<()> {
        self.sender.send_to(message, &on_link(destination, NO_PORT, self.index)).map(drop)
    }
}

fn raw(place: &Place) -> io::Result<Socket> {
    let domain = if place.local.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket =
        Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(Protocol::from(i32::from(PROTOCOL))))?;
    socket.bind_device(Some(place.interface.as_bytes()))?;
    Ok(socket)
}

/// Other virtual routers of the link shall not wake us. Over IPv4 the IP header comes first.
fn only(vrid: NonZeroU8, v4: bool) -> [SockFilter; 5] {
    let begin = if v4 { LOAD_HEADER_LENGTH } else { LOAD_INDEX };
    [
        SockFilter::new(begin, 0, 0, 0),
        SockFilter::new(LOAD_BYTE_BEHIND, 0, 0, 1),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, vrid.get().into()),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// Adverts are a protocol of their own, without ports.
const NO_PORT: u16 = 0;
/// TOS or traffic class 0xc0: what routers tell each other comes before other traffic.
const INTERNETWORK_CONTROL: u32 = 0xc0;
/// Classic BPF: `ldx imm`, `ldx msh`, `ldb ind`, `jeq`, `ret`.
const LOAD_INDEX: u16 = 0x01;
const LOAD_HEADER_LENGTH: u16 = 0xb1;
const LOAD_BYTE_BEHIND: u16 = 0x50;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

#[cfg(test)]
mod tests;
