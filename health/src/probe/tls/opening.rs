//! The raw stream under TLS.

use crate::probe::trace::Trace;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So much of what the server says first is kept, in bytes.
const KEPT: usize = 64;

/// A raw stream that counts what arrives until TLS is up, and keeps how it began: some servers answer a TLS hello
/// with plain text.
#[derive(Debug)]
pub(crate) struct Opening<'a, S> {
    stream: S,
    trace: &'a Trace,
    first: Vec<u8>,
    /// TLS is up: from now on the bytes inside it count.
    up: bool,
}

impl<'a, S> Opening<'a, S> {
    pub(super) fn new(stream: S, trace: &'a Trace) -> Self {
        Self { stream, trace, first: Vec::new(), up: false }
    }

    /// What the server said first.
    pub(super) fn first(&self) -> &[u8] {
        &self.first
    }

    pub(super) fn is_up(&mut self) {
        self.up = true;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if !self.up {
            let fresh = buffer.filled().get(before..).unwrap_or_default();
            self.trace.arrived(fresh.len());
            let room = KEPT.saturating_sub(self.first.len());
            self.first.extend(fresh.iter().take(room));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
