//! Persistence entries: listed as a stream, deleted, pinned.
//!
//! A listing has the form of one of connections. It is written by a thread of its own that waits whenever the reader
//! is slow: so nothing but a few pieces is held.

use super::body::Json;
use super::connections::number;
use super::context::{Api, Asked, Done, Names, within_limit};
use super::stream::{ArrayText, PATIENCE, Piece, WAITING, body, permit};
use super::{Kind, Problem};
use crate::command::EntryChange;
use crate::connections::{ParameterError, Query, client};
use crate::persistence::Row;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Body of `PUT .../pin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinBody {
    /// Name of the server.
    pub server: String,
}

pub(super) async fn list(State(api): State<Api>, asked: Asked) -> Result<Response, Problem> {
    let (query, [limit]) = Query::parse(&asked?.0, ["limit"])?;
    if query.state.is_some() {
        let hint = "there are service, server, client, limit".to_owned();
        return Err(ParameterError {
            name: "state".to_owned(),
            reason: "is unknown".to_owned(),
            hint: Some(hint),
        }
        .into());
    }
    let limit = limit.as_deref().map(number).transpose()?;
    let permit = permit(&api)?;
    let selection = within_limit(api.handle.persistence()).await?.select(&query)?;
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let runtime = Handle::current();
    let writing = spawn_blocking(move || {
        let _permit = permit;
        let left = limit.unwrap_or(usize::MAX);
        let mut writer = Writer { sender, runtime, text: ArrayText::default(), gone: false, left };
        let listed = selection.list(|row| writer.row(row));
        if let Err(error) = &listed {
            tracing::warn!(%error, "a listing of persistence entries breaks off");
        } else {
            writer.finish();
        }
        listed
    });
    // Either there is a first piece, or it is over without one.
    let Some(first) = receiver.recv().await else {
        return Err(match writing.await {
            Ok(Err(error)) => Problem::new(Kind::KernelRefused, error.to_string()),
            Ok(Ok(())) => Problem::new(Kind::Internal, "the listing broke off"),
            Err(error) => Problem::new(Kind::Internal, error.to_string()),
        });
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], body(Some(first), receiver)).into_response())
}

pub(super) async fn delete(State(api): State<Api>, names: Names) -> Done {
    change(&api, names, EntryChange::Delete).await
}

pub(super) async fn pin(State(api): State<Api>, names: Names, Json(body): Json<PinBody>) -> Done {
    change(&api, names, EntryChange::Pin { server: body.server }).await
}

pub(super) async fn unpin(State(api): State<Api>, names: Names) -> Done {
    change(&api, names, EntryChange::Unpin).await
}

async fn change(api: &Api, names: Names, change: EntryChange) -> Done {
    let Path((service, text)) = names?;
    let client = client(&text).map_err(|reason| Problem::new(Kind::InvalidClient, reason))?;
    within_limit(api.handle.change_entry(service, client, change)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Writes rows into pieces.
struct Writer {
    sender: mpsc::Sender<Piece>,
    runtime: Handle,
    text: ArrayText,
    /// Nobody reads on.
    gone: bool,
    left: usize,
}

impl Writer {
    fn row(&mut self, row: &Row<'_>) -> ControlFlow<()> {
        self.text.push(row);
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return ControlFlow::Break(());
        }
        if self.text.is_full() { self.send(false) } else { ControlFlow::Continue(()) }
    }

    fn finish(mut self) {
        if !self.gone {
            let _ = self.send(true);
        }
    }

    fn send(&mut self, last: bool) -> ControlFlow<()> {
        let sent = self.runtime.block_on(timeout(PATIENCE, self.sender.send(self.text.piece(last))));
        if sent.is_err() {
            tracing::warn!("a listing of persistence entries is given up: its reader has stopped");
        }
        self.gone = !matches!(sent, Ok(Ok(())));
        if self.gone { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
