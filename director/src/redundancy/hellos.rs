//! The directors' hellos: sockets, and what is known from them.

use super::inlet::{Inlet, any_readable, on_link};
use super::refusals::{Refusals, advice};
use super::router::View;
use super::{News, Router, Sequences, Teller};
use crate::status::{PeerSays, PeerStatus};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::time::Duration;
use sync::hello::{self, Cadence, Hello, LONGEST, Listener, Outcome, Peers, Speaker};
use sync::vrrp::authentication::Sequence;
use sync::vrrp::machine::Peer;
use sync::vrrp::packet::HOPS;
use sync::vrrp::timing::Time;

/// What is said to the other directors, and heard from them.
#[derive(Debug)]
pub(super) struct Hellos {
    cadence: Cadence,
    speaker: Speaker,
    listener: Listener,
    peers: Peers,
    mouths: Vec<Mouth>,
    configuration: String,
    /// Only directors are peers: nobody else knows the keys.
    signed: bool,
    teller: Teller,
    quota: Quota,
    refusals: Refusals,
    /// The epoch that ours must exceed, or a peer refuses what is signed.
    exceed: Option<u64>,
}

/// What the state machine is told of a peer, by its address on the first link.
pub(super) type Said = (IpAddr, Option<Peer>);

/// A link.
#[derive(Debug)]
struct Mouth {
    place: Place,
    /// The peers' addresses there.
    peers: Vec<IpAddr>,
    /// With the number of the interface.
    open: Option<(Inlet, u32)>,
    /// Without a carrier nothing is said: it would arrive when it is not true any more.
    up: bool,
    troubled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    interface: String,
    local: IpAddr,
    port: u16,
}

impl Hellos {
    /// `epoch` must be higher than in any run before; `heard` is what the last one heard. The state machine is told
    /// what is returned, then and later.
    pub(super) fn new(epoch: u64, heard: &Sequences, teller: Teller) -> Self {
        let heard = heard.get(HEARD).into_iter().flatten();
        let heard = heard.map(|(&peer, &(epoch, counter))| (peer, Sequence { epoch, counter }));
        Self {
            cadence: Cadence::default(),
            speaker: Speaker::new(None, epoch),
            listener: Listener::new(&hello::Roster::default(), None, heard),
            peers: Peers::default(),
            mouths: Vec::new(),
            configuration: String::new(),
            signed: false,
            teller,
            quota: Quota::default(),
            refusals: Refusals::default(),
            exceed: None,
        }
    }

    /// Goes by `view` from now on, and [`Self::revive`] is to be called; `None`: nothing is said or heard.
    pub(super) fn configure(&mut self, now: Time, view: Option<(&View, &Router)>) -> Vec<Said> {
        let mut before = std::mem::take(&mut self.mouths);
        let Some((view, router)) = view else {
            self.cadence = Cadence::default();
            self.peers = Peers::default();
            return Vec::new();
        };
        for (number, path) in view.paths.iter().enumerate() {
            let interface = path.interface.clone();
            let place = Place { interface, local: path.channel.local, port: router.settings.hello_port };
            let peers = view.roster.peers.values().filter_map(|there| there.get(number).copied()).collect();
            let known = before.iter().position(|mouth| mouth.place == place);
            let known = known.map(|known| before.swap_remove(known));
            let (open, troubled) = known.map_or((None, false), |mouth| (mouth.open, mouth.troubled));
            self.mouths.push(Mouth { place, peers, open, up: true, troubled });
        }
        // The sockets of the others close, before theirs are opened.
        drop(before);
        self.signed = router.keyring.is_some();
        self.speaker.configure(router.keyring.clone());
        self.listener.configure(&view.roster, router.keyring.clone());
        self.configuration.clone_from(&router.configuration);
        let outcomes = self.peers.configure(&view.roster, &router.configuration);
        self.take_up(now, outcomes)
    }

    /// Opens what is missing: interfaces or addresses may have come, gone or changed. `index` knows the interfaces by
    /// name.
    pub(super) fn revive(&mut self, index: impl Fn(&str) -> Option<u32>) {
        for mouth in &mut self.mouths {
            mouth.revive(index(&mouth.place.interface), &self.teller);
        }
    }

    /// Takes note of which interfaces are up.
    pub(super) fn watch(&mut self, up: impl Fn(&str) -> bool) {
        for mouth in &mut self.mouths {
            mouth.up = up(&mouth.place.interface);
        }
    }

    /// A link has no socket.
    pub(super) fn wanting(&self) -> bool {
        self.mouths.iter().any(|mouth| mouth.open.is_none())
    }

    /// Waits until a hello may have come. Cancel safe.
    pub(super) async fn readable(&self) {
        any_readable(self.mouths.iter().filter_map(|mouth| mouth.open.as_ref()).map(|(inlet, _)| inlet))
            .await;
    }

    /// What has come by now, but no more than a share of it.
    pub(super) fn receive(&mut self, now: Time) -> Vec<Said> {
        let mut outcomes = Vec::new();
        let mut buffer = [0; LONGEST + 1];
        for mouth in &self.mouths {
            let Some((inlet, _)) = &mouth.open else { continue };
            for _ in 0..SHARE {
                let arrival = match inlet.receive(&mut buffer) {
                    Ok(arrival) => arrival,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(_) => break,
                };
                let payload = buffer.get(..arrival.length).unwrap_or_default();
                match self.listener.receive(arrival.source, arrival.hops, payload) {
                    Ok(Some(received)) => outcomes.extend(self.peers.hear(now, received)),
                    Ok(None) => {}
                    Err(discard) => {
                        let what =
                            format_args!("a hello from {} on {:?}", arrival.source, mouth.place.interface);
                        self.refusals.tell(&self.teller, now, what, discard.name(), discard);
                    }
                }
            }
        }
        self.take_up(now, outcomes)
    }

    /// Who can't be reached any more. What has come is to be taken first.
    pub(super) fn expire(&mut self, now: Time) -> Vec<Said> {
        let outcomes = self.peers.expire(now);
        self.take_up(now, outcomes)
    }

    /// What is to be said from now on.
    pub(super) fn tell(&mut self, hello: Hello) {
        self.cadence.tell(hello);
    }

    /// When [`Self::expire`] or [`Self::speak`] has something to do.
    pub(super) fn deadline(&self) -> Option<Time> {
        let speak = if self.mouths.is_empty() { None } else { self.cadence.deadline() };
        [speak, self.peers.deadline()].into_iter().flatten().min()
    }

    /// Says hello if it is time to.
    pub(super) fn speak(&mut self, now: Time) {
        if let Some(hello) = self.cadence.take(now) {
            say(hello, &mut self.speaker, &self.mouths);
        }
    }

    /// Says hello whether it is time to or not: there is no later.
    pub(super) fn last_word(&mut self, now: Time) {
        if let Some(hello) = self.cadence.last_word(now) {
            say(hello, &mut self.speaker, &self.mouths);
        }
    }

    /// All that say hello are silent now. Other products never say any: they may be there, but none that signs.
    pub(super) fn deserted(&self) -> bool {
        let says = |known: &&hello::Known| self.signed || known.heard.is_some();
        let mut known = self.peers.iter().filter(says).peekable();
        known.peek().is_some() && known.all(|known| !known.reachable)
    }

    /// Counts anew from a higher epoch.
    pub(super) fn begin(&mut self, epoch: u64) {
        self.speaker.begin(epoch);
    }

    /// Peers, by their address on the first link, that are refused until their epoch exceeds another.
    pub(super) fn behind(&self) -> impl Iterator<Item = (IpAddr, u64)> {
        self.listener.behind()
    }

    /// The epoch that ours must exceed, if a peer has said so since this was asked.
    pub(super) fn exceed(&mut self) -> Option<u64> {
        self.exceed.take()
    }

    /// The newest sequences heard, for the next run.
    pub(super) fn sequences(&self) -> Sequences {
        let newest = self.listener.heard().map(|(peer, it)| (peer, (it.epoch, it.counter)));
        [(HEARD.to_owned(), newest.collect())].into()
    }

    /// What was refused so far.
    pub(super) fn discards(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.listener.discards().iter()
    }

    /// The peers for people.
    pub(super) fn status(&self, now: Time) -> Vec<PeerStatus> {
        let says = |hello: &Hello| PeerSays {
            role: hello.role.into(),
            priority: hello.priority.get(),
            lowered: hello.lowered,
            fit: hello.fit,
            caught_up: hello.caught_up,
            version: hello.version.clone(),
            same_configuration: hello.configuration == self.configuration,
        };
        let show = |known: &hello::Known| PeerStatus {
            node: known.node.clone(),
            address: known.address,
            heard_seconds: known.heard.map(|heard| now.since(heard).as_secs_f64()),
            reachable: known.reachable,
            says: known.says.as_ref().map(says),
        };
        self.peers.iter().map(show).collect()
    }

    fn take_up(&mut self, now: Time, outcomes: Vec<Outcome>) -> Vec<Said> {
        let mut said = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Peer(address, peer) => said.push((address, peer)),
                Outcome::Answer => self.cadence.answer(),
                Outcome::Refused(epoch) => self.exceed = self.exceed.max(Some(epoch)),
                Outcome::News(news) if self.quota.take(now) => self.teller.tell(words(news)),
                Outcome::News(_) => {}
            }
        }
        said
    }
}

impl Mouth {
    fn revive(&mut self, index: Option<u32>, teller: &Teller) {
        let Place { interface, local, port } = &self.place;
        // There may be another interface of that name.
        self.open.take_if(|(_, opened)| Some(*opened) != index);
        if self.open.is_some() {
            return;
        }
        match open(&self.place) {
            Ok(open) => (self.open, self.troubled) = (Some(open), false),
            Err(error) => {
                if !std::mem::replace(&mut self.troubled, true) {
                    let advice = advice(&error);
                    let text =
                        format!("can't say hello by {interface:?} from {local} port {port}: {error}{advice}");
                    teller.tell(News::Trouble { text });
                }
            }
        }
    }
}

fn open(place: &Place) -> io::Result<(Inlet, u32)> {
    let index = if_nametoindex(place.interface.as_str())?;
    let v4 = place.local.is_ipv4();
    let domain = if v4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    socket.bind_device(Some(place.interface.as_bytes()))?;
    if v4 {
        socket.set_ttl_v4(HOPS.into())?;
        setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
    } else {
        socket.set_unicast_hops_v6(HOPS.into())?;
        socket.set_recv_hoplimit_v6(true)?;
    }
    socket.bind(&on_link(place.local, place.port, index))?;
    Ok((Inlet::new(socket)?, index))
}

/// A hello that finds no room is lost, as on the way: another one comes.
fn say(hello: &Hello, speaker: &mut Speaker, mouths: &[Mouth]) {
    for mouth in mouths.iter().filter(|mouth| mouth.up) {
        let Some((inlet, index)) = &mouth.open else { continue };
        let message = speaker.say(hello, mouth.place.local);
        for &peer in &mouth.peers {
            let _ = inlet.socket().send_to(&message, &on_link(peer, mouth.place.port, *index));
        }
    }
}

fn words(news: hello::News) -> News {
    match news {
        hello::News::Heard { node } => News::PeerHeard { node },
        hello::News::Silent { node } => News::PeerSilent { node },
        hello::News::Stopped { node } => News::PeerStopped { node },
        hello::News::Configuration { node, same } => News::PeerConfiguration { node, same },
        hello::News::Misnamed { address, node, says, ours } => News::Trouble {
            text: if ours {
                format!(
                    "the director at {address}, which is {node} in the configuration, says that it is {says}, as this one is: see --node and the host names"
                )
            } else {
                format!(
                    "the director at {address}, which is {node} in the configuration, says that it is {says}: see --node and the host name there"
                )
            },
        },
        hello::News::Twins { node } => News::Trouble {
            text: format!(
                "two directors say that they are {node}: see --node and the host names, and whose address it is"
            ),
        },
    }
}

/// So many news of hellos are told in a second: without keys anybody on the link could make them up.
#[derive(Debug, Default)]
struct Quota {
    since: Time,
    told: u32,
}

impl Quota {
    fn take(&mut self, now: Time) -> bool {
        if now.since(self.since) >= Duration::from_secs(1) {
            *self = Self { since: now, told: 0 };
        }
        self.told += 1;
        self.told <= NEWS
    }
}

/// Hellos of a link that are taken before anything else is done.
const SHARE: usize = 64;
const NEWS: u32 = 10;
/// Under which name sequences are kept, beside those of links.
const HEARD: &str = "hellos";

#[cfg(test)]
mod tests;
