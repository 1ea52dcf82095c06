//! Who is it that speaks?

/// Which other server begins like that, as in `an SSH server`.
pub(super) fn speaker(beginning: &[u8]) -> Option<&'static str> {
    const BEGINNINGS: [(&[u8], &str); 8] = [
        (b"SSH-", "an SSH server"),
        (b"HTTP", "a web server"),
        (b"<htm", "a web server"),
        (b"<!DO", "a web server"),
        (b"220 ", "a mail or FTP server"),
        (b"220-", "a mail or FTP server"),
        (b"+OK ", "a POP3 server"),
        (b"* OK", "an IMAP server"),
    ];
    // RFC 8446 section 5.1: a record is an alert or a handshake, of version 3.x.
    if let [0x15 | 0x16, 3, ..] = beginning {
        return Some("a TLS server");
    }
    BEGINNINGS.iter().find(|(bytes, _)| beginning.starts_with(bytes)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_servers_are_known_by_their_first_bytes() {
        assert_eq!(speaker(b"SSH-2.0-OpenSSH"), Some("an SSH server"));
        assert_eq!(speaker(&[0x15, 3, 1, 0]), Some("a TLS server"));
        assert_eq!(speaker(b"EHLO"), None);
        assert_eq!(speaker(b""), None);
    }
}
