//! Moments, intervals, priorities, and what RFC 9568, section 6.1 computes of them. All of it is exact in nanoseconds.

use std::fmt;
use std::num::NonZeroU8;
use std::ops::Add;
use std::time::Duration;

/// A moment: nanoseconds on a clock that never goes back. It must go on while the machine is suspended
/// (`CLOCK_BOOTTIME`), or a director cannot notice that it slept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(u64);

impl Time {
    /// `nanoseconds` after the clock's beginning: good for 584 years.
    #[must_use]
    pub const fn from_nanos(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// Nanoseconds since the clock's beginning.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is still to come.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Saturates at the end of the clock.
impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Time between two adverts: 10 ms to 40.95 s in steps of 10 ms, which is what the 12 bits of the field hold
/// (RFC 9568, section 5.2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(u16);

/// Not an interval that adverts can be sent at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("adverts are sent every 10 ms to 40.95 s, in steps of 10 ms")]
pub struct IntervalError;

impl Interval {
    /// 10 ms.
    pub const MINIMUM: Self = Self(1);
    /// 40.95 s.
    pub const MAXIMUM: Self = Self(0xfff);
    /// 1 s, the default of RFC 9568.
    pub const DEFAULT: Self = Self(100);

    /// # Errors
    /// Not 1 to 4095.
    pub const fn from_centiseconds(centiseconds: u16) -> Result<Self, IntervalError> {
        match centiseconds {
            1..=0xfff => Ok(Self(centiseconds)),
            _ => Err(IntervalError),
        }
    }

    /// 1 to 4095.
    #[must_use]
    pub const fn centiseconds(self) -> u16 {
        self.0
    }

    /// The same as a span of time.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_nanos(self.0 as u64 * NANOS_A_CENTISECOND)
    }
}

/// # Errors
/// Out of range, or not a whole number of centiseconds.
impl TryFrom<Duration> for Interval {
    type Error = IntervalError;

    fn try_from(span: Duration) -> Result<Self, IntervalError> {
        let nanos = u64::try_from(span.as_nanos()).map_err(|_| IntervalError)?;
        let centiseconds = u16::try_from(nanos / NANOS_A_CENTISECOND).map_err(|_| IntervalError)?;
        if nanos.is_multiple_of(NANOS_A_CENTISECOND) {
            Self::from_centiseconds(centiseconds)
        } else {
            Err(IntervalError)
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.duration())
    }
}

/// How much a router wants to be Active (RFC 9568, section 5.2.4): 1 to 255, which is the addresses' owner. The 0 of
/// an advert is no priority: it says that the Active leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(NonZeroU8);

impl Priority {
    /// 1.
    pub const LOWEST: Self = Self(NonZeroU8::MIN);
    /// 255: the router whose own addresses these are.
    pub const OWNER: Self = Self(NonZeroU8::MAX);
    /// 100, the default of RFC 9568.
    pub const DEFAULT: Self = Self(NonZeroU8::MIN.saturating_add(99));

    /// `None` for 0.
    #[must_use]
    pub fn new(priority: u8) -> Option<Self> {
        NonZeroU8::new(priority).map(Self)
    }

    /// 1 to 255.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// Lower by `amount`, but not below 1.
    #[must_use]
    pub fn lowered(self, amount: u8) -> Self {
        Self::new(self.get().saturating_sub(amount)).unwrap_or(Self::LOWEST)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Skew_Time (RFC 9568, section 6.1): `(256 - priority) / 256` of the Active's interval, so that the Backup with the
/// highest priority is the first to take over. Half a nanosecond is cut off.
#[must_use]
pub fn skew(priority: Priority, interval: Interval) -> Duration {
    interval.duration() * (256 - u32::from(priority.get())) / 256
}

/// Active_Down_Interval (RFC 9568, section 6.1): how long the Active must be silent before a Backup takes over.
#[must_use]
pub fn down(priority: Priority, interval: Interval) -> Duration {
    silence(interval) + skew(priority, interval)
}

/// Three intervals: nobody takes over before the Active was silent for so long.
#[must_use]
pub fn silence(interval: Interval) -> Duration {
    interval.duration() * 3
}

const NANOS_A_CENTISECOND: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn priority(priority: u8) -> Priority {
        Priority::new(priority).unwrap()
    }

    #[test]
    fn skew_and_down_interval_are_exact() {
        let second = Interval::DEFAULT;
        assert_eq!(skew(priority(100), second), Duration::from_nanos(609_375_000));
        assert_eq!(down(priority(100), second), Duration::from_nanos(3_609_375_000));
        assert_eq!(skew(Priority::LOWEST, second), Duration::from_nanos(996_093_750));
        assert_eq!(skew(priority(254), second), Duration::from_nanos(7_812_500));
        assert_eq!(skew(Priority::OWNER, second), Duration::from_nanos(3_906_250));
        assert_eq!(skew(Priority::OWNER, Interval::MINIMUM), Duration::from_nanos(39_062));
        assert_eq!(down(priority(100), Interval::MAXIMUM), Duration::from_nanos(147_803_906_250));
    }

    #[test]
    fn intervals_are_whole_centiseconds_in_range() {
        assert_eq!(Interval::try_from(Duration::from_millis(10)), Ok(Interval::MINIMUM));
        assert_eq!(Interval::try_from(Duration::from_millis(40_950)), Ok(Interval::MAXIMUM));
        for wrong in [0, 1, 9, 15, 1005, 40_955, 40_960, u64::MAX] {
            assert_eq!(Interval::try_from(Duration::from_millis(wrong)), Err(IntervalError), "{wrong} ms");
        }
        assert_eq!(Interval::from_centiseconds(0), Err(IntervalError));
        assert_eq!(Interval::from_centiseconds(0x1000), Err(IntervalError));
        assert_eq!(Interval::DEFAULT.to_string(), "1s");
    }

    #[test]
    fn a_clock_ends_where_it_ends() {
        let end = Time::from_nanos(u64::MAX);
        assert_eq!(end + Duration::from_nanos(1), end);
        assert_eq!(Time::default() + Duration::MAX, end);
        assert_eq!(Time::default().since(end), Duration::ZERO);
    }

    #[test]
    fn a_priority_is_lowered_to_one_at_least() {
        assert_eq!(priority(100).lowered(30), priority(70));
        assert_eq!(priority(100).lowered(100), Priority::LOWEST);
        assert_eq!(Priority::LOWEST.lowered(255), Priority::LOWEST);
        assert_eq!(Priority::new(0), None);
    }

    proptest! {
        #[test]
        fn a_higher_priority_is_always_earlier(low in 1_u8..255, more in 1_u8..255, centiseconds in 1_u16..0x1000) {
            let interval = Interval::from_centiseconds(centiseconds).unwrap();
            let high = low.saturating_add(more);
            prop_assert!(down(priority(high), interval) < down(priority(low), interval));
            prop_assert!(skew(priority(low), interval) < interval.duration());
            prop_assert!(!skew(priority(high), interval).is_zero());
        }
    }
}
