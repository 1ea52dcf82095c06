//! `director persistence`: which clients stay with which server, as a listing that is printed as it comes; and
//! changes of one entry.

use super::Failure;
use super::listing::{self, Table, minutes};
use super::output::Printer;
use crate::client::Client;
use crate::command::EntryChange;
use crate::connections::{Query, client};
use crate::persistence::Row;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use director_core::model::Network;
use serde_json::json;
use std::fmt::Write;
use std::num::NonZeroUsize;

/// What to do with persistence entries.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_value_name = "delete|pin|unpin")]
pub struct PersistenceArgs {
    /// Of this service
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub service: Option<String>,
    /// Of this client, or of clients in this network
    #[arg(long, value_name = "ADDRESS|NETWORK", value_parser = client)]
    pub client: Option<Network>,
    /// That lead to this server
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub server: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub limit: Option<NonZeroUsize>,
    /// Change one, instead of showing them
    #[command(subcommand)]
    pub action: Option<Action>,
}

/// What else to do with an entry.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Action {
    /// Delete a client's entry: its next connection is scheduled anew
    Delete(EntryArgs),
    /// Send a client to this server, whenever that takes clients back
    Pin {
        /// Whose entry
        #[command(flatten)]
        entry: EntryArgs,
        /// Name of the server
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        server: String,
    },
    /// Make a pinned client one like others; it keeps its server until its entry ages out
    Unpin(EntryArgs),
}

/// A client of a service.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct EntryArgs {
    /// Name of the service
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub service: String,
    /// The client: an address, or its network
    #[arg(value_name = "CLIENT", value_parser = client)]
    pub client: Network,
}

/// Shows or changes entries.
pub(super) async fn execute(
    client: &Client,
    printer: Printer,
    PersistenceArgs { service, client: network, server, limit, action }: PersistenceArgs,
) -> Result<(), Failure> {
    let (entry, change, text) = match action {
        None => {
            let query = Query { service, server, client: network, state: None };
            let lines = client.listing("persistence", &query, limit.map(NonZeroUsize::get)).await?;
            return listing::show(client, printer, lines, table()).await;
        }
        Some(Action::Delete(entry)) => {
            (entry, EntryChange::Delete, "deleted: its next connection is scheduled anew".to_owned())
        }
        Some(Action::Pin { entry, server }) => {
            let text = format!("pinned to {server}");
            (entry, EntryChange::Pin { server }, text)
        }
        Some(Action::Unpin(entry)) => (entry, EntryChange::Unpin, "no longer pinned".to_owned()),
    };
    let EntryArgs { service, client: network } = entry;
    let json = match &change {
        EntryChange::Delete => json!("delete"),
        EntryChange::Pin { server } => json!({ "pin": server }),
        EntryChange::Unpin => json!("unpin"),
    };
    client.change_entry(&service, network, change).await?;
    let shown = if network.is_host() { network.address().to_string() } else { network.to_string() };
    let json = json!({ "service": service, "client": shown, "change": json });
    printer.print(&json, &format_args!("{service}: client {shown} is {text}\n"))
}

fn table() -> Table<impl FnMut(&[u8]) -> Result<String, serde_json::Error>> {
    let heading = row(["Client", "Service/Server", "Expires", ""]);
    Table::new(heading, |object| Ok(shown(&serde_json::from_slice(object)?)))
}

fn shown(entry: &Row<'_>) -> String {
    let there = match (&entry.service, &entry.server, entry.destination) {
        (Some(service), Some(server), _) => format!("{service}/{server}"),
        (Some(service), None, _) => format!("{service}/-"),
        (None, _, Some(destination)) => format!("(unknown: mark 0x{destination:08x})"),
        (None, _, None) => "-".to_owned(),
    };
    let note = match (&entry.pinned_to, &entry.server) {
        (None, _) => String::new(),
        (Some(pin), server) if Some(pin) == server.as_ref() => "pinned".to_owned(),
        (Some(pin), _) => format!("pinned to {pin}, which takes no clients back now"),
    };
    row([&entry.client, &there, &minutes(entry.expires_seconds), &note])
}

fn row([client, there, expires, note]: [&str; 4]) -> String {
    let mut line = String::new();
    // Writing to a string cannot fail.
    let _ = write!(line, "{client:<22} {there:<30} {expires:<8} {note}");
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_where_clients_go_and_how_long_yet() {
        let line = |client: &str, server: Option<&str>, seconds: Option<u64>, pin: Option<&str>| {
            json!({
                "client": client, "service": "exchange", "server": server, "expires_seconds": seconds,
                "pinned_to": pin, "destination": server.map(|_| 0x8000_0001_u32),
            })
        };
        let lines = [
            line("198.51.100.0/24", Some("exchange1"), Some(599), None),
            line("2001:db8:1:2::/64", Some("exchange1"), None, Some("exchange1")),
            line("203.0.113.0/24", Some("exchange2"), Some(7_199), Some("exchange1")),
            line("192.0.2.0/24", None, None, Some("exchange1")),
        ];
        let text = table()
            .of(format!("[\n{},\n{},\n{},\n{}\n]\n", lines[0], lines[1], lines[2], lines[3]).as_bytes());
        assert_eq!(
            text.unwrap().lines().collect::<Vec<_>>(),
            [
                "Client                 Service/Server                 Expires",
                "198.51.100.0/24        exchange/exchange1             09:59",
                "2001:db8:1:2::/64      exchange/exchange1             -        pinned",
                "203.0.113.0/24         exchange/exchange2             119:59   pinned to exchange1, which takes no clients back now",
                "192.0.2.0/24           exchange/-                     -        pinned to exchange1, which takes no clients back now",
            ]
        );
        assert!(table().of(b"{}\n").is_err());
    }

    #[test]
    fn what_has_no_name_is_shown_by_its_mark() {
        let entry = Row {
            client: "198.51.100.7/32".into(),
            service: None,
            server: None,
            expires_seconds: Some(1),
            pinned_to: None,
            destination: Some(0x8000_7001),
        };
        assert_eq!(shown(&entry), "198.51.100.7/32        (unknown: mark 0x80007001)     00:01\n");
    }
}
