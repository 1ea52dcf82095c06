//! A netlink socket to the netfilter subsystems.
//!
//! The kernel answers requests while they are being sent, so the socket never blocks: an answer that is not there
//! at once never comes.

use super::attribute::{FAMILY_HEADER, HEADER, Message, Messages, Writer};
use mnl::{Bus, Socket as Mnl};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Larger than what the kernel puts into one datagram of a dump (32 KiB), or into one message (64 KiB).
const RECEIVE: usize = 128 * 1024;
/// Space that the kernel wants beside the data (`netlink_sendmsg` keeps 32 bytes back).
const OVERHEAD: usize = 1024;

/// Of the length and the type before an attribute's value.
const ATTRIBUTE_HEADER: u32 = 4;

/// A dump that something changed under.
pub(super) const INTERRUPTED: i32 = libc::EINTR;

pub(super) struct Socket {
    inner: Mnl,
    sequence: u32,
    buffer: Vec<u8>,
    /// The buffer's first byte that is aligned for a header.
    aligned: usize,
}

#[expect(unsafe_code, reason = "libmnl's socket holds a pointer, which is not sent by default")]
// SAFETY: libmnl's socket is a descriptor and an address on the heap, owned by this value alone; neither belongs to
// a thread.
unsafe impl Send for Socket {}

impl Socket {
    pub(super) fn open() -> io::Result<Self> {
        let inner = Mnl::new(Bus::Netfilter)?;
        let buffer = vec![0; RECEIVE + HEADER];
        let aligned = buffer.as_ptr().align_offset(align_of::<u32>()).min(HEADER);
        let socket = Self { inner, sequence: 0, buffer, aligned };
        socket.control(libc::F_SETFD, libc::FD_CLOEXEC)?;
        socket.control(libc::F_SETFL, libc::O_NONBLOCK)?;
        // Errors without a copy of the request: thousands of them fit the receive buffer.
        socket.set(libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1)?;
        Ok(socket)
    }

    /// Subscribes to a multicast group of notifications.
    pub(super) fn join(&self, group: libc::c_int) -> io::Result<()> {
        self.set(libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, group)
    }

    /// Makes the receive buffer this large, or as large as allowed.
    pub(super) fn set_receive(&self, bytes: libc::c_int) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
            .or_else(|_| self.set(libc::SOL_SOCKET, libc::SO_RCVBUF, bytes))
    }

    /// Lets the kernel drop messages whose attribute `kind`, a number, is not `value` in the bits of `mask`, before
    /// they take room in the receive buffer. Those without the attribute are dropped.
    #[expect(unsafe_code, reason = "no crate at hand attaches filters")]
    pub(super) fn keep(&self, kind: u16, value: u32, mask: u32) -> io::Result<()> {
        let attributes = u32::try_from(HEADER + FAMILY_HEADER).unwrap_or_default();
        let find = (libc::SKF_AD_OFF + libc::SKF_AD_NLATTR).cast_unsigned();
        let step = |code: u32, yes: u8, no: u8, k: u32| libc::sock_filter {
            code: u16::try_from(code).unwrap_or_default(),
            jt: yes,
            jf: no,
            k,
        };
        let mut program = [
            step(libc::BPF_LD | libc::BPF_IMM, 0, 0, attributes),
            step(libc::BPF_LDX | libc::BPF_IMM, 0, 0, kind.into()),
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, find),
            step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 4, 0, 0),
            step(libc::BPF_MISC | libc::BPF_TAX, 0, 0, 0),
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_IND, 0, 0, ATTRIBUTE_HEADER),
            step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, mask),
            step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, value),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        ];
        let length = u16::try_from(program.len()).unwrap_or_default();
        let program = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
        // SAFETY: the descriptor is open as long as `self` lives, and the kernel copies `len` steps of `program`.
        let result = unsafe {
            let size = size_of_val(&program).try_into().unwrap_or_default();
            libc::setsockopt(
                self.inner.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const program).cast(),
                size,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The number by which the kernel tells this socket from others of the namespace.
    pub(super) fn port(&self) -> u32 {
        self.inner.portid()
    }

    /// `count` sequence numbers in a row; the first of them.
    pub(super) fn reserve(&mut self, count: u32) -> u32 {
        let first = self.sequence.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(count);
        first
    }

    /// Sends one datagram. `EMSGSIZE` if it exceeds the send buffer that we may have.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let wanted = libc::c_int::try_from(bytes.len() + OVERHEAD).unwrap_or(libc::c_int::MAX);
        if self.send_room()? < wanted {
            self.set(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, wanted)
                .or_else(|_| self.set(libc::SOL_SOCKET, libc::SO_SNDBUF, wanted))?;
        }
        loop {
            match self.inner.send(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(sent) if sent == bytes.len() => return Ok(()),
                Ok(_) => return Err(io::Error::from_raw_os_error(libc::EMSGSIZE)),
            }
        }
    }

    /// The messages of the next datagram; `WouldBlock` if there is none.
    pub(super) fn receive(&mut self) -> io::Result<Messages<'_>> {
        let place = self.buffer.get_mut(self.aligned..).unwrap_or_default();
        let length = loop {
            match self.inner.recv_raw(place) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        Ok(Messages(place.get(..length).unwrap_or_default()))
    }

    /// Sends a request and hands every message of the answer to `each`, up to the closing one.
    /// `EINTR` ([`INTERRUPTED`]) if something changed meanwhile and the answer is not of one piece.
    pub(super) fn request(&mut self, request: Writer, mut each: impl FnMut(Message<'_>)) -> io::Result<()> {
        self.visit(request, |message| {
            each(message);
            ControlFlow::Continue(())
        })
        .map(|_| ())
    }

    /// [`Self::request`] for a dump that `each` may stop early. Nothing stops the kernel but the end of the socket:
    /// after a break there can be no other dump on it, unless the rest of this one is drained.
    pub(super) fn visit(
        &mut self,
        request: Writer,
        mut each: impl FnMut(Message<'_>) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let sequence = self.reserve(1);
        self.send(&request.finish(sequence))?;
        let mut interrupted = false;
        loop {
            let messages = match self.receive() {
                // What was lost may be an older request's; our own closing message decides.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    interrupted = true;
                    continue;
                }
                other => other?,
            };
            for message in messages.filter(|message| message.sequence == sequence) {
                interrupted |= i32::from(message.flags) & libc::NLM_F_DUMP_INTR != 0;
                match i32::from(message.kind) {
                    libc::NLMSG_ERROR | libc::NLMSG_DONE => {
                        return match message.errno() {
                            0 if interrupted => Err(io::Error::from_raw_os_error(INTERRUPTED)),
                            0 => Ok(ControlFlow::Continue(())),
                            errno => Err(io::Error::from_raw_os_error(errno)),
                        };
                    }
                    _ => {
                        if each(message).is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                }
            }
        }
    }

    /// Throws away what is left of earlier answers.
    pub(super) fn drain(&mut self) {
        loop {
            match self.receive() {
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    #[expect(unsafe_code, reason = "no crate at hand sets netlink options safely")]
    fn set(&self, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
        // SAFETY: the descriptor is open as long as `self` lives, and the kernel reads `size` bytes of `value`.
        let result = unsafe {
            let size = size_of_val(&value).try_into().unwrap_or_default();
            libc::setsockopt(self.inner.as_raw_fd(), level, option, (&raw const value).cast(), size)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    #[expect(unsafe_code, reason = "the other half of `set`")]
    fn send_room(&self) -> io::Result<libc::c_int> {
        let mut value: libc::c_int = 0;
        let mut size: libc::socklen_t = size_of_val(&value).try_into().unwrap_or_default();
        // SAFETY: the descriptor is open as long as `self` lives, and the kernel writes at most `size` bytes.
        let result = unsafe {
            libc::getsockopt(
                self.inner.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_SNDBUF,
                (&raw mut value).cast(),
                &raw mut size,
            )
        };
        if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
    }

    #[expect(unsafe_code, reason = "libmnl opens its sockets blocking and inherited")]
    fn control(&self, command: libc::c_int, flags: libc::c_int) -> io::Result<()> {
        // SAFETY: the descriptor is open as long as `self` lives; the command takes one integer.
        let result = unsafe { libc::fcntl(self.inner.as_raw_fd(), command, flags) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsFd for Socket {
    #[expect(unsafe_code, reason = "libmnl's socket does not lend its descriptor")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as `self` lives, and the borrow ends before.
        unsafe { BorrowedFd::borrow_raw(self.inner.as_raw_fd()) }
    }
}
