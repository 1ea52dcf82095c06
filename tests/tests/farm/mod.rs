//! The Exchange farm behind directors that share its addresses, and what their frames tell of them.
#![allow(dead_code, reason = "each area needs some of it")]

use lab::capture::listed;
use lab::farm::{VIP, VIP6};
use lab::{Capture, Frame, Lab, Pair, Said, eventually};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// For what is awaited. Far more than it should take: other tests run at the same time.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// The management address of exchange1.
pub(crate) const ADMIN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 36));

/// The real servers' gateways.
pub(crate) const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 254));
pub(crate) const GATEWAY6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0x254));

/// All that the Active has.
pub(crate) const ADDRESSES: [IpAddr; 5] = [VIP, VIP6, ADMIN, GATEWAY, GATEWAY6];

/// A service, a management address and a way out, shared as `redundancy` says: lines of that section.
pub(crate) fn farm(redundancy: &str) -> String {
    let lines: String = redundancy.lines().map(|line| format!("  {}\n", line.trim())).collect();
    format!(
        "services:
  exchange:
    mark: 80
    vips: [{VIP}, '{VIP6}']
    ports: {{ tcp: [25, 80] }}
    servers: {{ exchange1: {{}}, exchange2: {{}} }}
management:
  exchange1-admin: {{ vip: {ADMIN}, server: exchange1 }}
outbound:
  masquerade: [10.0.1.0/24]
redundancy:
  vrid: 51
{lines}"
    )
}

/// [`farm`] of lb1 with priority 150 and lb2 with 100, which stay as they are, at short intervals; and further lines.
pub(crate) fn pair(redundancy: &str) -> String {
    farm(&format!("interval: 100ms\npriority: {{ lb1: 150, lb2: 100 }}\n{redundancy}"))
}

/// A whole configuration of lb1 and lb2 without IPv4, shared as `redundancy` says.
pub(crate) fn ipv6(redundancy: &str) -> String {
    let lines: String = redundancy.lines().map(|line| format!("  {}\n", line.trim())).collect();
    format!(
        "version: 1
nodes:
  lb1:
    public: {{ interface: eth0, address: 'fd00:1::33/64' }}
    private: {{ interface: eth1, address: 'fd00:2::33/64' }}
  lb2:
    public: {{ interface: eth0, address: 'fd00:1::34/64' }}
    private: {{ interface: eth1, address: 'fd00:2::34/64' }}
gateway: '{GATEWAY6}'
servers:
  exchange1: {{ address: 'fd00:2::1' }}
services:
  web:
    vip: '{VIP6}'
    ports: {{ tcp: 80 }}
    servers: {{ exchange1: {{}} }}
redundancy:
  vrid: 51
{lines}"
    )
}

/// Who is Active by its adverts, one after the other. Directors that are Active at the same time take turns; the one word
/// that a director says when it hears a better one is no turn.
pub(crate) fn reigns(frames: &[Frame]) -> Vec<&str> {
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for frame in frames {
        let Some(advert) = frame.advert() else { continue };
        if advert.priority == 0 {
            let last = turns.iter_mut().rev().find(|turn| turn.host == frame.host);
            last.into_iter().for_each(|turn| turn.left = true);
        } else if let Some(turn) = turns.last_mut().filter(|turn| turn.host == frame.host) {
            turn.adverts.push((&frame.interface, advert.to));
        } else {
            let adverts = vec![(frame.interface.as_str(), advert.to)];
            turns.push(Turn { host: &frame.host, adverts, left: false });
        }
    }
    let mut names: Vec<&str> = Vec::new();
    for (number, turn) in turns.iter().enumerate() {
        let last_word = turn.is_short() && number > 1 && {
            let (before, newcomer) = (&turns[number - 2], &turns[number - 1]);
            before.host == turn.host && !before.left && newcomer.is_short()
        };
        if !last_word {
            names.push(turn.host);
        }
    }
    names.dedup();
    names
}

/// Adverts of one director that are not interrupted by another one's.
struct Turn<'a> {
    host: &'a str,
    adverts: Vec<(&'a str, IpAddr)>,
    /// It ended with priority 0.
    left: bool,
}

impl Turn<'_> {
    /// One word to everybody.
    fn is_short(&self) -> bool {
        self.adverts.iter().collect::<BTreeSet<_>>().len() == self.adverts.len()
    }
}

/// Frames from then on.
pub(crate) fn since(capture: &Capture, frame: usize) -> lab::Result<Vec<Frame>> {
    Ok(capture.frames()?.split_off(frame))
}

/// Waits until that many more adverts of a host have been heard on one of its cables.
pub(crate) fn more_adverts(capture: &Capture, host: &str, interface: &str, count: usize) -> lab::Result<()> {
    let heard = || {
        let sent = capture.sent_by(host).unwrap_or_default();
        sent.iter().filter(|it| it.interface == interface && it.advert().is_some()).count()
    };
    let goal = heard() + count;
    eventually(LIMIT, "more adverts", || heard() >= goal)
}

/// Waits until everybody knows that everybody else is fit.
pub(crate) fn all_fit(pair: &Pair) -> lab::Result<()> {
    pair.directors().iter().try_for_each(|director| {
        director.shows("its peers are fit", |status| {
            // Of what they said before the last take-over nothing is known any more.
            let news = |peer: &Value| peer["heard_seconds"].as_f64() < status["since_seconds"].as_f64();
            let fit = |peer: &Value| peer["says"]["fit"] == true && news(peer);
            status["peers"].as_array().is_some_and(|peers| peers.iter().all(fit))
        })
    })
}

/// Waits until an address answers the client: whoever moves it tells so right after it is there.
pub(crate) fn answers(lab: &Lab, address: IpAddr) -> lab::Result<()> {
    eventually(LIMIT, &format!("{address} answers"), || lab.client().ping(address).unwrap_or(false))
}

/// The first frame that `is` so.
pub(crate) fn position(frames: &[Frame], is: impl Fn(&Frame) -> bool) -> Result<usize, String> {
    frames.iter().position(is).ok_or_else(|| format!("no such frame:\n{}", listed(frames)))
}

/// True for a claim to any of the shared addresses, asked or not.
pub(crate) fn claims_any(frame: &Frame) -> bool {
    ADDRESSES.iter().any(|&address| frame.claims(address))
}

/// True for an unasked claim of that host to that address.
pub(crate) fn announces(frame: &Frame, host: &str, address: IpAddr) -> bool {
    frame.host == host && frame.said == Said::Claim(address)
}

/// True for an advert of that host with that priority.
pub(crate) fn adverts(frame: &Frame, host: &str, priority: u8) -> bool {
    frame.host == host && frame.advert().is_some_and(|advert| advert.priority == priority)
}
