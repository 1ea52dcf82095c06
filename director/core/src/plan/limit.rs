//! How fast one client may open connections to a service: a token bucket a client.
//!
//! A bucket keeps the rate it was made with. So every rate has a set of its own, which services share: who gets
//! another rate gets other buckets.

use super::names::{FamilyNames, LIMITED, OVER_LIMIT};
use super::parts::{insert, saddr};
use crate::model::{RateLimit, RateUnit, Service};
use director_nft::ir::{self, Datum, Element, ElementData, Key, Rate, Ruleset, Selector, Statement, Verdict};
use std::time::Duration;

/// Most buckets of each family. A client that finds no room is not limited.
pub(super) const MAX_CLIENTS: u32 = 65_536;

/// Longest life of a bucket that nobody takes from.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What turns away a client that is over the limit: statements that go on for those that are not.
pub(super) fn statements(names: &FamilyNames, limit: RateLimit) -> Vec<Statement> {
    let prefix = limit.granularity.bits(names.ipv6);
    let rate = rate(limit);
    let over = Statement::Limit {
        map: buckets(names.ipv6, limit),
        key: vec![saddr(names.ipv6, prefix), Selector::MetaMark],
        timeout: Some(life(rate)),
        rate,
    };
    vec![over, Statement::Vmap { key: vec![Selector::MetaMark], map: LIMITED.to_owned() }]
}

/// Name of the set with the buckets of a rate.
pub(super) fn buckets(ipv6: bool, limit: RateLimit) -> String {
    let RateLimit { connections, per, burst, .. } = limit;
    let unit = per.name();
    format!("limits{}-{connections}-per-{unit}-burst-{burst}", if ipv6 { 6 } else { 4 })
}

/// The element that leads those over the limit away, and counts them.
pub(super) fn refusal(part: &mut Ruleset, service: &Service) {
    if service.rate_limit.is_some() {
        let verdict = Verdict::Goto(OVER_LIMIT.to_owned());
        let element =
            Element { data: Some(ElementData::Verdict(verdict)), comment: Some(service.name.clone()) };
        insert(part, LIMITED, Key::of([Datum::Mark(service.mark.get())]), element);
    }
}

/// As long as an empty bucket takes to fill: one that is forgotten sooner would forget what was taken.
fn life(rate: Rate) -> Duration {
    let bucket = rate.nanoseconds().map_or(LONGEST, |(_, bucket)| Duration::from_nanos(bucket));
    Duration::from_secs(bucket.as_secs().saturating_add(1)).min(LONGEST)
}

fn rate(limit: RateLimit) -> Rate {
    let per = match limit.per {
        RateUnit::Second => ir::RateUnit::Second,
        RateUnit::Minute => ir::RateUnit::Minute,
        RateUnit::Hour => ir::RateUnit::Hour,
        RateUnit::Day => ir::RateUnit::Day,
    };
    Rate { count: limit.connections.into(), per, burst: limit.burst }
}
