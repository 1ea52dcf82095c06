//! The links that adverts go by: sending, hearing, and what is told of it.
//!
//! A link without its interface or address is tried again whenever one of those changes. What is wrong is told once.

mod socket;

use super::inlet::{Arrival, any_readable};
use super::refusals::{Refusals, advice};
use super::router::Path;
use super::{News, Sequences, Teller};
use crate::status::LinkStatus;
use director_core::model::Side;
use socket::{Place, Sockets};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::IpAddr;
use sync::vrrp::authentication::Sequence;
use sync::vrrp::channel::{Received, Receiver, Sender};
use sync::vrrp::machine::{Heard, Link};
use sync::vrrp::packet::{Datagram, Discard, Kind};
use sync::vrrp::timing::Time;

/// All links that adverts go by.
#[derive(Debug)]
pub(super) struct Links {
    lines: BTreeMap<Side, Line>,
    epoch: u64,
    heard: Sequences,
    teller: Teller,
}

/// One of them. Its numbers live as long as the daemon.
#[derive(Debug)]
struct Line {
    /// Whether adverts go by it now.
    open: bool,
    /// Without a carrier nothing is sent: the kernel forgets the neighbours then, keeps what is for them, and delivers it
    /// seconds later, when it is not true any more.
    up: bool,
    path: Path,
    sender: Sender,
    receiver: Receiver,
    sockets: Option<Sockets>,
    sent: u64,
    received: u64,
    heard: Option<Time>,
    /// Sockets can't be opened, or nothing be sent.
    troubled: bool,
    refusals: Refusals,
    /// Who lists other addresses.
    differing: BTreeSet<IpAddr>,
}

impl Links {
    /// `epoch` must be higher than in any run before; `heard` is what the last one heard.
    pub(super) fn new(epoch: u64, heard: Sequences, teller: Teller) -> Self {
        Self { lines: BTreeMap::new(), epoch, heard, teller }
    }

    /// Adverts go by `paths` from now on; [`Self::revive`] is to be called.
    pub(super) fn configure(&mut self, paths: Vec<Path>) {
        for line in self.lines.values_mut() {
            line.open = false;
        }
        for path in paths {
            match self.lines.get_mut(&path.side) {
                Some(line) => line.configure(path),
                None => {
                    let heard = self.heard.get(path.side.name()).cloned().unwrap_or_default();
                    self.lines.insert(path.side, Line::new(path, self.epoch, &heard));
                }
            }
        }
        for line in self.lines.values_mut().filter(|line| !line.open) {
            line.sockets = None;
        }
    }

    /// Opens what is missing: interfaces or addresses may have come, gone or changed. `index` knows the interfaces by
    /// name.
    pub(super) fn revive(&mut self, index: impl Fn(&str) -> Option<u32>) {
        for line in self.lines.values_mut().filter(|line| line.open) {
            line.revive(index(&line.path.interface), &self.teller);
        }
    }

    /// Adverts can be sent and heard there, as far as the director knows.
    pub(super) fn is_open(&self, side: Side) -> bool {
        self.lines.get(&side).is_some_and(|line| line.open && line.sockets.is_some())
    }

    /// A link has no sockets.
    pub(super) fn wanting(&self) -> bool {
        self.lines.values().any(|line| line.open && line.sockets.is_none())
    }

    /// Waits until an advert may have come. Cancel safe.
    pub(super) async fn readable(&self) {
        any_readable(self.lines.values().filter_map(|line| line.sockets.as_ref()).map(Sockets::inlet)).await;
    }

    /// What has come by now, but no more than a share of it: true if there may be more.
    pub(super) fn receive(&mut self, now: Time, heard: &mut Vec<Heard>) -> bool {
        let mut more = false;
        for line in self.lines.values_mut() {
            more |= line.receive(now, heard, &self.teller);
        }
        more
    }

    /// Takes note of which interfaces are up.
    pub(super) fn watch(&mut self, up: impl Fn(&str) -> bool) {
        for line in self.lines.values_mut() {
            line.up = up(&line.path.interface);
        }
    }

    /// Sends an advert by every link that is up.
    pub(super) fn advert(&mut self, priority: u8, successor: Option<IpAddr>) {
        for line in self.lines.values_mut().filter(|line| line.open && line.up) {
            line.advert(priority, successor, &self.teller);
        }
    }

    /// Counts anew from a higher epoch.
    pub(super) fn begin(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.lines.values_mut().for_each(|line| line.sender.begin(epoch));
    }

    /// Peers, by their address on the first link, that are refused until their epoch exceeds another.
    pub(super) fn behind(&self) -> impl Iterator<Item = (IpAddr, u64)> {
        self.lines
            .values()
            .flat_map(|line| line.receiver.behind().map(|(source, epoch)| (line.path.sender(source), epoch)))
    }

    /// The newest sequences heard, for the next run.
    pub(super) fn sequences(&self) -> Sequences {
        let mut all = self.heard.clone();
        for (side, line) in &self.lines {
            let newest = line.receiver.heard().map(|(source, it)| (source, (it.epoch, it.counter)));
            all.insert(side.name().to_owned(), newest.collect());
        }
        all
    }

    /// What was refused so far.
    pub(super) fn discards(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for (kind, count) in self.lines.values().flat_map(|line| line.receiver.discards().iter()) {
            *all.entry(kind.name().to_owned()).or_default() += count;
        }
        all
    }

    /// The links for people: `down` and `silent` as the state machine knows them.
    pub(super) fn status(&self, now: Time, down: &[Link], silent: &[Link]) -> Vec<LinkStatus> {
        let mut open: Vec<&Line> = self.lines.values().filter(|line| line.open).collect();
        open.sort_by_key(|line| line.path.link);
        let show = |line: &Line| LinkStatus {
            name: line.path.side.name().to_owned(),
            interface: line.path.interface.clone(),
            up: !down.contains(&line.path.link),
            silent: silent.contains(&line.path.link),
            sent: line.sent,
            received: line.received,
            heard_seconds: line.heard.map(|heard| now.since(heard).as_secs_f64()),
        };
        open.into_iter().map(show).collect()
    }
}

impl Line {
    fn new(path: Path, epoch: u64, heard: &BTreeMap<IpAddr, (u64, u64)>) -> Self {
        let heard = heard.iter().map(|(&source, &(epoch, counter))| (source, Sequence { epoch, counter }));
        Self {
            open: true,
            up: true,
            sender: Sender::new(path.channel.clone(), epoch),
            receiver: Receiver::new(path.channel.clone(), heard),
            path,
            sockets: None,
            sent: 0,
            received: 0,
            heard: None,
            troubled: false,
            refusals: Refusals::default(),
            differing: BTreeSet::new(),
        }
    }

    fn configure(&mut self, path: Path) {
        self.open = true;
        self.sender.configure(path.channel.clone());
        self.receiver.configure(path.channel.clone());
        let before = self.place();
        self.path = path;
        if self.place() != before {
            self.sockets = None;
        }
    }

    fn place(&self) -> Place {
        let channel = &self.path.channel;
        Place {
            interface: self.path.interface.clone(),
            local: channel.local,
            group: channel.anybody.then_some(channel.vrid),
        }
    }

    fn revive(&mut self, index: Option<u32>, teller: &Teller) {
        // There may be another interface of that name.
        self.sockets.take_if(|sockets| Some(sockets.index()) != index);
        if self.sockets.is_none() {
            let place = self.place();
            match Sockets::open(&place) {
                Ok(sockets) => self.sockets = Some(sockets),
                Err(error) => {
                    let Place { interface, local, .. } = place;
                    self.trouble(teller, format!(
                        "can't advert by {interface:?} from {local}: {error}{}; it is tried again when the interface or its addresses change",
                        advice(&error)
                    ));
                }
            }
        }
    }

    fn advert(&mut self, priority: u8, successor: Option<IpAddr>, teller: &Teller) {
        let Some(sockets) = &self.sockets else { return };
        let mut failure = None;
        for &destination in &self.path.destinations {
            let message = self.sender.advert(priority, successor, destination);
            match sockets.send(&message, destination) {
                Ok(()) => self.sent += 1,
                Err(error) => failure = Some((destination, error)),
            }
        }
        match failure {
            None => self.troubled = false,
            Some((destination, error)) => {
                let interface = &self.path.interface;
                self.trouble(
                    teller,
                    format!("can't send adverts to {destination} by {interface:?}: {error}"),
                );
            }
        }
    }

    fn trouble(&mut self, teller: &Teller, text: String) {
        if !std::mem::replace(&mut self.troubled, true) {
            teller.tell(News::Trouble { text });
        }
    }

    fn receive(&mut self, now: Time, all: &mut Vec<Heard>, teller: &Teller) -> bool {
        let mut buffer = [0; LONGEST];
        for _ in 0..SHARE {
            let Some(sockets) = &self.sockets else { return false };
            let arrival = match sockets.inlet().receive(&mut buffer) {
                Ok(arrival) => arrival,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return false,
            };
            let payload = buffer.get(..arrival.length).unwrap_or_default();
            let received = if self.path.channel.local.is_ipv4() {
                self.receiver.receive_ipv4(payload)
            } else {
                let Arrival { source, destination, hops, .. } = arrival;
                self.receiver.receive(&Datagram { source, destination: destination.into(), hops, payload })
            };
            match received {
                Ok(received) => all.push(self.hear(now, &received, teller)),
                Err(discard) => self.refuse(now, discard, teller),
            }
        }
        true
    }

    fn hear(&mut self, now: Time, received: &Received, teller: &Teller) -> Heard {
        self.received += 1;
        self.heard = Some(now);
        let source = received.source;
        if !received.other_addresses {
            self.differing.remove(&source);
        } else if self.differing.len() < DIFFERING && self.differing.insert(source) {
            let interface = &self.path.interface;
            teller.tell(News::Trouble {
                text: format!(
                    "{source} on {interface:?} adverts other addresses than ours: compare the configurations"
                ),
            });
        }
        Heard {
            link: self.path.link,
            from: self.path.sender(source),
            priority: received.advert.priority,
            interval: received.advert.interval,
            successor: received.successor,
        }
    }

    fn refuse(&mut self, now: Time, discard: Discard, teller: &Teller) {
        let what = format_args!("an advert on {:?}", self.path.interface);
        self.refusals.tell(teller, now, what, Kind::from(discard).name(), discard);
    }
}

/// Adverts of a link that are taken before anything else is done.
const SHARE: usize = 256;
/// An IPv4 header with options, an advert with 255 IPv6 addresses, a trailer; what is longer is refused.
const LONGEST: usize = 60 + 8 + 255 * 16 + 84;
/// Senders with other addresses that are told of.
const DIFFERING: usize = 16;
