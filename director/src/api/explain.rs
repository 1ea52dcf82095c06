//! `GET /v1/explain`: which server a new connection would get, and why.

use super::context::{Api, within_limit};
use super::{Kind, Problem};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use director_core::explain::{Explanation, Question};
use director_core::model::Protocol;
use serde::Deserialize;
use std::net::IpAddr;
use tokio::task::spawn_blocking;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    client: IpAddr,
    client_port: Option<u16>,
    address: IpAddr,
    port: u16,
    #[serde(default)]
    protocol: Transport,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Transport {
    #[default]
    Tcp,
    Udp,
}

pub(super) async fn explain(
    State(api): State<Api>,
    asked: Result<Query<Parameters>, QueryRejection>,
) -> Result<axum::Json<Explanation>, Problem> {
    let Query(Parameters { client, client_port, address, port, protocol }) = asked?;
    if client.is_ipv4() != address.is_ipv4() {
        let detail = format!("{client} can't call {address}: they are of two families");
        return Err(Problem::new(Kind::InvalidParameter, detail));
    }
    let protocol = match protocol {
        Transport::Tcp => Protocol::Tcp,
        Transport::Udp => Protocol::Udp,
    };
    let question = Question { client, client_port, address, port, protocol };
    let moment = within_limit(api.handle.explain(question)).await?;
    let explanation = spawn_blocking(move || moment.explain(&question)).await;
    let explanation = explanation.map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    explanation.map(axum::Json).map_err(|error| Problem::new(Kind::KernelRefused, error.to_string()))
}
