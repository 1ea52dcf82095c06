//! `make bench-failover`: how long clients are without an answer when the Active goes, beside keepalived.
//! docs/benchmarks.md says what each figure means. All take turns in each round: shared machines differ from minute to
//! minute.
#![expect(clippy::print_stdout, reason = "it prints tables")]

mod contestant;
mod event;
mod observation;
mod product;
mod results;

use contestant::Contestant;
use lab::{Lab, Server, sandbox};
use results::Results;
use std::error::Error;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How often each is measured, unless the environment has another number in `ROUNDS`.
const ROUNDS: u32 = 10;

/// A round takes two minutes, most of which is waiting for adverts of 1 s.
const LIMIT: Duration = Duration::from_secs(3600);

fn main() -> ExitCode {
    sandbox::main_within(LIMIT, || {
        let rounds = std::env::var("ROUNDS").map_or(Ok(ROUNDS), |rounds| rounds.parse())?;
        // The part of its name that a contestant must have: to look at one more closely.
        let only = std::env::var("ONLY").unwrap_or_default();
        let contestants: Vec<&Contestant> =
            contestant::ALL.iter().filter(|it| it.to_string().contains(&only)).collect();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        println!("{} cores, kernel {}, {rounds} rounds", available_parallelism()?, kernel.trim());

        let lab = Lab::exchange()?;
        let _servers = lab.servers().iter().map(Server::start).collect::<lab::Result<Vec<_>>>()?;
        let mut results = Results::default();
        for round in 0..rounds {
            for contestant in &contestants {
                // Not always at the same distance from an advert.
                let delay = contestant.interval * round / rounds;
                contestant.perform(&lab, delay, |event, observation| {
                    results.add(contestant, event, &observation);
                })?;
            }
            println!("round {} is done", round + 1);
        }
        results.print();
        Ok(())
    })
}
