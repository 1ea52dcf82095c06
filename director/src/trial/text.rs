//! Trials for people to read.

use super::{Content, Line, Trial, Tried, What};
use crate::words::{milliseconds, printable};
use std::fmt::{self, Display};

/// Bytes of one line of a dump.
const ROW: usize = 16;

impl Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, server, up, required, probes } = self;
        let name = printable(&format!("{service}/{server}"));
        for tried in probes {
            write!(f, "{tried}")?;
        }
        let would = if *up { "would be up" } else { "would be down" };
        let passed = probes.iter().filter(|tried| tried.passed).count();
        match (required, probes.as_slice()) {
            (0, []) => writeln!(f, "{name} has no probes: it counts as up"),
            _ => writeln!(f, "{name} {would} by this: {passed} of {} pass, {required} must", probes.len()),
        }
    }
}

impl Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}", printable(&self.probe), printable(&self.target))?;
        for line in &self.dialogue {
            write!(f, "{line}")?;
        }
        let took = milliseconds(self.latency_micros);
        match &self.reason {
            None => write!(f, "  passed in {took}")?,
            Some(reason) => write!(f, "  failed after {took}: {}", printable(reason))?,
        }
        if let Some(note) = &self.note {
            write!(f, ": {}", printable(note))?;
        }
        match self.weight {
            Some(weight) => writeln!(f, "; it asks for weight {weight}\n"),
            None => writeln!(f, "\n"),
        }
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, lines) = match &self.what {
            What::Note(text) => ('*', vec![printable(text)]),
            What::Sent(content) => ('>', lines(content)),
            What::Received(content) => ('<', lines(content)),
        };
        let mut at = milliseconds(self.at_micros);
        for line in lines {
            writeln!(f, "{}", format!("{at:>14}  {sign} {line}").trim_end())?;
            at.clear();
        }
        Ok(())
    }
}

fn lines(content: &Content) -> Vec<String> {
    match content {
        // What a last line end would begin is no line.
        Content::Text(text) => text.lines().map(printable).collect(),
        Content::Hex(digits) => dump(digits),
    }
}

/// Offset, bytes, and what they are as text.
fn dump(digits: &str) -> Vec<String> {
    let pairs: Vec<&str> = (0..digits.len()).step_by(2).filter_map(|at| digits.get(at..at + 2)).collect();
    let rows = pairs.chunks(ROW).zip((0..).step_by(ROW));
    let rows = rows.map(|(row, offset)| {
        let text: String = row.iter().map(|pair| shown(pair)).collect();
        format!("{offset:04x}  {:<47}  {text}", row.join(" "))
    });
    rows.collect()
}

fn shown(pair: &str) -> char {
    let byte = u8::from_str_radix(pair, 16).unwrap_or_default();
    if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '.' }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at_micros: u64, what: What) -> Line {
        Line { at_micros, what }
    }

    fn bytes(bytes: &[u8]) -> Content {
        Content::from(bytes.to_vec())
    }

    fn tried(dialogue: Vec<Line>) -> Tried {
        Tried {
            probe: "mail".into(),
            target: "10.0.1.1:25".into(),
            passed: true,
            fault: None,
            reason: None,
            note: None,
            weight: None,
            latency_micros: 12_345,
            dialogue,
        }
    }

    #[test]
    fn a_dialogue_reads_like_one() {
        let passed = tried(vec![
            line(412, What::Note("connected to 10.0.1.1:25".into())),
            line(1_200, What::Received(bytes(b"220-exchange1\r\n220 ready\r\n"))),
            line(1_300, What::Sent(bytes(b"EHLO lb1\r\n"))),
        ]);
        let request = b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00Hi";
        let failed = Tried {
            probe: "rdp".into(),
            target: "10.0.1.1:3389".into(),
            passed: false,
            fault: Some("closed".into()),
            reason: Some("it closed the connection".into()),
            latency_micros: 1_000_000,
            ..tried(vec![line(999_999, What::Sent(bytes(request)))])
        };
        let trial = Trial {
            service: "exchange".into(),
            server: "exchange1".into(),
            up: false,
            required: 2,
            probes: vec![passed, failed],
        };
        assert_eq!(
            trial.to_string(),
            "\
mail at 10.0.1.1:25
      0.412 ms  * connected to 10.0.1.1:25
      1.200 ms  < 220-exchange1
                < 220 ready
      1.300 ms  > EHLO lb1
  passed in 12.345 ms

rdp at 10.0.1.1:3389
    999.999 ms  > 0000  03 00 00 13 0e e0 00 00 00 00 00 01 00 08 00 03  ................
                > 0010  00 00 48 69                                      ..Hi
  failed after 1000.000 ms: it closed the connection

exchange/exchange1 would be down by this: 1 of 2 pass, 2 must
"
        );
    }

    #[test]
    fn notes_and_weights_stand_behind_the_outcome() {
        let heavy = Tried { note: Some("busy\u{1b}[2J".into()), weight: Some(7), ..tried(vec![]) };
        assert_eq!(
            heavy.to_string(),
            "mail at 10.0.1.1:25\n  passed in 12.345 ms: busy\\u{1b}[2J; it asks for weight 7\n\n"
        );
        let none = Trial {
            service: "exchange".into(),
            server: "exchange1".into(),
            up: true,
            required: 0,
            probes: vec![],
        };
        assert_eq!(none.to_string(), "exchange/exchange1 has no probes: it counts as up\n");
    }

    #[test]
    fn a_terminal_obeys_nothing_that_a_server_says() {
        let nasty = "\u{1b}]0;owned\u{7}\u{202e}\u{9b}2J\u{0}".as_bytes();
        for what in [What::Received(bytes(nasty)), What::Sent(bytes(nasty))] {
            let text = line(0, what).to_string();
            assert!(text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{text:?}");
        }
        let text = "caf\u{e9}\u{202e}".as_bytes();
        assert_eq!(
            line(0, What::Received(bytes(text))).to_string(),
            "      0.000 ms  < caf\u{e9}\\u{202e}\n"
        );
    }

    #[test]
    fn programs_read_what_was_written() {
        let written = [
            line(5, What::Note("connected".into())),
            line(6, What::Sent(bytes(b"NOOP\r\n"))),
            line(7, What::Received(bytes(&[0xff, 0]))),
        ];
        let json = serde_json::to_value(&written).unwrap();
        assert_eq!(
            json,
            serde_json::json!([
                { "at_micros": 5, "note": "connected" },
                { "at_micros": 6, "sent": { "text": "NOOP\r\n" } },
                { "at_micros": 7, "received": { "hex": "ff00" } },
            ])
        );
        assert_eq!(serde_json::from_value::<Vec<Line>>(json).unwrap(), written);
    }
}
