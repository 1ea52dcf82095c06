//! How TLS is spoken.

use super::names;
use crate::config::raw;
use crate::config::report::Diagnostics;
use health::kind::{Tls, Verify};

/// `name`: the server's name if the file does not say what is asked for.
pub(super) fn build(raw: &raw::Probe, name: Option<String>, errors: &mut Diagnostics) -> Tls {
    let verify = raw.verify.as_ref();
    let verify = match &raw.ca_file {
        Some(file) => {
            if let Some(off) = verify.filter(|verify| !verify.value) {
                let message = "a certificate is not verified, so there is no use for a ca_file";
                errors.error_hint(off.span, message, "take one of the two out");
            }
            Verify::File(file.0.clone())
        }
        None if verify.is_some_and(|verify| verify.value) => Verify::System,
        None => Verify::Off,
    };
    Tls {
        server_name: raw.sni.as_ref().map(|sni| names::server_name(sni, errors)).or(name),
        verify,
        expiry_warning: raw.expiry_warning.as_ref().map(|it| it.0),
    }
}
