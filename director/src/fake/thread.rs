//! A thread that holds addresses as far as anybody asks: that of [`sample::redundancy`].

use crate::redundancy::thread::Past;
use crate::redundancy::{Ask, FailoverError};
use crate::sample;
use sync::vrrp::machine::Refusal;
use tokio::sync::mpsc;

/// Starts one on the current runtime. lb2 would take over; lb3 is a stranger.
pub(super) fn start() -> mpsc::Sender<Ask> {
    let (asks, mut asked) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Some(ask) = asked.recv().await {
            match ask {
                Ask::Status(reply) => drop(reply.send(Some(sample::redundancy()))),
                Ask::Failover { to, force, reply } => drop(reply.send(failover(to.as_deref(), force))),
                Ask::Past(reply) => drop(reply.send(Past::default())),
                Ask::Leave(reply) => drop(reply.send(())),
            }
        }
    });
    asks
}

fn failover(to: Option<&str>, force: bool) -> Result<Option<String>, FailoverError> {
    match to {
        None if force => Ok(None),
        None | Some("lb2") => Ok(Some("lb2".to_owned())),
        Some("lb1") => Err(FailoverError::Refused(Refusal::Itself)),
        Some(name) => {
            Err(FailoverError::UnknownNode { name: name.to_owned(), suggestion: Some("lb2".to_owned()) })
        }
    }
}
