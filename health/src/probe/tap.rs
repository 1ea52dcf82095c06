//! A stream whose bytes are counted, and recorded if they mean something to people.

use super::trace::Trace;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that tells a trace what passes.
#[derive(Debug)]
pub(crate) struct Tap<'a, S> {
    stream: S,
    trace: &'a Trace,
    records: bool,
}

impl<'a, S> Tap<'a, S> {
    /// Counts and records.
    pub(crate) fn new(stream: S, trace: &'a Trace) -> Self {
        Self { stream, trace, records: true }
    }

    /// Only counts, for bytes that are encrypted.
    pub(crate) fn counting(stream: S, trace: &'a Trace) -> Self {
        Self { stream, trace, records: false }
    }

    /// What it was made of.
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        if self.records && !fresh.is_empty() {
            self.trace.received(fresh);
        } else {
            self.trace.arrived(fresh.len());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        if self.records {
            self.trace.sent(bytes.get(..written).unwrap_or(bytes));
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
