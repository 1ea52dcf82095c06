//! Waits for a drain to be over, and shows what is left meanwhile.

use super::output::Printer;
use super::{Failure, ServerArgs};
use crate::client::Client;
use crate::status::{DrainStatus, Status};
use std::time::Duration;

/// How often the director is asked; it counts about as often.
const PERIOD: Duration = Duration::from_millis(500);

/// Returns once no connection is left, or the deadline has come.
pub(super) async fn until_drained(client: &Client, printer: Printer, at: &ServerArgs) -> Result<(), Failure> {
    let mut shown = None;
    loop {
        let status = client.status().await?;
        let drain = find(&status, at).ok_or_else(|| Failure::DrainEnded(at.clone()))?;
        if shown != Some((drain.connections_left, drain.entries_left)) {
            shown = Some((drain.connections_left, drain.entries_left));
            let DrainStatus { connections_left, entries_left, .. } = drain;
            printer.text(&format_args!(
                "{connections_left} connections left, {entries_left} persistence entries\n"
            ))?;
        }
        if drain.is_over() {
            return printer.json_only(&drain);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

fn find(status: &Status, at: &ServerArgs) -> Option<DrainStatus> {
    let service = status.services.iter().find(|service| service.name == at.service)?;
    service.servers.iter().find(|server| server.name == at.server)?.drain
}
