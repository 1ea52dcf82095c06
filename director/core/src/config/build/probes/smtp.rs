//! Dialogues with mail servers.

use super::{names, tls};
use crate::config::decode::{Record, Spanned};
use crate::config::raw;
use crate::config::report::{Diagnostics, quoted};
use crate::config::values::Text;
use health::kind::{Smtp, SmtpSecurity};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A full name, as RFC 5321 wants it, that is nobody's in particular.
const HELO: &str = "director.localdomain";

/// `complete`: no key of the probe was reported before.
pub(super) fn build(raw: &raw::Probe, complete: bool, errors: &mut Diagnostics) -> Smtp {
    Smtp {
        helo: raw.helo.as_ref().map_or_else(|| HELO.to_owned(), |text| helo(text, errors)),
        security: security(raw, complete, errors),
    }
}

fn security(raw: &raw::Probe, complete: bool, errors: &mut Diagnostics) -> SmtpSecurity {
    let on = |key: &Option<Spanned<bool>>| key.as_ref().is_some_and(|it| it.value);
    match (on(&raw.starttls), on(&raw.tls)) {
        (true, true) => {
            let place = raw.tls.as_ref().map(|it| it.key);
            let hint =
                "port 465 speaks TLS from the first byte (tls), ports 25 and 587 after a word (starttls)";
            if let Some(place) = place {
                errors.error_hint(place, "\"starttls\" and \"tls\" cannot both be true", hint);
            }
        }
        (false, false) => {
            let of_tls = ["verify", "ca_file", "sni", "expiry_warning"];
            for key in raw.given().iter().filter(|it| complete && of_tls.contains(&it.key)) {
                let message = format!("{:?} means nothing without TLS", key.key);
                errors.error_hint(key.span, message, "add starttls: true or tls: true, or take it out");
            }
            return SmtpSecurity::Plain;
        }
        _ => {}
    }
    let settings = tls::build(raw, None, errors);
    if on(&raw.tls) { SmtpSecurity::Implicit(settings) } else { SmtpSecurity::StartTls(settings) }
}

/// A domain or an address literal: RFC 5321, section 4.1.1.1.
fn helo(text: &Spanned<Text>, errors: &mut Diagnostics) -> String {
    let literal = text.0.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = literal.is_some_and(|it| match it.strip_prefix("IPv6:") {
        Some(it) => it.parse::<Ipv6Addr>().is_ok(),
        None => it.parse::<Ipv4Addr>().is_ok(),
    });
    if !address && !names::is_host_name(&text.0) {
        let message = format!("{} is nothing to greet a mail server with", quoted(&text.0));
        errors.error_hint(
            text.span,
            message,
            "a full name, as lb.example.org, or an address as \"[192.0.2.1]\"",
        );
    }
    text.0.clone()
}
