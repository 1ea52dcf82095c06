//! Datagrams.

use crate::config::decode::Spanned;
use crate::config::raw;
use crate::config::report::Diagnostics;
use crate::config::values::{Hex, Text};
use health::kind::{Reply, Udp};

pub(super) fn build(raw: &raw::Probe, errors: &mut Diagnostics) -> Udp {
    let expected = bytes(raw.expect.as_ref(), raw.expect_hex.as_ref());
    let optional = raw.reply.as_ref().filter(|reply| reply.value == raw::Reply::Optional);
    let reply = match (expected, optional) {
        (Some(prefix), None) => Reply::Prefix(prefix),
        (None, None) => Reply::Any,
        (None, Some(_)) => Reply::Optional,
        (Some(prefix), Some(place)) => {
            let message = "the reply is optional, but the probe says how it begins";
            errors.error_hint(
                place.span,
                message,
                "a reply that is expected is required: take one of the two out",
            );
            Reply::Prefix(prefix)
        }
    };
    Udp { send: bytes(raw.send.as_ref(), raw.send_hex.as_ref()).unwrap_or_default(), reply }
}

fn bytes(text: Option<&Spanned<Text>>, hex: Option<&Spanned<Hex>>) -> Option<Vec<u8>> {
    text.map(|text| text.0.clone().into_bytes()).or_else(|| hex.map(|hex| hex.0.clone()))
}
