//! Connections: listed as a stream, ended.
//!
//! A listing is a JSON array with one object a line. The kernel's table is read in steps, each as soon as the reader
//! has taken enough of the last; a few pieces wait in between, and nothing else is held. Who stops reading is given
//! up, so that nobody keeps others from listing.

use super::context::{Api, Asked, within_limit};
use super::stream::{ArrayText, PATIENCE, Piece, WAITING, body, permit};
use super::{Kind, Problem};
use crate::connections::{Lister, ParameterError, Query, Selection};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use director_nft::netlink::Error;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// A piece is sent when the kernel was asked so often for it, however small it is: the reader may have gone meanwhile.
const READS: usize = 64;
/// Answer of `DELETE /v1/connections`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Connections that were ended.
    pub ended: u64,
}

pub(super) async fn list(State(api): State<Api>, asked: Asked) -> Result<Response, Problem> {
    let (query, [limit]) = Query::parse(&asked?.0, ["limit"])?;
    let limit = limit.as_deref().map(number).transpose()?;
    let (selection, permit) = look(&api, &query).await?;
    let begin = move || {
        let mut listing = Listing { lister: selection.list(limit)?, text: ArrayText::default() };
        let first = listing.next()?;
        Ok((listing, first))
    };
    let (listing, first) = blocking(begin).await?;
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(feed(listing, first, sender, permit));
    Ok(([(header::CONTENT_TYPE, "application/json")], body(None, receiver)).into_response())
}

pub(super) async fn end(State(api): State<Api>, asked: Asked) -> Result<axum::Json<Ended>, Problem> {
    let (query, [all]) = Query::parse(&asked?.0, ["all"])?;
    if all.as_deref().is_some_and(|all| all != "true") {
        return Err(wrong("all", "is not \"true\"", None).into());
    }
    match (all.is_some(), query.is_empty()) {
        (true, false) => {
            return Err(wrong("all", "stands beside others: it means every connection", None).into());
        }
        (false, true) => {
            let hint = "say which connections by service, server, client or state, or all=true";
            return Err(Problem::new(Kind::InvalidParameter, "there is no parameter").hint(hint));
        }
        (true, true) | (false, false) => {}
    }
    let (selection, permit) = look(&api, &query).await?;
    let ended = blocking(move || {
        let _permit = permit;
        selection.end()
    });
    let ended = ended.await?;
    tracing::info!(?query, ended, "connections ended by an operator");
    Ok(axum::Json(Ended { ended }))
}

async fn look(api: &Api, query: &Query) -> Result<(Selection, OwnedSemaphorePermit), Problem> {
    let permit = permit(api)?;
    let view = within_limit(api.handle.connections()).await?;
    Ok((view.select(query)?, permit))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Problem> {
    match spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| Problem::new(Kind::KernelRefused, error.to_string())),
        Err(error) => Err(Problem::new(Kind::Internal, error.to_string())),
    }
}

pub(super) fn number(text: &str) -> Result<usize, ParameterError> {
    match text.parse() {
        Ok(0) | Err(_) => Err(wrong("limit", "is no number from 1", None)),
        Ok(number) => Ok(number),
    }
}

fn wrong(name: &str, reason: &str, hint: Option<String>) -> ParameterError {
    ParameterError { name: name.to_owned(), reason: reason.to_owned(), hint }
}

/// What is left to be listed.
struct Listing {
    lister: Lister,
    text: ArrayText,
}

impl Listing {
    /// The next part; it may be empty. Blocks while the kernel works.
    fn next(&mut self) -> Result<Piece, Error> {
        let mut more = true;
        for _ in 0..READS {
            more = self.lister.read(|connection| self.text.push(connection))?;
            if !more || self.text.is_full() {
                break;
            }
        }
        Ok(self.text.piece(!more))
    }
}

/// Sends piece after piece. If it returns before the last one, the reader finds the answer broken off.
async fn feed(
    mut listing: Listing,
    mut piece: Piece,
    sender: mpsc::Sender<Piece>,
    _permit: OwnedSemaphorePermit,
) {
    while !sender.is_closed() {
        let last = piece.last;
        if !piece.text.is_empty() {
            match timeout(PATIENCE, sender.send(piece)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => {
                    return tracing::warn!("a listing of connections is given up: its reader has stopped");
                }
            }
        }
        if last {
            return;
        }
        let next = blocking(move || {
            let piece = listing.next()?;
            Ok((listing, piece))
        });
        (listing, piece) = match next.await {
            Ok(next) => next,
            Err(problem) => return tracing::warn!("a listing of connections breaks off: {}", problem.detail),
        };
    }
}

impl From<ParameterError> for Problem {
    fn from(error: ParameterError) -> Self {
        let problem = Self::new(Kind::InvalidParameter, error.to_string());
        match error.hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}
