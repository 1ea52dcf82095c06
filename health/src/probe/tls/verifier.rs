//! Whether a certificate will do, and why not in words.

use super::certificate;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use std::fmt;
use std::sync::Arc;

/// Judges certificates; its errors are [`Rejected`].
#[derive(Debug)]
pub(super) struct Verifier {
    /// `None`: any certificate will do.
    trust: Option<Trust>,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
struct Trust {
    chains: Arc<WebPkiServerVerifier>,
    /// A server may show one of these itself, as if it were its own authority.
    itself: Vec<CertificateDer<'static>>,
}

/// Why a certificate will not do, in words that follow `its certificate`.
#[derive(Debug)]
pub(super) struct Rejected(pub(super) String);

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Rejected {}

impl Verifier {
    /// Takes any certificate. The server must still prove that it is its own.
    pub(super) fn off(provider: &CryptoProvider) -> Self {
        Self { trust: None, algorithms: provider.signature_verification_algorithms }
    }

    /// Takes certificates that come of `roots`, and those in `itself`. `None` if there are no roots.
    pub(super) fn trusting(
        provider: &Arc<CryptoProvider>,
        roots: RootCertStore,
        itself: Vec<CertificateDer<'static>>,
    ) -> Option<Self> {
        let roots = Arc::new(roots);
        let chains = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build().ok()?;
        let algorithms = provider.signature_verification_algorithms;
        Some(Self { trust: Some(Trust { chains, itself }), algorithms })
    }
}

impl Trust {
    fn verify(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.itself.iter().any(|trusted| trusted.as_ref() == own.as_ref()) {
            certificate::is_current(own, now)?;
            return verify_server_name(&ParsedCertificate::try_from(own)?, name);
        }
        self.chains.verify_server_cert(own, chain, name, &[], now).map(|_| ())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(trust) = &self.trust {
            trust
                .verify(own, chain, name, now)
                .map_err(|error| rejected(certificate::complaint(&error, own, chain, name, now)))?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, own, signature, &self.algorithms)
            .map_err(|error| rejected(certificate::unproven(&error, own)))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, own, signature, &self.algorithms)
            .map_err(|error| rejected(certificate::unproven(&error, own)))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn rejected(words: String) -> Error {
    CertificateError::Other(OtherError(Arc::new(Rejected(words)))).into()
}
