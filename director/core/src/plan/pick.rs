//! How the kernel comes to a slot for a new connection: by turns, at random, or by a hash.

use super::parts::saddr;
use crate::model::{ClientHash, Scheduler, Service};
use director_nft::fnv::fnv1a;
use director_nft::ir::{Expression, Jhash, Numgen, NumgenMode, Selector};

/// The number of the slot that a new connection comes to: `offset` and up, `slots` of them.
#[must_use]
pub fn slot(service: &Service, ipv6: bool, offset: u32, slots: u32) -> Expression {
    let numgen = |mode| Expression::Numgen(Numgen { mode, modulus: slots, offset });
    let jhash = |key| Expression::Jhash(Jhash { key, modulus: slots, seed: seed(&service.name), offset });
    match service.scheduler {
        Scheduler::Rr
        | Scheduler::Wrr
        | Scheduler::Fo
        | Scheduler::Ovf
        | Scheduler::Lc
        | Scheduler::Wlc
        | Scheduler::Sed
        | Scheduler::Nq => numgen(NumgenMode::Increment),
        Scheduler::Random => numgen(NumgenMode::Random),
        Scheduler::Sh(hash) | Scheduler::Mh(hash) => jhash(client(hash, ipv6)),
        Scheduler::Dh => jhash(vec![if ipv6 { Selector::Ip6Daddr } else { Selector::Ip4Daddr }]),
    }
}

fn client(hash: ClientHash, ipv6: bool) -> Vec<Selector> {
    let prefix = hash.granularity.bits(ipv6);
    let mut key = vec![saddr(ipv6, prefix)];
    if hash.port {
        key.push(Selector::ThSport);
    }
    key
}

/// Of the service's name alone. So it is the same on both directors and after a restart, and clients find their
/// server even where nothing of a connection has been handed over; yet services differ, and a client that is one of
/// many for its server in one service is not bound to be so in all.
fn seed(service: &str) -> u32 {
    let [a, b, c, d, e, f, g, h] = fnv1a(service.as_bytes()).to_be_bytes();
    u32::from_be_bytes([a, b, c, d]) ^ u32::from_be_bytes([e, f, g, h])
}
