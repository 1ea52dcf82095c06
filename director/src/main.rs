//! The `director` command.

use clap::Parser;
use director::cli::{Cli, Failure, execute};
use director::telemetry;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Threads that wait for a disk, or for a program that cannot be killed, are left behind after that.
const LAST_WAIT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.output;
    let ended = Runtime::new().map_err(Failure::Runtime).and_then(|runtime| {
        let ended = runtime.block_on(run(cli));
        runtime.shutdown_timeout(LAST_WAIT);
        ended
    });
    match ended {
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
