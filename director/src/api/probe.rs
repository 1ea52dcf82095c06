//! `POST .../probe`: the probes of a server, tried now.

use super::context::{Api, Names, within_limit};
use super::turns::TRIALS;
use super::{Kind, Problem};
use crate::trial::Trial;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    /// This probe only.
    probe: Option<String>,
}

pub(super) async fn probe(
    State(api): State<Api>,
    names: Names,
    asked: Result<Query<Parameters>, QueryRejection>,
) -> Result<axum::Json<Trial>, Problem> {
    let Path((service, server)) = names?;
    let Query(Parameters { probe }) = asked?;
    let _turn = api.trials.turns.try_acquire().map_err(|_| {
        Problem::new(Kind::Busy, format!("probes of {TRIALS} servers are being tried"))
            .hint("try again when one of them is done")
    })?;
    let plan = within_limit(api.handle.trial(service, server, probe)).await?;
    Ok(axum::Json(plan.run(&api.trials.resources).await))
}
