//! Puts the totals on disk. A disk takes its time, and a long file too: so that is done beside the control loop.

use super::memory::Traffic;
use crate::state::{StateError, Store};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// From one time to the next, unless counts would be lost.
const PERIOD: Duration = Duration::from_secs(5);

/// The state file of the totals.
pub(super) struct Recorder {
    /// At rest; whoever writes has it else.
    store: Option<Store<Traffic>>,
    sender: mpsc::Sender<Written>,
    receiver: mpsc::Receiver<Written>,
    due: Option<Instant>,
    begun: Option<Instant>,
    /// Why it could not be written the last time.
    error: Option<String>,
}

/// A file that was written, or not.
pub(super) struct Written {
    store: Store<Traffic>,
    outcome: Result<(), StateError>,
}

impl Recorder {
    pub(super) fn new(store: Store<Traffic>) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        Self { store: Some(store), sender, receiver, due: None, begun: None, error: None }
    }

    /// When the file is to be written; `None` also while it is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| self.store.is_some())
    }

    /// There are new totals.
    pub(super) fn note(&mut self, now: Instant) {
        let next = self.begun.map_or(now, |begun| now.max(begun + PERIOD));
        self.due.get_or_insert(next);
    }

    /// There are totals that nobody else has.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.due = Some(now);
    }

    /// Begins to write, unless that is under way.
    pub(super) fn begin(&mut self, traffic: Traffic) {
        let Some(mut store) = self.store.take() else { return };
        self.due = None;
        self.begun = Some(Instant::now());
        let sender = self.sender.clone();
        spawn_blocking(move || {
            let outcome = store.save(&traffic);
            // Whoever is gone needs no outcome.
            let _ = sender.blocking_send(Written { store, outcome });
        });
    }

    /// The file that is written next; waits for ever if none is under way.
    pub(super) async fn done(&mut self) -> Option<Written> {
        self.receiver.recv().await
    }

    pub(super) fn end(&mut self, written: Written) {
        self.store = Some(written.store);
        let error = written.outcome.err().map(|error| error.to_string());
        if error.is_some() && error != self.error {
            tracing::warn!(error, "totals would not survive a restart");
        }
        self.error = error;
    }

    /// Writes for the last time; nothing else is to be done.
    pub(super) async fn finish(&mut self, traffic: Traffic) {
        if self.store.is_none()
            && let Some(written) = self.done().await
        {
            self.end(written);
        }
        self.begin(traffic);
        if let Some(written) = self.done().await {
            self.end(written);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[tokio::test]
    async fn totals_are_written_every_five_seconds_and_at_once_if_nobody_else_has_them() {
        let folder = std::env::temp_dir().join(format!("director-recording-{}", std::process::id()));
        let (store, _) = Store::open(&folder, "traffic.json").unwrap();
        let mut recorder = Recorder::new(store);
        let now = Instant::now();
        recorder.note(now);
        assert_eq!(recorder.due(), Some(now));
        recorder.begin(Traffic::default());
        recorder.note(now);
        assert_eq!(recorder.due(), None, "one at a time");
        let written = recorder.done().await.unwrap();
        recorder.end(written);
        assert!(recorder.due().is_some_and(|due| due >= now + PERIOD));
        recorder.hurry(now);
        assert_eq!(recorder.due(), Some(now));
        recorder.begin(Traffic::default());
        let last = Traffic { totals: BTreeMap::from([(7, Default::default())]), ..Traffic::default() };
        recorder.finish(last.clone()).await;
        let (_, found): (Store<Traffic>, Traffic) = Store::open(&folder, "traffic.json").unwrap();
        assert_eq!(found, last, "after what was under way");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
