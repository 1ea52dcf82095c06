//! `director events`: what happened in the virtual router.

use super::Failure;
use super::output::{Printer, Reader};
use crate::client::Client;
use crate::status::{EventStatus, LevelStatus};
use crate::words::printable;
use clap::Args;
use std::num::NonZeroUsize;
use std::time::Duration;

/// How often the director is asked for more.
const PERIOD: Duration = Duration::from_millis(500);

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct EventsArgs {
    /// The last N only [default: all that the director remembers, 1,000]
    #[arg(long, value_name = "N")]
    pub last: Option<NonZeroUsize>,
    /// Go on with what happens from now on
    #[arg(long, short)]
    pub follow: bool,
}

/// A JSON array, or with `--follow` one object a line; or rows of a table.
pub(super) async fn execute(
    client: &Client,
    printer: Printer,
    EventsArgs { last, follow }: EventsArgs,
) -> Result<(), Failure> {
    let mut answer = client.events(None, last.map(NonZeroUsize::get)).await?;
    if !follow {
        let rows: String = answer.events.iter().map(row).collect();
        return printer.print(&answer.events, &rows);
    }
    let mut seen = 0;
    loop {
        if answer.last < seen {
            // It has been restarted.
            (seen, answer) = (0, client.events(Some(0), None).await?);
        }
        for event in &answer.events {
            seen = event.number;
            if show(printer, event)? == Reader::Gone {
                return Ok(());
            }
        }
        seen = seen.max(answer.last);
        tokio::time::sleep(PERIOD).await;
        answer = client.events(Some(seen), None).await?;
    }
}

fn show(printer: Printer, event: &EventStatus) -> Result<Reader, Failure> {
    if !printer.is_json() {
        return printer.piece(row(event).as_bytes());
    }
    let line = serde_json::to_string(event).map_err(|error| Failure::Output(error.into()))?;
    printer.piece(format!("{line}\n").as_bytes())
}

fn row(event: &EventStatus) -> String {
    let mark = match event.level {
        LevelStatus::Info => ' ',
        LevelStatus::Warning => '!',
    };
    format!("{} {mark} {}\n", printable(&event.at), printable(&event.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_row_says_when_and_what_and_marks_what_is_worth_a_look() {
        let rows: String = sample::journal().events(None, 10).events.iter().map(row).collect();
        assert_eq!(
            rows,
            "1970-01-01T00:00:00.000Z   Backup: started\n\
             1970-01-01T00:00:00.000Z   Active: lb2 left\n\
             1970-01-01T00:00:00.000Z ! lb2 has another configuration: give both directors the same file, and reload\n"
        );
    }
}
