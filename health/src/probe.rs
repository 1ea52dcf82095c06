//! One attempt on a target. Each kind of probe is a file of its own.

mod connect;
mod datagram;
mod dns;
mod exec;
mod farewell;
mod http;
mod icmp;
mod rdp;
#[cfg(test)]
pub(crate) mod sample;
mod smtp;
mod tap;
mod tcp;
mod tls;
pub mod trace;
mod udp;

use crate::{Failure, Kind, Outcome, Passed, Target};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use trace::Trace;

/// What attempts share.
#[derive(Debug, Default)]
pub struct Resources {
    programs: exec::Programs,
    tls: tls::Configurations,
}

/// Makes one attempt, no longer than the target's timeout.
pub async fn attempt(target: &Target, resources: &Resources, trace: &Trace) -> Outcome {
    let start = Instant::now();
    // A program is killed when its time is over, which its probe does.
    let longer = if matches!(*target.kind, Kind::Exec(_)) { Duration::from_secs(1) } else { Duration::ZERO };
    let limit = target.timeout.saturating_add(longer);
    let result = match timeout(limit, probe(target, resources, trace)).await {
        Ok(result) => result,
        Err(_) => trace.timed_out(target.address, target.timeout),
    };
    let end = trace.decision().unwrap_or_else(Instant::now);
    Outcome { result, latency: end.saturating_duration_since(start) }
}

/// What a connection takes is small, and attempts are moved about when they start: all else is in a box of its own.
async fn probe(target: &Target, resources: &Resources, trace: &Trace) -> Result<Passed, Failure> {
    match &*target.kind {
        Kind::Tcp => tcp::probe(target, trace).await,
        Kind::Tls(tls) => Box::pin(tls::probe(target, tls, resources, trace)).await,
        Kind::Dns(dns) => Box::pin(dns::probe(target, dns, trace)).await,
        Kind::Icmp => Box::pin(icmp::probe(target, trace)).await,
        Kind::Udp(udp) => Box::pin(udp::probe(target, udp, trace)).await,
        Kind::Rdp(settings) => Box::pin(rdp::probe(target, settings, trace)).await,
        Kind::Smtp(settings) => Box::pin(smtp::probe(target, settings, resources, trace)).await,
        Kind::Http(settings) => Box::pin(http::probe(target, settings, resources, trace)).await,
        Kind::Exec(settings) => Box::pin(exec::probe(target, settings, &resources.programs, trace)).await,
    }
}
