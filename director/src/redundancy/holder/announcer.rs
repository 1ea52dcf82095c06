//! Tells the neighbours of addresses, frame by frame.

use crate::kernel::address::picture::Picture;
use crate::redundancy::Placed;
use std::collections::BTreeMap;
use std::io;
use sync::announce::{Announcements, Outlet, Schedule, Sockets};
use sync::vrrp::timing::Time;

/// What is to be announced, and the sockets.
#[derive(Debug)]
pub(super) struct Announcer {
    schedule: Schedule<Placed>,
    sockets: Sockets,
    sent: u64,
    /// Why the last frame did not go out, by interface.
    errors: BTreeMap<String, String>,
    /// The errors are others.
    news: bool,
}

impl Announcer {
    pub(super) fn open(terms: Announcements) -> io::Result<Self> {
        Ok(Self {
            schedule: Schedule::new(terms),
            sockets: Sockets::open()?,
            sent: 0,
            errors: BTreeMap::new(),
            news: false,
        })
    }

    pub(super) fn set_terms(&mut self, now: Time, terms: Announcements) {
        self.schedule.set_terms(now, terms);
    }

    /// The address is here: [`Self::send`] says so at once, and again.
    pub(super) fn begin(&mut self, now: Time, placed: Placed) {
        self.schedule.begin(now, placed);
    }

    /// The address is here no more.
    pub(super) fn end(&mut self, placed: &Placed) {
        self.schedule.end(placed);
    }

    /// No address is here any more.
    pub(super) fn clear(&mut self) {
        self.schedule.clear();
        self.errors.clear();
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.schedule.deadline()
    }

    /// Sends what is due, up to a limit: the rest is still due then. An address that is not there is not announced.
    pub(super) fn send(&mut self, now: Time, picture: &Picture) {
        for _ in 0..AT_ONCE {
            let Some(placed) = self.schedule.due(now) else { return };
            let (address, name) = &placed;
            let link = picture.link(name);
            let Some(link) = link.filter(|_| picture.has(*address, name)) else {
                self.schedule.end(&placed);
                continue;
            };
            // On other links nobody asks for addresses, and on one that is down nobody hears.
            let Some(mac) = link.mac.filter(|_| link.up) else { continue };
            match self.sockets.announce(Outlet { name, index: link.index, mac }, *address) {
                Ok(()) => {
                    self.sent += 1;
                    self.news |= self.errors.remove(name).is_some();
                }
                Err(error) => {
                    self.news |= self.errors.insert(name.clone(), error.to_string()).is_none();
                }
            }
        }
    }

    /// Forgets interfaces that are no more.
    pub(super) fn keep_only(&mut self, picture: &Picture) {
        self.sockets.keep_only(|index| picture.knows(index));
        self.errors.retain(|name, _| picture.link(name).is_some());
    }

    pub(super) fn announced(&self) -> u64 {
        self.sent
    }

    /// Why frames did not go out.
    pub(super) fn errors(&self) -> impl Iterator<Item = &String> {
        self.errors.values()
    }

    /// The errors are others than at the last call.
    pub(super) fn news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }
}

/// Frames between two looks at everything else that is to be done.
const AT_ONCE: usize = 32;
