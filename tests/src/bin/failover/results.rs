//! What came of it.
#![expect(clippy::print_stdout, reason = "it prints tables")]

use crate::contestant::Contestant;
use crate::event::Event;
use crate::observation::{Calls, Observation};
use lab::figures::{Samples, milliseconds, print_table};
use std::collections::BTreeMap;
use std::time::Duration;

/// If clients that call every 5 ms pause for so long, the machine that all this runs on has stood still. That says
/// nothing of a gap that is much longer.
const STANDSTILL: Duration = Duration::from_millis(15);
const MUCH: u32 = 4;

/// All observations, by event and contestant.
#[derive(Debug, Default)]
pub(crate) struct Results(BTreeMap<(Event, Contestant), Figures>);

#[derive(Debug, Default)]
struct Figures {
    gap: Samples,
    silence: Samples,
    failed: usize,
    late: usize,
    /// Observations that say more of the machine than of the contestant, and are not among the others.
    disturbed: usize,
}

impl Results {
    pub(crate) fn add(&mut self, contestant: &Contestant, event: Event, observation: &Observation) {
        let figures = self.0.entry((event, *contestant)).or_default();
        let Calls { gap, pause, failed, late } = observation.calls;
        if pause > STANDSTILL && pause * MUCH > gap {
            figures.disturbed += 1;
            return;
        }
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
                        "not counted",
                    ],
                    &figures
                        .map(|((_, contestant), figures)| silent(contestant, figures))
                        .collect::<Vec<_>>(),
                );
            } else {
                print_table(
                    &["", "gap, median", "at most", "failed", "late", "not counted"],
                    &figures.map(|((_, contestant), figures)| told(contestant, figures)).collect::<Vec<_>>(),
                );
            }
        }
    }
}

fn silent(contestant: &Contestant, figures: &Figures) -> Vec<String> {
    let down = contestant.down().as_secs_f64() * 1e3;
    let more = |silence: f64| format!("{:+.1} ms", silence - down);
    let mut row = gap(contestant, figures);
    row.extend([
        format!("{} ms", milliseconds(down)),
        more(figures.silence.median()),
        more(figures.silence.largest()),
        figures.disturbed.to_string(),
    ]);
    row
}

fn told(contestant: &Contestant, figures: &Figures) -> Vec<String> {
    let mut row = gap(contestant, figures);
    row.extend([figures.failed, figures.late, figures.disturbed].map(|count| count.to_string()));
    row
}

fn gap(contestant: &Contestant, figures: &Figures) -> Vec<String> {
    let figures = [figures.gap.median(), figures.gap.largest()].map(milliseconds);
    let [median, largest] = figures.map(|figure| format!("{figure} ms"));
    vec![contestant.to_string(), median, largest]
}
