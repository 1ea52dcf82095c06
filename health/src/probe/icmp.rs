//! A host answers an echo request.
//!
//! By a ping socket where the kernel lets this process's group have one (icmp(7), `ping_group_range`), for it needs
//! no right; else by a raw socket, whose filter keeps the replies to all other probes out.

mod echo;
mod errors;

use super::connect::{failure, prepare};
use super::datagram::{Datagrams, refusal};
use super::trace::Trace;
use crate::{Failure, Fault, Passed, Target};
use echo::{Echo, Version, after_ip_header};
use errors::{Report, report};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// Room for a reply and the longest IPv4 header.
const REPLY_LIMIT: usize = 60 + 8 + echo::PAYLOAD;

/// Sends one echo request and waits for its reply.
///
/// # Errors
/// There is none, or the director has no right to ask.
pub(crate) async fn probe(target: &Target, trace: &Trace) -> Result<Passed, Failure> {
    let address = SocketAddr::new(target.address.ip(), 0);
    let version = if address.is_ipv4() { Version::V4 } else { Version::V6 };
    let mut echo = Echo { version, id: rand::random(), sequence: rand::random(), payload: rand::random() };
    let (socket, raw) = open(address, &echo)?;
    prepare(&socket, address, target.origin)?;
    let socket = Datagrams::over(socket, address, trace)?;
    if !raw {
        // The kernel chooses the id of a ping socket, and shows it as its port.
        echo.id = socket.local_address().map_err(|error| failure(address, &error))?.port();
    }
    let means = if raw { "raw socket" } else { "ping socket" };
    trace.note(|| format!("asks for an echo by a {means}: id {}, sequence {}", echo.id, echo.sequence));
    socket.send(&echo.request()).await?;
    let mut buffer = [0; REPLY_LIMIT];
    loop {
        match socket.next(&mut buffer).await {
            Ok(length) => {
                let packet = buffer.get(..length).unwrap_or_default();
                let message = if raw && version == Version::V4 { after_ip_header(packet) } else { packet };
                trace.received(message);
                if echo.answered_by(message) {
                    return Ok(Passed::default());
                }
                trace.explains_silence("what came back is not what was sent");
            }
            Err(error) => match report(&socket, &echo) {
                Report::Ours(failed) => return Err(failed.failure(address)),
                Report::Others => {}
                Report::None => return Err(refusal(address, &error)),
            },
        }
    }
}

/// A socket for echoes, and whether it is a raw one.
fn open(address: SocketAddr, echo: &Echo) -> Result<(Socket, bool), Failure> {
    let domain = Domain::for_address(address);
    let protocol = if address.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    if let Ok(socket) = Socket::new(domain, Type::DGRAM.nonblocking(), Some(protocol)) {
        return Ok((socket, false));
    }
    let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol));
    let socket = socket.and_then(|socket| socket.attach_filter(&replies_to(echo)).map(|()| socket));
    socket.map(|socket| (socket, true)).map_err(|error| no_right(address, &error))
}

fn no_right(address: SocketAddr, error: &io::Error) -> Failure {
    if error.kind() != ErrorKind::PermissionDenied {
        return failure(address, error);
    }
    let reason = "cannot ping: the director may use neither raw sockets nor ping sockets: give it CAP_NET_RAW, or \
                  have its group in net.ipv4.ping_group_range";
    Failure::new(Fault::Local, reason)
}

/// A filter in the kernel that lets nothing but the reply through (classic BPF).
fn replies_to(echo: &Echo) -> [SockFilter; 7] {
    // Loads are from X on: past the IP header, which raw sockets of IPv4 get to see and those of IPv6 do not.
    const LOAD_IP_HEADER_LENGTH: u16 = 0xb1;
    const LOAD_X: u16 = 0x01;
    const LOAD_BYTE: u16 = 0x50;
    const LOAD_WORD: u16 = 0x40;
    const SKIP_UNLESS_EQUAL: u16 = 0x15;
    const PASS: u16 = 0x06;
    let past_ip_header = match echo.version {
        Version::V4 => LOAD_IP_HEADER_LENGTH,
        Version::V6 => LOAD_X,
    };
    [
        SockFilter::new(past_ip_header, 0, 0, 0),
        SockFilter::new(LOAD_BYTE, 0, 0, 0),
        SockFilter::new(SKIP_UNLESS_EQUAL, 0, 3, echo.version.reply().into()),
        SockFilter::new(LOAD_WORD, 0, 0, 4),
        SockFilter::new(SKIP_UNLESS_EQUAL, 0, 1, echo.tag()),
        SockFilter::new(PASS, 0, 0, u32::MAX),
        SockFilter::new(PASS, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use crate::probe::sample::{dialogue, target};
    use crate::{Fault, Kind, Origin, Target};
    use std::net::SocketAddr;

    /// Whether this process may ping depends on who runs the tests; the lab's tests see to it that it may.
    #[tokio::test]
    async fn this_host_answers_or_the_director_says_what_right_it_lacks() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let address: SocketAddr = address.parse().unwrap();
            let origin = Origin { source: Some(address.ip()), mark: 0 };
            let (result, lines) = dialogue(&Target { origin, ..target(Kind::Icmp, address) }).await;
            match result {
                Ok(_) => {
                    assert_eq!(lines.len(), 3, "{lines:?}");
                    assert!(lines[0].starts_with("* asks for an echo by a "), "{}", lines[0]);
                    assert_eq!(lines[1][lines[1].len() - 20..], lines[2][lines[2].len() - 20..]);
                }
                Err(failure) => {
                    assert_eq!(failure.fault, Fault::Local);
                    assert!(failure.reason.contains("give it CAP_NET_RAW"), "{failure}");
                }
            }
        }
    }
}
