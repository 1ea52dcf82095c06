//! `director port`: states of ports.

use super::Failure;
use super::output::Printer;
use crate::client::Client;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use director_core::ports::{ParsePortsError, PortSelection, PortState};
use serde_json::json;

/// What becomes of ports of a service.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum PortCommand {
    /// Refuse new connections and end established ones, until it is enabled or reset
    Disable(PortArgs),
    /// Refuse new connections, until it is enabled or reset; established ones go on
    Drain(PortArgs),
    /// Serve, whatever the configuration file says, until it is reset
    Enable(PortArgs),
    /// Drop what was set at run time: back to the configuration file
    Reset(PortArgs),
}

/// Ports of a service.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct PortArgs {
    /// Name of the service
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub service: String,
    /// Ports of it: 80, tcp/80, udp/53, 1000-1010; without a protocol, every one that the service has there
    #[arg(value_name = "PORT", value_parser = ports)]
    pub ports: PortSelection,
}

pub(super) async fn execute(client: &Client, printer: Printer, command: PortCommand) -> Result<(), Failure> {
    let (at, state, text) = match command {
        PortCommand::Disable(at) => {
            (at, Some(PortState::Disabled), "disabled: no new connections, established ones ended")
        }
        PortCommand::Drain(at) => {
            (at, Some(PortState::Drained), "drained: no new connections, established ones go on")
        }
        PortCommand::Enable(at) => (at, Some(PortState::Enabled), "enabled"),
        PortCommand::Reset(at) => (at, None, "as configured"),
    };
    let PortArgs { service, ports } = at;
    client.change_ports(&service, ports, state).await?;
    let json = json!({ "service": service, "ports": ports.to_string(), "state": state });
    printer.print(&json, &format_args!("{service} port {ports}: {text}\n"))
}

fn ports(text: &str) -> Result<PortSelection, String> {
    text.parse().map_err(|error: ParsePortsError| format!("{error}: {}", ParsePortsError::HINT))
}
