//! What happens in the virtual router, for people: the log, the last events, and the `notify` program.

mod ring;

pub use ring::{KEPT, Past};

use super::notify::{self, Change, Notifier};
use super::{Ask, Happened, News, Orders, Router, Told};
use crate::state::Store;
use crate::status::{EventsStatus, LevelStatus};
use crate::telling::{Budget, PERIOD};
use ring::{Entry, Ring};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use sync::vrrp::machine::{Event, Names, Plain, Role, Why};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The last events; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Ring>>);

/// Keeps a journal for as long as somebody may tell something.
#[derive(Debug)]
pub struct Keeping(JoinHandle<()>);

impl Journal {
    /// A journal of what is told from now on, behind the events of `past`. `orders` has the names, and the program that
    /// is to be run at changes of role; `asks` leads to the thread.
    #[must_use]
    pub fn keep(
        past: Past,
        told: Told,
        orders: watch::Receiver<Orders>,
        asks: mpsc::Sender<Ask>,
    ) -> (Self, Keeping) {
        let Past { store, ring } = past;
        let journal = Self(Arc::new(Mutex::new(ring)));
        let keeper = Keeper {
            ring: journal.clone(),
            store,
            orders,
            notifier: notify::spawn(asks),
            role: Role::Initialize,
            lines: Budget::new(MATTER),
        };
        (journal, Keeping(tokio::spawn(keeper.run(told))))
    }

    /// Events, oldest first: at most `limit` of those after number `after`; without a number the last ones.
    #[must_use]
    pub fn events(&self, after: Option<u64>, limit: usize) -> EventsStatus {
        self.ring().events(after, limit)
    }

    /// A journal of these, told at the beginning of 1970.
    #[cfg(test)]
    pub(crate) fn of(news: &[News], router: &Router) -> Self {
        let journal = Self::default();
        for news in news {
            journal.write(SystemTime::UNIX_EPOCH, entry(news, router));
        }
        journal
    }

    fn write(&self, at: SystemTime, entry: Entry) {
        self.ring().push(at, entry);
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeping {
    /// Waits until everything that was told is written, and the program that was to be told has ended; not longer than
    /// `limit`. Nobody may be left who tells something.
    pub async fn finish(self, limit: Duration) {
        // What is lost then is lost with the daemon.
        let _ = timeout(limit, self.0).await;
    }
}

/// Writes the journal.
struct Keeper {
    ring: Journal,
    store: Store<Ring>,
    orders: watch::Receiver<Orders>,
    notifier: Notifier,
    role: Role,
    /// Whoever is on the link must not fill the disk.
    lines: Budget,
}

const MATTER: &str = "events of the virtual router: `director events` has them";

impl Keeper {
    async fn run(mut self, mut told: Told) {
        while let Some(Happened { at, what }) = self.next(&mut told).await {
            let router = self.orders.borrow().router.clone();
            self.write(at, entry(&what, names(router.as_deref())));
            if let (News::Router(Event::Became(role, why)), Some(router)) = (what, router) {
                self.notify(role, why, &router);
            }
            let lost = told.lost();
            if lost > 0 {
                let text = format!("{lost} events were lost: more came than could be written");
                self.write(SystemTime::now(), Entry { level: LevelStatus::Warning, kind: "lost", text });
            }
        }
        let saved = self.store.save(&self.ring.ring());
        if let Err(error) = saved {
            tracing::warn!(%error, "the events of the virtual router will be missing after the next start");
        }
        self.notifier.finish().await;
    }

    async fn next(&mut self, told: &mut Told) -> Option<Happened> {
        while self.lines.owes() {
            if let Ok(next) = timeout(PERIOD, told.next()).await {
                return next;
            }
            self.lines.catch_up(Instant::now());
        }
        told.next().await
    }

    fn write(&mut self, at: SystemTime, entry: Entry) {
        if self.lines.take(Instant::now()) {
            log(&entry);
        }
        self.ring.write(at, entry);
    }

    fn notify(&mut self, role: Role, why: Why, router: &Router) {
        let previous = std::mem::replace(&mut self.role, role);
        self.notifier.tell(Change {
            command: router.settings.notify.clone(),
            role,
            previous,
            node: router.node.clone(),
            vrid: router.settings.vrid.get(),
            why: why.words(router),
            priority: router.settings.priorities.get(&router.node).map(|priority| priority.get()),
        });
    }
}

fn names(router: Option<&Router>) -> &dyn Names {
    router.map_or(&Plain as &dyn Names, |router| router)
}

fn entry(news: &News, names: &dyn Names) -> Entry {
    use LevelStatus::{Info, Warning};
    let level = |fine: bool| if fine { Info } else { Warning };
    let (level, kind, text) = match news {
        News::Router(event) => {
            let (level, kind) = weigh(event);
            (level, kind, event.words(names))
        }
        News::PeerHeard { node } => (Info, "peer", format!("{node} says hello")),
        News::PeerSilent { node } => {
            (Warning, "peer", format!("{node} says nothing any more: it hangs, or nothing leads there"))
        }
        News::PeerStopped { node } => (Warning, "peer", format!("{node} has stopped")),
        News::PeerConfiguration { node, same: true } => {
            (Info, "configuration", format!("{node} has the same configuration again"))
        }
        News::PeerConfiguration { node, same: false } => (
            Warning,
            "configuration",
            format!("{node} has another configuration: give both directors the same file, and reload"),
        ),
        News::Tracked { well, text } => (level(*well), "tracked", text.clone()),
        News::Trouble { text } => (Warning, "trouble", text.clone()),
    };
    Entry { level, kind, text }
}

/// How much an event matters, and its kind.
fn weigh(event: &Event) -> (LevelStatus, &'static str) {
    use LevelStatus::{Info, Warning};
    match event {
        Event::Became(_, Why::Silence | Why::Frozen(_) | Why::Yielded { .. }) => (Warning, "role"),
        Event::Became(
            _,
            Why::Started
            | Why::Stopped
            | Why::Owner
            | Why::Left(_)
            | Why::Preempted { .. }
            | Why::Outranked { .. }
            | Why::StoodDown { .. },
        ) => (Info, "role"),
        Event::Preempts { .. } => (Info, "preempt"),
        Event::Interval { .. } => (Info, "interval"),
        Event::Overslept(_) => (Warning, "overslept"),
        Event::LinkDown(_) | Event::LinkSilent(_) => (Warning, "link"),
        Event::LinkUp(_) | Event::LinkHeard(_) => (Info, "link"),
        Event::DualActive { .. } => (Warning, "dual-active"),
        Event::DualActiveEnded => (Info, "dual-active"),
        Event::Refused(_) => (Info, "refused"),
    }
}

fn log(Entry { level, kind, text }: &Entry) {
    match level {
        LevelStatus::Info => tracing::info!(kind, "redundancy: {text}"),
        LevelStatus::Warning => tracing::warn!(kind, "redundancy: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redundancy::Teller;
    use crate::sample;
    use std::path::Path;
    use sync::vrrp::machine::Link;
    use sync::vrrp::timing::Priority;

    fn orders() -> watch::Sender<Orders> {
        watch::Sender::new(Orders { addresses: None, router: Some(Arc::new(sample::router())) })
    }

    async fn journal(news: impl IntoIterator<Item = News>) -> Journal {
        let folder = tempfile::TempDir::new().unwrap();
        journal_in(folder.path(), news).await
    }

    async fn journal_in(folder: &Path, news: impl IntoIterator<Item = News>) -> Journal {
        let (orders, (teller, told)) = (orders(), Teller::new());
        let (asks, _) = mpsc::channel(1);
        let past = Past::open(folder).unwrap();
        let (journal, keeping) = Journal::keep(past, told, orders.subscribe(), asks);
        news.into_iter().for_each(|news| teller.tell(news));
        drop(teller);
        keeping.finish(Duration::from_secs(10)).await;
        journal
    }

    #[tokio::test]
    async fn events_name_directors_and_say_how_much_they_matter() {
        let from = [192, 168, 1, 34].into();
        let journal = journal([
            News::Router(Event::Became(Role::Backup, Why::Started)),
            News::Router(Event::Became(Role::Active, Why::Silence)),
            News::Router(Event::DualActive { from, priority: Priority::DEFAULT }),
            News::PeerConfiguration { node: "lb2".into(), same: false },
        ])
        .await;
        let events = journal.events(None, KEPT);
        let shown: Vec<_> =
            events.events.iter().map(|it| (it.number, it.level.name(), &*it.kind, &*it.text)).collect();
        assert_eq!(
            shown,
            [
                (1, "info", "role", "Backup: started"),
                (2, "warning", "role", "Active: no adverts on any link"),
                (
                    3,
                    "warning",
                    "dual-active",
                    "lb2 is Active too, with priority 100: adverts were lost or refused"
                ),
                (
                    4,
                    "warning",
                    "configuration",
                    "lb2 has another configuration: give both directors the same file, and reload"
                ),
            ]
        );
        assert_eq!(events.last, 4);
        assert!(humantime::parse_rfc3339(&events.events[0].at).is_ok());
    }

    #[test]
    fn what_leaves_less_of_a_pair_is_a_warning() {
        let peer = [192, 168, 1, 34].into();
        let became = |role, why| Event::Became(role, why);
        let warnings = [
            became(Role::Active, Why::Silence),
            became(Role::Backup, Why::Frozen(Duration::from_secs(4))),
            became(Role::Backup, Why::Yielded { to: Some(peer) }),
            Event::LinkDown(Link(0)),
            Event::LinkSilent(Link(1)),
            Event::Overslept(Duration::from_secs(2)),
            Event::DualActive { from: peer, priority: Priority::DEFAULT },
        ];
        let news = [
            became(Role::Active, Why::Left(peer)),
            became(Role::Backup, Why::StoodDown { to: Some(peer) }),
            became(Role::Initialize, Why::Stopped),
            Event::LinkUp(Link(0)),
            Event::LinkHeard(Link(1)),
            Event::DualActiveEnded,
        ];
        let level = |event: &Event| entry(&News::Router(*event), &Plain).level;
        assert!(warnings.iter().all(|event| level(event) == LevelStatus::Warning));
        assert!(news.iter().all(|event| level(event) == LevelStatus::Info));
    }

    #[tokio::test]
    async fn the_program_hears_what_was_before() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("told");
        let script = format!("echo $DIRECTOR_PREVIOUS_ROLE $DIRECTOR_ROLE >> {}", file.display());
        let mut router = sample::router();
        Arc::make_mut(&mut router.settings).notify = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
        let orders = watch::Sender::new(Orders { addresses: None, router: Some(Arc::new(router)) });
        let (teller, told) = Teller::new();
        let (asks, _) = mpsc::channel(1);
        let past = Past::open(folder.path()).unwrap();
        let (_, keeping) = Journal::keep(past, told, orders.subscribe(), asks);
        for (lines, role) in [(1, Role::Backup), (2, Role::Active)] {
            teller.tell(News::Router(Event::Became(role, Why::Started)));
            for _ in 0..1_000 {
                if std::fs::read_to_string(&file).is_ok_and(|told| told.lines().count() == lines) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        drop(teller);
        keeping.finish(Duration::from_secs(10)).await;
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "initialize backup\nbackup active\n");
    }

    #[tokio::test]
    async fn a_restart_forgets_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let said = |node: &str| News::PeerHeard { node: node.into() };
        let before = journal_in(folder.path(), [said("lb2"), said("lb3")]).await.events(None, KEPT);
        let after = journal_in(folder.path(), [said("lb4")]).await;
        assert_eq!(after.events(Some(0), 2), EventsStatus { last: 3, events: before.events });
        let [next] = &after.events(Some(before.last), KEPT).events[..] else { panic!("one event") };
        assert_eq!((next.number, &*next.text), (3, "lb4 says hello"));
    }

    #[tokio::test]
    async fn losses_are_told() {
        let many = (0..10_000).map(|it| News::PeerHeard { node: it.to_string() });
        let events = journal(many).await.events(None, KEPT).events;
        let lost = events.iter().find(|event| event.kind == "lost").unwrap();
        assert_eq!(lost.text, "9744 events were lost: more came than could be written");
    }
}
