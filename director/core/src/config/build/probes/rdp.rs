//! Connection requests to remote desktops.

use crate::config::raw;
use crate::config::report::{Diagnostics, quoted};
use health::kind::Rdp;

pub(super) fn build(raw: &raw::Probe, errors: &mut Diagnostics) -> Rdp {
    let cookie = raw.cookie.as_ref().map(|text| {
        // The cookie stands in a line of its own in the request, which ends with the first CR LF.
        if text.0.len() > 64 || !text.0.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!("{} cannot be in a cookie", quoted(&text.0));
            errors.error_hint(
                text.span,
                message,
                "a user's name: at most 64 ASCII characters without blanks",
            );
        }
        text.0.clone()
    });
    Rdp { strict: raw.strict.as_ref().is_some_and(|strict| strict.value), cookie }
}
