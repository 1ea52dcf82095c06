//! What a service does against too many connections.

use super::granularity;
use super::ports::Placed;
use crate::config::raw;
use crate::config::report::Diagnostics;
use crate::model::{Protocol, RateLimit, RateUnit};

/// `None`: an error in it was reported.
pub(super) fn rate_limit(raw: &raw::RateLimit) -> Option<RateLimit> {
    let connections = raw.connections.as_ref()?.0;
    Some(RateLimit {
        connections,
        per: raw.per.as_ref().map_or(RateUnit::Second, |unit| unit.value),
        burst: raw.burst.as_ref().map_or(connections, |burst| burst.0),
        granularity: granularity(raw.granularity.as_ref(), raw.granularity6.as_ref()),
    })
}

pub(super) fn syn_protection(raw: &raw::Service, ports: &[Placed], errors: &mut Diagnostics) -> bool {
    let Some(on) = raw.syn_protection.as_ref().filter(|it| it.value) else { return false };
    if !ports.is_empty() && ports.iter().all(|it| it.range.protocol == Protocol::Udp) {
        let message = "syn_protection is for tcp, and the service has no tcp port";
        errors.error_hint(on.span, message, "take it out");
    }
    true
}
