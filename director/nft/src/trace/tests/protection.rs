//! Limits, SYN proxies, strays, events and fixed sources.

use super::{ICMP, TCP, UDP, VIP, base, chain, farm, goto, packet, rule, seconds};
use crate::fake::Fake;
use crate::ir::{
    BaseChain, Chain, ChainKind, CtStates, DataType, EventMask, Hook, Map, MapSpec, Match, Rate, RateUnit,
    Reject, Rule, Ruleset, Selector, Statement, Synproxy, TcpFlags, Verdict,
};
use crate::observed::Observed;
use crate::trace::{Outcome, Tracer};
use std::time::Duration;

fn filter(hook: Hook, priority: i32, rules: impl IntoIterator<Item = Rule>) -> Chain {
    Chain { base: Some(BaseChain { kind: ChainKind::Filter, hook, priority }), ..chain(rules) }
}

fn state(states: CtStates) -> Statement {
    Statement::Match(Match::CtState(states))
}

fn flags(mask: TcpFlags, value: TcpFlags) -> Statement {
    Statement::Match(Match::TcpFlags { mask, value, negate: false })
}

/// A tracer that has the VIP, for the farm with other or more chains.
fn tracer(chains: impl IntoIterator<Item = (&'static str, Chain)>, maps: &[(&str, Map)]) -> Tracer {
    let mut ruleset = farm();
    ruleset.chains.extend(chains.into_iter().map(|(name, chain)| (name.to_owned(), chain)));
    ruleset.maps.extend(maps.iter().map(|(name, map)| ((*name).to_owned(), map.clone())));
    assert_eq!(Fake::new().apply(&crate::diff::diff(&Observed::default(), &ruleset)), Ok(()));
    Tracer::new(&ruleset).with_own([VIP.parse().unwrap()])
}

/// The farm, for clients that stay below 2 connections a second, 3 at once.
fn limited() -> Tracer {
    let spec = MapSpec {
        key: vec![DataType::Ipv4Addr, DataType::Mark],
        dynamic: true,
        timeout: true,
        size: Some(2),
        ..MapSpec::default()
    };
    let limit = Statement::Limit {
        map: "limit4".to_owned(),
        key: vec![Selector::Ip4Saddr { prefix: 32 }, Selector::MetaMark],
        timeout: Some(seconds(10)),
        rate: Rate { count: 2, per: RateUnit::Second, burst: 3 },
    };
    let svc = chain([rule([limit, Statement::Verdict(Verdict::Drop)]), rule([goto("management-1")])]);
    tracer([("svc-exchange-4", svc)], &[("limit4", Map { spec, elements: [].into() })])
}

fn outcomes(tracer: &mut Tracer, client: &str, count: usize, now: Duration) -> Vec<bool> {
    let packet = packet(client, TCP, 25);
    (0..count).map(|_| tracer.send(&packet, now).outcome == Outcome::Accepted).collect()
}

#[test]
fn a_client_is_let_through_in_bursts_and_then_at_its_rate() {
    let mut tracer = limited();
    let millis = Duration::from_millis;
    assert_eq!(outcomes(&mut tracer, "203.0.113.1", 5, millis(0)), [true, true, true, false, false]);
    assert_eq!(outcomes(&mut tracer, "203.0.113.2", 1, millis(0)), [true], "each client has its own");
    assert_eq!(outcomes(&mut tracer, "203.0.113.3", 9, millis(0)), [true; 9], "no room for another element");
    assert_eq!(outcomes(&mut tracer, "203.0.113.1", 1, millis(499)), [false]);
    assert_eq!(outcomes(&mut tracer, "203.0.113.1", 2, millis(500)), [true, false]);
    assert_eq!(
        outcomes(&mut tracer, "203.0.113.1", 4, millis(5_000)),
        [true, true, true, false],
        "no more than full"
    );
    assert_eq!(tracer.entries("limit4", millis(5_000)).len(), 2);
    assert_eq!(tracer.entries("limit4", millis(15_000)), []);
    assert_eq!(outcomes(&mut tracer, "203.0.113.1", 4, millis(15_000)), [true, true, true, false]);
    tracer.replace(&Ruleset::default());
    tracer.replace(&limited().ruleset);
    assert_eq!(outcomes(&mut tracer, "203.0.113.1", 1, millis(15_000)), [true], "gone with its set");
}

#[test]
fn a_handshake_is_done_in_the_servers_place() {
    let synproxy = Statement::Synproxy(Synproxy { mss: 1460, wscale: 7, timestamp: true, sack_perm: true });
    let first = state(CtStates::INVALID | CtStates::NEW);
    let mut tracer = tracer(
        [
            ("prerouting", base(Hook::Prerouting, -100, [])),
            ("input", filter(Hook::Input, 0, [rule([first, synproxy])])),
        ],
        &[],
    );
    let client = packet("203.0.113.1", TCP, 25);
    let trace = tracer.send(&client, seconds(0));
    assert_eq!((trace.outcome, trace.dnat, trace.ct_mark), (Outcome::Synproxy, None, 0));
    assert_eq!(tracer.send_stray(&client, seconds(0)).outcome, Outcome::Synproxy, "which has the cookie");
    let trace = tracer.send(&packet("203.0.113.1", UDP, 25), seconds(0));
    assert_eq!(trace.outcome, Outcome::Accepted, "only tcp has handshakes");
}

#[test]
fn strays_are_told_apart_and_refused() {
    let reset = Statement::Reject(Reject::TcpReset);
    let middle = flags(TcpFlags::SYN | TcpFlags::RST, TcpFlags::default());
    let chains = [("input", filter(Hook::Input, 0, [rule([state(CtStates::INVALID), middle, reset])]))];
    let mut tracer = tracer(chains, &[]);
    let stray = packet("203.0.113.1", TCP, 25);
    let trace = tracer.send_stray(&stray, seconds(0));
    assert_eq!(trace.outcome, Outcome::Rejected(Reject::TcpReset));
    assert_eq!(trace.path, ["input/1"], "nat sees no packet without a connection");
    let ping = packet("203.0.113.1", ICMP, 0);
    assert_eq!(tracer.send_stray(&ping, seconds(0)).outcome, Outcome::Accepted, "it has no flags");
    let through = crate::trace::Packet { destination: [10, 0, 1, 1].into(), ..stray };
    let trace = tracer.send_stray(&through, seconds(0));
    assert_eq!((trace.outcome, trace.path.len()), (Outcome::Accepted, 0), "on to another host");
}

#[test]
fn events_are_those_of_the_last_rule_that_says() {
    let events = EventMask::ASSURED | EventMask::DESTROY;
    let first = rule([Statement::SetEvents(EventMask::default())]);
    let svc = chain([first, rule([Statement::SetEvents(events)]), rule([goto("management-1")])]);
    let raw = filter(Hook::Prerouting, -300, [rule([Statement::SetEvents(EventMask::NEW)])]);
    let mut tracer = tracer([("svc-exchange-4", svc), ("raw", raw)], &[]);
    assert_eq!(tracer.send(&packet("203.0.113.1", TCP, 25), seconds(0)).events, Some(events));
    assert_eq!(
        tracer.send(&packet("203.0.113.1", TCP, 80), seconds(0)).events,
        None,
        "no connection yet in raw"
    );
}

#[test]
fn the_source_becomes_the_address_of_the_packets_family() {
    let (four, six) = ("10.0.1.254".parse().unwrap(), "fd00::254".parse().unwrap());
    let rules = [rule([Statement::Snat(six)]), rule([Statement::Snat(four)]), rule([Statement::Masquerade])];
    let postrouting = Chain {
        base: Some(BaseChain { kind: ChainKind::Nat, hook: Hook::Postrouting, priority: 100 }),
        ..chain(rules)
    };
    let late = Chain {
        base: Some(BaseChain { kind: ChainKind::Nat, hook: Hook::Postrouting, priority: 101 }),
        ..chain([rule([Statement::Masquerade])])
    };
    let mut tracer = tracer([("postrouting", postrouting), ("late", late)], &[]);
    let trace = tracer.send(&packet("203.0.113.1", TCP, 25), seconds(0));
    assert_eq!((trace.snat, trace.masquerade), (Some(four), false));
    let source = "2001:db8::1".parse().unwrap();
    let packet =
        crate::trace::Packet { source, destination: "fd00::1".parse().unwrap(), ..packet("::1", TCP, 25) };
    assert_eq!(tracer.send(&packet, seconds(0)).snat, Some(six));
}
