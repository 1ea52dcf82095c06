//! Tells when somebody else changed the ruleset.

use director_nft::netlink::{Changes, Events};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::Notify;

/// Wait after a notification socket that fails, so that a broken one does not keep a CPU busy.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells `changed` as long as the process lives, from a thread of its own: waiting for a descriptor that is no socket of
/// tokio's takes one anyway.
///
/// # Errors
/// There is no thread to be had.
pub fn foreign_changes(mut events: Events, changed: Arc<Notify>) -> std::io::Result<()> {
    let watch = move || {
        loop {
            let mut descriptors = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
            let waited = poll(&mut descriptors, PollTimeout::NONE);
            let changes = events.drain();
            match &changes {
                Ok(Changes::None | Changes::Ours) => {}
                // What can't be read may have told of anything.
                Ok(Changes::Foreign) | Err(_) => changed.notify_one(),
            }
            if !matches!(waited, Ok(_) | Err(Errno::EINTR)) || changes.is_err() {
                thread::sleep(PAUSE);
            }
        }
    };
    thread::Builder::new().name("nft-events".to_owned()).spawn(watch)?;
    Ok(())
}
