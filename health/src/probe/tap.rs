//! A stream whose bytes are counted, and recorded if they mean something to people.

use super::trace::Trace;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So much of what the server says first is kept, in bytes.
const KEPT: usize = 512;

/// A stream that tells a trace what passes, and keeps how the server began.
#[derive(Debug)]
pub(crate) struct Tap<'a, S> {
    stream: S,
    trace: &'a Trace,
    task: Task,
    first: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Record,
    Count,
    Rest,
}

impl<'a, S> Tap<'a, S> {
    /// Counts and records.
    pub(crate) fn new(stream: S, trace: &'a Trace) -> Self {
        Self { stream, trace, task: Task::Record, first: Vec::new() }
    }

    /// Only counts, for bytes that are encrypted.
    pub(crate) fn counting(stream: S, trace: &'a Trace) -> Self {
        Self { stream, trace, task: Task::Count, first: Vec::new() }
    }

    /// From now on all passes unseen: a tap within TLS has taken over.
    pub(crate) fn rest(&mut self) {
        self.task = Task::Rest;
    }

    /// What the server said first, up to 512 bytes.
    pub(crate) fn first(&self) -> &[u8] {
        &self.first
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
        match self.task {
            Task::Record if fresh.is_empty() => {}
            Task::Record => self.trace.received(fresh),
            Task::Count => self.trace.arrived(fresh.len()),
            Task::Rest => return Poll::Ready(Ok(())),
        }
        let room = KEPT.saturating_sub(self.first.len());
        self.first.extend(fresh.iter().take(room));
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
        if self.task == Task::Record {
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
