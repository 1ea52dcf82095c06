//! Questions to DNS servers.

use crate::config::decode::{Spanned, Words};
use crate::config::raw::{self, RecordType};
use crate::config::report::{Diagnostics, quoted};
use crate::config::values::Text;
use health::kind::Dns;
use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) fn dns(raw: &raw::Probe, errors: &mut Diagnostics) -> Dns {
    let query = raw.query.as_ref().map_or_else(|| ".".to_owned(), |text| query(text, errors));
    let default = if query == "." { RecordType::Soa } else { RecordType::A };
    let record = raw.record.as_ref().map_or(default, |record| record.value);
    let rcodes = match &raw.rcode {
        Some(list) => list.0.iter().map(|code| code.value.word().to_owned()).collect(),
        None => vec!["NOERROR".to_owned()],
    };
    let answer = raw.answer.as_ref().map(|text| answer(text, record, errors));
    Dns { query, record: record.word().to_owned(), rcodes, answer }
}

/// A name of the DNS: RFC 1035, section 2.3.4.
fn query(text: &Spanned<Text>, errors: &mut Diagnostics) -> String {
    let name = text.0.strip_suffix('.').unwrap_or(&text.0);
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    if text.0 != "." && (name.len() > 253 || !name.split('.').all(label)) {
        let message = format!("{} cannot be a name in the DNS", quoted(&text.0));
        errors.error_hint(
            text.span,
            message,
            "as www.example.org, or \".\" for the root; at most 63 characters between dots",
        );
    }
    text.0.clone()
}

fn answer(text: &Spanned<Text>, record: RecordType, errors: &mut Diagnostics) -> String {
    let expected = if record == RecordType::A && text.0.parse::<Ipv4Addr>().is_err() {
        Some("an IPv4 address")
    } else if record == RecordType::Aaaa && text.0.parse::<Ipv6Addr>().is_err() {
        Some("an IPv6 address")
    } else {
        None
    };
    if let Some(expected) = expected {
        let found = quoted(&text.0);
        let message = format!("the data of a record of type {} is {expected}, not {found}", record.word());
        errors.error(text.span, message);
    }
    text.0.clone()
}
