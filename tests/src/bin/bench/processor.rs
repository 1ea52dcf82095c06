//! Time that others keep a processor busy.

use crate::Outcome;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use std::fs;
use std::time::Duration;

/// Of a process so far, all its threads together.
pub(crate) fn of_process(process: u32) -> Outcome<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(process.try_into()?))?;
    Ok(clock_gettime(clock)?.into())
}

/// Of the thread of that name in a process so far.
pub(crate) fn of_thread(process: u32, name: &str) -> Outcome<Duration> {
    for entry in fs::read_dir(format!("/proc/{process}/task"))? {
        let path = entry?.path();
        // It may have ended meanwhile.
        if fs::read_to_string(path.join("comm")).is_ok_and(|found| found.trim_end() == name) {
            let figures = fs::read_to_string(path.join("schedstat"))?;
            let nanos = figures.split_whitespace().next().unwrap_or_default().parse()?;
            return Ok(Duration::from_nanos(nanos));
        }
    }
    Err(format!("process {process} has no thread {name}").into())
}
