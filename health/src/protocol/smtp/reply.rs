//! Replies of mail servers (RFC 5321 section 4.2): lines of a code and text, all but the last with a hyphen between.

use crate::excerpt::line;
use std::fmt;

/// Longest line, in bytes without its end. RFC 5321 allows 510; some servers write more.
const LINE: usize = 2_048;

/// Most lines of a reply.
const LINES: usize = 100;

/// So many bytes of what cannot become a reply are read before it is judged.
const FOREIGN: usize = 64;

/// So many bytes of a reply's text are kept.
const TEXT: usize = 512;

/// So many characters of what was said are shown.
const SHOWN: usize = 160;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// The beginning of its text, its lines joined.
    text: Vec<u8>,
    /// A line after the first is the keyword STARTTLS.
    pub(super) offers_starttls: bool,
}

/// Why something is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Malformed {
    /// It begins otherwise: like this.
    Foreign(Vec<u8>),
    /// A line is too long.
    LongLine,
    /// There is no end of lines.
    ManyLines,
    /// Lines of one reply have different codes.
    Mixed(u16, u16),
}

/// Reads replies, byte by byte. It takes no more memory than a line and a reply may have.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    /// Lines of the reply so far.
    lines: usize,
    reply: Reply,
}

impl Reader {
    /// Takes in a byte; what is known by it.
    pub(super) fn receive(&mut self, byte: u8) -> Option<Result<Reply, Malformed>> {
        if byte == b'\n' {
            let mut line = std::mem::take(&mut self.line);
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return self.end_of_line(&line);
        }
        self.line.push(byte);
        if self.line.len() > LINE {
            return Some(Err(Malformed::LongLine));
        }
        // Without an end of line in sight, what is binary or long is judged by its beginning.
        let length = self.line.len();
        let is_foreign =
            length >= 4 && split(&self.line).is_none() && (length >= FOREIGN || is_binary(&self.line));
        is_foreign.then(|| Err(Malformed::Foreign(std::mem::take(&mut self.line))))
    }

    fn end_of_line(&mut self, line: &[u8]) -> Option<Result<Reply, Malformed>> {
        let Some((code, is_last, text)) = split(line) else {
            let beginning = line.get(..FOREIGN).unwrap_or(line);
            return Some(Err(Malformed::Foreign(beginning.to_vec())));
        };
        let reply = &mut self.reply;
        if self.lines > 0 {
            if code != reply.code {
                return Some(Err(Malformed::Mixed(reply.code, code)));
            }
            let keyword = text.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
            reply.offers_starttls |= keyword.eq_ignore_ascii_case(b"STARTTLS");
            reply.text.push(b' ');
        }
        reply.code = code;
        reply.text.extend(text);
        reply.text.truncate(TEXT);
        self.lines += 1;
        if is_last {
            self.lines = 0;
            return Some(Ok(std::mem::take(reply)));
        }
        (self.lines >= LINES).then_some(Err(Malformed::ManyLines))
    }
}

fn is_binary(line: &[u8]) -> bool {
    line.iter().any(|byte| byte.is_ascii_control() && !matches!(byte, b'\r' | b'\t'))
}

/// A line's code, whether it is the reply's last, and its text.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (code, rest) = line.split_first_chunk::<3>()?;
    if !matches!(code[0], b'2'..=b'5') || !code.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest {
        [] => Some((code, true, rest)),
        [b' ', text @ ..] => Some((code, true, text)),
        [b'-', text @ ..] => Some((code, false, text)),
        _ => None,
    }
}

impl Reply {
    /// True if its text has that word, in any case.
    pub(super) fn says(&self, word: &str) -> bool {
        self.text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, line(&self.text, SHOWN))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign(bytes) if bytes.is_empty() => f.write_str("it said an empty line"),
            Self::Foreign(bytes) => write!(f, "it said \"{}\"", line(bytes, SHOWN)),
            Self::LongLine => write!(f, "a line has more than {LINE} bytes"),
            Self::ManyLines => write!(f, "a reply has more than {LINES} lines"),
            Self::Mixed(first, other) => write!(f, "lines of one reply have the codes {first} and {other}"),
        }
    }
}
