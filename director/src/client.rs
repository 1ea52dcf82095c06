//! Asks the running director over its Unix socket.

mod connections;
mod redundancy;

pub use connections::Lines;

use crate::api::{DrainBody, PortBody, Problem, WeightBody};
use crate::command::{DrainRequest, OverrideChange};
use crate::status::{ProbeHistory, ServiceStatus, Status};
use crate::trial::{self, Trial};
use director_core::explain::{Explanation, Question};
use director_core::ports::{PortSelection, PortState};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use nix::unistd::{Gid, Group};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// Time for an answer: more than the director gives itself.
const TIMEOUT: Duration = Duration::from_secs(35);
/// Bytes of an answer: more than 10,000 services need.
const LIMIT: usize = 256 * 1024 * 1024;

/// Carries questions and answers while it is polled.
type Connection = http1::Connection<TokioIo<UnixStream>, Full<Bytes>>;

/// Asks the director behind one socket. Each question is a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// No answer, or a refusal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no socket.
    #[error("there is no socket {}: is the director running? If it uses another one, name it with --socket", .0.display())]
    NoSocket(PathBuf),
    /// Nobody answers on the socket.
    #[error("nobody answers on {}: the director has stopped", .0.display())]
    Stopped(PathBuf),
    /// The caller may not use the socket.
    #[error("{} may be used by root{} only", path.display(), group.as_ref().map(|group| format!(" and the group {group:?}")).unwrap_or_default())]
    Denied {
        /// The socket.
        path: PathBuf,
        /// The group that may use it, as far as the caller can see.
        group: Option<String>,
    },
    /// The connection cannot be made for another reason.
    #[error("cannot connect to {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No answer in time.
    #[error("the director did not answer within {0:?}")]
    Timeout(Duration),
    /// The connection broke off.
    #[error("the connection to the director broke off")]
    Broken(#[source] hyper::Error),
    /// What came is no answer of a director.
    #[error("{}: {reason}: is it a director of the same version that listens there?", path.display())]
    Answer {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The director refused.
    #[error("{}", .0.detail)]
    Refused(Problem),
}

impl Client {
    /// A client of the director that listens on `socket`.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The whole picture.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn status(&self) -> Result<Status, Error> {
        let body = self.ask(Method::GET, "/v1/status", None).await?;
        self.parse(&body)
    }

    /// A service and its servers.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn service(&self, name: &str) -> Result<ServiceStatus, Error> {
        let body = self.ask(Method::GET, &format!("/v1/services/{}", segment(name)), None).await?;
        self.parse(&body)
    }

    /// What the probes of a server say, with their last attempts.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn probes(&self, service: &str, server: &str) -> Result<Vec<ProbeHistory>, Error> {
        let path = format!("/v1/services/{}/servers/{}/probes", segment(service), segment(server));
        let body = self.ask(Method::GET, &path, None).await?;
        self.parse(&body)
    }

    /// Has the probes of a server tried, or the one that is named.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn try_probes(&self, service: &str, server: &str, probe: Option<&str>) -> Result<Trial, Error> {
        let query = probe.map(|name| format!("?probe={}", segment(name))).unwrap_or_default();
        let path = format!("/v1/services/{}/servers/{}/probe{query}", segment(service), segment(server));
        let body = self.ask_within(TIMEOUT + trial::LONGEST, Method::POST, &path, None).await?;
        self.parse(&body)
    }

    /// Changes a server's override; returns once the kernel has it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn change(&self, service: &str, server: &str, change: OverrideChange) -> Result<(), Error> {
        let (method, action, body) = match change {
            OverrideChange::Weight { weight, seconds } => {
                (Method::PUT, "weight", Some(json!(WeightBody { weight, seconds })))
            }
            OverrideChange::Drain(DrainRequest { deadline_seconds, at_deadline, returning_clients }) => {
                let body = DrainBody { deadline_seconds, at_deadline, returning_clients };
                (Method::POST, "drain", Some(json!(body)))
            }
            OverrideChange::Enable => (Method::POST, "enable", None),
            OverrideChange::Reset => (Method::POST, "reset", None),
        };
        let path = format!("/v1/services/{}/servers/{}/{action}", segment(service), segment(server));
        self.ask(method, &path, body).await.map(drop)
    }

    /// Sets the state of ports of a service; `None`: as configured. Returns once the kernel has it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn change_ports(
        &self,
        service: &str,
        ports: PortSelection,
        state: Option<PortState>,
    ) -> Result<(), Error> {
        let path = format!("/v1/services/{}/ports/{ports}", segment(service));
        let (method, body) = match state {
            Some(state) => (Method::PUT, Some(json!(PortBody { state }))),
            None => (Method::DELETE, None),
        };
        self.ask(method, &path, body).await.map(drop)
    }

    /// Explains which server a connection would get.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn explain(&self, question: &Question) -> Result<Explanation, Error> {
        let mut path = format!(
            "/v1/explain?client={}&address={}&port={}&protocol={}",
            question.client,
            question.address,
            question.port,
            question.protocol.name()
        );
        if let Some(port) = question.client_port {
            // Writing to a string cannot fail.
            let _ = write!(path, "&client_port={port}");
        }
        let body = self.ask(Method::GET, &path, None).await?;
        self.parse(&body)
    }

    /// Has the configuration file read again; returns once the kernel has it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn reload(&self) -> Result<(), Error> {
        self.ask(Method::POST, "/v1/reload", None).await.map(drop)
    }

    /// True if somebody answers on the socket.
    pub async fn is_answered(&self) -> bool {
        UnixStream::connect(&self.socket).await.is_ok()
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Bytes, Error> {
        self.ask_within(TIMEOUT, method, path, body).await
    }

    async fn ask_within(
        &self,
        limit: Duration,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Bytes, Error> {
        let exchange = self.exchange(method, path, body);
        let answer = tokio::time::timeout(limit, exchange).await;
        let (status, body) = answer.map_err(|_| Error::Timeout(limit))??;
        if status.is_success() { Ok(body) } else { Err(Error::Refused(self.parse(&body)?)) }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Bytes), Error> {
        let (mut sender, connection) = self.connect().await?;
        let request = self.request(method, path, body)?;
        let answer = async move {
            let response = sender.send_request(request).await.map_err(Error::Broken)?;
            let status = response.status();
            Ok((status, self.collect(response).await?))
        };
        // The sender reports what goes wrong on the connection, so its own result says nothing more.
        let (answer, _) = tokio::join!(answer, connection);
        answer
    }

    async fn connect(&self) -> Result<(SendRequest<Full<Bytes>>, Connection), Error> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|source| self.not_connected(source))?;
        http1::handshake(TokioIo::new(stream)).await.map_err(Error::Broken)
    }

    async fn collect(&self, response: Response<Incoming>) -> Result<Bytes, Error> {
        let body = Limited::new(response.into_body(), LIMIT).collect().await;
        Ok(body.map_err(|error| self.not_an_answer(error.to_string()))?.to_bytes())
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        let request = match body {
            Some(body) => {
                let body = Full::from(body.to_string());
                request.header(header::CONTENT_TYPE, "application/json").body(body)
            }
            None => request.body(Full::default()),
        };
        request.map_err(|error| self.not_an_answer(error.to_string()))
    }

    fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(body).map_err(|error| self.not_an_answer(error.to_string()))
    }

    pub(crate) fn not_an_answer(&self, reason: String) -> Error {
        Error::Answer { path: self.socket.clone(), reason }
    }

    fn not_connected(&self, source: io::Error) -> Error {
        let path = self.socket.clone();
        if source.kind() == ErrorKind::NotFound {
            Error::NoSocket(path)
        } else if source.kind() == ErrorKind::ConnectionRefused {
            Error::Stopped(path)
        } else if source.kind() == ErrorKind::PermissionDenied {
            Error::Denied { group: group_of(&path), path }
        } else {
            Error::Connect { path, source }
        }
    }
}

/// Name of the group that owns `path`, unless that is root's.
fn group_of(path: &Path) -> Option<String> {
    let gid = std::fs::symlink_metadata(path).ok()?.gid();
    if gid == 0 {
        return None;
    }
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    Some(group.map_or_else(|| gid.to_string(), |group| group.name))
}

/// `name` as one segment of a path.
fn segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

#[cfg(test)]
mod tests;
