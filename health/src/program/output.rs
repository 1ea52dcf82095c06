//! What a program says.

use crate::excerpt::line;
use crate::probe::trace::Trace;
use std::convert::Infallible;
use std::fs::File;
use std::future::pending;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use tokio::net::unix::pipe::Receiver;

/// Bytes that are kept of each stream; the rest is read, so that the program is not held up, and dropped.
const KEPT: usize = 4096;
/// So many characters of a line are shown.
pub(super) const SHOWN: usize = 200;

/// What a program has said so far, on both its streams.
#[derive(Debug, Default)]
pub struct Output {
    stdout: Capture,
    stderr: Capture,
}

#[derive(Debug, Default)]
struct Capture {
    pipe: Option<Receiver>,
    kept: Vec<u8>,
    dropped: usize,
}

impl Output {
    /// Begins to listen.
    pub(super) fn listen(stdout: OwnedFd, stderr: OwnedFd) -> io::Result<Self> {
        Ok(Self { stdout: Capture::of(stdout)?, stderr: Capture::of(stderr)? })
    }

    /// Takes in what is said, for as long as somebody polls.
    pub(super) async fn collect(&mut self) -> Infallible {
        tokio::join!(self.stdout.collect(), self.stderr.collect());
        pending().await
    }

    /// Takes in what was said and not read yet, and waits for nothing: whoever holds the other end may never let go.
    pub(super) fn collect_rest(&mut self) {
        self.stdout.collect_rest();
        self.stderr.collect_rest();
    }

    /// The first line of standard output, or else of standard error; `None` if there is none.
    #[must_use]
    pub fn said(&self) -> Option<String> {
        first_line(&self.stdout.kept).or_else(|| first_line(&self.stderr.kept))
    }

    /// The first lines that say something, those of standard error last; each cut where it is too long.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        lines(&self.stdout.kept).chain(lines(&self.stderr.kept))
    }

    /// For people who asked for the dialogue.
    pub(crate) fn record(&self, trace: &Trace) {
        for (capture, name) in [(&self.stdout, "output"), (&self.stderr, "error")] {
            if !capture.kept.is_empty() {
                trace.note(|| format!("standard {name}:"));
                trace.received(&capture.kept);
            }
            if capture.dropped > 0 {
                trace.note(|| format!("{} further bytes are left out", capture.dropped));
            }
        }
    }
}

impl Capture {
    fn of(pipe: OwnedFd) -> io::Result<Self> {
        Ok(Self { pipe: Some(Receiver::from_owned_fd(pipe)?), ..Self::default() })
    }

    async fn collect(&mut self) {
        let mut buffer = [0; 16 * 1024];
        while let Some(pipe) = &self.pipe {
            let read = match pipe.readable().await {
                Ok(()) => pipe.try_read(&mut buffer),
                Err(error) => Err(error),
            };
            match read {
                Ok(count @ 1..) => self.keep(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => self.pipe = None,
            }
        }
    }

    fn collect_rest(&mut self) {
        // Past the runtime, which may not have been told yet that there is something to read.
        let Some(Ok(pipe)) = self.pipe.take().map(Receiver::into_nonblocking_fd) else { return };
        let mut buffer = [0; KEPT];
        let mut pipe = File::from(pipe);
        while self.kept.len() < KEPT {
            match pipe.read(&mut buffer) {
                Ok(count @ 1..) => self.keep(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
            }
        }
    }

    fn keep(&mut self, fresh: &[u8]) {
        let kept = fresh.get(..KEPT - self.kept.len()).unwrap_or(fresh);
        self.kept.extend_from_slice(kept);
        self.dropped = self.dropped.saturating_add(fresh.len() - kept.len());
    }
}

/// The first line that says something.
fn first_line(bytes: &[u8]) -> Option<String> {
    lines(bytes).next()
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = String> {
    bytes.split(|byte| *byte == b'\n').map(|bytes| line(bytes, SHOWN)).filter(|line| !line.is_empty())
}
