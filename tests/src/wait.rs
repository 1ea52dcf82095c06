//! Waiting for a state of the kernel or of another process that no event announces.

use crate::{Error, Result};
use std::time::{Duration, Instant};

/// Time between two looks.
const STEP: Duration = Duration::from_millis(10);

/// Looks again and again until `condition` holds; `what` names it in the error.
///
/// # Errors
/// [`Error::Late`] if it does not hold within `limit`.
pub fn eventually(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    eventually_some(limit, what, || condition().then_some(()))
}

/// As [`eventually`], but returns what was found.
///
/// # Errors
/// [`Error::Late`] if `look` finds nothing within `limit`.
pub fn eventually_some<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(Error::Late { limit, what: what.to_owned() });
        }
        std::thread::sleep(STEP);
    }
}
