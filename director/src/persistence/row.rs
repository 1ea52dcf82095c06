//! An entry as operators see it.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A client's entry, or a pin that is not in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row<'a> {
    /// The client's network.
    pub client: Cow<'a, str>,
    /// The service; `None` if nothing has that mark.
    pub service: Option<Cow<'a, str>>,
    /// Where the client goes; `None` if it has no entry, or nothing has that mark.
    pub server: Option<Cow<'a, str>>,
    /// Time until the entry is gone; `None` if it stays, or if there is none.
    pub expires_seconds: Option<u64>,
    /// The server that the client is pinned to, if it is pinned: another one than `server` while that can't be had.
    pub pinned_to: Option<Cow<'a, str>>,
    /// What the entry leads to, a ct mark; `None` if there is no entry.
    pub destination: Option<u32>,
}
