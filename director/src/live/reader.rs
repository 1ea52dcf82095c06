//! The thread that reads what conntrack tells.

use super::LiveError;
use super::tally::{Census, Connection, Event, Findings, Phase, Tally};
use director_core::ids::{DestinationId, ServiceNumber};
use director_nft::netlink::{Change, Conntrack, ConntrackEvent, ConntrackEvents, Error, Flow};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// From one census to the next.
const CENSUS: Duration = Duration::from_secs(30);

/// The same while there are connections of which nobody would tell that they end.
const CENSUS_OF_SILENT: Duration = Duration::from_secs(5);

/// Share of the time that may go into censuses: one in so many.
const DUTY: u32 = 20;

/// Events that come within so long are read together.
const GATHER: Duration = Duration::from_millis(5);

/// Wait after a socket that fails, so that a broken one does not keep a CPU busy.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads as long as it is there.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Shared>,
    /// Its end ends the thread.
    _stop: UnixStream,
}

#[derive(Debug)]
struct Shared {
    tally: Mutex<Tally>,
    moved: Notify,
}

impl Reader {
    pub(super) fn start(services: BTreeSet<ServiceNumber>) -> Result<Self, LiveError> {
        let (events, conntrack) =
            (ConntrackEvents::open(DestinationId::FLAG, DestinationId::FLAG)?, Conntrack::open()?);
        let (stop, stopped) = UnixStream::pair().map_err(LiveError::Thread)?;
        let shared = Arc::new(Shared { tally: Mutex::new(Tally::new(services)), moved: Notify::new() });
        let mut thread =
            Thread { events, conntrack, stopped, shared: Arc::clone(&shared), heard: Vec::new() };
        thread::Builder::new()
            .name("connections".to_owned())
            .spawn(move || thread.run())
            .map_err(LiveError::Thread)?;
        Ok(Self { shared, _stop: stop })
    }

    pub(super) async fn moved(&self) {
        self.shared.moved.notified().await;
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.shared.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the tally, and tells if something moved that had not.
    fn change<T>(&self, change: impl FnOnce(&mut Tally) -> T) -> T {
        let mut tally = self.lock();
        let still = !tally.has_moved();
        let result = change(&mut tally);
        if still && tally.has_moved() {
            self.moved.notify_one();
        }
        result
    }
}

struct Thread {
    events: ConntrackEvents,
    conntrack: Conntrack,
    stopped: UnixStream,
    shared: Arc<Shared>,
    /// Events between reading and noting.
    heard: Vec<Event>,
}

impl Thread {
    /// Reads until the other end of `stopped` is closed.
    fn run(&mut self) {
        let mut census = Censuses::new(Instant::now());
        loop {
            let now = Instant::now();
            let result = self
                .read(&mut census)
                .and_then(|()| if census.due <= now { self.census(&mut census) } else { Ok(()) });
            if let Err(error) = &result {
                tracing::error!(%error, "can't count connections");
                census.hasten(now);
            }
            let wait = if result.is_ok() { GATHER } else { PAUSE };
            if self.stopped_within(wait) || self.stopped_or_told(census.due) {
                return;
            }
        }
    }

    /// Notes all events that wait.
    fn read(&mut self, census: &mut Censuses) -> Result<(), Error> {
        let mut lost = false;
        let heard = &mut self.heard;
        // Reading takes its time; the control loop shall not wait for it.
        let result = self.events.read(|event| match event {
            ConntrackEvent::New(it) => heard.push(Event::New(connection(&it))),
            ConntrackEvent::Update(it) => heard.push(Event::Changed(connection(&it))),
            ConntrackEvent::Destroy(it) => heard.push(Event::Gone(connection(&it))),
            ConntrackEvent::Lost => lost = true,
        });
        self.shared.change(|tally| heard.drain(..).for_each(|event| tally.note(event)));
        if lost {
            tracing::warn!("the kernel told more than could be read: counting all connections anew");
            census.hasten(Instant::now());
        }
        result
    }

    fn census(&mut self, censuses: &mut Censuses) -> Result<(), Error> {
        let start = Instant::now();
        let mut census = Census::default();
        let flag = DestinationId::FLAG;
        self.conntrack.dump(flag, flag, |flow| census.add(seen(flow)))?;
        let findings = self.shared.change(|tally| tally.replace(census));
        tracing::debug!(corrected = findings.corrected, silent = findings.silent, "connections counted");
        censuses.taken(findings, start, Instant::now());
        Ok(())
    }

    fn stopped_within(&self, time: Duration) -> bool {
        let mut stopped = [PollFd::new(self.stopped.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut stopped, timeout(time)), Ok(1..))
    }

    /// Waits until there are events to read, or `due`; true if it is time to end.
    fn stopped_or_told(&self, due: Instant) -> bool {
        let mut descriptors = [
            PollFd::new(self.stopped.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.events.as_fd(), PollFlags::POLLIN),
        ];
        let waited = poll(&mut descriptors, timeout(due.saturating_duration_since(Instant::now())));
        waited.is_ok() && descriptors[0].any().unwrap_or(false)
    }
}

fn connection(it: &Change) -> Connection {
    Connection { id: it.id, mark: it.mark, phase: Phase::of(it.protocol, it.tcp_state) }
}

fn seen(flow: &Flow) -> Connection {
    Connection { id: flow.id, mark: flow.mark, phase: Phase::of(flow.protocol, flow.tcp_state) }
}

fn timeout(time: Duration) -> PollTimeout {
    // Not a millisecond too early.
    PollTimeout::try_from(time + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
}

/// When to take a census.
struct Censuses {
    due: Instant,
    /// Not sooner, whatever happens.
    earliest: Instant,
}

impl Censuses {
    fn new(now: Instant) -> Self {
        Self { due: now, earliest: now }
    }

    fn taken(&mut self, findings: Findings, start: Instant, end: Instant) {
        self.earliest = end + (end - start) * DUTY;
        let period = if findings.silent > 0 { CENSUS_OF_SILENT } else { CENSUS };
        self.due = self.earliest.max(end + period);
    }

    /// What is counted may be wrong.
    fn hasten(&mut self, now: Instant) {
        self.due = self.earliest.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_connections_are_looked_at_more_often_and_what_was_lost_at_once() {
        let start = Instant::now();
        let end = start + Duration::from_millis(2);
        let mut censuses = Censuses::new(start);
        censuses.taken(Findings { corrected: 0, silent: 0 }, start, end);
        assert_eq!(censuses.due, end + CENSUS);
        censuses.taken(Findings { corrected: 0, silent: 1 }, start, end);
        assert_eq!(censuses.due, end + CENSUS_OF_SILENT);
        censuses.hasten(end);
        assert_eq!(censuses.due, end + Duration::from_millis(40), "a twentieth of the time at most");
    }
}
