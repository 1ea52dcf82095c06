//! Errors as problem documents.

use crate::command::error::CommandError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// An error as RFC 9457 writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Names the kind of problem for programs: `urn:director:unknown-service`.
    pub r#type: String,
    /// Names the kind of problem for people: `unknown service`.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What can be wrong with a request, or with carrying it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The path leads nowhere.
    UnknownResource,
    /// The path has other methods.
    MethodNotAllowed,
    /// The path does not decode.
    MalformedPath,
    /// The body is not declared as JSON.
    NotJson,
    /// The body is over the limit.
    BodyTooLarge,
    /// The body took too long.
    BodyTooSlow,
    /// The body broke off.
    BodyIncomplete,
    /// The body is no JSON.
    MalformedJson,
    /// The body is JSON, but does not say what is needed.
    InvalidBody,
    /// A parameter of the query is unknown or makes no sense.
    InvalidParameter,
    /// A web page sent it.
    CrossSite,
    /// It was sent to a name that is not this machine's.
    ForeignHost,
    /// No such service.
    UnknownService,
    /// No such server.
    UnknownServer,
    /// No such probe of that server.
    UnknownProbe,
    /// The service is not persistent.
    NotPersistent,
    /// The service can't have that client.
    InvalidClient,
    /// The client has no persistence entry, or no pin.
    NoEntry,
    /// The client is pinned.
    Pinned,
    /// As many clients are pinned as can be.
    TooManyPins,
    /// No such port in that service.
    UnknownPort,
    /// Too many ranges of ports would have a state of their own.
    TooManyPorts,
    /// There is no other director.
    NoRedundancy,
    /// No director of that name.
    UnknownNode,
    /// No other director can take over, or this one has nothing to give.
    FailoverRefused,
    /// The configuration file does not hold.
    ConfigurationRefused,
    /// The kernel refused.
    KernelRefused,
    /// The change cannot be kept.
    NotRecorded,
    /// Others ask for the same, and it is too much at once.
    Busy,
    /// The director is stopping.
    Stopping,
    /// The control loop took too long.
    NoAnswer,
    /// The answer could not be written.
    Internal,
}

impl Kind {
    /// Every kind.
    pub const ALL: &[Self] = &[
        Self::UnknownResource,
        Self::MethodNotAllowed,
        Self::MalformedPath,
        Self::NotJson,
        Self::BodyTooLarge,
        Self::BodyTooSlow,
        Self::BodyIncomplete,
        Self::MalformedJson,
        Self::InvalidBody,
        Self::InvalidParameter,
        Self::CrossSite,
        Self::ForeignHost,
        Self::UnknownService,
        Self::UnknownServer,
        Self::UnknownProbe,
        Self::NotPersistent,
        Self::InvalidClient,
        Self::NoEntry,
        Self::Pinned,
        Self::TooManyPins,
        Self::UnknownPort,
        Self::TooManyPorts,
        Self::NoRedundancy,
        Self::UnknownNode,
        Self::FailoverRefused,
        Self::ConfigurationRefused,
        Self::KernelRefused,
        Self::NotRecorded,
        Self::Busy,
        Self::Stopping,
        Self::NoAnswer,
        Self::Internal,
    ];

    /// Status and title. The type is made from the title.
    #[must_use]
    pub fn describe(self) -> (StatusCode, &'static str) {
        match self {
            Self::UnknownResource => (StatusCode::NOT_FOUND, "unknown resource"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
            Self::MalformedPath => (StatusCode::BAD_REQUEST, "malformed path"),
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not json"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body too large"),
            Self::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "body too slow"),
            Self::BodyIncomplete => (StatusCode::BAD_REQUEST, "body incomplete"),
            Self::MalformedJson => (StatusCode::BAD_REQUEST, "malformed json"),
            Self::InvalidBody => (StatusCode::UNPROCESSABLE_ENTITY, "invalid body"),
            Self::InvalidParameter => (StatusCode::BAD_REQUEST, "invalid parameter"),
            Self::CrossSite => (StatusCode::FORBIDDEN, "cross-site request"),
            Self::ForeignHost => (StatusCode::MISDIRECTED_REQUEST, "foreign host"),
            Self::UnknownService => (StatusCode::NOT_FOUND, "unknown service"),
            Self::UnknownServer => (StatusCode::NOT_FOUND, "unknown server"),
            Self::UnknownProbe => (StatusCode::NOT_FOUND, "unknown probe"),
            Self::NotPersistent => (StatusCode::CONFLICT, "not persistent"),
            Self::InvalidClient => (StatusCode::UNPROCESSABLE_ENTITY, "invalid client"),
            Self::NoEntry => (StatusCode::NOT_FOUND, "no entry"),
            Self::Pinned => (StatusCode::CONFLICT, "pinned"),
            Self::TooManyPins => (StatusCode::CONFLICT, "too many pins"),
            Self::UnknownPort => (StatusCode::NOT_FOUND, "unknown port"),
            Self::TooManyPorts => (StatusCode::CONFLICT, "too many ports"),
            Self::NoRedundancy => (StatusCode::CONFLICT, "no redundancy"),
            Self::UnknownNode => (StatusCode::NOT_FOUND, "unknown node"),
            Self::FailoverRefused => (StatusCode::CONFLICT, "failover refused"),
            Self::ConfigurationRefused => (StatusCode::UNPROCESSABLE_ENTITY, "configuration refused"),
            Self::KernelRefused => (StatusCode::INTERNAL_SERVER_ERROR, "kernel refused"),
            Self::NotRecorded => (StatusCode::INTERNAL_SERVER_ERROR, "not recorded"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            Self::NoAnswer => (StatusCode::GATEWAY_TIMEOUT, "no answer"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
        }
    }
}

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (status, title) = kind.describe();
        Self {
            r#type: format!("urn:director:{}", title.replace(' ', "-")),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            hint: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Hints at the name that was meant, if there is one that is close.
    fn suggest(mut self, suggestion: Option<String>) -> Self {
        self.hint = suggestion.map(|name| format!("did you mean {name:?}?"));
        self
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::UnknownService { name, suggestion } => {
                Self::new(Kind::UnknownService, format!("there is no service named {name:?}"))
                    .suggest(suggestion)
            }
            CommandError::UnknownServer { service, name, suggestion } => {
                Self::new(Kind::UnknownServer, format!("service {service:?} has no server named {name:?}"))
                    .suggest(suggestion)
            }
            CommandError::UnknownServerName { name, suggestion } => {
                Self::new(Kind::UnknownServer, format!("no service has a server named {name:?}"))
                    .suggest(suggestion)
            }
            CommandError::NotPersistent(_) => Self::new(Kind::NotPersistent, error.to_string())
                .hint("it has no entries; `persistence` in the configuration gives it some"),
            CommandError::Client(reason) => Self::new(Kind::InvalidClient, reason),
            CommandError::NoEntry { .. } | CommandError::NotPinned { .. } => {
                Self::new(Kind::NoEntry, error.to_string())
            }
            CommandError::Pinned { .. } => {
                Self::new(Kind::Pinned, error.to_string()).hint("unpin it, then delete its entry")
            }
            CommandError::TooManyPins(_) => Self::new(Kind::TooManyPins, error.to_string()),
            CommandError::UnknownProbe { .. } => Self::new(Kind::UnknownProbe, error.to_string()),
            CommandError::UnknownPort { service, ports, known } => {
                Self::new(Kind::UnknownPort, format!("service {service:?} has no port {ports}"))
                    .hint(format!("it has {}", known.join(" ")))
            }
            CommandError::TooManyPorts { .. } => {
                Self::new(Kind::TooManyPorts, error.to_string()).hint("name ranges of ports, or reset some")
            }
            CommandError::Alone => Self::new(Kind::NoRedundancy, error.to_string()),
            CommandError::UnknownNode { name, suggestion } => {
                Self::new(Kind::UnknownNode, format!("there is no node named {name:?}")).suggest(suggestion)
            }
            CommandError::FailoverRefused { reason, active } => {
                let problem = Self::new(Kind::FailoverRefused, reason);
                match active {
                    Some(active) => problem.hint(format!("ask {active}")),
                    None => problem,
                }
            }
            CommandError::Silent(_) => Self::new(Kind::NoAnswer, error.to_string()),
            CommandError::Configuration(report) => Self::new(Kind::ConfigurationRefused, report)
                .hint("the one in force stays; correct the file and reload"),
            CommandError::Kernel(reason) => Self::new(Kind::KernelRefused, reason),
            CommandError::State(reason) => Self::new(Kind::NotRecorded, reason)
                .hint("see that the state directory can be written and has room"),
            CommandError::Stopping => Self::new(Kind::Stopping, error.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let media_type = HeaderValue::from_static("application/problem+json");
        let mut response = (status, axum::Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response
    }
}
