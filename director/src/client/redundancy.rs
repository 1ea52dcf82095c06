//! The virtual router.

use super::{Client, Error};
use crate::api::{FailoverBody, Successor};
use crate::status::{EventsStatus, RedundancyStatus};
use hyper::Method;
use serde_json::json;

impl Client {
    /// This director's part in the virtual router.
    ///
    /// # Errors
    /// See [`Error`]; there is none.
    pub async fn redundancy(&self) -> Result<RedundancyStatus, Error> {
        let body = self.ask(Method::GET, "/v1/redundancy", None).await?;
        self.parse(&body)
    }

    /// Has another director take over: the named one, or the best. Returns its name, if anybody is known, once the
    /// addresses are off here.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn failover(&self, to: Option<&str>, force: bool) -> Result<Option<String>, Error> {
        let body = json!(FailoverBody { to: to.map(str::to_owned), force });
        let body = self.ask(Method::POST, "/v1/failover", Some(body)).await?;
        self.parse(&body).map(|Successor { to }| to)
    }

    /// Events of the virtual router, oldest first: those after number `after`, or else the last `limit`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn events(&self, after: Option<u64>, limit: Option<usize>) -> Result<EventsStatus, Error> {
        let after = after.map(|after| format!("after={after}"));
        let limit = limit.map(|limit| format!("limit={limit}"));
        let query = after.into_iter().chain(limit).collect::<Vec<_>>().join("&");
        let body = self.ask(Method::GET, &format!("/v1/events?{query}"), None).await?;
        self.parse(&body)
    }
}
