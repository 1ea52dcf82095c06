//! A rule on one line.

use super::literal::{comment, duration, quoted};
use crate::ir::{
    Datum, Dnat, Expression, Family, Jhash, MarkTarget, Match, Numgen, NumgenMode, Rate, RateUnit, Reject,
    Rule, Selector, Statement, Synproxy, TcpFlags, Verdict,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One rule on one line, comment included.
#[must_use]
pub fn rule(rule: &Rule) -> String {
    let mut parts = Vec::with_capacity(rule.statements.len());
    let mut transport = "th";
    for (index, statement) in rule.statements.iter().enumerate() {
        let known = required(statement);
        if let Some(Required::Transport(name)) = known {
            transport = name;
        }
        let following = rule.statements.get(index + 1..).unwrap_or_default();
        if !known.is_some_and(|known| implied(known, following)) {
            parts.push(self::statement(statement, transport));
        }
        if matches!(statement, Statement::Match(Match::TcpFlags { .. })) {
            transport = "tcp";
        }
    }
    parts.join(" ") + &comment(rule.comment.as_deref())
}

/// `accept`, `goto svc-exchange-4` …
pub(super) fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "accept".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Jump(chain) => format!("jump {chain}"),
        Verdict::Goto(chain) => format!("goto {chain}"),
    }
}

/// A value in the notation of its type.
pub(super) fn datum(datum: Datum) -> String {
    match datum {
        Datum::Ipv4(address) => address.to_string(),
        Datum::Ipv6(address) => address.to_string(),
        Datum::Proto(number) => match number {
            1 => "icmp".to_owned(),
            6 => "tcp".to_owned(),
            17 => "udp".to_owned(),
            58 => "ipv6-icmp".to_owned(),
            132 => "sctp".to_owned(),
            _ => number.to_string(),
        },
        Datum::Port(port) => port.to_string(),
        Datum::Mark(mark) => format!("{mark:#010x}"),
    }
}

/// A protocol that a match requires.
#[derive(Clone, Copy)]
enum Required {
    Network(Family),
    Transport(&'static str),
}

fn required(statement: &Statement) -> Option<Required> {
    let Statement::Match(Match::Value { selector, negate: false, value: Datum::Proto(number) }) = statement
    else {
        return None;
    };
    match (selector, number) {
        (Selector::Nfproto, 2) => Some(Required::Network(Family::V4)),
        (Selector::Nfproto, 10) => Some(Required::Network(Family::V6)),
        (Selector::L4Proto, 6) => Some(Required::Transport("tcp")),
        (Selector::L4Proto, 17) => Some(Required::Transport("udp")),
        _ => None,
    }
}

/// nft leaves a protocol match out where a field that says the protocol itself follows before anything is done.
fn implied(required: Required, following: &[Statement]) -> bool {
    let first_action = following.iter().position(|statement| !matches!(statement, Statement::Match(_)));
    let end = first_action.map_or(following.len(), |index| index + 1);
    following.iter().take(end).any(|statement| match required {
        Required::Network(family) => {
            *statement == Statement::Reject(Reject::TcpReset)
                || statement.selectors().any(|selector| selector.family() == Some(family))
        }
        Required::Transport(name) => {
            (name == "tcp" && matches!(statement, Statement::Match(Match::TcpFlags { .. })))
                || statement.selectors().any(|it| matches!(it, Selector::ThSport | Selector::ThDport))
        }
    })
}

fn statement(statement: &Statement, transport: &str) -> String {
    let key = |selectors: &[Selector]| key(selectors, transport);
    match statement {
        Statement::Match(condition) => self::condition(condition, transport),
        Statement::Vmap { key: selectors, map } => format!("{} vmap @{map}", key(selectors)),
        Statement::SetMark { target, value } => {
            let target = match target {
                MarkTarget::Meta => "meta",
                MarkTarget::Ct => "ct",
            };
            let value = match value {
                Expression::Value(value) => datum(*value),
                Expression::Field(selector) => self::selector(*selector, transport),
                Expression::Map { key: selectors, map } => format!("{} map @{map}", key(selectors)),
                Expression::Numgen(numgen) => self::numgen(*numgen),
                Expression::Jhash(jhash) => self::jhash(jhash, transport),
            };
            format!("{target} mark set {value}")
        }
        Statement::Update { map, key: selectors, timeout, data } => {
            let timeout = timeout.map(|timeout| format!(" timeout {}", duration(timeout)));
            let data = self::data(*data, transport);
            format!("update @{map} {{ {}{}{data} }}", key(selectors), timeout.unwrap_or_default())
        }
        Statement::Delete { map, key: selectors, data } => {
            format!("delete @{map} {{ {}{} }}", key(selectors), self::data(*data, transport))
        }
        Statement::Limit { map, key: selectors, timeout, rate } => {
            let timeout = timeout.map(|timeout| format!(" timeout {}", duration(timeout)));
            let timeout = timeout.unwrap_or_default();
            format!("update @{map} {{ {}{timeout} limit rate over {} }}", key(selectors), self::rate(*rate))
        }
        Statement::Dnat(Dnat { family, key: selectors, map, port: _ }) => {
            let family = match family {
                Family::V4 => "ip",
                Family::V6 => "ip6",
            };
            format!("dnat {family} to {} map @{map}", key(selectors))
        }
        Statement::Snat(IpAddr::V4(address)) => format!("snat ip to {address}"),
        Statement::Snat(IpAddr::V6(address)) => format!("snat ip6 to {address}"),
        Statement::Masquerade => "masquerade".to_owned(),
        Statement::Reject(Reject::TcpReset) => "reject with tcp reset".to_owned(),
        // In family inet, icmpx port-unreachable is what a plain reject sends.
        Statement::Reject(Reject::PortUnreachable) => "reject".to_owned(),
        Statement::Counter => "counter packets 0 bytes 0".to_owned(),
        Statement::SetEvents(events) if events.is_empty() => "ct event set 0x0".to_owned(),
        Statement::SetEvents(events) => format!("ct event set {}", list(events.names())),
        Statement::Synproxy(synproxy) => self::synproxy(*synproxy),
        Statement::StripTimestamp => "reset tcp option timestamp".to_owned(),
        Statement::Verdict(verdict) => self::verdict(verdict),
    }
}

fn condition(condition: &Match, transport: &str) -> String {
    match condition {
        Match::Value { selector, negate, value } => {
            let value = match (selector, value) {
                (Selector::Nfproto, Datum::Proto(2)) => "ipv4".to_owned(),
                (Selector::Nfproto, Datum::Proto(10)) => "ipv6".to_owned(),
                (Selector::Nfproto, Datum::Proto(number)) => number.to_string(),
                _ => datum(*value),
            };
            let masked = matches!(selector, Selector::Ip4Saddr { prefix: 0..32 })
                || matches!(selector, Selector::Ip6Saddr { prefix: 0..128 });
            let equal = if masked { "== " } else { "" };
            let operator = if *negate { "!= " } else { equal };
            format!("{} {operator}{value}", self::selector(*selector, transport))
        }
        Match::Prefix { selector, negate, address, length } => {
            let full = if matches!(address, Datum::Ipv6(_)) { 128 } else { 32 };
            let length = if *length == full { String::new() } else { format!("/{length}") };
            format!(
                "{} {}{}{length}",
                self::selector(*selector, transport),
                unequal(*negate),
                datum(*address)
            )
        }
        Match::InputInterface { negate, name } => format!("iifname {}{}", unequal(*negate), quoted(name)),
        Match::OutputInterface { negate, name } => format!("oifname {}{}", unequal(*negate), quoted(name)),
        Match::CtStatusDnat => "ct status dnat".to_owned(),
        Match::CtState(states) => format!("ct state {}", list(states.names())),
        Match::TcpFlags { mask, value, negate } => format!("tcp flags {}", tcp_flags(*mask, *value, *negate)),
    }
}

/// What nft makes of `& (mask) == value`, in which it has a way of its own for each kind of mask.
fn tcp_flags(mask: TcpFlags, value: TcpFlags, negate: bool) -> String {
    let (mask_names, value_names) = (list(mask.names()), list(value.names()));
    let equal = if negate { "!=" } else { "==" };
    let single = value.names().count() == 1;
    if mask == TcpFlags::ALL {
        let value = if single { value_names } else { format!("{:#x}", value.bits()) };
        format!("{equal} {value}")
    } else if value.is_empty() {
        format!("{}{mask_names}", if negate { "" } else { "! " })
    } else if mask == value && single {
        format!("& {mask_names} {equal} {value_names}")
    } else {
        format!("{}{value_names} / {mask_names}", unequal(negate))
    }
}

fn list(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(",")
}

fn unequal(negate: bool) -> &'static str {
    if negate { "!= " } else { "" }
}

fn key(selectors: &[Selector], transport: &str) -> String {
    let fields: Vec<String> = selectors.iter().map(|selector| self::selector(*selector, transport)).collect();
    fields.join(" . ")
}

fn data(data: Option<Selector>, transport: &str) -> String {
    data.map_or_else(String::new, |data| format!(" : {}", selector(data, transport)))
}

fn selector(selector: Selector, transport: &str) -> String {
    match selector {
        Selector::Nfproto => "meta nfproto".to_owned(),
        Selector::L4Proto => "meta l4proto".to_owned(),
        Selector::MetaMark => "meta mark".to_owned(),
        Selector::CtMark => "ct mark".to_owned(),
        Selector::Ip4Saddr { prefix: prefix @ 0..32 } => {
            let bits = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            format!("ip saddr & {}", Ipv4Addr::from_bits(bits))
        }
        Selector::Ip4Saddr { .. } => "ip saddr".to_owned(),
        Selector::Ip4Daddr => "ip daddr".to_owned(),
        Selector::Ip6Saddr { prefix: prefix @ 0..128 } => {
            let bits = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            format!("ip6 saddr & {}", Ipv6Addr::from_bits(bits))
        }
        Selector::Ip6Saddr { .. } => "ip6 saddr".to_owned(),
        Selector::Ip6Daddr => "ip6 daddr".to_owned(),
        Selector::ThSport => format!("{transport} sport"),
        Selector::ThDport => format!("{transport} dport"),
    }
}

/// `10/second burst 20 packets`; nft says nothing of a burst of 5.
fn rate(rate: Rate) -> String {
    let unit = match rate.per {
        RateUnit::Second => "second",
        RateUnit::Minute => "minute",
        RateUnit::Hour => "hour",
        RateUnit::Day => "day",
        RateUnit::Week => "week",
    };
    let burst = if rate.burst == 5 { String::new() } else { format!(" burst {} packets", rate.burst) };
    format!("{}/{unit}{burst}", rate.count)
}

fn synproxy(synproxy: Synproxy) -> String {
    let Synproxy { mss, wscale, timestamp, sack_perm } = synproxy;
    let timestamp = if timestamp { " timestamp" } else { "" };
    let sack_perm = if sack_perm { " sack-perm" } else { "" };
    format!("synproxy mss {mss} wscale {wscale}{timestamp}{sack_perm}")
}

fn numgen(numgen: Numgen) -> String {
    let mode = match numgen.mode {
        NumgenMode::Increment => "inc",
        NumgenMode::Random => "random",
    };
    format!("numgen {mode} mod {}{}", numgen.modulus, offset(numgen.offset))
}

fn jhash(jhash: &Jhash, transport: &str) -> String {
    let Jhash { key: selectors, modulus, seed, offset: number } = jhash;
    format!("jhash {} mod {modulus} seed {seed:#x}{}", key(selectors, transport), offset(*number))
}

fn offset(offset: u32) -> String {
    if offset == 0 { String::new() } else { format!(" offset {offset}") }
}
