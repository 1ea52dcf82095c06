//! The command line.
//!
//! Exit status: 0 done, 1 failed or bad input, 2 wrong usage. Results go to standard output, errors to standard
//! error; `--output json` makes JSON of both.

mod check;
mod connections;
mod dispatch;
mod events;
mod explain;
mod failover;
mod failure;
mod listing;
mod output;
mod persistence;
mod plan;
mod port;
mod probe;
mod probes;
mod wait;

pub use connections::{ConnectionsArgs, FilterArgs, KillArgs};
pub use dispatch::execute;
pub use events::EventsArgs;
pub use failover::FailoverArgs;
pub use failure::Failure;
pub use persistence::{EntryArgs, PersistenceArgs};
pub use port::{PortArgs, PortCommand};
pub use probe::ProbeArgs;
pub use probes::ProbesArgs;

use crate::options::RunOptions;
use crate::state::DEFAULT_FOLDER;
use crate::telemetry::LogFormat;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use director_core::model::Model;
use director_core::overrides::ReturningClients;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// A Layer-4 NAT load balancer on nftables and conntrack.
#[derive(Debug, Parser)]
#[command(
    name = "director",
    version,
    after_help = "Exit status: 0 done, 1 failed or bad input, 2 wrong usage."
)]
pub struct Cli {
    /// Socket of the running director
    #[arg(long, global = true, value_name = "PATH", env = "DIRECTOR_SOCKET", default_value = Model::DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// Form of results and errors
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Form of the log on standard error; RUST_LOG says what is logged
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Form of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What to do.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the director in the foreground
    Run {
        /// Where the configuration and the state are
        #[command(flatten)]
        node: NodeArgs,
        /// Where the state is
        #[command(flatten)]
        state: StateArgs,
        /// Remove the ruleset and the added addresses when stopping; otherwise traffic goes on
        #[arg(long)]
        flush_on_exit: bool,
    },
    /// Check configuration files; needs neither root nor a kernel
    Check {
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Try every probe of the files from here
        #[arg(long)]
        probe: bool,
        /// Name of this director in the files [default: the host name]
        #[arg(long, value_name = "NAME", requires = "probe", value_parser = NonEmptyStringValueParser::new())]
        node: Option<String>,
        /// Show the probes that pass too
        #[arg(long, requires = "probe")]
        verbose: bool,
    },
    /// Print the JSON Schema of the configuration file, for editors
    Schema,
    /// Print the nftables ruleset of a configuration file, all servers up
    Render {
        /// Which configuration
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Show what a configuration file would change in the kernel
    Plan {
        /// Which configuration
        #[command(flatten)]
        node: NodeArgs,
        /// Where the state is
        #[command(flatten)]
        state: StateArgs,
    },
    /// Show services and servers of the running director
    Status {
        /// What they carry a second, as ipvsadm --rate does, in place of totals
        #[arg(long)]
        rates: bool,
    },
    /// Try the probes of a server now, and show what was said; changes nothing
    Probe(ProbeArgs),
    /// Show what probes say of the servers, and the last attempts
    Probes(ProbesArgs),
    /// Show the connections in the kernel's table, as ipvsadm -Lcn does; or end some
    Connections(ConnectionsArgs),
    /// Show which clients stay with which server; or delete or pin one
    Persistence(PersistenceArgs),
    /// Give a server another weight, until it is reset; 0 sends it no new connections
    Weight {
        /// Which server
        #[command(flatten)]
        server: ServerArgs,
        /// 0 to 65535
        #[arg(value_name = "N")]
        weight: u16,
        /// The configured weight holds again after this time, as 30m; otherwise only after a reset
        #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
        lasting: Option<u64>,
    },
    /// Send a server no new connections, until it is enabled; established ones go on
    Drain {
        /// Which server
        #[command(flatten)]
        server: ServerArgs,
        /// How
        #[command(flatten)]
        drain: DrainArgs,
    },
    /// End the drain of a server
    Enable {
        /// Which server
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Drop weight and drain set at run time: back to the configuration file
    Reset {
        /// Which server
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Close ports of a service, or open them
    #[command(subcommand)]
    Port(PortCommand),
    /// Say which server a new connection of a client would get, and why
    Explain {
        /// The client, with its port where that matters
        #[arg(
            help = "The client, with its port where that matters: 198.51.100.7, 198.51.100.7:4000, [2001:db8::7]:4000",
            value_parser = explain::client
        )]
        client: (IpAddr, Option<u16>),
        /// What it calls
        #[arg(
            help = "What it calls: 192.168.1.35:443, [fd00:1::35]:443",
            value_name = "VIP:PORT",
            value_parser = explain::called
        )]
        called: SocketAddr,
        /// By udp in place of tcp
        #[arg(long)]
        udp: bool,
    },
    /// Have another director take over, as before maintenance of this one
    Failover(FailoverArgs),
    /// Show what happened in the virtual router: changes of role, links, peers
    Events(EventsArgs),
    /// Read the configuration file again; a bad one changes nothing
    Reload,
    /// Remove the ruleset, and the addresses that the director added
    Flush {
        /// Where the state is
        #[command(flatten)]
        state: StateArgs,
    },
}

/// A configuration file and a place in it.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct NodeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/director/director.yaml")]
    pub config: PathBuf,
    /// Name of this director in the file [default: the host name]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub node: Option<String>,
}

/// Where the state is.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct StateArgs {
    /// Folder of what survives a restart
    #[arg(long, value_name = "DIR", default_value = DEFAULT_FOLDER)]
    pub state_dir: PathBuf,
}

/// How a server is drained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct DrainArgs {
    /// Its connections should have ended after this time, as 10m
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub deadline: Option<u64>,
    /// End the connections that are left at the deadline; otherwise they go on
    #[arg(long, requires = "deadline")]
    pub cut: bool,
    /// Whether its persistent clients stay with it or move to another server [default: as configured]
    #[arg(long, value_name = "stay|move", value_parser = returning)]
    pub returning: Option<ReturningClients>,
    /// Wait until no connection is left, or the deadline has come, and show what is left meanwhile
    #[arg(long)]
    pub wait: bool,
}

/// A real server of a service.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ServerArgs {
    /// Name of the service
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub service: String,
    /// Name of the server
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub server: String,
}

impl Command {
    /// What is logged unless `RUST_LOG` says otherwise: a daemon tells what it does, a command its results only.
    #[must_use]
    pub fn log_level(&self) -> tracing::Level {
        if matches!(self, Self::Run { .. }) { tracing::Level::INFO } else { tracing::Level::WARN }
    }
}

fn run_options(node: NodeArgs, state: StateArgs, flush_on_exit: bool) -> RunOptions {
    RunOptions { config: node.config, node: node.node, state_dir: state.state_dir, flush_on_exit }
}

/// A time of 1 s to a year, in whole seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 30m or 1h 30m"))?;
    match duration.as_secs() {
        seconds @ 1..=31_536_000 if duration.subsec_nanos() == 0 => Ok(seconds),
        _ => Err("a time is from 1s to 365 days, in whole seconds".to_owned()),
    }
}

fn returning(text: &str) -> Result<ReturningClients, String> {
    match text {
        "stay" => Ok(ReturningClients::Stay),
        "move" => Ok(ReturningClients::Move),
        _ => Err("clients stay or move".to_owned()),
    }
}

#[cfg(test)]
mod tests;
