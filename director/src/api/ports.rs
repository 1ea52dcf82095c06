//! States of ports: `/v1/services/{service}/ports/80`, or `.../ports/tcp/80` of one protocol only.

use super::body::{Json, Nothing, Optional, PortBody};
use super::context::{Api, Done, Names, within_limit};
use super::{Kind, Problem};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{MethodRouter, put};
use director_core::ports::{ParsePortsError, PortState};

/// Of every protocol that the service has there.
pub(super) fn of_any_protocol() -> MethodRouter<Api> {
    put(async |State(api): State<Api>, names: Names, Json(body): Json<PortBody>| {
        let Path((service, port)) = names?;
        change(&api, service, &port, Some(body.state)).await
    })
    .delete(async |State(api): State<Api>, names: Names, _: Optional<Nothing>| {
        let Path((service, port)) = names?;
        change(&api, service, &port, None).await
    })
}

/// Of one protocol.
pub(super) fn of_one_protocol() -> MethodRouter<Api> {
    type Names = Result<Path<(String, String, String)>, PathRejection>;
    put(async |State(api): State<Api>, names: Names, Json(body): Json<PortBody>| {
        let Path((service, protocol, port)) = names?;
        change(&api, service, &format!("{protocol}/{port}"), Some(body.state)).await
    })
    .delete(async |State(api): State<Api>, names: Names, _: Optional<Nothing>| {
        let Path((service, protocol, port)) = names?;
        change(&api, service, &format!("{protocol}/{port}"), None).await
    })
}

async fn change(api: &Api, service: String, ports: &str, state: Option<PortState>) -> Done {
    let ports = ports.parse().map_err(|error: ParsePortsError| {
        Problem::new(Kind::MalformedPath, error.to_string()).hint(ParsePortsError::HINT)
    })?;
    within_limit(api.handle.change_ports(service, ports, state)).await?;
    Ok(StatusCode::NO_CONTENT)
}
