//! Asking the thread, which may hang: nobody waits longer than a second for what takes it no time.

use super::{Ask, FailoverError, LIMIT, Silent};
use crate::command::error::CommandError;
use crate::status::RedundancyStatus;
use std::net::IpAddr;
use sync::vrrp::machine::{Link, Names, Refusal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// What the virtual router is and knows; `None` without one.
///
/// # Errors
/// The thread hangs, or has ended.
pub async fn status(asks: &mpsc::Sender<Ask>) -> Result<Option<RedundancyStatus>, Silent> {
    timeout(LIMIT, ask(asks, Ask::Status)).await.unwrap_or(Err(Silent))
}

/// Has another director take over: `to`, or the best one. Answered when the addresses are off here, with the one that
/// is to take over, if anybody is known.
///
/// # Errors
/// It was refused, or the thread has ended.
pub async fn failover(
    asks: &mpsc::Sender<Ask>,
    to: Option<String>,
    force: bool,
) -> Result<Option<String>, CommandError> {
    let answer = ask(asks, |reply| Ask::Failover { to, force, reply }).await?;
    match answer {
        Ok(to) => Ok(to),
        Err(FailoverError::Alone) => Err(CommandError::Alone),
        Err(FailoverError::UnknownNode { name, suggestion }) => {
            Err(CommandError::UnknownNode { name, suggestion })
        }
        Err(FailoverError::Refused(refusal)) => {
            let known = status(asks).await.ok().flatten();
            Err(refused(refusal, known.as_ref()))
        }
    }
}

/// Asks, and waits for the answer for as long as the thread takes.
///
/// # Errors
/// The thread has ended.
pub async fn ask<T>(
    asks: &mpsc::Sender<Ask>,
    what: impl FnOnce(oneshot::Sender<T>) -> Ask,
) -> Result<T, Silent> {
    let (reply, answer) = oneshot::channel();
    asks.send(what(reply)).await.map_err(|_| Silent)?;
    answer.await.map_err(|_| Silent)
}

fn refused(refusal: Refusal, known: Option<&RedundancyStatus>) -> CommandError {
    let reason = refusal.words(&Known(known));
    let active = known.and_then(|known| known.active.as_ref()).filter(|_| refusal == Refusal::NotActive);
    let active = active.map(|active| active.node.clone().unwrap_or_else(|| active.address.to_string()));
    CommandError::FailoverRefused { reason, active }
}

/// Peers by the names that the status has for them.
struct Known<'a>(Option<&'a RedundancyStatus>);

impl Names for Known<'_> {
    fn router(&self, address: IpAddr) -> String {
        let mut peers = self.0.into_iter().flat_map(|known| &known.peers);
        let peer = peers.find(|peer| peer.address == address);
        peer.map_or_else(|| address.to_string(), |peer| peer.node.clone())
    }

    fn link(&self, Link(link): Link) -> String {
        let link = usize::from(link);
        let known = self.0.and_then(|known| known.links.get(link));
        known.map_or_else(|| link.to_string(), |link| link.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::status::ActiveStatus;

    #[tokio::test(start_paused = true)]
    async fn a_thread_that_hangs_holds_nobody_up() {
        let (asks, _nobody_reads) = mpsc::channel(1);
        assert_eq!(status(&asks).await, Err(Silent));
        assert_eq!(status(&asks).await, Err(Silent), "nor if there is no room for the question");
        let (asks, thread) = mpsc::channel(1);
        drop(thread);
        assert_eq!(status(&asks).await, Err(Silent));
    }

    #[test]
    fn a_refusal_names_whom_it_is_about() {
        let mut known = sample::redundancy();
        let unfit = Refusal::Unfit(known.peers[0].address);
        assert_eq!(
            refused(unfit, Some(&known)).to_string(),
            "lb2 is not fit to be Active: see 'director status' there, or use --force"
        );
        assert!(refused(unfit, None).to_string().starts_with("192.168.1.34 is not fit"));
        known.active = Some(ActiveStatus {
            node: Some("lb2".into()),
            address: [192, 168, 1, 34].into(),
            priority: 100,
            heard_seconds: 0.1,
        });
        let CommandError::FailoverRefused { active, .. } = refused(Refusal::NotActive, Some(&known)) else {
            panic!("another error")
        };
        assert_eq!(active.as_deref(), Some("lb2"));
    }
}
