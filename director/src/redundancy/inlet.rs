//! Sockets that packets come in by, with what their IP headers said.

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use socket2::{SockAddr, Socket};
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::task::Poll;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A socket that is read.
#[derive(Debug)]
pub(super) struct Inlet(AsyncFd<Socket>);

/// What came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    /// Bytes in the buffer.
    pub(super) length: usize,
    /// Who sent it.
    pub(super) source: IpAddr,
    /// Where it was sent to; unspecified unless the socket was asked to tell (`IPV6_RECVPKTINFO`).
    pub(super) destination: Ipv6Addr,
    /// TTL or hop limit; 0 unless the socket was asked to tell (`IP_RECVTTL`, `IPV6_RECVHOPLIMIT`).
    pub(super) hops: u8,
}

impl Inlet {
    /// `socket` must not block. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// It can't be waited for.
    #[expect(
        deprecated,
        reason = "what replaces it is unsafe; a socket keeps its descriptor until it is dropped"
    )]
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        AsyncFd::with_interest(socket, Interest::READABLE).map(Self)
    }

    /// The socket.
    pub(super) fn socket(&self) -> &Socket {
        self.0.get_ref()
    }

    /// Waits until something may have come. Cancel safe.
    pub(super) async fn readable(&self) {
        // It fails only with the runtime.
        if let Ok(mut ready) = self.0.readable().await {
            ready.retain_ready();
        }
    }

    /// The next one that is there; never waits. What is longer than `buffer` is cut off.
    ///
    /// # Errors
    /// `WouldBlock` if there is none.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Arrival> {
        // The runtime may not know yet what has come: the kernel is asked first. Only when that has nothing the
        // runtime is asked to wait for more.
        match read(self.socket(), buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.0.try_io(Interest::READABLE, |socket| read(socket, buffer))
            }
            read => read,
        }
    }
}

/// Where to send to or from, by the interface of that number: addresses that are good on one link alone need it.
pub(super) fn on_link(address: IpAddr, port: u16, index: u32) -> SockAddr {
    match address {
        IpAddr::V6(scoped) if scoped.is_unicast_link_local() || scoped.is_multicast() => {
            SocketAddrV6::new(scoped, port, 0, index).into()
        }
        IpAddr::V4(_) | IpAddr::V6(_) => SocketAddr::new(address, port).into(),
    }
}

/// Waits until something may have come by any of `inlets`; for ever if there are none. Cancel safe.
pub(super) async fn any_readable(inlets: impl Iterator<Item = &Inlet>) {
    let mut waits: Vec<_> = inlets.map(|inlet| Box::pin(inlet.readable())).collect();
    poll_fn(|context| {
        let ready = waits.iter_mut().any(|wait| wait.as_mut().poll(context).is_ready());
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn read(socket: &Socket, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut parts = [IoSliceMut::new(buffer)];
    let mut control = nix::cmsg_space!(nix::libc::in6_pktinfo, nix::libc::c_int);
    let flags = MsgFlags::MSG_DONTWAIT;
    let read = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let (mut destination, mut hops) = (Ipv6Addr::UNSPECIFIED, 0);
    for message in read.cmsgs()? {
        if let ControlMessageOwned::Ipv6PacketInfo(info) = message {
            destination = info.ipi6_addr.s6_addr.into();
        } else if let ControlMessageOwned::Ipv6HopLimit(limit) | ControlMessageOwned::Ipv4Ttl(limit) = message
        {
            hops = u8::try_from(limit).unwrap_or(0);
        }
    }
    let source = read.address.as_ref().and_then(address).unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    Ok(Arrival { length: read.bytes, source, destination, hops })
}

fn address(storage: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|address| address.ip().into());
    v4.or_else(|| storage.as_sockaddr_in6().map(|address| address.ip().into()))
}
