//! One attempt on a target. Each kind of probe is a file of its own.

pub mod tcp;

use crate::{Kind, Outcome, Target};
use tokio::time::Instant;

/// Makes one attempt, no longer than the target's timeout.
pub async fn attempt(target: Target) -> Outcome {
    let start = Instant::now();
    let result = match target.kind {
        Kind::Tcp => tcp::probe(target.address, target.source, target.timeout).await,
    };
    Outcome { result: result.map_err(|reason| reason.to_string()), latency: start.elapsed() }
}
