//! Strings and times.

use std::time::Duration;

/// A string in quotes. nft knows no escapes, so what would end the string early becomes `?`.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace(|c: char| c == '"' || c.is_control(), "?"))
}

/// ` comment "…"`, or nothing.
pub(super) fn comment(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!(" comment {}", quoted(text)))
}

/// `1h30m1s`
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [
        (u128::from(seconds / 86_400), "d"),
        (u128::from(seconds / 3_600 % 24), "h"),
        (u128::from(seconds / 60 % 60), "m"),
        (u128::from(seconds % 60), "s"),
        (duration.as_millis() % 1_000, "ms"),
    ];
    let text: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}
