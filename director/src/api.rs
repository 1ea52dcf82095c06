//! The HTTP API of the running director, the same on a Unix socket and on a loopback TCP listener.
//!
//! The socket is guarded by its mode: root and the configured group. The TCP listener cannot tell local users
//! apart, so whoever configures it trusts them all; what it does keep out is the web: a page open in a browser on
//! this machine can send requests here, under its own origin or under a name that it points at 127.0.0.1. So
//! requests that carry an `Origin`, or whose `Host` is not a loopback name, are refused there, and a body counts
//! only as `application/json`.
//!
//! Every error is a problem document (RFC 9457), see [`Problem`]. Whatever comes from outside has a limit: the
//! size of heads and bodies, the time they take, the number of connections.

mod body;
mod connections;
mod context;
mod explain;
mod guard;
mod listen;
mod persistence;
mod ports;
mod probe;
mod problem;
mod redundancy;
mod routes;
mod serve;
mod stream;
#[cfg(test)]
mod tests;
mod turns;

pub use body::{DrainBody, FailoverBody, PortBody, WeightBody};
pub use connections::Ended;
pub use listen::{BindError, Listeners};
pub use persistence::PinBody;
pub use problem::{Kind, Problem};
pub use redundancy::Successor;

use crate::command::Handle;
use director_core::model::ApiSettings;
use prometheus::Registry;

/// Listens as `settings` say and answers from `handle` until `shutdown` is ready; requests under way then have five
/// seconds to finish.
///
/// `registry` holds metrics of other parts, shown after those of [`crate::metrics`].
///
/// # Errors
/// A listener cannot be set up; nothing listens then.
pub async fn serve(
    settings: &ApiSettings,
    handle: Handle,
    registry: Registry,
    shutdown: impl Future<Output = ()>,
) -> Result<(), BindError> {
    Listeners::bind(settings).await?.serve(handle, registry, shutdown).await;
    Ok(())
}
