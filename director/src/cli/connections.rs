//! `director connections`: a listing that is printed as it comes, and the end of connections.

use super::Failure;
use super::listing::{self, Table, minutes};
use super::output::Printer;
use crate::client::Client;
use crate::connections::{Connection, Query, StateFilter, client};
use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args, Subcommand};
use director_core::model::Network;
use serde_json::json;
use std::fmt::Write;
use std::num::NonZeroUsize;

/// What to do with connections.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_value_name = "kill")]
pub struct ConnectionsArgs {
    /// Which
    #[command(flatten)]
    pub filter: FilterArgs,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub limit: Option<NonZeroUsize>,
    /// End them, instead of showing them
    #[command(subcommand)]
    pub action: Option<Action>,
}

/// What else to do with connections.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Action {
    /// End connections: a TCP client that still sends gets a reset, a UDP client a server anew
    Kill(KillArgs),
}

/// Which connections to end.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(group = ArgGroup::new("which").args(Query::PARAMETERS).arg("all").required(true).multiple(true))]
pub struct KillArgs {
    /// Which
    #[command(flatten)]
    pub filter: FilterArgs,
    /// All of them
    #[arg(long, conflicts_with_all = Query::PARAMETERS)]
    pub all: bool,
}

/// Which connections are meant. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct FilterArgs {
    /// Of this service, or of management/NAME
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub service: Option<String>,
    /// Of this server
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub server: Option<String>,
    /// Of this client, or of clients in this network
    #[arg(long, value_name = "ADDRESS|NETWORK", value_parser = client)]
    pub client: Option<Network>,
    /// In this state: one of conntrack's for TCP, as established or time_wait; udp; active (established) or inactive
    #[arg(long, value_parser = state)]
    pub state: Option<StateFilter>,
}

impl From<FilterArgs> for Query {
    fn from(FilterArgs { service, server, client, state }: FilterArgs) -> Self {
        Self { service, server, client, state }
    }
}

fn state(text: &str) -> Result<StateFilter, String> {
    text.parse().map_err(|_| StateFilter::expected())
}

/// Shows or ends connections.
pub(super) async fn execute(
    client: &Client,
    printer: Printer,
    ConnectionsArgs { filter, limit, action }: ConnectionsArgs,
) -> Result<(), Failure> {
    match action {
        None => {
            let limit = limit.map(NonZeroUsize::get);
            let lines = client.listing("connections", &filter.into(), limit).await?;
            listing::show(client, printer, lines, table()).await
        }
        Some(Action::Kill(KillArgs { filter, .. })) => {
            let ended = client.end_connections(&filter.into()).await?;
            let plural = if ended == 1 { "" } else { "s" };
            printer.print(&json!({ "ended": ended }), &format_args!("{ended} connection{plural} ended\n"))
        }
    }
}

const COLUMNS: usize = 7;
const HEADINGS: [&str; COLUMNS] =
    ["Pro", "Expire", "State", "Client", "Virtual", "Destination", "Service/Server"];

/// Rows in columns that are wide enough for IPv4 and widen with the first row that needs it.
fn table() -> Table<impl FnMut(&[u8]) -> Result<String, serde_json::Error>> {
    let mut widths = [3, 7, 11, 21, 21, 21, 0];
    let heading = row(&mut widths, &HEADINGS.map(str::to_owned));
    Table::new(heading, move |object| Ok(row(&mut widths, &cells(&serde_json::from_slice(object)?))))
}

fn row(widths: &mut [usize; COLUMNS], cells: &[String; COLUMNS]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        *width = if *width == 0 { 0 } else { cell.len().max(*width) };
        // Writing to a string cannot fail.
        let _ = write!(line, "{cell:<0$} ", *width);
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

fn cells(connection: &Connection<'_>) -> [String; COLUMNS] {
    let destination = match (&connection.service, &connection.server) {
        (Some(service), Some(server)) => format!("{service}/{server}"),
        _ => format!("(unknown: mark 0x{:08x})", connection.mark),
    };
    [
        connection.protocol.clone().into_owned(),
        minutes(connection.expires_seconds),
        connection.state.to_string(),
        connection.client.to_string(),
        connection.vip.to_string(),
        connection.destination.to_string(),
        destination,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(client: &str, vip: &str, server: &str) -> String {
        json!({
            "protocol": "tcp", "state": "established", "expires_seconds": 431_999, "client": client, "vip": vip,
            "destination": server, "service": "exchange", "server": "exchange1", "mark": 0x8000_0001_u32,
        })
        .to_string()
    }

    #[test]
    fn rows_come_as_their_lines_do() {
        let four = line("198.51.100.7:40000", "192.168.1.35:443", "10.0.1.1:443");
        let six = line("[2001:db8:1:2:3:4:5:6]:40000", "[fd00:1::35]:443", "[fd00:2::1]:443");
        let mut listed = table();
        let first = listed.of(format!("[\n{four},\n{six},\n").as_bytes()).unwrap();
        let heading = "Pro Expire  State       Client                Virtual               Destination           Service/Server";
        assert_eq!(
            first.lines().collect::<Vec<_>>(),
            [
                heading,
                "tcp 7199:59 established 198.51.100.7:40000    192.168.1.35:443      10.0.1.1:443          exchange/exchange1",
                "tcp 7199:59 established [2001:db8:1:2:3:4:5:6]:40000 [fd00:1::35]:443      [fd00:2::1]:443       exchange/exchange1",
            ]
        );
        assert_eq!(
            listed.of(format!("{four}\n").as_bytes()).unwrap(),
            "tcp 7199:59 established 198.51.100.7:40000           192.168.1.35:443      10.0.1.1:443          exchange/exchange1\n"
        );
        assert_eq!(listed.of(b"]\n").unwrap(), "");
        assert_eq!(table().of(b"[]\n").unwrap(), format!("{heading}\n"));
    }

    #[test]
    fn what_has_no_name_or_time_is_shown_as_it_is() {
        let mut value: serde_json::Value =
            line("198.51.100.7:1", "192.168.1.35:1", "10.0.1.1:1").parse().unwrap();
        value["service"] = json!(null);
        value["expires_seconds"] = json!(null);
        let connection = serde_json::from_value(value).unwrap();
        let cells = cells(&connection);
        assert_eq!((cells[1].as_str(), cells[6].as_str()), ("-", "(unknown: mark 0x80000001)"));
    }

    #[test]
    fn what_is_no_listing_is_an_error() {
        for lines in ["{}\n", "{\"protocol\":\"tcp\"", "HTTP\n", "[[]\n"] {
            assert!(table().of(lines.as_bytes()).is_err(), "{lines}");
        }
    }
}
