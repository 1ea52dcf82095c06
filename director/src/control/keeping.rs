//! When persistence entries are looked at, and what is known of them.
//!
//! A round takes its time with a large table, so it runs beside the control loop, on a socket of its own; the loop
//! only has it shown the connections that are read anyway, and hears of the outcome.

use super::TICK;
use crate::persistence::Round;
use director_core::persistence::{Client, Live, Policies, Report};
use director_nft::netlink::{Error, Nft};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// Longest time from one round to the next: what becomes of figures and of a table that fills up.
const LONGEST: Duration = Duration::from_secs(30);

/// Share of the time that may go into rounds: one part in so many.
const DUTY: u32 = 20;

/// Least time from one round to the next for the sake of those who look.
const GAP: Duration = Duration::from_secs(1);

/// Least time from one complaint to the next.
const SILENCE: Duration = Duration::from_secs(60);

/// Most deleted entries that are remembered for it.
const MOST_FORGOTTEN: usize = 65_536;

/// Rounds, one at a time.
pub(super) struct Keeper {
    /// At rest; a round has it else.
    nft: Option<Nft>,
    sender: mpsc::Sender<Done>,
    receiver: mpsc::Receiver<Done>,
    due: Option<Instant>,
    /// It is due, and wants to be shown the connections.
    waiting: bool,
    /// Something has changed since the round that is under way began.
    changed: bool,
    ended: Option<Instant>,
    interval: Duration,
    cost: Duration,
    forgotten: BTreeSet<Client>,
    /// Of these, those of clients that were forgotten since the round under way began.
    fresh: BTreeSet<Client>,
    /// When, by topic.
    complained: BTreeMap<&'static str, Instant>,
}

/// A round that is over.
pub(super) struct Done {
    nft: Nft,
    cost: Duration,
    outcome: Result<(Report, Option<Error>), Error>,
}

impl Keeper {
    pub(super) fn open() -> Result<Self, Error> {
        let (sender, receiver) = mpsc::channel(1);
        Ok(Self {
            nft: Some(Nft::open()?),
            sender,
            receiver,
            due: None,
            waiting: false,
            changed: false,
            ended: None,
            interval: LONGEST,
            cost: Duration::ZERO,
            forgotten: BTreeSet::new(),
            fresh: BTreeSet::new(),
            complained: BTreeMap::new(),
        })
    }

    /// The socket that rounds use, while none is under way.
    pub(super) fn nft(&self) -> Option<&Nft> {
        self.nft.as_ref()
    }

    /// When the next round shall begin; `None` while one is under way, or waits for the connections.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| self.nft.is_some() && !self.waiting)
    }

    /// The round that is due waits until it is shown the connections.
    pub(super) fn wait(&mut self) {
        self.waiting = true;
    }

    /// True if a round waits for the connections.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// The round that waits is going to be about what there is now.
    pub(super) fn look(&mut self) {
        self.changed = false;
    }

    /// The next round comes at once.
    pub(super) fn hurry(&mut self) {
        self.due = Some(Instant::now());
        self.changed = true;
    }

    /// Somebody looks at the figures: they should not be old.
    pub(super) fn refresh(&mut self) {
        let soonest = self.ended.map_or_else(Instant::now, |ended| ended + GAP.max(self.cost * DUTY));
        self.due = self.due.map(|due| due.min(soonest));
    }

    /// No round is needed before somebody calls for one.
    pub(super) fn rest(&mut self) {
        self.due = None;
        self.waiting = false;
        self.forgotten.clear();
    }

    /// What the round that waits was shown is of no use.
    pub(super) fn begin_anew(&mut self) {
        self.waiting = false;
        self.hurry();
    }

    /// The next round comes later: the connections could not be dumped.
    pub(super) fn postpone(&mut self) {
        self.waiting = false;
        self.due = Some(Instant::now() + self.interval);
    }

    /// Begins the round that waits. A reading of connections takes `dump`.
    pub(super) fn begin(&mut self, policies: Policies, live: Live, families: Vec<bool>, dump: Duration) {
        let Some(mut nft) = self.nft.take() else { return };
        self.waiting = false;
        self.interval = interval(&policies, self.cost.max(dump));
        self.fresh.clear();
        let forgotten = self.forgotten.clone();
        let horizon = 2 * self.interval + Duration::from_secs(1);
        let round = Round { policies, live, forgotten, horizon, families };
        let sender = self.sender.clone();
        spawn_blocking(move || {
            let start = Instant::now();
            let outcome = round.run(&mut nft);
            // Whoever is gone needs no outcome.
            let _ = sender.blocking_send(Done { nft, cost: start.elapsed(), outcome });
        });
    }

    /// The round that ends next.
    pub(super) async fn done(&mut self) -> Option<Done> {
        self.receiver.recv().await
    }

    /// A round is over: what it found.
    pub(super) fn end(&mut self, done: Done) -> Option<Report> {
        let Done { nft, cost, outcome } = done;
        let now = Instant::now();
        self.nft = Some(nft);
        self.ended = Some(now);
        self.cost = cost;
        let report = match outcome {
            Ok((report, error)) => {
                if let Some(error) = error {
                    self.complain(
                        "change",
                        || tracing::warn!(%error, "not every persistence entry could be put right"),
                    );
                }
                self.forgotten = &report.forgotten | &self.fresh;
                Some(report)
            }
            // The table is not there: somebody removed it, and the ruleset is about to be repaired.
            Err(error) if error.errno() == Some(Errno::ENOENT as i32) => None,
            Err(error) => {
                self.complain("read", || tracing::warn!(%error, "can't read the persistence entries"));
                None
            }
        };
        let more = self.changed || report.as_ref().is_some_and(|report| report.more);
        self.due = Some(if more { now } else { now + self.interval.max(cost * DUTY) });
        let evicted: u64 = report.iter().flat_map(|report| report.evicted.values()).sum();
        if evicted > 0 {
            self.complain("evicted", || {
                tracing::warn!(evicted, "the persistence table is nearly full: entries that nobody uses go");
            });
        }
        report
    }

    /// The entry of a client was deleted on purpose: its connections don't bring it back.
    pub(super) fn forget(&mut self, client: Client) {
        if self.forgotten.len() < MOST_FORGOTTEN {
            self.forgotten.insert(client);
            self.fresh.insert(client);
        }
    }

    /// The opposite.
    pub(super) fn remember(&mut self, client: &Client) {
        self.forgotten.remove(client);
        self.fresh.remove(client);
    }

    /// Speaks about a topic, unless it has just spoken about it.
    pub(super) fn complain(&mut self, topic: &'static str, speak: impl FnOnce()) {
        let now = Instant::now();
        if self.complained.get(topic).is_none_or(|at| now >= *at + SILENCE) {
            self.complained.insert(topic, now);
            speak();
        }
    }
}

/// From one round to the next: a third of the shortest life of an entry, if that is affordable.
fn interval(policies: &Policies, cost: Duration) -> Duration {
    let third = policies.shortest().map_or(LONGEST, |timeout| timeout / 3);
    third.clamp(TICK, LONGEST).max(cost * DUTY)
}
