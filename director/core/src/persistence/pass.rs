//! One look at all entries.

use super::{Action, Client, Entry, Live, Policies};
use crate::ids::ServiceNumber;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

/// Actions of one pass; what is left over is for the next one, at once.
const MOST_ACTIONS: usize = 65_536;

/// A rest that is longer than the timeout by less was rounded, or is of a renewal since.
const SLACK: Duration = Duration::from_secs(1);

/// A table of a family that is fuller than so many hundredths of its limit makes room...
const NEARLY_FULL: u64 = 95;
/// ... down to so many.
const ROOMY: u64 = 90;

/// A look at all entries: [`Self::see`] every one, then [`Self::finish`].
#[derive(Debug)]
pub struct Pass<'a> {
    policies: &'a Policies,
    live: &'a Live,
    forgotten: &'a BTreeSet<Client>,
    horizon: Duration,
    seen: BTreeSet<Client>,
    pinned: BTreeSet<Client>,
    idle: [Idle; 2],
    report: Report,
}

/// What a pass has found, and what is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// To be carried out in order.
    pub actions: Vec<Action>,
    /// There is more to do: another pass should follow at once.
    pub more: bool,
    /// Entries by family: IPv4, IPv6.
    pub entries: [u64; 2],
    /// Entries by destination id.
    pub by_destination: BTreeMap<u32, u64>,
    /// Entries that go to make room, by service.
    pub evicted: BTreeMap<ServiceNumber, u64>,
    /// Clients whose entries are still not to be made anew from their connections.
    pub forgotten: BTreeSet<Client>,
}

/// Entries of a family that nothing holds: those that end first, as many as may have to go.
#[derive(Debug)]
struct Idle {
    first: BinaryHeap<(Duration, Client, u32)>,
    most: usize,
}

impl<'a> Pass<'a> {
    /// Nothing seen yet. Entries with less time left than `horizon` may be gone before the next pass. Of clients in
    /// `forgotten` the entries were deleted on purpose: none is made anew until packets have made one, or all their
    /// connections are over.
    #[must_use]
    pub fn new(
        policies: &'a Policies,
        live: &'a Live,
        forgotten: &'a BTreeSet<Client>,
        horizon: Duration,
    ) -> Self {
        let most =
            usize::try_from(share(policies.limit, 100 - ROOMY)).unwrap_or(usize::MAX).saturating_add(1);
        let idle = || Idle { first: BinaryHeap::new(), most };
        Self {
            policies,
            live,
            forgotten,
            horizon,
            seen: BTreeSet::new(),
            pinned: BTreeSet::new(),
            idle: [idle(), idle()],
            report: Report::default(),
        }
    }

    /// Looks at an entry. One that is shown twice does no harm.
    pub fn see(&mut self, entry: &Entry) {
        let Entry { client, destination, left } = *entry;
        let policy = self.policies.of(destination).filter(|it| it.destinations.contains_key(&destination));
        let Some(policy) = policy else {
            self.act(Action::Delete(*entry));
            return;
        };
        let home = policy.client(client.address);
        if home != client {
            self.act(Action::Delete(*entry));
            let left = left.filter(|_| !self.live.has(&home, destination)).unwrap_or(policy.timeout);
            let entry = Entry { client: home, destination, left: Some(left.min(policy.timeout)) };
            self.act(Action::Put { entry, only_missing: true });
            return;
        }
        self.report.entries[usize::from(client.address.is_ipv6())] += 1;
        *self.report.by_destination.entry(destination).or_default() += 1;
        if self.live.knows(&client) || self.forgotten.contains(&client) {
            self.seen.insert(client);
        }
        let renewed = Entry { left: Some(policy.timeout), ..*entry };
        let pin = policy.pins.get(&client.address).filter(|id| policy.admits(**id));
        match (pin, left) {
            (Some(id), None) if *id == destination => {
                self.pinned.insert(client);
            }
            // A pin that is not in place is put there in the end.
            (Some(_), _) => {}
            // A pin that was taken back, or whose server is out.
            (None, None) => {
                self.act(Action::Put { entry: renewed, only_missing: false });
            }
            (None, Some(left)) => {
                let held = self.live.has(&client, destination);
                let short = left < self.horizon.min(policy.timeout);
                if left > policy.timeout + SLACK || held && short {
                    self.act(Action::Put { entry: renewed, only_missing: false });
                } else if !held {
                    self.idle[usize::from(client.address.is_ipv6())].note(left, client, destination);
                }
            }
        }
    }

    /// All entries have been seen.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.make_room();
        self.pin();
        self.restore();
        self.report
    }

    fn make_room(&mut self) {
        for six in [0, 1] {
            let entries = self.report.entries[six];
            if entries <= share(self.policies.limit, NEARLY_FULL) {
                continue;
            }
            let surplus = entries - share(self.policies.limit, ROOMY);
            let idle = std::mem::take(&mut self.idle[six].first).into_sorted_vec();
            for (left, client, destination) in
                idle.into_iter().take(usize::try_from(surplus).unwrap_or(usize::MAX))
            {
                if self.act(Action::Delete(Entry { client, destination, left: Some(left) }))
                    && let Some(service) = ServiceNumber::of_mark(destination)
                {
                    *self.report.evicted.entry(service).or_default() += 1;
                }
            }
        }
    }

    fn pin(&mut self) {
        for policy in self.policies.iter() {
            for (address, id) in policy.pins.iter().filter(|(_, id)| policy.admits(**id)) {
                let client = Client { address: *address, mark: policy.mark };
                if !self.pinned.contains(&client) {
                    let entry = Entry { client, destination: *id, left: None };
                    self.act(Action::Put { entry, only_missing: false });
                }
                self.seen.insert(client);
            }
        }
    }

    /// Makes entries of clients that have connections and no entry.
    fn restore(&mut self) {
        let (live, policies) = (self.live, self.policies);
        for (client, destination) in live.clients(policies) {
            let Some(policy) = policies.of(destination) else { continue };
            if !self.seen.contains(client) && !self.forgotten.contains(client) {
                let entry = Entry { client: *client, destination, left: Some(policy.timeout) };
                self.act(Action::Put { entry, only_missing: true });
            }
        }
        let forgotten = self.forgotten.iter().filter(|it| live.knows(it) && !self.seen.contains(it));
        self.report.forgotten = forgotten.copied().collect();
    }

    /// False if it has to wait for the next pass.
    fn act(&mut self, action: Action) -> bool {
        let room = self.report.actions.len() < MOST_ACTIONS;
        if room {
            self.report.actions.push(action);
        }
        self.report.more |= !room;
        room
    }
}

impl Idle {
    fn note(&mut self, left: Duration, client: Client, destination: u32) {
        let candidate = (left, client, destination);
        if self.first.len() < self.most {
            self.first.push(candidate);
        } else if let Some(mut last) = self.first.peek_mut()
            && candidate < *last
        {
            *last = candidate;
        }
    }
}

/// So many hundredths of `limit`.
fn share(limit: u32, hundredths: u64) -> u64 {
    u64::from(limit) * hundredths / 100
}
