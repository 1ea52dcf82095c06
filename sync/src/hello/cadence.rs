//! When to say hello: every second, and at once when something changed.

use super::Hello;
use crate::vrrp::timing::Time;
use std::time::Duration;

/// Time between two hellos while nothing changes.
pub const EVERY: Duration = Duration::from_secs(1);
/// Time between two hellos at least.
pub const SPACING: Duration = Duration::from_millis(10);

/// When to say hello.
#[derive(Debug, Clone, Default)]
pub struct Cadence {
    current: Option<Hello>,
    said: Option<(Time, Hello)>,
    /// A peer waits for it.
    wanted: bool,
}

impl Cadence {
    /// What is to be said from now on; nothing before. To be called whenever it may have changed.
    pub fn tell(&mut self, hello: Hello) {
        self.current = Some(hello);
    }

    /// A peer should hear it soon: it has just come.
    pub const fn answer(&mut self) {
        self.wanted = true;
    }

    /// When [`Self::take`] has something; `None` before there is anything to say.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let current = self.current.as_ref()?;
        let Some((at, said)) = &self.said else { return Some(Time::default()) };
        let wait = if self.wanted || said != current { SPACING } else { EVERY };
        Some(*at + wait)
    }

    /// What to say at `now`, if its time has come.
    pub fn take(&mut self, now: Time) -> Option<&Hello> {
        if self.deadline()? > now {
            return None;
        }
        self.last_word(now)
    }

    /// What to say at `now` though it may be too early: there is no later.
    pub fn last_word(&mut self, now: Time) -> Option<&Hello> {
        let hello = self.current.clone()?;
        self.wanted = false;
        Some(&self.said.insert((now, hello)).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hello::channel::tests::hello;
    use crate::vrrp::machine::Role;
    use proptest::prelude::*;

    fn at(millis: u64) -> Time {
        Time::default() + Duration::from_millis(millis)
    }

    #[test]
    fn says_nothing_before_there_is_anything_to_say() {
        let mut cadence = Cadence::default();
        cadence.answer();
        assert_eq!(cadence.deadline(), None);
        assert_eq!(cadence.take(at(5000)), None);
        assert_eq!(cadence.last_word(at(5000)), None);
    }

    #[test]
    fn says_it_every_second_and_at_once_when_something_changed() {
        let mut cadence = Cadence::default();
        cadence.tell(hello());
        assert_eq!(cadence.take(at(5000)), Some(&hello()));
        assert_eq!(cadence.deadline(), Some(at(6000)));
        cadence.tell(hello());
        assert_eq!(cadence.take(at(5999)), None);
        assert_eq!(cadence.take(at(6000)), Some(&hello()));

        let active = Hello { role: Role::Active, ..hello() };
        cadence.tell(active.clone());
        assert_eq!(cadence.take(at(6009)), None);
        assert_eq!(cadence.deadline(), Some(at(6010)));
        cadence.tell(hello());
        assert_eq!(cadence.deadline(), Some(at(7000)), "changed back before it was said");
        cadence.tell(active.clone());
        assert_eq!(cadence.take(at(6010)), Some(&active));
        cadence.answer();
        assert_eq!(cadence.deadline(), Some(at(6020)));
        assert_eq!(cadence.last_word(at(6015)), Some(&active));
        assert_eq!(cadence.deadline(), Some(at(7015)));
    }

    proptest! {
        #[test]
        fn neither_too_often_nor_too_seldom(steps in proptest::collection::vec((0_u64..40, 0_u8..4), 1..200)) {
            let mut cadence = Cadence::default();
            cadence.tell(hello());
            let (mut now, mut last) = (0, None::<u64>);
            for (wait, what) in steps {
                now += wait;
                match what {
                    0 => cadence.tell(Hello { fit: false, ..hello() }),
                    1 => cadence.tell(hello()),
                    2 => cadence.answer(),
                    _ => {}
                }
                let due = cadence.deadline().is_some_and(|due| due <= at(now));
                let said = cadence.take(at(now)).is_some();
                prop_assert_eq!(said, due);
                if said {
                    prop_assert!(last.is_none_or(|last| now - last >= 10));
                    last = Some(now);
                } else {
                    prop_assert!(last.is_some_and(|last| now - last < 1000));
                }
            }
        }
    }
}
