//! With the thread that holds the addresses: the role from it, and what it goes on with after a restart.

use super::Control;
use crate::redundancy::thread::Past;
use crate::redundancy::{Ask, Handle, asking};
use crate::targets;
use std::time::{Duration, Instant};
use sync::vrrp::machine::Role;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How often what was heard is recorded: without it an old advert would be taken for a new one after a restart, until
/// its sender speaks itself.
const RECORD: Duration = Duration::from_secs(60);
/// What the thread says to a question it says at once.
const ANSWER: Duration = Duration::from_secs(1);
/// Longest time to take the addresses off at the end.
const LEAVE: Duration = Duration::from_secs(5);

/// When what the thread has heard is recorded.
#[derive(Debug, Default)]
pub(super) struct Record {
    asked: Option<Instant>,
    answer: Option<oneshot::Receiver<Past>>,
}

impl Control {
    /// The thread, for those who ask it.
    #[must_use]
    pub fn thread(&self) -> &Handle {
        &self.thread
    }

    /// Takes up what the thread says this director is.
    pub(super) fn take_role(&mut self) {
        let role = targets::Role::from(*self.thread.role.borrow_and_update());
        self.play(role);
    }

    /// Records what was heard, from time to time. The thread is asked now, and listened to the next time.
    pub(super) fn record_heard(&mut self, now: Instant) {
        if let Some(Ok(past)) = self.record.answer.as_mut().map(oneshot::Receiver::try_recv) {
            self.record.answer = None;
            self.save_past(past);
        }
        let due = self.record.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= RECORD);
        if due && self.configuration.keyring.is_some() {
            let (reply, answer) = oneshot::channel();
            // A thread that has no room for the question is asked later.
            if self.thread.asks.try_send(Ask::Past(reply)).is_ok() {
                self.record = Record { asked: Some(now), answer: Some(answer) };
            }
        }
    }

    /// Has the thread take part no more: another director takes over. Alone, the addresses stay.
    pub(super) async fn leave(&mut self) {
        if self.configuration.keyring.is_some()
            && let Ok(Ok(past)) = timeout(ANSWER, asking::ask(&self.thread.asks, Ask::Past)).await
        {
            self.save_past(past);
        }
        if !matches!(timeout(LEAVE, asking::ask(&self.thread.asks, Ask::Leave)).await, Ok(Ok(()))) {
            tracing::error!("the thread that holds the addresses did not give them up in time");
        }
    }

    fn save_past(&mut self, past: Past) {
        if let Err(error) = self.memory.set_past(past) {
            tracing::warn!(%error, "after a restart old adverts could be taken for new ones");
        }
    }
}

impl From<Role> for targets::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Active => Self::Active,
            Role::Backup | Role::Initialize => Self::Backup,
        }
    }
}
