//! What ICMP reports of an echo request that did not arrive (ip(7), `IP_RECVERR`).

use super::echo::{Echo, Version};
use crate::Failure;
use crate::probe::datagram::{Datagrams, refusal};
use nix::cmsg_space;
use nix::libc::{sock_extended_err, sockaddr_in, sockaddr_in6};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

/// Destination unreachable, of IPv4 (RFC 792).
const UNREACHABLE: u8 = 3;

/// Its codes for what a filter forbids (RFC 1812, section 5.2.7.1).
const PROHIBITED: [u8; 3] = [9, 10, 13];

/// So many reports are looked at: as many as a socket can have in its queue, and more.
const REPORTS: usize = 1024;

/// What the kernel has reported.
#[derive(Debug)]
pub(super) enum Report {
    /// Of this request.
    Ours(Undelivered),
    /// Of others' requests to the same host, which raw sockets also hear of.
    Others,
    /// Nothing.
    None,
}

/// Why a request did not arrive.
#[derive(Debug)]
pub(super) struct Undelivered {
    error: io::Error,
    /// Who says so, unless it is this host.
    says: Option<IpAddr>,
}

impl Undelivered {
    /// In words.
    pub(super) fn failure(&self, address: SocketAddr) -> Failure {
        let failed = refusal(address, &self.error);
        match self.says {
            Some(says) => Failure::new(failed.fault, format!("{failed} (says {says})")),
            None => failed,
        }
    }
}

/// Empties the queue of reports.
pub(super) fn report(socket: &Datagrams<'_>, echo: &Echo) -> Report {
    let mut found = Report::None;
    for _ in 0..REPORTS {
        match next(socket, echo) {
            Some(Report::Ours(failed)) => return Report::Ours(failed),
            Some(other) => found = other,
            None => break,
        }
    }
    found
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the list of control messages is open")]
fn next(socket: &Datagrams<'_>, echo: &Echo) -> Option<Report> {
    let mut quoted = [0; 64];
    let mut data = [IoSliceMut::new(&mut quoted)];
    // The one for IPv6 is the longer one.
    let mut space = cmsg_space!(sock_extended_err, sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut data, Some(&mut space), flags).ok()?;
    let (length, control) = (message.bytes, message.cmsgs().ok()?.next());
    let (error, offender) = match control? {
        ControlMessageOwned::Ipv4RecvErr(error, offender) => (error, offender.map(v4)),
        ControlMessageOwned::Ipv6RecvErr(error, offender) => (error, offender.map(v6)),
        _ => return Some(Report::Others),
    };
    if !echo.quoted_in(quoted.get(..length).unwrap_or_default()) {
        return Some(Report::Others);
    }
    let own = socket.local_address().ok().map(|own| own.ip());
    Some(Report::Ours(Undelivered {
        error: what(echo.version, &error),
        says: offender.filter(|offender| !offender.is_unspecified() && Some(*offender) != own),
    }))
}

/// The kernel takes what an IPv4 filter forbids for a host that cannot be reached; with IPv6 it knows better.
fn what(version: Version, error: &sock_extended_err) -> io::Error {
    if version == Version::V4 && error.ee_type == UNREACHABLE && PROHIBITED.contains(&error.ee_code) {
        return ErrorKind::PermissionDenied.into();
    }
    io::Error::from_raw_os_error(i32::try_from(error.ee_errno).unwrap_or_default())
}

fn v4(address: sockaddr_in) -> IpAddr {
    Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr)).into()
}

fn v6(address: sockaddr_in6) -> IpAddr {
    Ipv6Addr::from(address.sin6_addr.s6_addr).into()
}
