//! Protection against replay: which messages of a sender were heard.

use crate::vrrp::packet::Discard;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Which message of a sender this is. Later ones compare as greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence {
    /// Higher with each start of the sender: nanoseconds of the wall clock, or one more than the last one on disk,
    /// whichever is higher.
    pub epoch: u64,
    /// Higher with each message.
    pub counter: u64,
}

/// Which messages of one sender were heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    newest: Sequence,
    /// Bit n: `newest` less n was heard.
    heard: u64,
    /// The last one was of an earlier epoch.
    behind: bool,
}

impl Window {
    /// Begins with the first message of a sender, which is not known to be new.
    #[must_use]
    pub const fn new(first: Sequence) -> Self {
        Self { newest: first, heard: 1, behind: false }
    }

    /// Goes on after a restart: everything up to `newest` counts as heard.
    #[must_use]
    pub const fn resume(newest: Sequence) -> Self {
        Self { newest, heard: u64::MAX, behind: false }
    }

    /// Takes in `sequence`; false if it was heard before, or if it is too old to tell.
    pub fn admit(&mut self, sequence: Sequence) -> bool {
        if sequence.epoch > self.newest.epoch {
            *self = Self::new(sequence);
            return true;
        }
        self.behind = sequence.epoch < self.newest.epoch;
        if self.behind {
            return false;
        }
        if sequence.counter > self.newest.counter {
            let moved = u32::try_from(sequence.counter - self.newest.counter).unwrap_or(u32::MAX);
            self.heard = self.heard.checked_shl(moved).unwrap_or(0) | 1;
            self.newest = sequence;
            return true;
        }
        let back = u32::try_from(self.newest.counter - sequence.counter).unwrap_or(u32::MAX);
        let bit = 1_u64.checked_shl(back).unwrap_or(0);
        let new = bit != 0 && self.heard & bit == 0;
        self.heard |= bit;
        new
    }

    /// The newest message heard: what is worth keeping across a restart.
    #[must_use]
    pub const fn newest(&self) -> Sequence {
        self.newest
    }

    /// The epoch that the sender must exceed to be heard, if its last message was of an earlier one. It may be a
    /// replay; but a sender whose clock went back, and which lost what it kept on disk, can't know that it is refused.
    #[must_use]
    pub fn behind(&self) -> Option<u64> {
        self.behind.then_some(self.newest.epoch)
    }
}

/// The windows of all senders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Windows(BTreeMap<IpAddr, Window>);

impl Windows {
    /// `heard`: the newest sequences known from before a restart, without which old messages could be played to us
    /// until the sender itself speaks.
    #[must_use]
    pub fn resume(heard: impl IntoIterator<Item = (IpAddr, Sequence)>) -> Self {
        let windows = heard.into_iter().map(|(sender, newest)| (sender, Window::resume(newest)));
        Self(windows.take(SENDERS).collect())
    }

    /// Takes in what is known to be genuine: nothing else may move a window.
    ///
    /// # Errors
    /// [`Discard::Replayed`], and [`Discard::Stranger`] if there are too many senders.
    pub fn admit(&mut self, sender: IpAddr, sequence: Sequence) -> Result<(), Discard> {
        if let Some(window) = self.0.get_mut(&sender) {
            return if window.admit(sequence) { Ok(()) } else { Err(Discard::Replayed) };
        }
        if self.0.len() >= SENDERS {
            return Err(Discard::Stranger(sender));
        }
        self.0.insert(sender, Window::new(sequence));
        Ok(())
    }

    /// The newest message of a sender, if one was heard.
    #[must_use]
    pub fn newest(&self, sender: IpAddr) -> Option<Sequence> {
        self.0.get(&sender).map(Window::newest)
    }

    /// Senders that are refused, and what they must exceed: see [`Window::behind`].
    pub fn behind(&self) -> impl Iterator<Item = (IpAddr, u64)> {
        self.0.iter().filter_map(|(&sender, window)| Some((sender, window.behind()?)))
    }

    /// The newest message of each sender: to be kept for [`Self::resume`].
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, Sequence)> {
        self.0.iter().map(|(&sender, window)| (sender, window.newest()))
    }
}

/// Senders remembered: more than any virtual router has routers.
const SENDERS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn sequence(counter: u64) -> Sequence {
        Sequence { epoch: 7, counter }
    }

    #[test]
    fn a_window_admits_each_sequence_once_in_any_order() {
        let mut window = Window::new(sequence(100));
        assert!(!window.admit(sequence(100)));
        assert!(window.admit(sequence(102)));
        assert!(window.admit(sequence(101)), "overtaken on the way");
        assert!(!window.admit(sequence(101)));
        assert!(window.admit(sequence(164)), "a gap");
        assert!(!window.admit(sequence(101)));
        assert!(window.admit(sequence(103)));
        assert!(!window.admit(sequence(99)), "too old to tell");
        assert!(window.admit(sequence(u64::MAX)));
        assert!(!window.admit(sequence(164)));
    }

    #[test]
    fn after_a_restart_only_newer_ones_are_admitted() {
        let mut window = Window::resume(sequence(100));
        assert!(!window.admit(sequence(100)) && !window.admit(sequence(99)) && !window.admit(sequence(37)));
        assert!(window.admit(sequence(101)));
    }

    #[test]
    fn a_sender_that_started_anew_begins_again_and_its_old_adverts_are_void() {
        let mut window = Window::new(sequence(100));
        assert!(window.admit(Sequence { epoch: 8, counter: 0 }));
        assert!(!window.admit(sequence(101)));
        assert_eq!(window.newest(), Sequence { epoch: 8, counter: 0 });
    }

    #[test]
    fn who_counts_from_an_earlier_epoch_is_behind_until_it_is_heard() {
        let mut window = Window::new(sequence(100));
        assert!(!window.admit(sequence(100)));
        assert_eq!(window.behind(), None, "a copy on the way");
        assert!(!window.admit(Sequence { epoch: 6, counter: 1000 }));
        assert_eq!(window.behind(), Some(7));
        assert!(window.admit(sequence(101)));
        assert_eq!(window.behind(), None, "that was a replay");
        let mut windows = Windows::resume([([192, 168, 1, 34].into(), sequence(100))]);
        assert_eq!(windows.behind().count(), 0);
        let sender = IpAddr::from([192, 168, 1, 34]);
        assert_eq!(windows.admit(sender, Sequence { epoch: 6, counter: 0 }), Err(Discard::Replayed));
        assert_eq!(windows.behind().collect::<Vec<_>>(), [(sender, 7)]);
        assert_eq!(windows.admit(sender, Sequence { epoch: 8, counter: 0 }), Ok(()));
        assert_eq!(windows.behind().count(), 0);
    }

    #[test]
    fn only_so_many_senders_are_remembered() {
        let mut windows = Windows::default();
        let sender = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..256 {
            assert_eq!(windows.admit(sender(number), sequence(1)), Ok(()));
        }
        assert_eq!(windows.admit(sender(256), sequence(1)), Err(Discard::Stranger(sender(256))));
        assert_eq!(windows.admit(sender(255), sequence(2)), Ok(()), "those that are known go on");
        assert_eq!(Windows::resume((0..300).map(|it| (sender(it), sequence(1)))).iter().count(), 256);
    }

    proptest! {
        #[test]
        fn nothing_is_admitted_twice(counters in proptest::collection::vec(0_u64..200, 1..300)) {
            let mut window = Window::new(sequence(counters[0]));
            let mut heard = BTreeSet::from([counters[0]]);
            for &counter in &counters[1..] {
                let newest = window.newest().counter;
                let expected = newest.saturating_sub(counter) < 64 && !heard.contains(&counter);
                prop_assert_eq!(window.admit(sequence(counter)), expected);
                if expected {
                    heard.insert(counter);
                }
            }
        }
    }
}
