//! What machines say of themselves on the wire: who claims an address, and who claims to be Active.

mod decode;

pub use decode::{Advert, Said};

use crate::error::Doing;
use crate::farm::{SWITCH, cable_end};
use crate::{Host, Result};
use nix::net::if_::if_nameindex;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;
use socket2::{SockFilter, Socket};
use std::collections::HashMap;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Room for frames that nobody has looked at yet, in bytes. An ordinary user gets what the kernel allows.
const ROOM: usize = 16 << 20;

/// Longest frame that is looked at.
const LONGEST: usize = 2048;

/// Hears ARP, neighbour discovery, adverts and hellos on all cables of the lab, from the moment it is started.
#[derive(Debug)]
pub struct Capture {
    socket: Socket,
    /// The machine and interface at the other end of each port of the switch, by the port's index.
    ends: HashMap<usize, (String, String)>,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    frames: Vec<Frame>,
    /// Frames that the kernel had no room for.
    lost: u32,
}

/// A frame as it entered the switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When.
    pub at: SystemTime,
    /// The machine that sent it.
    pub host: String,
    /// Its interface.
    pub interface: String,
    /// The Ethernet address that it was sent from.
    pub mac: [u8; 6],
    /// What it says.
    pub said: Said,
}

impl Capture {
    /// Listens from now on.
    ///
    /// # Errors
    /// The rights are missing.
    pub fn start() -> Result<Self> {
        let opened = Host::new(SWITCH).enter(|| Ok::<_, io::Error>((open()?, ends()?)))?;
        let (socket, ends) = opened.doing("opening a packet socket")?;
        Ok(Self { socket, ends, heard: Mutex::default() })
    }

    /// All that has entered the switch so far, in its order.
    ///
    /// # Errors
    /// Frames were lost, or the socket fails.
    pub fn frames(&self) -> Result<Vec<Frame>> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.take(&self.socket, &self.ends).doing("reading a packet socket")?;
        if heard.lost > 0 {
            return Err(io::Error::other(format!("{} frames were lost", heard.lost))).doing("capturing");
        }
        Ok(heard.frames.clone())
    }

    /// All that this machine has sent so far.
    ///
    /// # Errors
    /// As for [`Self::frames`].
    pub fn sent_by(&self, host: &str) -> Result<Vec<Frame>> {
        Ok(self.frames()?.into_iter().filter(|frame| frame.host == host).collect())
    }
}

impl Frame {
    /// The advert, if it is one.
    #[must_use]
    pub fn advert(&self) -> Option<&Advert> {
        match &self.said {
            Said::Advert(advert) => Some(advert),
            Said::Claim(_) | Said::Answer(_) | Said::Hello(_) => None,
        }
    }

    /// True if it claims that address, asked or not.
    #[must_use]
    pub fn claims(&self, address: IpAddr) -> bool {
        matches!(self.said, Said::Claim(claimed) | Said::Answer(claimed) if claimed == address)
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        write!(f, "{:.6} {}.{}: ", at.as_secs_f64() % 1000.0, self.host, self.interface)?;
        match &self.said {
            Said::Claim(address) => write!(f, "claims {address}"),
            Said::Answer(address) => write!(f, "answers for {address}"),
            Said::Hello(to) => write!(f, "hello to {to}"),
            Said::Advert(it) => write!(
                f,
                "advert v{} {} -> {} vrid {} priority {} every {:?}, {} addresses{}",
                it.version,
                it.from,
                it.to,
                it.vrid,
                it.priority,
                it.interval,
                it.addresses.len(),
                if it.trailer { ", signed" } else { "" }
            ),
        }
    }
}

/// Frames as lines, for people.
#[must_use]
pub fn listed(frames: &[Frame]) -> String {
    frames.iter().map(|frame| format!("{frame}\n")).collect()
}

impl Heard {
    fn take(&mut self, socket: &Socket, ends: &HashMap<usize, (String, String)>) -> io::Result<()> {
        let mut buffer = [0; LONGEST];
        let mut control = nix::cmsg_space!(TimeSpec, u32);
        loop {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let received =
                match recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
                    Err(nix::Error::EAGAIN) => return Ok(()),
                    received => received?,
                };
            let mut at = SystemTime::now();
            for message in received.cmsgs()? {
                #[expect(clippy::wildcard_enum_match_arm, reason = "the enumeration is not exhaustive")]
                match message {
                    ControlMessageOwned::ScmTimestampns(stamp) => {
                        at = SystemTime::UNIX_EPOCH + Duration::from(stamp);
                    }
                    ControlMessageOwned::RxqOvfl(lost) => self.lost = lost,
                    _ => {}
                }
            }
            let (length, port) = (received.bytes, received.address);
            // What leaves the switch has entered it before.
            let entered = port.filter(|port| port.pkttype() != nix::libc::PACKET_OUTGOING);
            if let Some((host, interface)) = entered.and_then(|port| ends.get(&port.ifindex())).cloned()
                && let Some((mac, said)) = buffer.get(..length).and_then(decode::frame)
            {
                self.frames.push(Frame { at, host, interface, mac, said });
            }
        }
    }
}

/// Who is at the other ends of the cables of the switch, on which we are.
fn ends() -> io::Result<HashMap<usize, (String, String)>> {
    let ports = if_nameindex()?;
    let ends = ports.iter().filter_map(|port| {
        let end = cable_end(port.name().to_str().ok()?)?;
        Some((usize::try_from(port.index()).ok()?, end))
    });
    Ok(ends.collect())
}

/// A socket that gets frames of all interfaces of this host.
fn open() -> io::Result<Socket> {
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(&socket, sockopt::RxqOvfl, &1)?;
    setsockopt(&socket, sockopt::RcvBufForce, &ROOM)
        .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &ROOM))?;
    let socket = Socket::from(socket);
    socket.attach_filter(&filter())?;
    Ok(socket)
}

/// Keeps what carries the farm's work away from us.
fn filter() -> Vec<SockFilter> {
    use nix::libc::{BPF_ABS, BPF_B, BPF_H, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET};
    let code = |parts: [u32; 3]| u16::try_from(parts.iter().sum::<u32>()).unwrap_or(0);
    let byte = |at| SockFilter::new(code([BPF_LD, BPF_B, BPF_ABS]), 0, 0, at);
    let half = |at| SockFilter::new(code([BPF_LD, BPF_H, BPF_ABS]), 0, 0, at);
    let equal =
        |value, then, otherwise| SockFilter::new(code([BPF_JMP, BPF_JEQ, BPF_K]), then, otherwise, value);
    let keep = |length| SockFilter::new(code([BPF_RET, BPF_K, 0]), 0, 0, length);
    vec![
        half(12),
        equal(0x0806, 11, 0), // ARP: keep
        equal(0x86dd, 6, 0),  // IPv6
        equal(0x0800, 0, 10), // IPv4, or drop
        byte(14 + 9),
        equal(112, 7, 0), // VRRP: keep
        equal(17, 0, 7),  // UDP, or drop
        half(14 + 20 + 2),
        equal(decode::HELLO_PORT.into(), 4, 5),
        byte(14 + 6), // of IPv6
        equal(112, 2, 0),
        equal(58, 1, 0), // ICMPv6: keep
        equal(17, 0, 1),
        keep(u32::MAX),
        keep(0),
    ]
}
