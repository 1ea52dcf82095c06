//! Request bodies: read within limits, taken only as JSON, every field known.

use super::{Kind, Problem};
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use director_core::overrides::{AtDeadline, ReturningClients};
use director_core::ports::PortState;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{DeserializeOwned, Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::error::Category;
use std::time::Duration;

/// Bytes that a body may have.
pub(super) const LIMIT: usize = 64 * 1024;
/// Time that a body may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Body of `PUT .../weight`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightBody {
    /// The weight: 0 to 65535.
    #[serde(deserialize_with = "weight")]
    pub weight: u16,
    /// It holds for so long, 1 to 31,536,000 (a year); without it, until it is reset.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "seconds")]
    pub seconds: Option<u64>,
}

/// Body of `POST .../drain`; none at all says the same as an empty one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainBody {
    /// Connections should have ended by then, 1 to 31,536,000; without it, whenever they do.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "seconds")]
    pub deadline_seconds: Option<u64>,
    /// `keep` (default) or `cut` those that have not.
    #[serde(default, deserialize_with = "word")]
    pub at_deadline: AtDeadline,
    /// Persistent clients `stay` or `move`; without it, as the service says.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "word")]
    pub returning_clients: Option<ReturningClients>,
}

/// Body of `POST /v1/failover`; none at all says the same as an empty one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailoverBody {
    /// Name of the director that shall take over; without it, the best one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Even if it is not known to be fit.
    #[serde(default)]
    pub force: bool,
}

/// Body of `PUT .../ports/{port}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortBody {
    /// `enabled`, `drained` or `disabled`.
    #[serde(deserialize_with = "word")]
    pub state: PortState,
}

/// A year.
const LONGEST: u64 = 31_536_000;

/// One word of several. By way of a value: what is no word at all is wrong JSON to the reader of an enum.
fn word<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(serde_json::Value::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match serde_json::Value::deserialize(deserializer)?.as_u64() {
        Some(seconds) if (1..=LONGEST).contains(&seconds) => Ok(Some(seconds)),
        _ => Err(D::Error::custom(format!("a time is a whole number of seconds from 1 to {LONGEST}"))),
    }
}

fn weight<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let weight = value.as_u64().and_then(|weight| u16::try_from(weight).ok());
    weight.ok_or_else(|| D::Error::custom("a weight is a whole number from 0 to 65535"))
}

/// A body that has to be there, as JSON.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        parse(&read(request).await?).map(Self)
    }
}

/// A body that may be missing, as JSON.
#[derive(Debug)]
pub(super) struct Optional<T>(pub(super) T);

impl<T: DeserializeOwned + Default, S: Sync> FromRequest<S> for Optional<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let media_type = require_json(request.headers());
        let body = read(request).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        media_type?;
        parse(&body).map(Self)
    }
}

/// A body that says nothing: an empty JSON object.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = media_type.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let problem = Problem::new(Kind::NotJson, format!("the body is declared as {media_type:?}"));
    Err(problem.hint("send JSON with Content-Type: application/json"))
}

async fn read(request: Request) -> Result<Bytes, Problem> {
    let body = Limited::new(request.into_body(), LIMIT);
    match tokio::time::timeout(TIMEOUT, body.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Problem::new(Kind::BodyTooLarge, format!("a body has at most {LIMIT} bytes")))
        }
        Ok(Err(error)) => Err(Problem::new(Kind::BodyIncomplete, error.to_string())),
        Err(_) => Err(Problem::new(Kind::BodyTooSlow, format!("a body must arrive within {TIMEOUT:?}"))),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if !body.trim_ascii_start().starts_with(b"{") {
        // A derived struct would take an array of its fields, too.
        serde_json::from_slice::<IgnoredAny>(body).map_err(|error| problem(&error))?;
        return Err(Problem::new(Kind::InvalidBody, "the body must be a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| problem(&error))
}

fn problem(error: &serde_json::Error) -> Problem {
    let kind = match error.classify() {
        Category::Data => Kind::InvalidBody,
        Category::Io | Category::Syntax | Category::Eof => Kind::MalformedJson,
    };
    Problem::new(kind, error.to_string())
}
