//! The line that an error stands in, and the carets under it.

use super::Span;

/// Longest excerpt, and how much of it may stand before the error, in characters.
const WIDTH: usize = 110;
const BEFORE: usize = 60;

/// The part of `line` around `span` and the marker to print under it. Control characters but tabs become
/// replacement characters: a terminal must not obey a file.
pub(super) fn excerpt(line: &str, span: Span) -> (String, String) {
    let column = span.column.saturating_sub(1) as usize;
    let length = line.trim_end().chars().count();
    let end = if span.end_line == span.line { span.end_column.saturating_sub(1) as usize } else { length };
    let skipped = if length > WIDTH { column.saturating_sub(BEFORE) } else { 0 };
    let (before, after) = (if skipped > 0 { "..." } else { "" }, skipped + WIDTH < length);

    let shown = line.trim_end().chars().skip(skipped).take(WIDTH);
    let mut source = String::from(before);
    source.extend(shown.clone().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }));
    if after {
        source.push_str("...");
    }

    let mut marker = " ".repeat(before.len());
    let blanks = shown.map(|c| if c == '\t' { '\t' } else { ' ' }).chain(std::iter::repeat(' '));
    marker.extend(blanks.take(column - skipped));
    let carets = end.min(skipped + WIDTH).saturating_sub(column).max(1);
    marker.push_str(&"^".repeat(carets));
    (source, marker)
}

/// The lines of a text, asked for in ascending order. Lines end as in YAML: `\n`, `\r\n` or `\r`.
pub(super) struct Lines<'a> {
    rest: &'a str,
    line: &'a str,
    number: u32,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, line: "", number: 0 }
    }

    /// Line `number`, from 1; empty beyond the end.
    pub(super) fn get(&mut self, number: u32) -> &'a str {
        while self.number < number {
            self.number += 1;
            let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
            let (line, rest) = self.rest.split_at(end);
            self.line = line;
            self.rest = rest.strip_prefix("\r\n").or_else(|| rest.get(1..)).unwrap_or_default();
        }
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(column: u32, end_column: u32) -> Span {
        Span { line: 1, column, end_line: 1, end_column }
    }

    #[test]
    fn carets_stand_under_the_error() {
        assert_eq!(excerpt("mark: 80  ", at(7, 9)), ("mark: 80".into(), "      ^^".into()));
        assert_eq!(excerpt("\tx: 1", at(2, 3)), ("\tx: 1".into(), "\t^".into()));
        assert_eq!(excerpt("a: b\u{1b}c", at(9, 9)), ("a: b\u{fffd}c".into(), "        ^".into()));
    }

    #[test]
    fn an_error_over_several_lines_is_marked_to_the_end_of_the_first() {
        let span = Span { line: 1, column: 4, end_line: 3, end_column: 2 };
        assert_eq!(excerpt("a: [1,", span).1, "   ^^^");
    }

    #[test]
    fn a_long_line_is_cut_around_the_error() {
        let line = format!("{}wrong{}", "a".repeat(500), "b".repeat(500));
        let (source, marker) = excerpt(&line, at(501, 506));
        assert!(source.starts_with("...a") && source.ends_with("b..."), "{source}");
        let place = marker.find('^').unwrap();
        assert_eq!(&source[place..marker.len()], "wrong");
    }

    #[test]
    fn lines_end_as_in_yaml() {
        let mut lines = Lines::new("a\nb\r\nc\rd\n\ne");
        let got: Vec<&str> = (1..=7).map(|number| lines.get(number)).collect();
        assert_eq!(got, ["a", "b", "c", "d", "", "e", ""]);
    }
}
