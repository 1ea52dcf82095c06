//! What the format has and this version does not do. Nothing of it is passed over: each is an error.

use crate::config::decode::Record;
use crate::config::raw::{self, MarkPackets};
use crate::config::report::{Diagnostics, Span};

const HINT: &str = "take it out until a version supports it";

pub(super) fn report(span: Span, what: &str, hint: &str, errors: &mut Diagnostics) {
    errors.error_hint(span, format!("not supported yet: {what}"), hint);
}

/// Reports the keys of `record` that stand in the file and in `keys`.
fn report_keys(record: &impl Record, keys: &[&str], errors: &mut Diagnostics) {
    for given in record.given().iter().filter(|given| keys.contains(&given.key)) {
        report(given.span, given.key, HINT, errors);
    }
}

/// Top-level sections and the API.
pub(super) fn file(file: &raw::File, errors: &mut Diagnostics) {
    if let Some(sync) = &file.sync {
        report_keys(&sync.value, &["link"], errors);
    }
    if let Some(api) = &file.api {
        report_keys(&api.value, &["tokens", "tls"], errors);
    }
}

pub(super) fn service(raw: &raw::Service, errors: &mut Diagnostics) {
    // Off is what happens anyway.
    if let Some(on) = raw.offload.as_ref().filter(|offload| offload.value) {
        report(on.span, "offload", HINT, errors);
    }
    if let Some(mark) = raw.mark_packets.as_ref().filter(|mark| mark.value == MarkPackets::All) {
        report(
            mark.span,
            "mark_packets: all",
            "take it out: the first packet of each connection is marked",
            errors,
        );
    }
}
