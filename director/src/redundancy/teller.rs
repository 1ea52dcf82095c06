//! The way of news to the journal. Whoever tells never waits: what finds no room is counted, and the journal says
//! how much that was.

use super::{Happened, News};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use tokio::sync::mpsc;

/// So much may wait for the journal.
const ROOM: usize = 256;

/// Tells the journal; cheap to clone.
#[derive(Debug, Clone)]
pub struct Teller {
    room: mpsc::Sender<Happened>,
    lost: Arc<AtomicU64>,
}

/// The journal's end.
#[derive(Debug)]
pub struct Told {
    news: mpsc::Receiver<Happened>,
    lost: Arc<AtomicU64>,
}

impl Teller {
    /// A teller and what the journal reads.
    #[must_use]
    pub fn new() -> (Self, Told) {
        let (room, news) = mpsc::channel(ROOM);
        let lost = Arc::default();
        (Self { room, lost: Arc::clone(&lost) }, Told { news, lost })
    }

    /// Tells what happens now.
    pub fn tell(&self, what: News) {
        let happened = Happened { at: SystemTime::now(), what };
        if self.room.try_send(happened).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Told {
    /// The next news; `None` when nobody is left who could tell any.
    pub(super) async fn next(&mut self) -> Option<Happened> {
        self.news.recv().await
    }

    /// So many were lost since this was asked last.
    pub(super) fn lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_finds_no_room_is_counted_and_holds_nobody_up() {
        let (teller, mut told) = Teller::new();
        for peer in 0..ROOM + 3 {
            teller.tell(News::PeerHeard { node: peer.to_string() });
        }
        assert_eq!((told.lost(), told.lost()), (3, 0));
        assert_eq!(told.next().await.unwrap().what, News::PeerHeard { node: "0".to_owned() });
        drop(teller);
        for _ in 1..ROOM {
            assert!(told.next().await.is_some());
        }
        assert!(told.next().await.is_none());
    }
}
