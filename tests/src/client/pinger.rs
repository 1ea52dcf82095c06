//! A connection every few milliseconds: how long nobody answered.

use super::worker::Worker;
use super::{Client, Failure};
use crate::{Result, eventually};
use nix::sys::socket::{setsockopt, sockopt};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Makes a TCP connection at regular moments, whatever has become of those before. It stops when dropped.
///
/// Each has one packet to be made with: whoever doesn't answer the first one doesn't answer.
#[derive(Debug)]
pub struct Pinger {
    /// In the order of their begin.
    attempts: Arc<Mutex<Vec<Begun>>>,
    worker: Worker,
}

/// One connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// When its first packet was sent.
    pub at: Instant,
    /// How long it took to be made, or what went wrong.
    pub outcome: std::result::Result<Duration, Failure>,
}

/// A connection that may be under way.
#[derive(Debug)]
struct Begun {
    at: Instant,
    outcome: Option<std::result::Result<Duration, Failure>>,
}

/// A time in which no connection was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Begin of the last connection that was made before.
    pub from: Instant,
    /// Begin of the first one that was made after; `None`: there was none yet.
    pub to: Option<Instant>,
    /// Connections in between; all have failed.
    pub failed: usize,
}

impl Gap {
    /// From the last connection that was made to the first one again: up to two of the pinger's intervals longer than
    /// nobody answered. For ever if it has not ended.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.to.map_or(Duration::MAX, |to| to - self.from)
    }
}

impl Pinger {
    /// Every `every`; who is not connected within `patience` has failed. Less than a second, after which the kernel
    /// would send the first packet again.
    pub(super) fn start(
        client: &Client,
        to: SocketAddr,
        every: Duration,
        patience: Duration,
    ) -> Result<Self> {
        let attempts = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&attempts);
        let worker = Worker::start(client.host(), move |stop| async move {
            let mut ticks = interval(every);
            // An attempt that is late is made late: it is no failure of whom it is made to.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut under_way = tokio::task::JoinSet::new();
            while !stop.is_set() {
                ticks.tick().await;
                let shared = Arc::clone(&shared);
                let at = Instant::now();
                let number = begin(&shared, at);
                under_way.spawn(async move {
                    let outcome = timeout(patience, connect(to)).await;
                    let outcome = outcome.map_or(Err(Failure::Timeout), |made| made.map(|()| at.elapsed()));
                    if let Some(begun) = lock(&shared).get_mut(number) {
                        begun.outcome = Some(outcome);
                    }
                });
                while under_way.try_join_next().is_some() {}
            }
            while under_way.join_next().await.is_some() {}
        })?;
        Ok(Self { attempts, worker })
    }

    /// Connections in the order of their begin, up to the first whose outcome is not known yet.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        let begun = lock(&self.attempts);
        begun.iter().map_while(|it| Some(Attempt { at: it.at, outcome: it.outcome? })).collect()
    }

    /// The gaps in [`Self::attempts`].
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        gaps(&self.attempts())
    }

    /// Waits until so many connections that begin from now on are made, one after the other without a failure.
    ///
    /// # Errors
    /// They are not within 30 seconds.
    pub fn steady(&self, count: usize) -> Result<()> {
        let begin = Instant::now();
        eventually(Duration::from_secs(30), "connections are made without a failure", || {
            let attempts = self.attempts();
            let later = attempts.iter().rev().take_while(|attempt| attempt.at >= begin);
            later.take_while(|attempt| attempt.outcome.is_ok()).count() >= count
        })
    }

    /// Makes no more connections, and waits for those under way.
    ///
    /// # Errors
    /// The thread failed.
    pub fn stop(mut self) -> Result<Vec<Attempt>> {
        self.worker.stop()?;
        Ok(self.attempts())
    }
}

fn lock(attempts: &Mutex<Vec<Begun>>) -> MutexGuard<'_, Vec<Begun>> {
    attempts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Enters a connection; its number.
fn begin(attempts: &Mutex<Vec<Begun>>, at: Instant) -> usize {
    let mut attempts = lock(attempts);
    attempts.push(Begun { at, outcome: None });
    attempts.len() - 1
}

/// The gaps in attempts that are in order; what failed before the first one that was made is none.
#[must_use]
pub fn gaps(attempts: &[Attempt]) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = Vec::new();
    let mut last = None;
    for attempt in attempts {
        let open = gaps.last_mut().filter(|gap| gap.to.is_none());
        match (attempt.outcome, open, last) {
            (Ok(_), open, _) => {
                if let Some(gap) = open {
                    gap.to = Some(attempt.at);
                }
                last = Some(attempt.at);
            }
            (Err(_), Some(gap), _) => gap.failed += 1,
            (Err(_), None, Some(from)) => gaps.push(Gap { from, to: None, failed: 1 }),
            (Err(_), None, None) => {}
        }
    }
    gaps
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Some(_) => {
                write!(f, "{:.1} ms without a connection, {} failed", millis(self.length()), self.failed)
            }
            None => write!(f, "no connection any more, {} failed", self.failed),
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A connection that is thrown away, so that neither side remembers it.
async fn connect(to: SocketAddr) -> std::result::Result<(), Failure> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let stream = socket.connect(to).await?;
    let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&stream, sockopt::Linger, &at_once).map_err(|error| Failure::from(std::io::Error::from(error)))
}
