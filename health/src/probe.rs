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

async fn probe(target: &Target, resources: &Resources, trace: &Trace) -> Result<Passed, Failure> {
    match &*target.kind {
        Kind::Tcp => tcp::probe(target, trace).await,
        Kind::Tls(tls) => tls::probe(target, tls, resources, trace).await,
        Kind::Dns(dns) => dns::probe(target, dns, trace).await,
        Kind::Icmp => icmp::probe(target, trace).await,
        Kind::Udp(udp) => udp::probe(target, udp, trace).await,
        Kind::Rdp(settings) => rdp::probe(target, settings, trace).await,
        Kind::Smtp(settings) => smtp::probe(target, settings, resources, trace).await,
        Kind::Http(settings) => http::probe(target, settings, resources, trace).await,
        Kind::Exec(settings) => exec::probe(target, settings, &resources.programs, trace).await,
    }
}
