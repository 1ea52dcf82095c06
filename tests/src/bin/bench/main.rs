//! `make bench`: how the director grows, and what a connection through it and a probe cost. docs/benchmarks.md says what each
//! figure means. Everything is measured side by side in one run: shared machines differ from minute to minute.
#![expect(clippy::print_stdout, reason = "it prints tables")]

mod balance;
mod connections;
mod daemon;
mod growth;
mod hammer;
mod listing;
mod probes;
mod processor;
mod proxy;

use lab::{Lab, sandbox};
use std::error::Error;
use std::process::ExitCode;
use std::thread::available_parallelism;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    sandbox::main(|| {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        println!(
            "{} cores, kernel {}. This takes about twelve minutes.",
            available_parallelism()?,
            kernel.trim()
        );
        let lab = Lab::new(&["exchange1", "exchange2", "exchange3", "exchange4"])?;
        growth::measure(&lab)?;
        listing::measure(&lab)?;
        connections::measure(&lab)?;
        balance::measure(&lab)?;
        probes::measure(&lab)
    })
}
