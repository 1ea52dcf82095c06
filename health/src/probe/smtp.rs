//! A mail server greets and talks.

use super::Resources;
use super::connect::{Ending, Opening, connect};
use super::farewell::{Words, farewell};
use super::tap::Tap;
use super::tls::{broken, handshake};
use super::trace::Trace;
use crate::kind::{Smtp, SmtpSecurity, Tls};
use crate::protocol::smtp::{Action, Dialogue, QUIT};
use crate::{Failure, Fault, Passed, Target};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The port on which mail servers speak TLS from the first byte (RFC 8314).
const TLS_PORT: u16 = 465;

/// Talks to the server, over TLS if asked to, and takes leave by QUIT.
///
/// # Errors
/// No connection, no TLS, or answers that say that the server takes no mail.
pub(crate) async fn probe(
    target: &Target,
    settings: &Smtp,
    resources: &Resources,
    trace: &Trace,
) -> Result<Passed, Failure> {
    let mut talk = Talk { dialogue: Dialogue::new(settings), target, trace };
    let opening = match settings.security {
        SmtpSecurity::Implicit(_) => Opening::Probe,
        SmtpSecurity::Plain | SmtpSecurity::StartTls(_) => Opening::Server,
    };
    let stream = connect(target.address, target.origin, opening, Ending::Orderly).await?;
    let (stream, tls, hello) = if let SmtpSecurity::Implicit(tls) = &settings.security {
        (stream, tls, Vec::new())
    } else {
        let mut plain = Tap::new(stream, trace);
        match talk.go_on(&mut plain, &[], None).await? {
            End::Passed => return Ok(Passed::default()),
            End::Handshake(tls) => (plain.into_inner(), tls, talk.dialogue.secured()),
        }
    };
    let secured = handshake(stream, tls, target, resources, trace).await?;
    let mut stream = Tap::new(secured.stream, trace);
    match talk.go_on(&mut stream, &hello, Some(tls)).await? {
        End::Passed => Ok(Passed { note: secured.note, weight: None }),
        End::Handshake(_) => Err(Failure::new(Fault::Protocol, "TLS cannot begin within TLS")),
    }
}

/// A dialogue and whom it is with.
struct Talk<'a> {
    dialogue: Dialogue<'a>,
    target: &'a Target,
    trace: &'a Trace,
}

/// How far it went on a stream.
enum End<'a> {
    Passed,
    Handshake(&'a Tls),
}

impl<'a> Talk<'a> {
    /// Says `hello`, if anything, and talks until a verdict or a handshake; `tls` if it has been done.
    async fn go_on<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        hello: &[u8],
        tls: Option<&Tls>,
    ) -> Result<End<'a>, Failure> {
        self.say(stream, hello, tls).await?;
        let mut buffer = [0; 1024];
        loop {
            let count = stream.read(&mut buffer).await.map_err(|error| self.broken(&error, tls))?;
            if count == 0 {
                return Err(self.trace.closed(self.target.address));
            }
            let mut bytes = buffer.get(..count).unwrap_or_default();
            while let Some(action) = self.dialogue.receive(&mut bytes) {
                match action {
                    Action::Send(line) => self.say(stream, &line, tls).await?,
                    Action::Handshake(tls) => return Ok(End::Handshake(tls)),
                    Action::Done(verdict) => {
                        if !matches!(&verdict, Err(failure) if failure.fault == Fault::Protocol) {
                            farewell(stream, Words::Answered(QUIT), self.target, self.trace).await;
                        }
                        return verdict.map(|_| End::Passed);
                    }
                }
            }
        }
    }

    /// Says `line`, if anything, and waits for the answer from now on.
    async fn say<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        line: &[u8],
        tls: Option<&Tls>,
    ) -> Result<(), Failure> {
        self.trace.awaits(self.dialogue.awaited());
        if line.is_empty() && tls.is_none() && self.target.address.port() == TLS_PORT {
            self.trace.explains_silence("it may wait for TLS from the first byte: set tls");
        }
        let sent = async {
            stream.write_all(line).await?;
            stream.flush().await
        };
        sent.await.map_err(|error| self.broken(&error, tls))
    }

    fn broken(&self, error: &io::Error, tls: Option<&Tls>) -> Failure {
        let address = self.target.address;
        tls.and_then(|tls| broken(error, tls, address)).unwrap_or_else(|| self.trace.broken(address, error))
    }
}

#[cfg(test)]
mod tests;
