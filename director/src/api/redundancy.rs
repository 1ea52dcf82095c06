//! The virtual router: `/v1/redundancy`, `/v1/failover` and `/v1/events`.

use super::body::{FailoverBody, Optional};
use super::context::{Api, within_limit};
use super::{Kind, Problem};
use crate::redundancy::journal::KEPT;
use crate::status::{EventsStatus, RedundancyStatus};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

/// Answer of `POST /v1/failover`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Successor {
    /// Name of the director that is to take over; `None`: nobody is known to be fit, and it was forced.
    pub to: Option<String>,
}

pub(super) async fn status(State(api): State<Api>) -> Result<axum::Json<RedundancyStatus>, Problem> {
    within_limit(api.handle.redundancy()).await.map(axum::Json)
}

pub(super) async fn failover(
    State(api): State<Api>,
    Optional(FailoverBody { to, force }): Optional<FailoverBody>,
) -> Result<axum::Json<Successor>, Problem> {
    let to = within_limit(api.handle.failover(to, force)).await?;
    Ok(axum::Json(Successor { to }))
}

/// Which events are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    after: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn events(
    State(api): State<Api>,
    asked: Result<Query<Parameters>, QueryRejection>,
) -> Result<axum::Json<EventsStatus>, Problem> {
    let Query(Parameters { after, limit }) = asked?;
    match limit.unwrap_or(KEPT) {
        0 => Err(Problem::new(Kind::InvalidParameter, "limit is no number from 1")),
        limit => Ok(axum::Json(api.handle.events(after, limit))),
    }
}
