//! Accepts connections and serves them within limits.

use super::context::Api;
use super::guard;
use super::listen::Listeners;
use super::routes;
use crate::command::Handle;
use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::Registry;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections at once, a listener. Further ones wait to be accepted.
const CONNECTIONS: usize = 64;
/// Time for the head of a request; an idle connection is closed after it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that the head of a request may have.
const HEAD_LIMIT: usize = 32 * 1024;
/// A connection is closed after the answer that is under way then.
const LIFETIME: Duration = Duration::from_secs(300);
/// Time for the answer that is under way.
const GRACE: Duration = Duration::from_secs(5);

impl Listeners {
    /// Answers from `handle` until `shutdown` is ready; requests under way then have five seconds to finish.
    pub async fn serve(self, handle: Handle, registry: Registry, shutdown: impl Future<Output = ()>) {
        let Self { unix, path, tcp } = self;
        let router = routes::router(Api::new(handle, registry));
        let (running, stop) = watch::channel(());
        let on_socket = accept(unix, router.clone(), stop.clone());
        let on_tcp = async {
            if let Some(tcp) = tcp {
                accept(tcp, router.layer(axum::middleware::from_fn(guard::local_programs_only)), stop).await;
            }
        };
        let until = async {
            shutdown.await;
            // While it still listens, so that it cannot be the next director's.
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove the API's socket");
            }
            drop(running);
        };
        tokio::join!(on_socket, on_tcp, until);
    }
}

async fn accept(mut listener: impl Listener, router: Router, mut stop: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        let free = connections.len() < CONNECTIONS;
        tokio::select! {
            _ = stop.changed() => break,
            Some(_) = connections.join_next() => {}
            (stream, _) = listener.accept(), if free => {
                connections.spawn(serve(stream, router.clone(), stop.clone()));
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    mut stop: watch::Receiver<()>,
) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return log(result),
        _ = stop.changed() => {}
        () = tokio::time::sleep(LIFETIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    if let Ok(result) = tokio::time::timeout(GRACE, connection).await {
        log(result);
    }
}

fn log(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "an API connection ended early");
    }
}
