//! Names of hosts.

use crate::config::decode::Spanned;
use crate::config::report::{Diagnostics, quoted};
use crate::config::values::Text;
use std::net::IpAddr;

/// True if it is a host's name, in ASCII and without a dot at its end: no address. Underscores are let through, as
/// some Windows machines have them.
pub(super) fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    text.len() <= 253 && text.split('.').all(label) && text.parse::<IpAddr>().is_err()
}

/// The name of a server for TLS; reports what is none.
pub(super) fn server_name(text: &Spanned<Text>, errors: &mut Diagnostics) -> String {
    if !is_host_name(&text.0) {
        let message = format!("{} is no name that a server can have", quoted(&text.0));
        errors.error_hint(text.span, message, hint(&text.0));
    }
    text.0.clone()
}

/// What to write in place of `text`, which is no host's name.
pub(super) fn hint(text: &str) -> String {
    if let Some((scheme, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        return format!("without {scheme}://: {host}");
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && is_host_name(host)
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return format!("without the port: {host}; the probe goes to the port under `port`");
    }
    if !text.is_ascii() {
        return "write it in ASCII, as xn--bcher-kva.example".to_owned();
    }
    "as mail.example.org".to_owned()
}
