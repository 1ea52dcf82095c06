//! A dialogue with a mail server (RFC 5321): greeting, EHLO or HELO, STARTTLS if wanted (RFC 3207), NOOP.

mod reply;

use super::speaker::Speaker;
use crate::kind::{Smtp, SmtpSecurity, Tls};
use crate::{Failure, Fault, Passed};
use reply::{Malformed, Reader, Reply};

/// What to say before leaving.
pub const QUIT: &[u8] = b"QUIT\r\n";

/// Longest name that is greeted with, in bytes (RFC 5321 section 4.5.3.1.2).
const NAME: usize = 255;

/// A dialogue with a mail server, from its greeting on.
#[derive(Debug)]
pub struct Dialogue<'a> {
    helo: String,
    /// TLS that is still to be begun by STARTTLS.
    starttls: Option<&'a Tls>,
    stage: Stage<'a>,
    reader: Reader,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<'a> {
    /// Send this, and go on reading.
    Send(Vec<u8>),
    /// Do this TLS handshake, drop what has been read but not taken in, and go on with [`Dialogue::secured`].
    Handshake(&'a Tls),
    /// The server has passed or failed. It is to be left with [`QUIT`] unless what it speaks is no SMTP
    /// ([`Fault::Protocol`]).
    Done(Result<Passed, Failure>),
}

/// What the dialogue waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage<'a> {
    Greeting,
    /// The answer to EHLO. `ftp`: the greeting is that of a file server, which begins with the same code.
    Ehlo {
        ftp: bool,
    },
    /// The answer to HELO, after this one to EHLO.
    Helo {
        ftp: bool,
        ehlo: Reply,
    },
    StartTls(&'a Tls),
    Noop,
}

impl<'a> Dialogue<'a> {
    /// A dialogue as `settings` say. Where they want TLS from the first byte, it begins after the handshake.
    #[must_use]
    pub fn new(settings: &'a Smtp) -> Self {
        Self {
            helo: settings.helo.chars().filter(char::is_ascii_graphic).take(NAME).collect(),
            starttls: match &settings.security {
                SmtpSecurity::StartTls(tls) => Some(tls),
                SmtpSecurity::Plain | SmtpSecurity::Implicit(_) => None,
            },
            stage: Stage::Greeting,
            reader: Reader::default(),
        }
    }

    /// What it waits for, in words.
    #[must_use]
    pub fn awaited(&self) -> &'static str {
        match self.stage {
            Stage::Greeting => "the greeting",
            Stage::Ehlo { .. } => "the answer to EHLO",
            Stage::Helo { .. } => "the answer to HELO",
            Stage::StartTls(_) => "the answer to STARTTLS",
            Stage::Noop => "the answer to NOOP",
        }
    }

    /// Takes in what the server sent, as far as it leads to an action; the rest is left in `bytes`. `None`: more
    /// must come.
    pub fn receive(&mut self, bytes: &mut &[u8]) -> Option<Action<'a>> {
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            if let Some(reply) = self.reader.receive(byte) {
                return Some(match reply {
                    Ok(reply) => self.react(&reply),
                    Err(malformed) => self.misunderstood(&malformed),
                });
            }
        }
        None
    }

    /// Goes on after the handshake: what was said before it does not count. What to send.
    pub fn secured(&mut self) -> Vec<u8> {
        self.starttls = None;
        self.reader = Reader::default();
        self.ehlo(false)
    }

    fn react(&mut self, reply: &Reply) -> Action<'a> {
        let awaited = self.awaited();
        match (&self.stage, reply.code) {
            (Stage::Greeting, 220) => Action::Send(self.ehlo(reply.says("FTP"))),
            (Stage::Greeting, 400..=499) => no(format!("the server turns connections away: {reply}")),
            (Stage::Greeting, 500..=599) => no(format!("the server refuses to serve the director: {reply}")),
            (Stage::Greeting, _) => {
                foreign(format!("this is no SMTP server: it greets with {reply}, not 220"))
            }
            (Stage::Ehlo { .. }, 250) => self.go_on(reply.offers_starttls),
            (&Stage::Ehlo { ftp }, 500..=599) => {
                self.stage = Stage::Helo { ftp, ehlo: reply.clone() };
                Action::Send(format!("HELO {}\r\n", self.helo).into_bytes())
            }
            (Stage::Helo { .. }, 250) => self.go_on(false),
            (Stage::Helo { ftp: true, ehlo }, 500..=599) => {
                foreign(format!("this is no SMTP server but an FTP server: {ehlo}"))
            }
            (Stage::Helo { ehlo, .. }, 500..=599) => no(format!(
                "the server refuses EHLO ({ehlo}) and HELO ({reply}): it may not like the name {} (helo)",
                self.helo
            )),
            (Stage::StartTls(tls), 220) => Action::Handshake(tls),
            (Stage::StartTls(_), 422..=599) => no(format!(
                "the server offers STARTTLS but refuses it ({reply}): its certificate or key may be missing"
            )),
            (Stage::Noop, 250) => Action::Done(Ok(Passed::default())),
            (_, 421) => no(format!("the server ends the session, {awaited} is: {reply}")),
            _ => no(format!("{awaited} is: {reply}")),
        }
    }

    fn ehlo(&mut self, ftp: bool) -> Vec<u8> {
        self.stage = Stage::Ehlo { ftp };
        format!("EHLO {}\r\n", self.helo).into_bytes()
    }

    /// What comes after the server has said hello.
    fn go_on(&mut self, offers_starttls: bool) -> Action<'a> {
        let Some(tls) = self.starttls else {
            self.stage = Stage::Noop;
            return Action::Send(b"NOOP\r\n".to_vec());
        };
        if !offers_starttls {
            return no(
                "the server does not offer STARTTLS: it has no certificate, or is set not to".to_owned()
            );
        }
        self.stage = Stage::StartTls(tls);
        Action::Send(b"STARTTLS\r\n".to_vec())
    }

    fn misunderstood(&self, malformed: &Malformed) -> Action<'a> {
        match (malformed, &self.stage) {
            (Malformed::Foreign(bytes), Stage::Greeting) => {
                let name = Speaker::of(bytes).map(|name| format!(" but {name}")).unwrap_or_default();
                foreign(format!("this is no SMTP server{name}: {malformed}"))
            }
            _ => foreign(format!("{} is no SMTP: {malformed}", self.awaited())),
        }
    }
}

fn no(reason: String) -> Action<'static> {
    Action::Done(Err(Failure::new(Fault::Answer, reason)))
}

fn foreign(reason: String) -> Action<'static> {
    Action::Done(Err(Failure::new(Fault::Protocol, reason)))
}

/// For fuzzers: talks to a server that sends `bytes`, whatever it is told, without and with STARTTLS.
pub fn fuzz(bytes: &[u8]) {
    for security in [SmtpSecurity::Plain, SmtpSecurity::StartTls(Tls::default())] {
        let settings = Smtp { helo: "localhost".to_owned(), security };
        let mut dialogue = Dialogue::new(&settings);
        let mut rest = bytes;
        while let Some(action) = dialogue.receive(&mut rest) {
            match action {
                Action::Send(_) => {}
                Action::Handshake(_) => drop(dialogue.secured()),
                Action::Done(_) => break,
            }
        }
    }
}

#[cfg(test)]
mod tests;
