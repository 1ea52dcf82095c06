//! Many datagrams by one call.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Datagrams in one call.
const COUNT: usize = 128;
/// Longest datagram: a connection with all that the kernel tells of one is below half of it.
const LENGTH: usize = 1024;

/// Room for what one call reads.
pub(super) struct Datagrams {
    bytes: Vec<u8>,
    /// Of each datagram that the last call read; 0 if it was too long.
    lengths: Vec<usize>,
}

impl Datagrams {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; COUNT * LENGTH], lengths: Vec::with_capacity(COUNT) }
    }

    /// Reads what has come, up to the room; `WouldBlock` if nothing has.
    #[expect(unsafe_code, reason = "no crate at hand reads many datagrams without allocating")]
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.lengths.clear();
        // SAFETY: all zeros are valid for these structures of numbers and pointers, which may be null.
        let (mut places, mut headers): ([libc::iovec; COUNT], [libc::mmsghdr; COUNT]) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        for ((room, place), header) in self.bytes.chunks_exact_mut(LENGTH).zip(&mut places).zip(&mut headers)
        {
            *place = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
            header.msg_hdr.msg_iov = place;
            header.msg_hdr.msg_iovlen = 1;
        }
        let count = loop {
            let wanted = libc::c_uint::try_from(headers.len()).unwrap_or_default();
            // SAFETY: each header names one place, each place a piece of `bytes` of its own that is as long as it
            // says, and all of them outlive the call.
            let result = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    headers.as_mut_ptr(),
                    wanted,
                    libc::MSG_DONTWAIT,
                    std::ptr::null_mut(),
                )
            };
            match usize::try_from(result) {
                Ok(count) => break count,
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error => return Err(error),
                },
            }
        };
        self.lengths.extend(headers.iter().take(count).map(|header| {
            if header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0 { header.msg_len as usize } else { 0 }
        }));
        Ok(())
    }

    /// What the last call read, in order; empty in place of those that were too long.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let rooms = self.bytes.chunks_exact(LENGTH).zip(&self.lengths);
        rooms.map(|(room, length)| room.get(..*length).unwrap_or_default())
    }
}
