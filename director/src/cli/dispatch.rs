//! Does what the command line says.

use super::output::Printer;
use super::{
    Cli, Command, Failure, NodeArgs, ServerArgs, check, connections, events, explain, failover, persistence,
    plan, port, probe, probes, run_options, wait,
};
use crate::client::Client;
use crate::command::{DrainRequest, OverrideChange};
use crate::configuration::Configuration;
use crate::control::offline;
use crate::daemon;
use crate::table::{RateTable, Table};
use director_core::config;
use director_core::overrides::AtDeadline;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Does it.
///
/// # Errors
/// See [`Failure`].
pub async fn execute(cli: Cli) -> Result<(), Failure> {
    let printer = Printer::new(cli.output);
    let client = Client::new(cli.socket.clone());
    match cli.command {
        Command::Run { node, state, flush_on_exit } => {
            Ok(daemon::run(run_options(node, state, flush_on_exit)).await?)
        }
        Command::Check { files, probe, node, verbose } => {
            let trying = probe.then_some(check::Trying { node, verbose });
            check::check(&files, trying.as_ref(), printer).await
        }
        Command::Schema => printer.json(&config::schema()),
        Command::Render { node } => {
            let text = offline::render(&load(&node)?)?;
            printer.print(&json!({ "ruleset": text }), &text)
        }
        Command::Plan { node, state } => {
            let plan = plan::Summary::from(&offline::plan(&load(&node)?, &state.state_dir).await?);
            printer.print(&plan, &plan)
        }
        Command::Status { rates } => {
            let status = client.status().await?;
            if rates {
                printer.print(&status, &RateTable(&status))
            } else {
                printer.print(&status, &Table(&status))
            }
        }
        Command::Probe(asked) => probe::execute(&client, printer, asked).await,
        Command::Probes(asked) => probes::execute(&client, printer, asked).await,
        Command::Connections(asked) => connections::execute(&client, printer, asked).await,
        Command::Persistence(asked) => persistence::execute(&client, printer, asked).await,
        Command::Weight { server, weight, lasting } => {
            let change = OverrideChange::Weight { weight, seconds: lasting };
            override_server(&client, printer, &server, change, &format!("weight {weight}")).await
        }
        Command::Drain { server, drain } => {
            let request = DrainRequest {
                deadline_seconds: drain.deadline,
                at_deadline: if drain.cut { AtDeadline::Cut } else { AtDeadline::Keep },
                returning_clients: drain.returning,
            };
            let text = "drained: no new connections, established ones go on";
            override_server(&client, printer, &server, OverrideChange::Drain(request), text).await?;
            if drain.wait { wait::until_drained(&client, printer, &server).await } else { Ok(()) }
        }
        Command::Enable { server } => {
            override_server(&client, printer, &server, OverrideChange::Enable, "enabled").await
        }
        Command::Reset { server } => {
            override_server(&client, printer, &server, OverrideChange::Reset, "as configured").await
        }
        Command::Port(command) => port::execute(&client, printer, command).await,
        Command::Explain { client: from, called, udp } => {
            explain::explain(&client, printer, from, called, udp).await
        }
        Command::Failover(asked) => failover::execute(&client, printer, asked).await,
        Command::Events(asked) => events::execute(&client, printer, asked).await,
        Command::Reload => {
            client.reload().await?;
            printer.print(&json!({ "reloaded": true }), &"the configuration is loaded\n")
        }
        Command::Flush { state } => flush(&client, cli.socket, &state.state_dir, printer).await,
    }
}

fn load(node: &NodeArgs) -> Result<Configuration, Failure> {
    let name = daemon::node_name(node.node.as_deref())?;
    Ok(Configuration::load(&node.config, &name)?)
}

async fn override_server(
    client: &Client,
    printer: Printer,
    at: &ServerArgs,
    change: OverrideChange,
    text: &str,
) -> Result<(), Failure> {
    let ServerArgs { service, server } = at;
    client.change(service, server, change).await?;
    let change = match change {
        OverrideChange::Weight { weight, .. } => json!({ "weight": weight }),
        OverrideChange::Drain(_) => json!("drain"),
        OverrideChange::Enable => json!("enable"),
        OverrideChange::Reset => json!("reset"),
    };
    let json = json!({ "service": service, "server": server, "change": change });
    printer.print(&json, &format_args!("{service}/{server}: {text}\n"))
}

async fn flush(client: &Client, socket: PathBuf, state_dir: &Path, printer: Printer) -> Result<(), Failure> {
    if client.is_answered().await {
        return Err(Failure::Running(socket));
    }
    let addresses = offline::flush(state_dir).await?;
    let text = format!("the ruleset is removed, and {addresses} addresses\n");
    printer.print(&json!({ "addresses_removed": addresses }), &text)
}
