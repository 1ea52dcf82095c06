//! What the control loop knows of the past: figures for the status, and when somebody else changed the ruleset.

use crate::status::ReconcileStatus;
use crate::words::some_of;
use std::time::{Duration, Instant};

/// Least time between two readings of the whole ruleset on behalf of others' changes.
const DRIFT_GAP: Duration = Duration::from_millis(200);

/// What is told about the past.
pub(super) struct History {
    pub(super) started: Instant,
    pub(super) loaded: Instant,
    pub(super) reloads: u64,
    pub(super) refused: u64,
    pub(super) refusal: Option<String>,
    pub(super) reconcile: ReconcileStatus,
}

/// Others' changes to nf_tables.
#[derive(Default)]
pub(super) struct Drift {
    /// The ruleset is to be read then.
    pub(super) due: Option<Instant>,
    /// When it was last read on their behalf.
    pub(super) read: Option<Instant>,
    /// What the next run finds to do is a repair.
    pub(super) repairing: bool,
}

impl History {
    pub(super) fn reconciled(&mut self, errors: &[String], took: Option<Duration>) {
        let reconcile = &mut self.reconcile;
        reconcile.runs += 1;
        if let Some(took) = took {
            reconcile.last_seconds = took.as_secs_f64();
        }
        let error = (!errors.is_empty()).then(|| some_of(errors));
        match (&reconcile.error, &error) {
            (before, Some(error)) if before.as_ref() != Some(error) => {
                tracing::error!("can't reconcile: {error}")
            }
            (Some(_), None) => tracing::info!("reconciled again"),
            _ => {}
        }
        reconcile.failures += u64::from(error.is_some());
        reconcile.error = error;
    }
}

impl Drift {
    pub(super) fn suspect(&mut self) {
        if self.due.is_none() {
            let now = Instant::now();
            self.due = Some(self.read.map_or(now, |read| now.max(read + DRIFT_GAP)));
        }
    }
}
