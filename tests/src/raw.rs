//! Single packets, as no proper program sends or sees them.

use crate::error::Doing;
use crate::{Host, Result};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, socket};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// How long it waits for a packet.
const PATIENCE: Duration = Duration::from_secs(5);

/// Protocol number of TCP.
const TCP: u8 = 6;

/// A raw socket on an address of a host: it sees what comes there, beside the host's own sockets.
#[derive(Debug)]
pub struct Raw {
    /// The standard library has no raw sockets; what it does with those of UDP is right for them too.
    socket: UdpSocket,
    address: IpAddr,
}

/// TCP's flags, and what goes with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The port it comes from.
    pub from: u16,
    /// The port it goes to.
    pub to: u16,
    /// The bits of [`flags`].
    pub flags: u8,
}

/// TCP's flags.
pub mod flags {
    #![expect(missing_docs, reason = "they are named in every book")]
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 2;
    pub const RST: u8 = 4;
    pub const ACK: u8 = 16;
}

/// An ICMP error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Who tells.
    pub from: IpAddr,
    /// Type of the message, as the family of its addresses has it.
    pub kind: u8,
    /// Where the packet went that it is about.
    pub about: IpAddr,
}

impl Raw {
    /// All of TCP.
    ///
    /// # Errors
    /// There is no such address, or the rights are missing.
    pub fn tcp(host: &Host, address: IpAddr) -> Result<Self> {
        Self::open(host, address, SockProtocol::Tcp)
    }

    /// All of ICMP.
    ///
    /// # Errors
    /// There is no such address, or the rights are missing.
    pub fn icmp(host: &Host, address: IpAddr) -> Result<Self> {
        let protocol = if address.is_ipv4() { SockProtocol::Icmp } else { SockProtocol::IcmpV6 };
        Self::open(host, address, protocol)
    }

    fn open(host: &Host, address: IpAddr, protocol: SockProtocol) -> Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let doing = || format!("opening a raw socket on {address}");
        let socket = host.enter(|| {
            let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
            bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(address, 0)))?;
            Ok(socket)
        })?;
        let socket =
            UdpSocket::from(socket.map_err(|error: nix::Error| io::Error::from(error)).doing(doing())?);
        socket.set_read_timeout(Some(PATIENCE)).doing(doing())?;
        Ok(Self { socket, address })
    }

    /// Sends a segment to that address, with made-up sequence numbers.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn send(&self, to: IpAddr, segment: Segment) -> Result<()> {
        let mut bytes = [0; 20];
        bytes[0..2].copy_from_slice(&segment.from.to_be_bytes());
        bytes[2..4].copy_from_slice(&segment.to.to_be_bytes());
        bytes[4..8].copy_from_slice(&0x1234_5678_u32.to_be_bytes());
        bytes[8..12].copy_from_slice(&0x2345_6789_u32.to_be_bytes());
        // Five words of header, and a window.
        bytes[12] = 5 << 4;
        bytes[13] = segment.flags;
        bytes[14..16].copy_from_slice(&1024_u16.to_be_bytes());
        let sum = checksum(self.address, to, &bytes);
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        let sent = self.socket.send_to(&bytes, SocketAddr::new(to, 0));
        sent.map(drop).doing(format!("sending a segment to {to}"))
    }

    /// The next segment, and whom it is from.
    ///
    /// # Errors
    /// None comes within five seconds.
    pub fn segment(&self) -> Result<(IpAddr, Segment)> {
        self.next(|from, _, bytes| Some((from, read_segment(bytes)?)))
    }

    /// The next segment from that address.
    ///
    /// # Errors
    /// None comes within five seconds.
    pub fn segment_from(&self, address: IpAddr) -> Result<Segment> {
        self.next(|from, _, bytes| read_segment(bytes).filter(|_| from == address))
    }

    /// The next segment over IPv4, and which of the host's addresses it is to: for a socket on all of them (0.0.0.0).
    ///
    /// # Errors
    /// None comes within five seconds.
    pub fn segment_to(&self) -> Result<(Ipv4Addr, Segment)> {
        self.next(|_, header, bytes| {
            let to = <[u8; 4]>::try_from(header.get(16..20)?).ok()?;
            Some((to.into(), read_segment(bytes)?))
        })
    }

    /// The next ICMP error.
    ///
    /// # Errors
    /// None comes within five seconds.
    pub fn error(&self) -> Result<Message> {
        self.next(|from, _, bytes| {
            let kind = *bytes.first()?;
            let about = match self.address {
                IpAddr::V4(_) if matches!(kind, 3 | 11 | 12) => {
                    Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(24..28)?).ok()?).into()
                }
                IpAddr::V6(_) if kind < 128 => {
                    Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(32..48)?).ok()?).into()
                }
                IpAddr::V4(_) | IpAddr::V6(_) => return None,
            };
            Some(Message { from, kind, about })
        })
    }

    /// The first packet that `read` takes, of which it gets the source, the IP header (none of IPv6), and all behind it.
    fn next<T>(&self, read: impl Fn(IpAddr, &[u8], &[u8]) -> Option<T>) -> Result<T> {
        let mut buffer = [0; 2048];
        loop {
            let received = self.socket.recv_from(&mut buffer);
            let (length, from) = received.doing(format!("waiting for a packet on {}", self.address))?;
            // IPv4's header comes with it, IPv6's does not.
            let header = if from.is_ipv4() { usize::from(buffer[0] & 0xf) * 4 } else { 0 };
            let parts = buffer.get(..length).and_then(|packet| packet.split_at_checked(header));
            if let Some(found) = parts.and_then(|(header, bytes)| read(from.ip(), header, bytes)) {
                return Ok(found);
            }
        }
    }
}

fn read_segment(bytes: &[u8]) -> Option<Segment> {
    let port = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    Some(Segment { from: port(0)?, to: port(2)?, flags: *bytes.get(13)? })
}

/// Of TCP, with the pseudo-header.
fn checksum(from: IpAddr, to: IpAddr, segment: &[u8]) -> u16 {
    let mut bytes = Vec::new();
    for address in [from, to] {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    bytes.extend([0, TCP]);
    bytes.extend(u16::try_from(segment.len()).unwrap_or(0).to_be_bytes());
    bytes.extend(segment);
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0)
}
