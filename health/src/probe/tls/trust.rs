//! TLS configurations, made once for each way to verify.

use super::verifier::Verifier;
use crate::kind::Verify;
use crate::{Failure, Fault};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// A file of authorities may have so many bytes; the operating system's own have a fifth of a megabyte.
const FILE_LIMIT: u64 = 4 << 20;

/// The operating system's authorities are read again after this time: they are many files, and change rarely.
const SYSTEM_AGE: Duration = Duration::from_secs(3600);

/// TLS configurations by what they verify. One whose file changes is made anew.
#[derive(Debug, Default)]
pub(crate) struct Configurations(Mutex<BTreeMap<Verify, Cached>>);

#[derive(Debug)]
struct Cached {
    config: Arc<ClientConfig>,
    fresh: Fresh,
}

/// How it is seen that a configuration still holds.
#[derive(Debug, PartialEq, Eq)]
enum Fresh {
    Always,
    Until(Instant),
    /// As long as the file has this time of change and length.
    File(Option<SystemTime>, u64),
}

impl Configurations {
    /// The configuration that verifies so.
    ///
    /// # Errors
    /// The authorities cannot be read.
    pub(super) fn get(&self, verify: &Verify) -> Result<Arc<ClientConfig>, Failure> {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = cache.get(verify)
            && holds(&cached.fresh, verify)
        {
            return Ok(Arc::clone(&cached.config));
        }
        let cached = make(verify).map_err(|reason| Failure::new(Fault::Local, reason))?;
        let config = Arc::clone(&cached.config);
        cache.insert(verify.clone(), cached);
        Ok(config)
    }
}

fn holds(fresh: &Fresh, verify: &Verify) -> bool {
    match (fresh, verify) {
        (Fresh::Until(end), _) => Instant::now() < *end,
        (Fresh::File(..), Verify::File(path)) => fs::metadata(path).is_ok_and(|data| stamp(&data) == *fresh),
        (Fresh::Always | Fresh::File(..), _) => true,
    }
}

fn stamp(data: &Metadata) -> Fresh {
    Fresh::File(data.modified().ok(), data.len())
}

fn make(verify: &Verify) -> Result<Cached, String> {
    let provider = Arc::new(ring::default_provider());
    let (verifier, fresh) = match verify {
        Verify::Off => (Verifier::off(&provider), Fresh::Always),
        Verify::System => {
            let found = rustls_native_certs::load_native_certs();
            let verifier = trusting(&provider, found.certs).ok_or_else(|| {
                let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
                format!(
                    "the operating system has no certificate authorities{why}: install the package ca-certificates, or \
                     set ca_file"
                )
            })?;
            (verifier, Fresh::Until(Instant::now() + SYSTEM_AGE))
        }
        Verify::File(path) => {
            let (bytes, fresh) = read(path).map_err(|error| {
                format!("cannot read ca_file {}: {}", path.display(), error.to_string().to_lowercase())
            })?;
            let certificates = CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok).collect();
            let verifier = trusting(&provider, certificates).ok_or_else(|| {
                format!(
                    "ca_file {} holds no certificate that can be used: it must be PEM, with -----BEGIN CERTIFICATE-----",
                    path.display()
                )
            })?;
            (verifier, fresh)
        }
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot speak TLS: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // A resumed session shows no certificate.
    config.resumption = Resumption::disabled();
    Ok(Cached { config: Arc::new(config), fresh })
}

/// `None` if no certificate can be used.
fn trusting(provider: &Arc<CryptoProvider>, certificates: Vec<CertificateDer<'static>>) -> Option<Verifier> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.iter().cloned());
    Verifier::trusting(provider, roots, certificates)
}

fn read(path: &Path) -> io::Result<(Vec<u8>, Fresh)> {
    // Looked at first, as opening a pipe would wait for who writes to it.
    let data = fs::metadata(path)?;
    if !data.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    // Cut off, it would lack authorities, and nobody would know which.
    if data.len() > FILE_LIMIT {
        return Err(io::Error::other(format!("it has more than {FILE_LIMIT} bytes")));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_LIMIT).read_to_end(&mut bytes)?;
    Ok((bytes, stamp(&data)))
}
