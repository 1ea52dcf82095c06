//! What servers send, for people to read.

/// So many bytes are shown.
const LIMIT: usize = 60;

/// The beginning of `bytes` in quotes: printable ASCII as it is, all else escaped.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    match bytes.get(..LIMIT) {
        Some(start) if bytes.len() > LIMIT => format!("\"{}\"...", start.escape_ascii()),
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_through_that_moves_a_cursor() {
        assert_eq!(excerpt(b"220 hello\r\n\x1b[2J"), r#""220 hello\r\n\x1b[2J""#);
        assert_eq!(excerpt(&[0xff; 61]), format!("\"{}\"...", r"\xff".repeat(60)));
        assert_eq!(excerpt(b""), "\"\"");
    }
}
