//! How many new connections are to come.

use std::time::{Duration, Instant};

/// What is this old counts half, about.
const MEMORY: Duration = Duration::from_millis(500);

/// Rates are in connections in so many milliseconds.
const UNIT: u64 = 1_000_000;

/// What is known of a service's new connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forecast {
    /// So many had come then.
    arrivals: u64,
    at: Instant,
    rate: u64,
}

impl Forecast {
    /// `arrivals` have come by now.
    pub(super) fn new(arrivals: u64, now: Instant) -> Self {
        Self { arrivals, at: now, rate: 0 }
    }

    /// New connections of the next `period`, from all that have come by now: as they came lately, or as in the time
    /// since the last call if that was more. Too high a figure does less harm than one too low.
    pub(super) fn expect(&mut self, arrivals: u64, now: Instant, period: Duration) -> u32 {
        let [passed, memory, period] =
            [now.saturating_duration_since(self.at), MEMORY, period].map(milliseconds);
        let came = arrivals.saturating_sub(self.arrivals).min(u64::from(u32::MAX));
        self.rate = (self.rate * memory + came * UNIT) / (memory + passed);
        (self.arrivals, self.at) = (arrivals, now);
        let recent = (came * period).div_ceil(passed.max(period));
        let expected = (self.rate * period).div_ceil(UNIT).max(recent);
        u32::try_from(expected).unwrap_or(u32::MAX)
    }
}

/// Within a day: what is longer ago makes no difference.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).clamp(1, 86_400_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PERIOD: Duration = Duration::from_millis(100);

    #[test]
    fn a_steady_stream_goes_on() {
        let start = Instant::now();
        let mut forecast = Forecast::new(0, start);
        let expected: Vec<u32> = (1..=50)
            .map(|step| forecast.expect(u64::from(step) * 20, start + PERIOD * step, PERIOD))
            .collect();
        assert!(expected.iter().all(|expected| *expected == 20), "{expected:?}");
    }

    #[test]
    fn a_burst_may_go_on_and_is_forgotten() {
        let start = Instant::now();
        let mut forecast = Forecast::new(0, start);
        assert!(forecast.expect(30, start + Duration::from_millis(5), PERIOD) >= 30);
        assert!(forecast.expect(30, start + Duration::from_secs(60), PERIOD) <= 1);
    }

    #[test]
    fn one_now_and_then_is_one() {
        let start = Instant::now();
        let mut forecast = Forecast::new(0, start);
        for step in 1..9 {
            let expected = forecast.expect(u64::from(step), start + Duration::from_secs(2) * step, PERIOD);
            assert_eq!(expected, 1);
        }
    }

    proptest! {
        #[test]
        fn never_less_than_came_in_the_last_period(steps in prop::collection::vec((0_u64..1000, 0_u64..100), 1..50)) {
            let (mut now, mut arrivals) = (Instant::now(), 0);
            let mut forecast = Forecast::new(0, now);
            for (came, passed) in steps {
                now += Duration::from_millis(passed);
                arrivals += came;
                prop_assert!(u64::from(forecast.expect(arrivals, now, PERIOD)) >= came);
            }
        }
    }
}
