//! What operators set at run time, and for how long.
//!
//! Times are seconds since 1970: overrides outlive the process, and the machine's uptime.

use serde::{Deserialize, Serialize};

/// What an operator set for a server of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Override {
    /// In place of the configured weight.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<WeightOverride>,
    /// No new connections, whatever the weight.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub drain: Option<Drain>,
}

/// A weight set at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightOverride {
    /// The weight.
    pub weight: u16,
    /// From then on the configured weight holds again; `None`: until it is reset.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<u64>,
}

/// A drain in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Drain {
    /// When it began.
    pub since: u64,
    /// When its connections should have ended; `None`: whenever they do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deadline: Option<u64>,
    /// What becomes of those that have not.
    #[serde(default)]
    pub at_deadline: AtDeadline,
    /// Where persistent clients of the server go; `None`: as the service's `expire_quiescent_template` says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub returning_clients: Option<ReturningClients>,
}

/// What becomes of connections that are left at the deadline of a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AtDeadline {
    /// They go on.
    #[default]
    Keep,
    /// They end.
    Cut,
}

/// Where persistent clients of a draining server go with their next connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReturningClients {
    /// Back to it, until their entries age out.
    Stay,
    /// To another server, for good.
    Move,
}

impl Override {
    /// True if nothing is overridden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The weight that holds at `now` in place of the configured one.
    #[must_use]
    pub fn weight_at(&self, now: u64) -> Option<u16> {
        self.weight.filter(|it| it.until.is_none_or(|until| now < until)).map(|it| it.weight)
    }

    /// The same without what has lapsed at `now`.
    #[must_use]
    pub fn at(self, now: u64) -> Self {
        Self { weight: self.weight.filter(|_| self.weight_at(now).is_some()), ..self }
    }

    /// When something of it lapses or becomes due, after `now`.
    #[must_use]
    pub fn next_change(&self, now: u64) -> Option<u64> {
        let until = self.weight.and_then(|it| it.until);
        let cut = self.drain.filter(|it| it.at_deadline == AtDeadline::Cut).and_then(|it| it.deadline);
        [until, cut].into_iter().flatten().filter(|at| *at > now).min()
    }
}

impl Drain {
    /// True if the connections that are left end: its deadline has come and says so.
    #[must_use]
    pub fn cuts(&self, now: u64) -> bool {
        self.at_deadline == AtDeadline::Cut && self.deadline.is_some_and(|deadline| deadline <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_lapses_at_its_time() {
        let set = Override { weight: Some(WeightOverride { weight: 3, until: Some(100) }), drain: None };
        assert_eq!((set.weight_at(99), set.weight_at(100)), (Some(3), None));
        assert_eq!((set.next_change(99), set.next_change(100)), (Some(100), None));
        assert!(!set.at(99).is_empty() && set.at(100).is_empty());
        let forever = Override { weight: Some(WeightOverride { weight: 3, until: None }), drain: None };
        assert_eq!((forever.weight_at(u64::MAX), forever.next_change(0)), (Some(3), None));
    }

    #[test]
    fn a_drain_cuts_at_its_deadline_only_if_told_to() {
        let mut drain = Drain { deadline: Some(100), ..Drain::default() };
        assert!(!drain.cuts(100));
        drain.at_deadline = AtDeadline::Cut;
        assert!(!drain.cuts(99) && drain.cuts(100));
        assert_eq!(Override { weight: None, drain: Some(drain) }.next_change(0), Some(100));
        drain.deadline = None;
        assert!(!drain.cuts(u64::MAX));
    }
}
