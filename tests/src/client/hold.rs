//! Connections that stay.

use super::conversation::Conversation;
use super::worker::{Stop, Worker};
use super::{Client, Tally, Target};
use crate::{Result, eventually};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::{RwLock, RwLockWriteGuard};

/// Time from one exchange of data on a connection to the next.
const INTERVAL: Duration = Duration::from_millis(50);

/// Open connections with data moving on them. They close when it is dropped.
#[derive(Debug)]
pub struct Hold {
    shared: Arc<Shared>,
    worker: Worker,
}

#[derive(Debug, Default)]
struct Shared {
    /// Connections that were opened, and failures, at the start or later.
    tally: Mutex<Tally>,
    exchanges: AtomicU64,
    /// Read by each exchange; who writes keeps them from beginning.
    quiet: RwLock<()>,
}

impl Hold {
    pub(super) fn start(client: &Client, target: &Target, count: usize) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let (opened, all_opened) = mpsc::channel();
        let (inner, target) = (Arc::clone(&shared), target.clone());
        let worker = Worker::start(client.host(), move |stop| async move {
            let mut connections = tokio::task::JoinSet::new();
            for number in 0..count {
                let (to, from) = target.pick(number);
                match Conversation::open(to, from).await {
                    Ok(conversation) => {
                        inner.opened(&conversation);
                        connections.spawn(keep(conversation, Arc::clone(&inner), stop.clone()));
                    }
                    Err(failure) => inner.lock().count_failure(failure),
                }
            }
            let _ = opened.send(());
            while connections.join_next().await.is_some() {}
        })?;
        // An error means that all have failed, which the tally tells.
        let _ = all_opened.recv();
        Ok(Self { shared, worker })
    }

    /// Connections opened by server, and failures so far, at the start or later.
    #[must_use]
    pub fn so_far(&self) -> Tally {
        self.shared.lock().clone()
    }

    /// Times that data went there and back, on all connections together.
    #[must_use]
    pub fn exchanges(&self) -> u64 {
        self.shared.exchanges.load(Ordering::Relaxed)
    }

    /// Waits until data has gone there and back so many more times, for at most 30 seconds.
    ///
    /// # Errors
    /// It has not by then.
    pub fn more(&self, exchanges: u64) -> Result<()> {
        let goal = self.exchanges() + exchanges;
        eventually(Duration::from_secs(30), "data goes there and back", || self.exchanges() >= goal)
    }

    /// Lets the connections stay idle as long as the guard lives. No data is on its way when this
    /// returns, but acknowledgements may be.
    pub fn quiet(&self) -> RwLockWriteGuard<'_, ()> {
        self.shared.quiet.blocking_write()
    }

    /// Closes the connections; returns what [`Self::so_far`] would then. Connections that cannot be closed properly
    /// count as failed.
    ///
    /// # Errors
    /// The thread failed.
    pub fn stop(mut self) -> Result<Tally> {
        self.worker.stop()?;
        Ok(self.so_far())
    }
}

/// Keeps data moving until told to stop.
async fn keep(mut conversation: Conversation, shared: Arc<Shared>, mut stop: Stop) {
    let outcome = loop {
        let exchanging = shared.quiet.read().await;
        if let Err(failure) = conversation.exchange().await {
            break Err(failure);
        }
        drop(exchanging);
        shared.exchanges.fetch_add(1, Ordering::Relaxed);
        if stop.within(INTERVAL).await {
            break conversation.close().await;
        }
    };
    if let Err(failure) = outcome {
        shared.lock().count_failure(failure);
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, conversation: &Conversation) {
        let mut tally = self.lock();
        tally.answered(&conversation.greeting.server);
        tally.connected(conversation.connect);
    }
}
