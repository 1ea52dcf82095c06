//! `director probe`: the probes of a server, tried now.

use super::output::Printer;
use super::{Failure, ServerArgs};
use crate::client::Client;
use crate::configuration::Configuration;
use crate::daemon;
use crate::trial::Plan;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use health::probe::Resources;
use std::path::PathBuf;

/// Which probes, and who tries them.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ProbeArgs {
    /// Which server
    #[command(flatten)]
    pub server: ServerArgs,
    /// This probe only
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub probe: Option<String>,
    /// Try it from here as this file says, without a running director
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Name of this director in that file [default: the host name]
    #[arg(long, value_name = "NAME", requires = "config", value_parser = NonEmptyStringValueParser::new())]
    pub node: Option<String>,
}

/// Tries them and shows what was said.
pub(super) async fn execute(client: &Client, printer: Printer, asked: ProbeArgs) -> Result<(), Failure> {
    let ProbeArgs { server: ServerArgs { service, server }, probe, config, node } = asked;
    let trial = match config {
        None => client.try_probes(&service, &server, probe.as_deref()).await?,
        Some(file) => {
            let configuration = Configuration::load(&file, &daemon::node_name(node.as_deref())?)?;
            let Configuration { model, node, .. } = &configuration;
            let plan =
                Plan::new(model, node, (&service, &server), probe.as_deref()).map_err(Failure::Name)?;
            plan.run(&Resources::default()).await
        }
    };
    printer.print(&trial, &trial)?;
    if trial.up { Ok(()) } else { Err(Failure::Down { service, server }) }
}
