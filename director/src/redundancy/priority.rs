//! Real-time priority for the calling thread.
//!
//! Memory is not locked: what the thread touches it touches every second, so that the kernel keeps it, and locking
//! counts for the whole process, with the tables of ten thousand services and the stacks of all threads.

use std::io;
use thread_priority::unix::{set_thread_priority_and_policy, thread_native_id};
use thread_priority::{Error, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};

/// What comes before what, as a priority of `SCHED_FIFO`: low ones, after the kernel's own threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// What the kernel is asked to do with addresses. It may spin for a lock of the kernel's, which must not keep
    /// adverts from their processor.
    Requests = 1,
    /// Adverts.
    Adverts = 2,
}

/// Has the calling thread run before all that has no real-time priority. Threads that it starts inherit it.
///
/// # Errors
/// It is not allowed (`CAP_SYS_NICE`, `RLIMIT_RTPRIO`, or a control group without real-time).
pub(super) fn raise(urgency: Urgency) -> io::Result<()> {
    let priority = (urgency as u8).try_into().map_err(io::Error::other)?;
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(priority), policy)
        .map_err(|error| match error {
            Error::OS(number) => io::Error::from_raw_os_error(number),
            Error::Priority(_) | Error::PriorityNotInRange(_) | Error::Ffi(_) => {
                io::Error::other(error.to_string())
            }
        })
}
