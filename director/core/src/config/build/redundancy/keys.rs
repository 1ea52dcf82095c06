//! What adverts and hellos are signed with.

use crate::config::raw::{self, Authentication};
use crate::config::report::Diagnostics;
use std::path::PathBuf;

/// The file with the keys; `None`: nothing is signed. `complete`: nothing of `redundancy` was reported before.
pub(super) fn build(
    raw: &raw::Redundancy,
    sync: Option<&raw::Sync>,
    complete: bool,
    errors: &mut Diagnostics,
) -> Option<PathBuf> {
    let key_file = raw.key_file.as_ref();
    match (&raw.authentication, key_file) {
        (Some(chosen), None) if chosen.value == Authentication::Hmac && complete => {
            let hint =
                "as key_file: /etc/director/vrrp.key, made by 'openssl rand -base64 32', the same on all";
            errors.error_hint(chosen.span, "authentication: hmac takes a \"key_file\"", hint);
        }
        (Some(chosen), Some(file)) if chosen.value == Authentication::None => {
            let message = "\"key_file\" means nothing with authentication: none";
            errors.error_hint(file.key, message, "take one of them out; keepalived knows plain adverts only");
        }
        _ => {}
    }
    if let Some(other) = sync.and_then(|sync| sync.key_file.as_ref()) {
        match key_file {
            Some(file) if file.0 != other.0 => {
                let message = "sync has another key file than redundancy";
                let hint = format!("one file serves both: {}", file.0.display());
                errors.error_hint(other.span, message, hint);
            }
            None if complete => {
                let message = "sync has a key file, and redundancy has none";
                errors.error_hint(other.span, message, "one file serves both: name it under redundancy");
            }
            _ => {}
        }
    }
    key_file.map(|file| file.0.clone())
}
