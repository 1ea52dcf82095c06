//! `director failover`: another director takes over.

use super::Failure;
use super::output::Printer;
use crate::client::Client;
use crate::status::{RedundancyStatus, RoleStatus};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::json;
use std::time::{Duration, Instant};

/// How often this director is asked whether it hears the new Active.
const PERIOD: Duration = Duration::from_millis(20);

/// The shortest time that the other one has; with long intervals between adverts it has four of them.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who takes over, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct FailoverArgs {
    /// Name of the director that shall take over [default: the best one that is fit]
    #[arg(long, value_name = "NODE", value_parser = NonEmptyStringValueParser::new())]
    pub to: Option<String>,
    /// Even if it is not known to be fit, or nobody is: nobody may have the addresses then
    #[arg(long)]
    pub force: bool,
    /// Do not wait until the other one is Active
    #[arg(long)]
    pub no_wait: bool,
}

pub(super) async fn execute(
    client: &Client,
    printer: Printer,
    FailoverArgs { to, force, no_wait }: FailoverArgs,
) -> Result<(), Failure> {
    let began = Instant::now();
    let successor = client.failover(to.as_deref(), force).await?;
    let who = successor.as_deref().unwrap_or("whoever is left");
    printer.text(&format_args!("the addresses are off here; {who} takes over\n"))?;
    if no_wait {
        return printer.json_only(&json!({ "to": successor }));
    }
    let (active, seconds) = taken_over(client, began).await?;
    let text = format_args!("{active} is Active, heard {seconds:.3} s after the command\n").to_string();
    printer.print(&json!({ "to": successor, "active": active, "seconds": seconds }), &text)
}

/// Waits until a new Active is heard; tells its name, and the seconds since the command.
async fn taken_over(client: &Client, began: Instant) -> Result<(String, f64), Failure> {
    loop {
        let status = client.redundancy().await?;
        let took = began.elapsed();
        match heard(&status, took) {
            Heard::Other(active) => return Ok((active, took.as_secs_f64())),
            Heard::Again => return Err(Failure::NobodyElse),
            Heard::Nobody if took > PATIENCE.max(intervals(&status, 4.0)) => {
                return Err(Failure::NoActive { seconds: took.as_secs() });
            }
            Heard::Nobody => tokio::time::sleep(PERIOD).await,
        }
    }
}

/// Who is Active as far as this director knows.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Nobody,
    /// This one, since nobody else wanted to be.
    Again,
    Other(String),
}

/// An Active heard before the command is the one of a former time.
fn heard(status: &RedundancyStatus, took: Duration) -> Heard {
    match &status.active {
        Some(active) if active.heard_seconds <= took.as_secs_f64() => {
            Heard::Other(active.node.clone().unwrap_or_else(|| active.address.to_string()))
        }
        _ if status.role == RoleStatus::Active => Heard::Again,
        Some(_) | None => Heard::Nobody,
    }
}

fn intervals(status: &RedundancyStatus, count: f64) -> Duration {
    Duration::try_from_secs_f64(status.interval_seconds * count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::status::ActiveStatus;

    #[test]
    fn only_an_active_heard_since_has_taken_over() {
        let mut status = sample::redundancy();
        assert_eq!(heard(&status, Duration::ZERO), Heard::Again);
        status.role = RoleStatus::Backup;
        assert_eq!(heard(&status, Duration::ZERO), Heard::Nobody);
        status.active = Some(ActiveStatus {
            node: None,
            address: [192, 168, 1, 34].into(),
            priority: 100,
            heard_seconds: 0.5,
        });
        assert_eq!(heard(&status, Duration::from_millis(499)), Heard::Nobody);
        assert_eq!(heard(&status, Duration::from_millis(500)), Heard::Other("192.168.1.34".into()));
    }
}
