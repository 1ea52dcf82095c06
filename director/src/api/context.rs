//! What the handlers share: the way to the control loop, and what they take and give.

use super::turns::{LOOKS, Trials};
use super::{Kind, Problem};
use crate::command::Handle;
use crate::command::error::CommandError;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use prometheus::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Time that the control loop may take for an answer.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What the handlers share.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) handle: Handle,
    pub(super) registry: Registry,
    /// Looks into the table of connections that may still begin.
    pub(super) looks: Arc<Semaphore>,
    pub(super) trials: Arc<Trials>,
}

/// Two names in the path, as far as they decode.
pub(super) type Names = Result<Path<(String, String)>, PathRejection>;

/// The parameters of the query, as far as they decode.
pub(super) type Asked = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// The answer of what has nothing to tell.
pub(super) type Done = Result<StatusCode, Problem>;

impl Api {
    pub(super) fn new(handle: Handle, registry: Registry) -> Self {
        Self { handle, registry, looks: Arc::new(Semaphore::new(LOOKS)), trials: Arc::default() }
    }
}

/// What the control loop or the thread says, or that it takes too long.
pub(super) async fn within_limit<T>(
    answer: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, Problem> {
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Problem::new(
            Kind::NoAnswer,
            format!(
                "the director did not answer within {ANSWER_TIMEOUT:?}; a change may still be carried out"
            ),
        )),
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(Kind::MalformedPath, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(Kind::InvalidParameter, rejection.body_text())
    }
}
