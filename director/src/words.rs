//! Values in words, for people.

use std::time::Duration;

/// So many are shown.
const SHOWN: usize = 8;

/// The first few of `items`, and how many more there are.
pub(crate) fn some_of(items: &[String]) -> String {
    match items.split_at_checked(SHOWN) {
        Some((shown, rest)) if !rest.is_empty() => format!("{}; and {} more", shown.join("; "), rest.len()),
        _ => items.join("; "),
    }
}

/// `text` on one line, without anything that a terminal obeys or that does not show: reasons quote what servers say.
pub(crate) fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        if matches!(char, '"' | '\'' | '\\') { line.push(char) } else { line.extend(char.escape_debug()) }
    }
    line
}

/// Whole microseconds, as the API has durations.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds of the API in milliseconds.
pub(crate) fn milliseconds(micros: u64) -> String {
    format!("{}.{:03} ms", micros / 1000, micros % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_short() {
        let items: Vec<String> = (1..=10).map(|it| it.to_string()).collect();
        assert_eq!(some_of(&[]), "");
        assert_eq!(some_of(&items[..8]), "1; 2; 3; 4; 5; 6; 7; 8");
        assert_eq!(some_of(&items), "1; 2; 3; 4; 5; 6; 7; 8; and 2 more");
    }

    #[test]
    fn a_terminal_obeys_nothing() {
        assert_eq!(printable("a\nb\u{1b}[2J\u{9b}\u{202e}"), r"a\nb\u{1b}[2J\u{9b}\u{202e}");
        assert_eq!(printable(r#"café EXCH\user's "x""#), r#"café EXCH\user's "x""#);
    }

    #[test]
    fn durations_have_three_digits_behind_the_point() {
        assert_eq!(milliseconds(micros(Duration::from_nanos(1_002_999))), "1.002 ms");
        assert_eq!(micros(Duration::MAX), u64::MAX);
    }
}
