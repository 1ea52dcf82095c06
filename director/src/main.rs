//! The `director` command.

use clap::Parser;
use director::cli::{Cli, Failure, execute};
use director::telemetry;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.output;
    match run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(output);
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    telemetry::init(cli.log_format, cli.command.log_level())?;
    execute(cli).await
}
