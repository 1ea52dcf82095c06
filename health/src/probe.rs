//! One attempt on a target. Each kind of probe is a file of its own.

mod connect;
mod datagram;
mod dns;
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

use crate::{Failure, Fault, Kind, Outcome, Passed, Target};
use tokio::time::{Instant, timeout};
use trace::Trace;

/// What attempts share.
#[derive(Debug, Default)]
pub struct Resources {
    tls: tls::Configurations,
}

/// Makes one attempt, no longer than the target's timeout.
pub async fn attempt(target: &Target, resources: &Resources, trace: &Trace) -> Outcome {
    let start = Instant::now();
    let result = match timeout(target.timeout, probe(target, resources, trace)).await {
        Ok(result) => result,
        Err(_) => trace.timed_out(target.address, target.timeout),
    };
    Outcome { result, latency: start.elapsed() }
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
        kind @ Kind::Exec(_) => Err(Failure::new(Fault::Local, format!("not built yet: {kind:?}"))),
    }
}
