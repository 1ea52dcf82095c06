//! Real-time priority for the calling thread.
//!
//! Memory is not locked: what the thread touches it touches every second, so that the kernel keeps it, and locking
//! counts for the whole process, with the tables of ten thousand services and the stacks of all threads.

use std::io;
use thread_priority::unix::{set_thread_priority_and_policy, thread_native_id};
use thread_priority::{Error, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};

/// Has the calling thread run before all that has no real-time priority, and after the kernel's own threads that have:
/// `SCHED_FIFO`, with the lowest priority. Children inherit it: the thread must start none but those that
/// serve it.
///
/// # Errors
/// It is not allowed (`CAP_SYS_NICE`, `RLIMIT_RTPRIO`, or a control group without real-time).
pub(super) fn raise() -> io::Result<()> {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy).map_err(|error| {
        match error {
            Error::OS(number) => io::Error::from_raw_os_error(number),
            Error::Priority(_) | Error::PriorityNotInRange(_) | Error::Ffi(_) => {
                io::Error::other(error.to_string())
            }
        }
    })
}
