//! What servers send, for people to read.

use std::fmt::Write as _;

/// So many bytes are shown.
const LIMIT: usize = 60;

/// The beginning of `bytes` in quotes, each byte as it came: printable ASCII as it is, all else escaped.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    match bytes.get(..LIMIT) {
        Some(start) if bytes.len() > LIMIT => format!("\"{}\"...", start.escape_ascii()),
        _ => format!("\"{}\"", bytes.escape_ascii()),
    }
}

/// The beginning of `bytes` as one line of text, up to `limit` characters: white space in one blank, what does not
/// print as `\x16` or `\u{202e}`, a cut as `…`.
pub(crate) fn line(bytes: &[u8], limit: usize) -> String {
    let mut line = Line { text: String::new(), length: 0, limit, blank: false };
    for chunk in bytes.utf8_chunks() {
        let fits = chunk.valid().chars().all(|char| line.push(char))
            && chunk.invalid().iter().all(|byte| line.escaped(format_args!("\\x{byte:02x}")));
        if !fits {
            line.text.push('…');
            break;
        }
    }
    line.text
}

struct Line {
    text: String,
    length: usize,
    limit: usize,
    /// White space came, which matters if something follows it.
    blank: bool,
}

impl Line {
    /// False if there is no room.
    fn push(&mut self, char: char) -> bool {
        if char.is_whitespace() {
            self.blank = true;
            true
        } else if char.is_ascii_control() {
            self.escaped(format_args!("\\x{:02x}", u32::from(char)))
        } else if char.is_control() || is_invisible(char) {
            self.escaped(format_args!("{}", char.escape_unicode()))
        } else {
            self.escaped(format_args!("{char}"))
        }
    }

    fn escaped(&mut self, piece: std::fmt::Arguments<'_>) -> bool {
        if self.length >= self.limit {
            return false;
        }
        if std::mem::take(&mut self.blank) && !self.text.is_empty() {
            self.text.push(' ');
        }
        self.length += 1;
        self.text.write_fmt(piece).is_ok()
    }
}

/// Characters that take no place or turn the text around them.
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_gets_through_that_moves_a_cursor() {
        assert_eq!(excerpt(b"220 hello\r\n\x1b[2J"), r#""220 hello\r\n\x1b[2J""#);
        assert_eq!(excerpt(&[0xff; 61]), format!("\"{}\"...", r"\xff".repeat(60)));
        assert_eq!(excerpt(b""), "\"\"");
    }

    #[test]
    fn is_one_line_that_does_no_harm() {
        assert_eq!(line("  <html>\r\n\t<b>Grüße</b>\r\n".as_bytes(), 80), "<html> <b>Grüße</b>");
        assert_eq!(line(b"\x16\x03\x01\xff\x1b[2J", 80), "\\x16\\x03\\x01\\xff\\x1b[2J");
        assert_eq!(line("a\u{202e}b".as_bytes(), 80), "a\\u{202e}b");
        assert_eq!(line(b"", 80), "");
    }

    #[test]
    fn is_cut() {
        assert_eq!(line(b"220 mail", 8), "220 mail");
        assert_eq!(line(b"220 mail.example", 7), "220 mail…");
        assert_eq!(line(&[0xff; 1000], 2), "\\xff\\xff…");
    }

    proptest! {
        #[test]
        fn prints_whatever_comes(bytes in proptest::collection::vec(any::<u8>(), 0..200), limit in 0_usize..100) {
            let text = line(&bytes, limit);
            prop_assert!(!text.chars().any(|char| char.is_control() || is_invisible(char)));
            prop_assert!(text.chars().count() <= limit * 11 + 1);
        }
    }
}
