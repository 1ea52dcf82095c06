//! An HTTP request gets a good answer.
//!
//! A connection of its own for each request; redirects are not followed. The answer's body is read only to look for
//! something in it, and then no further than the limit.

mod reason;
mod request;

use super::Resources;
use super::connect::{Ending, Opening, connect};
use super::tap::Tap;
use super::tls;
use super::trace::Trace;
use crate::kind::{BodyMatch, Http};
use crate::{Failure, Fault, Passed, Target};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::Builder;
use hyper::{HeaderMap, Request, Response, header};
use hyper_util::rt::TokioIo;
use std::error::Error as _;
use std::io::{self, ErrorKind};
use tokio::io::{AsyncRead, AsyncWrite};

/// An answer may have so many headers.
const MAX_HEADERS: usize = 128;

/// An answer's headers may have so many bytes.
const MAX_HEAD: usize = 32 * 1024;

/// Sends the request and judges the answer.
///
/// # Errors
/// No connection, no TLS, no HTTP, or an answer that is not good.
pub(crate) async fn probe(
    target: &Target,
    settings: &Http,
    resources: &Resources,
    trace: &Trace,
) -> Result<Passed, Failure> {
    let request = request::build(settings, target.address)
        .map_err(|error| Failure::new(Fault::Local, format!("the request cannot be made: {error}")))?;
    let attempt = Attempt { target, settings, trace };
    let stream = connect(target.address, target.origin, Opening::Probe, Ending::Reset).await?;
    let Some(tls) = &settings.tls else {
        attempt.exchange(&mut Tap::new(stream, trace), request).await?;
        return Ok(Passed::default());
    };
    let secured = tls::handshake(stream, tls, target, resources, trace).await?;
    let mut inside = Tap::new(secured.stream, trace);
    let outcome = attempt.exchange(&mut inside, request).await;
    tls::take_leave(&mut inside.into_inner()).await;
    outcome.map(|()| Passed { note: secured.note, weight: None })
}

struct Attempt<'a> {
    target: &'a Target,
    settings: &'a Http,
    trace: &'a Trace,
}

impl Attempt<'_> {
    async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut Tap<'_, S>,
        request: Request<Empty<Bytes>>,
    ) -> Result<(), Failure> {
        self.trace.awaits("the answer");
        let answer = self.talk(stream, request).await;
        match answer {
            Ok(answer) => answer.judge(self.settings, self.target, stream.first()),
            Err(error) => Err(self.failure(&error, stream.first())),
        }
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut Tap<'_, S>,
        request: Request<Empty<Bytes>>,
    ) -> hyper::Result<Answer> {
        let (mut sender, connection) = Builder::new()
            .title_case_headers(true)
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .max_headers(MAX_HEADERS)
            .max_header_size(MAX_HEAD)
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await?;
        let answer = async {
            let response = sender.send_request(request).await?;
            self.read(response).await
        };
        tokio::pin!(answer);
        tokio::select! {
            biased;
            result = &mut answer => result,
            // What became of it, the answer knows. The stream ends by a reset, so nobody shuts it down.
            _ = connection.without_shutdown() => answer.await,
        }
    }

    /// Reads as much of the answer as matters.
    async fn read(&self, response: Response<Incoming>) -> hyper::Result<Answer> {
        let (head, mut body) = response.into_parts();
        let status = head.status.as_u16();
        let mut answer = Answer { status, headers: head.headers, body: Vec::new(), cut: false };
        if self.settings.body.is_none() || !self.settings.status.contains(status) {
            return Ok(answer);
        }
        self.trace.awaits("the body");
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => answer.take(frame.data_ref(), self.settings.body_limit),
                // A server without manners ends TLS, and by that the body, without saying so.
                Err(error) if answer.ends_by_closing() && is_end(&error) => break,
                Err(error) => return Err(error),
            }
            if answer.cut {
                break;
            }
            self.trace.awaits("the rest of the body");
        }
        Ok(answer)
    }

    fn failure(&self, error: &hyper::Error, first: &[u8]) -> Failure {
        let address = self.target.address;
        let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        if let Some(io) = io {
            let about_tls = self.settings.tls.as_ref().and_then(|tls| tls::broken(io, tls, address));
            if let Some(failure) = about_tls {
                return failure;
            }
            if matches!(io.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData) {
                let words = format!("{address} does not speak proper HTTP: {io}");
                return Failure::new(Fault::Protocol, words);
            }
            let failure = self.trace.broken(address, io);
            return reason::without_answer(failure, self.settings, address, first);
        }
        if error.is_incomplete_message() {
            return reason::without_answer(self.trace.closed(address), self.settings, address, first);
        }
        let words = if error.is_parse_too_large() {
            format!(
                "{address} sends headers without end: more than {MAX_HEADERS} of them, or {} KiB",
                MAX_HEAD / 1024
            )
        } else {
            reason::no_http(error, self.settings, address, first)
        };
        Failure::new(Fault::Protocol, words)
    }
}

/// True if the stream ended where more was due.
fn is_end(error: &hyper::Error) -> bool {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    io.is_some_and(|io| io.kind() == ErrorKind::UnexpectedEof)
}

/// What matters of an answer.
struct Answer {
    status: u16,
    headers: HeaderMap,
    /// As far as it was read: not at all if nothing is looked for in it.
    body: Vec<u8>,
    /// There is more of the body than is read.
    cut: bool,
}

impl Answer {
    fn take(&mut self, data: Option<&Bytes>, limit: usize) {
        let data = data.map(Bytes::as_ref).unwrap_or_default();
        let room = limit.saturating_sub(self.body.len());
        self.body.extend_from_slice(data.get(..room).unwrap_or(data));
        self.cut = data.len() > room;
    }

    /// True if nothing but the connection's end tells the end of the body.
    fn ends_by_closing(&self) -> bool {
        let has = |name| self.headers.contains_key(name);
        !has(header::CONTENT_LENGTH) && !has(header::TRANSFER_ENCODING)
    }

    fn judge(&self, settings: &Http, target: &Target, first: &[u8]) -> Result<(), Failure> {
        let words = if !settings.status.contains(self.status) {
            reason::bad_status(self.status, &self.headers, settings, target.address, first)
        } else if settings.body.as_ref().is_some_and(|wanted| !is_found(wanted, &self.body)) {
            reason::bad_body(self.status, &self.body, self.cut, settings)
        } else {
            return Ok(());
        };
        Err(Failure::new(Fault::Answer, words))
    }
}

fn is_found(wanted: &BodyMatch, body: &[u8]) -> bool {
    match wanted {
        BodyMatch::Contains(text) => reason::contains(body, text.as_bytes()),
        BodyMatch::Matches(pattern) => pattern.is_match(body),
    }
}

#[cfg(test)]
mod tests;
