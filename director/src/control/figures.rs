//! Figures: when they are read, who hears of them, and the status that they are shown in.

use super::picture::Picture;
use super::picture::probes::Clock;
use super::reading::{Reading, Task, Tools};
use super::{Control, addresses, clocks};
use crate::status::{ConfigurationStatus, Status};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// So many may wait for figures. Others are shown those at hand.
const MOST_ASKING: usize = 64;

impl Control {
    /// Begins to read, if it is time.
    pub(super) fn read_figures(&mut self, now: Instant) {
        if self.counting.due().is_some_and(|due| due <= now) {
            let task = Task { maps: self.dataplane.counting_maps().collect(), look: self.look() };
            self.counting.begin(task);
        }
    }

    /// Figures are there: everybody who waits for them hears of them.
    pub(super) fn figures_read(&mut self, done: (Tools, Reading)) {
        self.take_figures(done);
        let over = self.counting.schedule().over();
        let answered: Vec<_> = self.asking.extract_if(.., |(reading, _)| *reading <= over).collect();
        if !answered.is_empty() {
            let status = Arc::new(self.status());
            for (_, reply) in answered {
                // Whoever asked may have gone since.
                let _ = reply.send(Arc::clone(&status));
            }
        }
    }

    /// Answers with figures that are good enough, as soon as there are some.
    pub(super) fn ask_status(&mut self, reply: oneshot::Sender<Arc<Status>>) {
        let awaited = self.counting.schedule().awaited(Instant::now());
        self.asking.retain(|(_, reply)| !reply.is_closed());
        match awaited.filter(|_| self.asking.len() < MOST_ASKING) {
            Some(reading) => {
                self.asking.push((reading, reply));
                self.keeper.refresh();
            }
            None => drop(reply.send(Arc::new(self.status()))),
        }
    }

    /// Reads once more, and waits for it: nothing else is to be done.
    pub(super) async fn read_last(&mut self) {
        if self.counting.schedule().is_busy()
            && let Some(done) = self.counting.done().await
        {
            self.take_figures(done);
        }
        self.counting.begin(Task { maps: self.dataplane.counting_maps().collect(), look: None });
        if let Some(done) = self.counting.done().await {
            self.take_figures(done);
        }
    }

    /// Puts totals on disk, if it is time.
    pub(super) fn record(&mut self, now: Instant) {
        if self.recorder.due().is_some_and(|due| due <= now) {
            self.recorder.begin(self.counting.traffic());
        }
    }

    fn take_figures(&mut self, done: (Tools, Reading)) {
        let refused = self.counting.connections_so_far().all_without_entry();
        let outcome = self.counting.end(done);
        let refused = self.counting.connections_so_far().all_without_entry().saturating_sub(refused);
        if refused > 0 {
            self.keeper.complain("refused", || {
                tracing::warn!(
                    connections = refused,
                    "no room for persistence entries: raise `kernel.persistence_entries`"
                );
            });
        }
        self.recorder.note(Instant::now());
        if let Some(look) = outcome.look {
            self.looked(look, outcome.dumped);
        }
        if outcome.dumped {
            self.end_found();
        }
    }

    fn status(&mut self) -> Status {
        let picture = Picture {
            model: &self.configuration.model,
            registry: &self.registry,
            offers: &self.offers,
            overrides: self.memory.overrides(),
            ports: self.memory.ports(),
            now: clocks().wall,
            entries: self.counting.entries(),
            evicted: self.counting.evicted(),
            verdicts: &self.verdicts,
            clock: Clock::now(),
            connections: self.counting.connections_so_far(),
            flows: self.counting.flows(),
            rates: self.counting.rates(),
            unprotected: self.dataplane.unprotected(),
        };
        let (services, management) = (picture.services(), picture.management());
        let persistence = picture.persistence();
        let wanted = addresses::wanted(&self.configuration.model, &self.configuration.node);
        let report = Arc::clone(&self.thread.addresses.borrow());
        Status {
            node: self.node_name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.history.started.elapsed().as_secs(),
            // Whoever asks for the status asks the thread too: see [`crate::command::Handle::status`].
            redundancy: None,
            redundancy_error: None,
            configuration: ConfigurationStatus {
                path: self.options.config.display().to_string(),
                hash: self.configuration.hash.clone(),
                age_seconds: self.history.loaded.elapsed().as_secs(),
                error: self.history.refusal.clone(),
                reloads: self.history.reloads,
                refused: self.history.refused,
            },
            reconcile: self.history.reconcile.clone(),
            settings: self.settings.status(),
            addresses: addresses::status(&wanted, &report, self.memory.addresses()),
            services,
            management,
            persistence,
            rates_seconds: self.counting.rates().window().map(|window| {
                let tenths = (window.as_secs_f64() * 10.0).round();
                tenths / 10.0
            }),
        }
    }
}
