//! Connection after connection.

use super::conversation::Conversation;
use super::worker::Worker;
use super::{Client, Tally, Target};
use crate::{Result, eventually};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Connections that are being made in the background. They stop when it is dropped.
#[derive(Debug)]
pub struct Load {
    tally: Arc<Mutex<Tally>>,
    worker: Worker,
}

impl Load {
    pub(super) fn start(client: &Client, target: &Target, limit: Option<usize>) -> Result<Self> {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let (shared, target) = (Arc::clone(&tally), target.clone());
        let worker = Worker::start(client.host(), move |stop| async move {
            let next = Arc::new(AtomicUsize::new(0));
            let mut lanes = tokio::task::JoinSet::new();
            for _ in 0..target.parallel {
                let (next, target, shared, stop) =
                    (Arc::clone(&next), target.clone(), Arc::clone(&shared), stop.clone());
                lanes.spawn(async move {
                    while !stop.is_set() {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if limit.is_some_and(|limit| number >= limit) {
                            break;
                        }
                        visit(&target, number, &shared).await;
                        if target.pause > Duration::ZERO {
                            tokio::time::sleep(target.pause).await;
                        }
                    }
                });
            }
            while lanes.join_next().await.is_some() {}
        })?;
        Ok(Self { tally, worker })
    }

    /// What came of the connections so far.
    #[must_use]
    pub fn so_far(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many more connections are made or have failed, for at most 30 seconds.
    ///
    /// # Errors
    /// There are fewer by then.
    pub fn more(&self, count: u64) -> Result<()> {
        let so_far = || {
            let tally = self.so_far();
            tally.made() + tally.failed()
        };
        let goal = so_far() + count;
        eventually(Duration::from_secs(30), "more connections are made", || so_far() >= goal)
    }

    /// Lets the open connections finish, makes no more, and returns what came of them all.
    ///
    /// # Errors
    /// The thread failed.
    pub fn stop(mut self) -> Result<Tally> {
        self.worker.stop()?;
        Ok(self.so_far())
    }

    /// Waits until the agreed number is made.
    pub(super) fn finish(mut self) -> Result<Tally> {
        self.worker.join()?;
        Ok(self.so_far())
    }
}

/// A whole connection from greeting to good-bye.
async fn visit(target: &Target, number: usize, tally: &Mutex<Tally>) {
    let (to, from) = target.pick(number);
    let (outcome, connect) = match Conversation::open(to, from).await {
        Ok(conversation) => {
            let (server, connect) = (conversation.greeting.server.clone(), conversation.connect);
            (conversation.close().await.map(|()| server), connect)
        }
        Err(failure) => (Err(failure), Duration::ZERO),
    };
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    tally.connected(connect);
    match outcome {
        Ok(server) => tally.answered(&server),
        Err(failure) => tally.count_failure(failure),
    }
}
