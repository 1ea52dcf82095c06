//! Who is it that speaks?

use std::fmt;

/// A server by how it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    Ssh,
    Web,
    /// Both begin with the same code.
    MailOrFtp,
    Pop3,
    Imap,
    Tls,
}

const BEGINNINGS: [(&[u8], Speaker); 8] = [
    (b"SSH-", Speaker::Ssh),
    (b"HTTP", Speaker::Web),
    (b"<htm", Speaker::Web),
    (b"<!DO", Speaker::Web),
    (b"220 ", Speaker::MailOrFtp),
    (b"220-", Speaker::MailOrFtp),
    (b"+OK ", Speaker::Pop3),
    (b"* OK", Speaker::Imap),
];

impl Speaker {
    /// Whose beginning that is; `None`: nobody's that is known.
    pub(crate) fn of(beginning: &[u8]) -> Option<Self> {
        // RFC 8446 section 5.1: a record is an alert or a handshake, of version 3.x.
        if let [0x15 | 0x16, 3, ..] = beginning {
            return Some(Self::Tls);
        }
        BEGINNINGS.iter().find(|(bytes, _)| beginning.starts_with(bytes)).map(|(_, speaker)| *speaker)
    }
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ssh => "an SSH server",
            Self::Web => "a web server",
            Self::MailOrFtp => "a mail or FTP server",
            Self::Pop3 => "a POP3 server",
            Self::Imap => "an IMAP server",
            Self::Tls => "a TLS server",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_servers_are_known_by_their_first_bytes() {
        assert_eq!(Speaker::of(b"SSH-2.0-OpenSSH"), Some(Speaker::Ssh));
        assert_eq!(Speaker::of(&[0x15, 3, 1, 0]), Some(Speaker::Tls));
        assert_eq!(Speaker::of(b"EHLO"), None);
        assert_eq!(Speaker::of(b""), None);
    }
}
