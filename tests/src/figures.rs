//! Medians of what benchmarks measured, and how they are written.
#![expect(clippy::print_stdout, reason = "benchmarks print tables")]

use std::time::Duration;

/// What was measured several times. Figures of an empty one are 0.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds one.
    pub fn add(&mut self, value: f64) {
        let place = self.0.partition_point(|other| *other < value);
        self.0.insert(place, value);
    }

    /// Adds a time, in milliseconds.
    pub fn add_time(&mut self, time: Duration) {
        self.add(time.as_secs_f64() * 1e3);
    }

    /// The middle one; between two, what lies between them.
    #[must_use]
    pub fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        match self.0.len() {
            0 => 0.0,
            odd if odd % 2 == 1 => self.0[middle],
            _ => f64::midpoint(self.0[middle - 1], self.0[middle]),
        }
    }

    /// The least value that so many percent of the samples do not exceed.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// Their sum, divided by how many they are.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len().max(1) as f64
    }

    /// The largest.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.percentile(100)
    }
}

/// Milliseconds, to three digits.
#[must_use]
pub fn milliseconds(value: f64) -> String {
    let decimals = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.decimals$}")
}

/// Prints rows below a heading: the first column from the left, all others from the right.
pub fn print_table(heading: &[&str], rows: &[Vec<String>]) {
    let heading: Vec<String> = heading.iter().map(ToString::to_string).collect();
    let all = || std::iter::once(&heading).chain(rows);
    let width = |column: usize| all().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    for row in all() {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            line += &if column == 0 { format!("  {cell:<width$}") } else { format!("   {cell:>width$}") };
        }
        println!("{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Samples {
        let mut samples = Samples::default();
        values.iter().for_each(|value| samples.add(*value));
        samples
    }

    #[test]
    fn medians_and_percentiles() {
        let odd = samples(&[9.0, 1.0, 5.0]);
        assert_eq!((odd.median(), odd.percentile(1), odd.largest()), (5.0, 1.0, 9.0));
        assert_eq!((odd.mean(), Samples::default().mean()), (5.0, 0.0));
        assert_eq!(samples(&[4.0, 1.0, 3.0, 2.0]).median(), 2.5);
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let hundred = samples(&hundred);
        assert_eq!((hundred.percentile(25), hundred.percentile(99), hundred.largest()), (25.0, 99.0, 100.0));
        assert_eq!((Samples::default().median(), Samples::default().largest()), (0.0, 0.0));
    }

    #[test]
    fn milliseconds_have_three_digits() {
        assert_eq!(
            [0.123, 9.87, 12.34, 1234.5].map(milliseconds),
            ["0.12", "9.87", "12.3", "1234"].map(str::to_owned)
        );
    }
}
