//! The last attempts of a target.

use crate::{Outcome, Passed};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many of the last attempts are kept.
pub const HISTORY: usize = 20;

/// An attempt of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it ended.
    pub at: Instant,
    /// What came of it.
    pub outcome: Outcome,
}

/// How long the attempts of a history took that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latencies {
    /// The quickest.
    pub least: Duration,
    /// Their arithmetic mean.
    pub mean: Duration,
    /// The slowest.
    pub greatest: Duration,
}

impl Latencies {
    /// `None` if none passed.
    pub(super) fn of(history: &[Attempt]) -> Option<Self> {
        let passed = || {
            let passed = history.iter().filter(|attempt| attempt.outcome.result.is_ok());
            passed.map(|attempt| attempt.outcome.latency)
        };
        let count = u32::try_from(passed().count()).ok()?;
        let sum = passed().fold(Duration::ZERO, Duration::saturating_add);
        Some(Self { least: passed().min()?, mean: sum.checked_div(count)?, greatest: passed().max()? })
    }
}

/// Adds an attempt and forgets the one that is too old. Verdicts share the list: it is copied only if one has it.
pub(super) fn push(history: &mut Arc<[Attempt]>, attempt: Attempt) {
    if let Some(own) = Arc::get_mut(history)
        && own.len() == HISTORY
    {
        own.rotate_left(1);
        if let Some(last) = own.last_mut() {
            *last = attempt;
        }
        return;
    }
    let kept = history.len().saturating_sub(HISTORY - 1);
    let kept = history.get(kept..).unwrap_or_default();
    *history = kept.iter().cloned().chain([attempt]).collect();
}

/// Lets an outcome share its words with the last one if they are the same, as those of a server that stays dead are.
pub(super) fn share_words(outcome: &mut Outcome, history: &[Attempt]) {
    let Some(last) = history.last() else { return };
    match (&mut outcome.result, &last.outcome.result) {
        (Ok(Passed { note: Some(words), .. }), Ok(Passed { note: Some(before), .. })) => share(words, before),
        (Err(failure), Err(before)) => share(&mut failure.reason, &before.reason),
        (Ok(_), _) | (Err(_), Ok(_)) => {}
    }
}

fn share(words: &mut Arc<str>, before: &Arc<str>) {
    if *words == *before {
        *words = Arc::clone(before);
    }
}
