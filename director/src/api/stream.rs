//! Answers that are sent piece by piece: listings of the kernel's tables, however long they are.

use super::context::Api;
use super::turns::LOOKS;
use super::{Kind, Problem};
use axum::body::{Body, Bytes};
use futures_util::stream;
use serde::Serialize;
use std::io;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, mpsc};

/// Pieces that wait for the reader.
pub(super) const WAITING: usize = 2;
/// A piece is sent when it has so many bytes.
const PIECE: usize = 32 * 1024;
/// Time that a reader may take for a piece.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A part of the array's text.
pub(super) struct Piece {
    pub(super) text: Vec<u8>,
    pub(super) last: bool,
}

/// The text of a JSON array with one object a line, made piece by piece.
#[derive(Debug, Default)]
pub(super) struct ArrayText {
    text: Vec<u8>,
    begun: bool,
}

impl ArrayText {
    pub(super) fn push(&mut self, object: &impl Serialize) {
        self.text.extend_from_slice(if self.begun { b",\n" } else { b"[\n" });
        self.begun = true;
        // Neither the text nor its numbers can fail to be written.
        let _ = serde_json::to_writer(&mut self.text, object);
    }

    /// True if there is enough for a piece.
    pub(super) fn is_full(&self) -> bool {
        self.text.len() >= PIECE
    }

    /// What has been made since the last piece, and the array's end with the `last` one.
    pub(super) fn piece(&mut self, last: bool) -> Piece {
        if last {
            self.text.extend_from_slice(if self.begun { b"\n]\n" } else { b"[]\n" });
        }
        Piece { text: std::mem::take(&mut self.text), last }
    }
}

/// Leave to look into a table of the kernel.
pub(super) fn permit(api: &Api) -> Result<OwnedSemaphorePermit, Problem> {
    api.looks.clone().try_acquire_owned().map_err(|error| match error {
        TryAcquireError::NoPermits => {
            Problem::new(Kind::Busy, format!("{LOOKS} others look into the kernel's tables"))
                .hint("try again when one of them is done")
        }
        TryAcquireError::Closed => Problem::new(Kind::Stopping, "the director is stopping"),
    })
}

/// The body of what comes out of the channel, after what has come already: complete with the last piece only.
pub(super) fn body(first: Option<Piece>, receiver: mpsc::Receiver<Piece>) -> Body {
    Body::from_stream(stream::unfold(Some((first, receiver)), async |state| {
        let (first, mut receiver) = state?;
        let piece = match first {
            Some(first) => Some(first),
            None => receiver.recv().await,
        };
        match piece {
            Some(Piece { text, last }) => Some((Ok(Bytes::from(text)), (!last).then_some((None, receiver)))),
            None => Some((Err(io::Error::other("the listing broke off")), None)),
        }
    }))
}
