//! What came of it.
#![expect(clippy::print_stdout, reason = "it prints tables")]

use crate::contestant::Contestant;
use crate::event::Event;
use crate::observation::{Calls, Observation};
use lab::figures::{Samples, milliseconds, print_table};
use std::collections::BTreeMap;
use std::time::Duration;

/// Clients that call every 5 ms and pause for so long have stood still.
const STANDSTILL: Duration = Duration::from_millis(15);

/// All observations, by event and contestant.
#[derive(Debug, Default)]
pub(crate) struct Results(BTreeMap<(Event, Contestant), Figures>);

#[derive(Debug, Default)]
struct Figures {
    gap: Samples,
    silence: Samples,
    failed: usize,
    late: usize,
    /// Observations that may say more of the machine than of the contestant.
    paused: usize,
}

impl Results {
    pub(crate) fn add(&mut self, contestant: &Contestant, event: Event, observation: &Observation) {
        let figures = self.0.entry((event, *contestant)).or_default();
        let Calls { gap, pause, failed, late } = observation.calls;
        figures.paused += usize::from(pause > STANDSTILL);
        figures.gap.add_time(gap);
        figures.failed += failed;
        figures.late += late;
        if let Some(silence) = observation.silence {
            figures.silence.add_time(silence);
        }
    }

    pub(crate) fn print(&self) {
        for event in Event::ALL {
            let figures = self.0.iter().filter(|((of, _), _)| *of == event);
            println!("\n{}", event.title());
            if event.is_silent() {
                print_table(
                    &[
                        "",
                        "gap, median",
                        "at most",
                        "3 x interval + skew",
                        "after the last advert",
                        "at most",
                        "paused",
                    ],
                    &figures
                        .map(|((_, contestant), figures)| silent(contestant, figures))
                        .collect::<Vec<_>>(),
                );
            } else {
                print_table(
                    &["", "gap, median", "at most", "failed", "late", "paused"],
                    &figures.map(|((_, contestant), figures)| told(contestant, figures)).collect::<Vec<_>>(),
                );
            }
        }
    }
}

fn silent(contestant: &Contestant, figures: &Figures) -> Vec<String> {
    let down = contestant.down().as_secs_f64() * 1e3;
    let more =
        |silence: f64| if silence > 0.0 { format!("{:+.1} ms", silence - down) } else { "-".to_owned() };
    let mut row = gap(contestant, figures);
    row.extend([
        format!("{} ms", milliseconds(down)),
        more(figures.silence.median()),
        more(figures.silence.largest()),
        figures.paused.to_string(),
    ]);
    row
}

fn told(contestant: &Contestant, figures: &Figures) -> Vec<String> {
    let mut row = gap(contestant, figures);
    row.extend([figures.failed, figures.late, figures.paused].map(|count| count.to_string()));
    row
}

fn gap(contestant: &Contestant, figures: &Figures) -> Vec<String> {
    let figures = [figures.gap.median(), figures.gap.largest()].map(milliseconds);
    let [median, largest] = figures.map(|figure| format!("{figure} ms"));
    vec![contestant.to_string(), median, largest]
}
