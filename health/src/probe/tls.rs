//! A TLS handshake can be done, and the certificate will do.

mod certificate;
#[cfg(test)]
pub(crate) mod sample;
mod trust;
mod verifier;

use super::Resources;
use super::connect::{Ending, Opening, connect};
use super::farewell::{Words, farewell};
use super::tap::Tap;
use super::trace::Trace;
use crate::excerpt::line;
use crate::kind::Tls;
use crate::protocol::Speaker;
use crate::{Failure, Fault, Passed, Target};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
pub(crate) use trust::Configurations;
use verifier::Rejected;

/// A stream with TLS up, and what is to be said of the certificate.
#[derive(Debug)]
pub(crate) struct Secured<'a, S> {
    /// What is inside TLS: give it a tap to have it recorded.
    pub(crate) stream: TlsStream<Tap<'a, S>>,
    /// The certificate ends soon.
    pub(crate) note: Option<Arc<str>>,
}

/// Does the handshake, and takes leave in order.
///
/// # Errors
/// No connection, no handshake, or no certificate that will do.
pub(crate) async fn probe(
    target: &Target,
    settings: &Tls,
    resources: &Resources,
    trace: &Trace,
) -> Result<Passed, Failure> {
    let stream = connect(target.address, target.origin, Opening::Probe, Ending::Orderly).await?;
    let mut secured = handshake(stream, settings, target, resources, trace).await?;
    farewell(&mut secured.stream, Words::None, target, trace).await;
    Ok(Passed { note: secured.note, weight: None })
}

/// Does a handshake on `stream`, on which nothing encrypted was sent yet.
///
/// # Errors
/// No handshake, or no certificate that will do; also if the authorities' file cannot be read.
pub(crate) async fn handshake<'a, S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    settings: &Tls,
    target: &Target,
    resources: &Resources,
    trace: &'a Trace,
) -> Result<Secured<'a, S>, Failure> {
    let config = resources.tls.get(&settings.verify)?;
    let name = match &settings.server_name {
        None => ServerName::from(target.address.ip()),
        Some(name) => ServerName::try_from(name.clone()).map_err(|_| {
            Failure::new(Fault::Local, format!("no TLS server can be asked for the name {name:?} (sni)"))
        })?,
    };
    trace.awaits("the answer to the TLS hello");
    trace.note(|| match &settings.server_name {
        Some(name) => format!("TLS hello, asking for {name}"),
        None => "TLS hello, asking for no name".to_owned(),
    });
    let connecting = TlsConnector::from(config).connect(name, Tap::counting(stream, trace));
    let mut stream = connecting
        .into_fallible()
        .await
        .map_err(|(error, raw)| failure(&error, settings, target.address, trace, raw.first()))?;
    let (raw, session) = stream.get_mut();
    raw.rest();
    let own = session.peer_certificates().and_then(<[_]>::first);
    let note = settings
        .expiry_warning
        .zip(own)
        .and_then(|(warning, own)| certificate::ends_soon(own, UnixTime::now(), warning));
    trace.note(|| {
        let version = session.protocol_version().map(|version| format!("{version:?}")).unwrap_or_default();
        let who = own.map(certificate::summary).unwrap_or_default();
        format!("{}, {who}", version.replace('_', ".").replace("TLSv", "TLS "))
    });
    Ok(Secured { stream, note: note.map(Arc::from) })
}

/// Says `close_notify` if there is room for it, but neither waits nor ends the connection below.
pub(crate) async fn take_leave<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut TlsStream<S>) {
    stream.get_mut().1.send_close_notify();
    let _ = timeout(Duration::ZERO, stream.flush()).await;
}

/// What an error of a stream says of its TLS. `None`: it is not about TLS.
pub(crate) fn broken(error: &io::Error, settings: &Tls, address: SocketAddr) -> Option<Failure> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(Failure::new(Fault::Tls, words(error, settings, address, &[])))
}

fn failure(error: &io::Error, settings: &Tls, address: SocketAddr, trace: &Trace, first: &[u8]) -> Failure {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return Failure::new(Fault::Tls, words(error, settings, address, first));
    }
    let failure = trace.broken(address, error);
    if matches!(failure.fault, Fault::Closed | Fault::Reset) && first.is_empty() {
        let hint = match &settings.server_name {
            None => "it speaks no TLS there, or wants to be asked for a name: set sni",
            Some(_) => "it speaks no TLS there, or does not know the name that sni asks for",
        };
        return Failure::new(failure.fault, format!("{failure}: {hint}"));
    }
    failure
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the lists of errors are open")]
fn words(error: &Error, settings: &Tls, address: SocketAddr, first: &[u8]) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) if other.0.is::<Rejected>() => {
            format!("{address} is not to be trusted: its certificate {other}")
        }
        Error::AlertReceived(alert) => refusal(*alert, settings, address),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => too_old(address),
        // The first byte of a record says what it is; one of text says nothing.
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge,
        ) if !first.is_empty() => no_tls(address, first),
        other => format!("{address} speaks TLS that the director does not understand: {other}"),
    }
}

fn no_tls(address: SocketAddr, first: &[u8]) -> String {
    if Speaker::of(first) == Some(Speaker::Web) {
        return format!("{address} speaks HTTP without TLS: use type http, or its port for TLS");
    }
    let answer = line(first, 40);
    format!("{address} speaks no TLS: it answered the TLS hello with \"{answer}\"; is this its port for TLS?")
}

fn too_old(address: SocketAddr) -> String {
    format!(
        "{address} speaks neither TLS 1.2 nor 1.3: it is too old, or has only TLS 1.0 and 1.1 switched on"
    )
}

fn refusal(alert: AlertDescription, settings: &Tls, address: SocketAddr) -> String {
    let name = settings.server_name.as_deref();
    match (alert, name) {
        (AlertDescription::ProtocolVersion, _) => too_old(address),
        (AlertDescription::UnrecognisedName, None) => {
            format!("{address} wants to be asked for a name (unrecognized_name): set sni")
        }
        (AlertDescription::UnrecognisedName, Some(name)) => {
            format!("{address} does not know the name {name} (unrecognized_name): check sni")
        }
        (AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity, _) => {
            let name = if name.is_none() { ", or it wants to be asked for a name (sni)" } else { "" };
            format!(
                "{address} refused the TLS handshake ({}): it has no cipher that the director takes (those of TLS \
                 1.2 and 1.3 with ephemeral keys){name}",
                spoken(alert)
            )
        }
        (AlertDescription::CertificateRequired, _) => {
            format!(
                "{address} wants a certificate of its clients (certificate_required), and probes have none"
            )
        }
        (AlertDescription::InternalError, None) => format!(
            "{address} ended the TLS handshake by internal_error: it may have no certificate for requests without a \
             name: set sni, and see its log"
        ),
        _ => format!("{address} ended the TLS connection by the alert {}: see its log", spoken(alert)),
    }
}

/// As the standard writes it: `handshake_failure`.
fn spoken(alert: AlertDescription) -> String {
    let mut text = String::new();
    for char in format!("{alert:?}").chars() {
        if char.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(char.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests;
