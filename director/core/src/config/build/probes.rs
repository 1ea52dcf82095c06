//! Probes: what all types have in common. Each type's own keys have a module; `known` has the probes of the file.

mod dns;
mod exec;
mod http;
mod keys;
mod known;
mod names;
mod rdp;
mod smtp;
mod timing;
mod tls;
mod udp;

pub(super) use known::{Probes, build};
pub(super) use timing::{FALL, RISE, check_timeout};

use crate::config::decode::Spanned;
use crate::config::raw::{self, ProbeType, Source};
use crate::config::report::Diagnostics;
use crate::model::{ProbeSource, ProbeSpec};
use health::Kind;
use std::net::IpAddr;
use std::sync::Arc;
use timing::{policy, timing};

/// A probe without a name. `None`: an error in it was reported. `complete`: none was before.
fn spec(raw: &raw::Probe, complete: bool, errors: &mut Diagnostics) -> Option<ProbeSpec> {
    let kind = raw.kind.as_ref()?;
    keys::check(raw, kind.value, complete, errors);
    let timing = timing(raw, errors);
    Some(ProbeSpec {
        name: String::new(),
        kind: Arc::new(what_is_tried(raw, kind, complete, errors)?),
        port: raw.port.as_ref().map(|port| port.0),
        address: raw.address.as_ref().map(|address| address.value),
        source: source(raw.source.as_ref(), raw.address.as_ref(), errors),
        mark: raw.mark.as_ref().map_or(0, |mark| mark.0),
        interval: timing.interval,
        retry: timing.retry,
        backup_interval: timing.backup_interval,
        jitter: timing.jitter,
        timeout: timing.timeout,
        policy: policy(raw),
        slow_weight: raw.slow_weight.as_ref().map_or(100, |share| share.0),
    })
}

fn what_is_tried(
    raw: &raw::Probe,
    kind: &Spanned<ProbeType>,
    complete: bool,
    errors: &mut Diagnostics,
) -> Option<Kind> {
    Some(match kind.value {
        ProbeType::Tcp => Kind::Tcp,
        ProbeType::Tls => Kind::Tls(tls::build(raw, None, errors)),
        ProbeType::Http => Kind::Http(http::build(raw, false, errors)),
        ProbeType::Https => Kind::Http(http::build(raw, true, errors)),
        ProbeType::Smtp => Kind::Smtp(smtp::build(raw, complete, errors)),
        ProbeType::Rdp => Kind::Rdp(rdp::build(raw, errors)),
        ProbeType::Dns => Kind::Dns(dns::build(raw, errors)),
        ProbeType::Udp => Kind::Udp(udp::build(raw, errors)),
        ProbeType::Icmp => Kind::Icmp,
        ProbeType::Exec => Kind::Exec(exec::build(raw, kind.span, complete, errors)?),
    })
}

/// Where something that goes `to` an address leaves from.
pub(super) fn source(
    source: Option<&Spanned<Source>>,
    to: Option<&Spanned<IpAddr>>,
    errors: &mut Diagnostics,
) -> ProbeSource {
    let Some(source) = source else { return ProbeSource::default() };
    if let (ProbeSource::Address(from), Some(to)) = (source.0, to)
        && from.is_ipv4() != to.is_ipv4()
    {
        let message = format!("a probe of {} cannot leave from {from}", to.value);
        errors.error_hint(source.span, message, "both must be IPv4, or both IPv6");
    }
    source.0
}
