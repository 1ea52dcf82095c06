//! What can be asked, and who answers.

use super::body::{DrainBody, Json, Nothing, Optional, WeightBody};
use super::context::{Api, Done, Names, within_limit};
use super::{Kind, Problem, connections, explain, persistence, ports, probe, redundancy};
use crate::command::error::CommandError;
use crate::command::{DrainRequest, OverrideChange};
use crate::metrics;
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use director_core::config::closest;

/// All routes.
pub(super) fn router(api: Api) -> Router {
    const SERVER: &str = "/v1/services/{service}/servers/{server}";
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/services", get(services))
        .route("/v1/services/{service}", get(service))
        .route(&format!("{SERVER}/probes"), get(probes))
        .route(&format!("{SERVER}/probe"), post(probe::probe))
        .route(&format!("{SERVER}/weight"), put(weight))
        .route(&format!("{SERVER}/drain"), post(drain))
        .route(&format!("{SERVER}/enable"), post(enable))
        .route(&format!("{SERVER}/reset"), post(reset))
        .route("/v1/services/{service}/ports/{port}", ports::of_any_protocol())
        .route("/v1/services/{service}/ports/{protocol}/{port}", ports::of_one_protocol())
        .route("/v1/redundancy", get(redundancy::status))
        .route("/v1/failover", post(redundancy::failover))
        .route("/v1/events", get(redundancy::events))
        .route("/v1/explain", get(explain::explain))
        .route("/v1/reload", post(reload))
        .route("/v1/connections", get(connections::list).delete(connections::end))
        .route("/v1/persistence", get(persistence::list))
        .route("/v1/persistence/{service}/{client}", delete(persistence::delete))
        .route("/v1/persistence/{service}/{client}/pin", put(persistence::pin).delete(persistence::unpin))
        .route("/metrics", get(metrics))
        .fallback(unknown_resource)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(api)
}

async fn status(State(api): State<Api>) -> Result<Response, Problem> {
    Ok(axum::Json(&*within_limit(api.handle.status()).await?).into_response())
}

async fn services(State(api): State<Api>) -> Result<Response, Problem> {
    Ok(axum::Json(&within_limit(api.handle.status()).await?.services).into_response())
}

async fn service(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(name) = name?;
    let services = &within_limit(api.handle.status()).await?.services;
    let suggestion = closest(&name, services.iter().map(|service| service.name.as_str())).map(str::to_owned);
    let found = services.iter().find(|service| service.name == name);
    let found = found.ok_or(CommandError::UnknownService { name, suggestion })?;
    Ok(axum::Json(found).into_response())
}

async fn probes(State(api): State<Api>, names: Names) -> Result<Response, Problem> {
    let Path((service, server)) = names?;
    Ok(axum::Json(within_limit(api.handle.probes(service, server)).await?).into_response())
}

async fn weight(State(api): State<Api>, names: Names, Json(body): Json<WeightBody>) -> Done {
    let WeightBody { weight, seconds } = body;
    change(&api, names, OverrideChange::Weight { weight, seconds }).await
}

async fn drain(State(api): State<Api>, names: Names, Optional(body): Optional<DrainBody>) -> Done {
    let DrainBody { deadline_seconds, at_deadline, returning_clients } = body;
    let request = DrainRequest { deadline_seconds, at_deadline, returning_clients };
    change(&api, names, OverrideChange::Drain(request)).await
}

async fn enable(State(api): State<Api>, names: Names, _: Optional<Nothing>) -> Done {
    change(&api, names, OverrideChange::Enable).await
}

async fn reset(State(api): State<Api>, names: Names, _: Optional<Nothing>) -> Done {
    change(&api, names, OverrideChange::Reset).await
}

async fn reload(State(api): State<Api>, _: Optional<Nothing>) -> Done {
    within_limit(api.handle.reload()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn metrics(State(api): State<Api>) -> Result<impl IntoResponse, Problem> {
    let status = within_limit(api.handle.status()).await?;
    let text = metrics::render(&status, &api.registry)
        .map_err(|error| Problem::new(Kind::Internal, format!("the metrics cannot be written: {error}")))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text))
}

async fn unknown_resource(uri: Uri) -> Problem {
    Problem::new(Kind::UnknownResource, format!("there is nothing at {:?}", uri.path()))
        .hint("start from /v1/status or /metrics")
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(Kind::MethodNotAllowed, format!("{:?} does not take {method}", uri.path()))
        .hint("the Allow header names what it takes")
}

async fn change(api: &Api, names: Names, change: OverrideChange) -> Done {
    let Path((service, server)) = names?;
    within_limit(api.handle.change(service, server, change)).await?;
    Ok(StatusCode::NO_CONTENT)
}
