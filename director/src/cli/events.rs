//! `director events`: what happened in the virtual router.

use super::Failure;
use super::output::{Printer, Reader, complain};
use crate::client::{Client, Error};
use crate::status::{EventStatus, EventsStatus, LevelStatus};
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
    // Where the listing begins is no gap.
    let mut seen = answer.events.first().map_or(answer.last, |event| event.number.saturating_sub(1));
    loop {
        if answer.last < seen {
            // Its state folder is another one.
            (seen, answer) = (0, more(client, 0).await?);
        }
        for event in &answer.events {
            if event.number > seen.saturating_add(1) {
                printer.text_only(|| complain("events may be missing here: the log has them\n"));
            }
            seen = event.number;
            if show(printer, event)? == Reader::Gone {
                return Ok(());
            }
        }
        seen = seen.max(answer.last);
        tokio::time::sleep(PERIOD).await;
        answer = more(client, seen).await?;
    }
}

/// What happened since. A director that is restarted is waited for.
async fn more(client: &Client, seen: u64) -> Result<EventsStatus, Failure> {
    let mut told = false;
    loop {
        let error = match client.events(Some(seen), None).await {
            Ok(answer) => return Ok(answer),
            Err(error @ (Error::NoSocket(_) | Error::Stopped(_) | Error::Broken(_) | Error::Timeout(_))) => {
                error
            }
            Err(error) => return Err(error.into()),
        };
        if !std::mem::replace(&mut told, true) {
            complain(&format!("{error}; waiting for it\n"));
        }
        tokio::time::sleep(PERIOD).await;
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
