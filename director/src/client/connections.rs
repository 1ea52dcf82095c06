//! Connections and persistence entries: answers that are too long to be kept.

use super::{Client, Error, TIMEOUT, segment};
use crate::api::{Ended, PinBody};
use crate::command::EntryChange;
use crate::connections::Query;
use director_core::model::Network;
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::{Bytes, Incoming};
use serde_json::json;
use tokio::time::timeout;

/// A line of a listing is shorter: names have at most some hundred bytes.
const LONGEST: usize = 64 * 1024;

/// The text of a listing, as it comes: whole lines, of which each but the brackets of the array has a connection.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    /// What has come of a line that is not complete.
    rest: Vec<u8>,
}

impl Client {
    /// What `query` describes of a resource, `connections` or `persistence`, at most `limit`: a JSON array, as
    /// [`Lines`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn listing(&self, resource: &str, query: &Query, limit: Option<usize>) -> Result<Lines, Error> {
        let limit = limit.map(|limit| ("limit", limit.to_string()));
        let path = path(resource, query.parameters().chain(limit));
        timeout(TIMEOUT, self.open(&path)).await.map_err(|_| Error::Timeout(TIMEOUT))?
    }

    /// Ends the connections that `query` describes; an empty one describes them all. Returns how many.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn end_connections(&self, query: &Query) -> Result<u64, Error> {
        let all = query.is_empty().then(|| ("all", "true".to_owned()));
        let body =
            self.ask(Method::DELETE, &path("connections", query.parameters().chain(all)), None).await?;
        self.parse(&body).map(|Ended { ended }| ended)
    }

    /// Deletes or pins a client's persistence entry; returns once the kernel has it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn change_entry(
        &self,
        service: &str,
        client: Network,
        change: EntryChange,
    ) -> Result<(), Error> {
        let path = format!("/v1/persistence/{}/{}", segment(service), segment(&client.to_string()));
        let pin = format!("{path}/pin");
        let (method, path, body) = match change {
            EntryChange::Delete => (Method::DELETE, path, None),
            EntryChange::Pin { server } => (Method::PUT, pin, Some(json!(PinBody { server }))),
            EntryChange::Unpin => (Method::DELETE, pin, None),
        };
        self.ask(method, &path, body).await.map(drop)
    }

    async fn open(&self, path: &str) -> Result<Lines, Error> {
        let (mut sender, connection) = self.connect().await?;
        // Ends with the answer; what goes wrong shows there.
        tokio::spawn(connection);
        let request = self.request(Method::GET, path, None)?;
        let response = sender.send_request(request).await.map_err(Error::Broken)?;
        if response.status().is_success() {
            return Ok(Lines { body: response.into_body(), rest: Vec::new() });
        }
        Err(Error::Refused(self.parse(&self.collect(response).await?)?))
    }
}

impl Lines {
    /// The next lines, each with its end; `None` after the last one.
    ///
    /// # Errors
    /// The answer breaks off, does not go on, or is none.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let frame = timeout(TIMEOUT, self.body.frame()).await.map_err(|_| Error::Timeout(TIMEOUT))?;
            let Some(frame) = frame else {
                return Ok((!self.rest.is_empty()).then(|| std::mem::take(&mut self.rest)));
            };
            let Ok(data) = frame.map_err(Error::Broken)?.into_data() else { continue };
            if let Some(lines) = self.whole(&data) {
                return Ok(Some(lines));
            }
        }
    }

    /// What is complete with `data`.
    fn whole(&mut self, data: &Bytes) -> Option<Vec<u8>> {
        let Some(end) = data.iter().rposition(|byte| *byte == b'\n') else {
            // Beyond all measure it is no line, and whoever reads it finds out.
            self.rest.extend_from_slice(data);
            return (self.rest.len() > LONGEST).then(|| std::mem::take(&mut self.rest));
        };
        let (whole, rest) = data.split_at(end + 1);
        let mut lines = std::mem::replace(&mut self.rest, rest.to_vec());
        lines.extend_from_slice(whole);
        Some(lines)
    }
}

fn path(resource: &str, parameters: impl Iterator<Item = (&'static str, String)>) -> String {
    let parameters = parameters.map(|(name, value)| format!("{name}={}", segment(&value)));
    let parameters: Vec<String> = parameters.collect();
    let mark = if parameters.is_empty() { "" } else { "?" };
    format!("/v1/{resource}{mark}{}", parameters.join("&"))
}
