use super::*;
use proptest::prelude::*;

/// What servers say, whatever they are told, and what comes of it with and without STARTTLS: `up`, `tls` for a
/// handshake, or a part of the reason.
const CORPUS: [(&str, &str, &str); 24] = [
    (
        "220 mx ESMTP\r\n250-mx\r\n250-SIZE 1000\r\n250-STARTTLS\r\n250 HELP\r\n220 go on\r\n",
        "the answer to NOOP is: 220 go on",
        "tls",
    ),
    (
        "220-mx\r\n220-No spam\r\n220 ESMTP\r\n250 mx\r\n250 fine\r\n",
        "up",
        "the server does not offer STARTTLS: it has no certificate, or is set not to",
    ),
    ("220 mx\n250-mx\n250 starttls\n250\n", "up", "the answer to STARTTLS is: 250"),
    ("220 old\r\n502 what?\r\n250 hello\r\n250 ok\r\n", "up", "does not offer STARTTLS"),
    (
        "421 4.3.2 All server ports are busy\r\n",
        "the server turns connections away: 421 4.3.2 All server ports are busy",
        "turns connections away",
    ),
    ("450 later\r\n", "the server turns connections away: 450 later", "turns connections away"),
    (
        "554-5.7.1 Blocked\r\n554 \x1b[31mgo away\r\n",
        "the server refuses to serve the director: 554 5.7.1 Blocked \\x1b[31mgo away",
        "refuses to serve",
    ),
    ("250 hello\r\n", "this is no SMTP server: it greets with 250 hello, not 220", "it greets with 250"),
    (
        "220 mx\r\n550 bad name\r\n550 bad name\r\n",
        "the server refuses EHLO (550 bad name) and HELO (550 bad name): it may not like the name lb.example (helo)",
        "refuses EHLO",
    ),
    (
        "220 (vsFTPd 3.0.3)\r\n530 Please login\r\n530 Please login\r\n",
        "this is no SMTP server but an FTP server: 530 Please login",
        "FTP server",
    ),
    (
        "220 mx\r\n421 shutting down\r\n",
        "the server ends the session, the answer to EHLO is: 421 shutting down",
        "ends the session",
    ),
    ("220 mx\r\n451 busy\r\n", "the answer to EHLO is: 451 busy", "451 busy"),
    (
        "220 mx\r\n250-mx\r\n250 STARTTLS\r\n454 4.7.0 TLS not available\r\n",
        "the answer to NOOP is: 454",
        "offers STARTTLS but refuses it (454 4.7.0 TLS not available): its certificate or key may be missing",
    ),
    ("220 mx\r\n250 mx\r\n452 full\r\n", "the answer to NOOP is: 452 full", "does not offer STARTTLS"),
    (
        "SSH-2.0-OpenSSH_9.2p1 Debian\r\n",
        "this is no SMTP server but an SSH server: it said \"SSH-2.0-OpenSSH_9.2p1 Debian\"",
        "SSH server",
    ),
    (
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "but a web server: it said \"HTTP/1.1 400 Bad Request\"",
        "web server",
    ),
    ("\x15\x03\x03\x00\x02\x02\x28", "no SMTP server but a TLS server", "a TLS server"),
    ("* OK [CAPABILITY] ready\r\n", "an IMAP server", "an IMAP server"),
    ("\r\n", "this is no SMTP server: it said an empty line", "an empty line"),
    ("22x mx\r\n", "this is no SMTP server: it said \"22x mx\"", "22x mx"),
    (
        "220-mx\r\n250 mx\r\n",
        "the greeting is no SMTP: lines of one reply have the codes 220 and 250",
        "codes 220 and 250",
    ),
    ("220 mx\r\nwhat?\r\n", "the answer to EHLO is no SMTP: it said \"what?\"", "it said \"what?\""),
    ("220 mx\r\n250-mx\r\n25", "", ""),
    ("220 mx\r\n250-mx", "", ""),
];

fn settings(starttls: bool) -> Smtp {
    let security = if starttls { SmtpSecurity::StartTls(Tls::default()) } else { SmtpSecurity::Plain };
    Smtp { helo: "lb.example".to_owned(), security }
}

/// What is said to a server that sends these pieces, and what comes of it: as in [`CORPUS`].
fn talk(pieces: impl IntoIterator<Item: AsRef<[u8]>>, starttls: bool) -> (String, String) {
    let settings = settings(starttls);
    let mut dialogue = Dialogue::new(&settings);
    let mut said = Vec::new();
    for piece in pieces {
        let mut piece = piece.as_ref();
        while let Some(action) = dialogue.receive(&mut piece) {
            match action {
                Action::Send(bytes) => said.extend(bytes),
                Action::Handshake(_) => return (String::from_utf8(said).unwrap(), "tls".to_owned()),
                Action::Done(verdict) => {
                    let verdict = verdict.map_or_else(|failure| failure.to_string(), |_| "up".to_owned());
                    return (String::from_utf8(said).unwrap(), verdict);
                }
            }
        }
    }
    (String::from_utf8(said).unwrap(), String::new())
}

#[test]
fn every_dialogue_has_its_verdict_in_words() {
    for (bytes, plain, starttls) in CORPUS {
        for (words, starttls) in [(plain, false), (starttls, true)] {
            let (_, verdict) = talk([bytes.as_bytes()], starttls);
            assert!(
                verdict.contains(words) && verdict.is_empty() == words.is_empty(),
                "{bytes:?}: {verdict}"
            );
        }
    }
}

#[test]
fn the_probe_says_what_it_must_and_no_more() {
    let (said, _) = talk([&b"220 mx\r\n250 mx\r\n250 ok\r\n"[..]], false);
    assert_eq!(said, "EHLO lb.example\r\nNOOP\r\n");
    let (said, _) = talk([&b"220 mx\r\n500 ?\r\n250 mx\r\n250 ok\r\n"[..]], false);
    assert_eq!(said, "EHLO lb.example\r\nHELO lb.example\r\nNOOP\r\n");
    let (said, _) = talk([&b"220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n"[..]], true);
    assert_eq!(said, "EHLO lb.example\r\nSTARTTLS\r\n");
}

#[test]
fn after_the_handshake_it_begins_again_and_trusts_nothing_said_before() {
    let settings = settings(true);
    let mut dialogue = Dialogue::new(&settings);
    let mut plain = &b"220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n250 injected\r\n"[..];
    while !matches!(dialogue.receive(&mut plain), Some(Action::Handshake(_))) {}
    assert_eq!(dialogue.secured(), b"EHLO lb.example\r\n");
    let mut secured = &b"250-mx\r\n250 AUTH PLAIN\r\n250 ok\r\n"[..];
    assert_eq!(dialogue.receive(&mut secured), Some(Action::Send(b"NOOP\r\n".to_vec())));
    assert_eq!(dialogue.receive(&mut secured), Some(Action::Done(Ok(Passed::default()))));
}

#[test]
fn a_name_cannot_carry_a_command() {
    let settings = Smtp { helo: "lb\r\nMAIL FROM:<>".to_owned(), security: SmtpSecurity::Plain };
    let said = Dialogue::new(&settings).receive(&mut &b"220 mx\r\n"[..]);
    assert_eq!(said, Some(Action::Send(b"EHLO lbMAILFROM:<>\r\n".to_vec())));
}

#[test]
fn endless_output_ends_the_dialogue() {
    for (piece, words) in [
        ("x", "this is no SMTP server: it said \"xxx"),
        ("\0", "this is no SMTP server: it said \"\\x00\\x00\\x00\\x00\""),
        ("220-spam\r\n", "the greeting is no SMTP: a reply has more than 100 lines"),
        ("220", "this is no SMTP server: it said \"220220"),
    ] {
        let (_, verdict) = talk(std::iter::repeat_n(piece.as_bytes(), 10_000), false);
        assert!(verdict.starts_with(words), "{verdict}");
    }
    let long = [&b"220 "[..], &[b'x'; 4_000]].concat();
    let (_, verdict) = talk([long.as_slice()], false);
    assert_eq!(verdict, "the greeting is no SMTP: a line has more than 2048 bytes");
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        (text, ..) in prop::sample::select(CORPUS.to_vec()),
        tail in prop::collection::vec(any::<u8>(), 0..64),
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        length in any::<usize>(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        starttls in any::<bool>(),
    ) {
        let mut bytes = [text.as_bytes(), &tail].concat();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(length % (bytes.len() + 1));
        fuzz(&bytes);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let whole = talk([bytes.as_slice()], starttls);
        prop_assert_eq!(&talk(cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]), starttls), &whole);
        prop_assert_eq!(&talk(bytes.chunks(1), starttls), &whole);
    }

    #[test]
    fn whatever_comes_is_read_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..8_192)) {
        fuzz(&bytes);
        let (_, verdict) = talk([bytes.as_slice()], false);
        prop_assert!(verdict.chars().count() < 600, "{}", verdict);
        prop_assert!(!verdict.chars().any(char::is_control), "{}", verdict);
    }
}
