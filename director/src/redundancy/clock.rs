//! The clock that the virtual router goes by, and waiting by it.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::clock_gettime;
use std::future::pending;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;
use sync::vrrp::timing::Time;
use tokio::io::unix::AsyncFd;

/// The moment on `CLOCK_BOOTTIME`, which goes on while the machine is suspended and never jumps.
pub(crate) fn now() -> Time {
    // Every kernel has this clock.
    let now = clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    Time::default() + now
}

/// Wakes at a moment of that clock, exactly: tokio's own timers are up to a millisecond late, and stand still while
/// the machine is suspended.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: AsyncFd<Timer>,
    set: Option<Time>,
}

impl Alarm {
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// There are no descriptors left.
    #[expect(
        deprecated,
        reason = "what replaces it is unsafe; a timer keeps its descriptor until it is dropped"
    )]
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?;
        Ok(Self { timer: AsyncFd::new(Timer(timer))?, set: None })
    }

    /// Waits until `at`, or for ever. Cancel safe.
    pub(super) async fn at(&mut self, at: Option<Time>) {
        let Some(at) = at else { return pending().await };
        if self.set != Some(at) {
            // A moment of zero would mean never.
            let moment = TimeSpec::from(Duration::from_nanos(at.as_nanos().clamp(1, FAR)));
            if self
                .timer
                .get_ref()
                .0
                .set(Expiration::OneShot(moment), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
                .is_err()
            {
                return;
            }
            self.set = Some(at);
        }
        while let Ok(mut ready) = self.timer.readable().await {
            if let Ok(waited) = ready.try_io(|timer| Ok(timer.get_ref().0.wait()?)) {
                self.set = None;
                if waited.is_ok() {
                    return;
                }
            }
        }
    }
}

/// nix gives no bare descriptor of it, which is what tokio asks for.
#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// What fits into the kernel's nanoseconds.
const FAR: u64 = u64::MAX >> 1;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn block_on(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn an_alarm_wakes_at_its_moment_and_not_before() {
        block_on(async {
            let mut alarm = Alarm::new().unwrap();
            for wait in [3, 0, 20] {
                let at = now() + Duration::from_millis(wait);
                alarm.at(Some(at)).await;
                assert!(now() >= at);
            }
            alarm.at(Some(Time::default())).await;
        });
    }

    #[test]
    fn an_alarm_that_is_set_anew_forgets_the_moment_before() {
        block_on(async {
            let mut alarm = Alarm::new().unwrap();
            let early = now() + Duration::from_millis(1);
            let late = now() + Duration::from_millis(30);
            tokio::select! {
                biased;
                () = alarm.at(Some(early)) => panic!("it was looked at once, too early"),
                () = async {} => {}
            }
            std::thread::sleep(Duration::from_millis(2));
            alarm.at(Some(late)).await;
            assert!(now() >= late);
            let begun = Instant::now();
            tokio::select! {
                () = alarm.at(None) => panic!("nothing was set"),
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
            assert!(begun.elapsed() >= Duration::from_millis(5));
        });
    }
}
