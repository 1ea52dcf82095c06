//! Questions to DNS servers.

use crate::config::decode::{Spanned, Words};
use crate::config::raw::{self, RecordType};
use crate::config::report::{Diagnostics, quoted};
use crate::config::values::Text;
use health::kind::Dns;
use health::kind::dns::{answer as normal, labels, record_type};

pub(super) fn build(raw: &raw::Probe, errors: &mut Diagnostics) -> Dns {
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

fn query(text: &Spanned<Text>, errors: &mut Diagnostics) -> String {
    if let Err(reason) = labels(&text.0) {
        let message = format!("{} cannot be a name in the DNS", quoted(&text.0));
        errors.error_hint(text.span, message, reason);
    }
    text.0.clone()
}

fn answer(text: &Spanned<Text>, record: RecordType, errors: &mut Diagnostics) -> String {
    let record = record.word();
    if let Err(reason) = record_type(record).and_then(|number| normal(number, &text.0)) {
        let message = format!("{} cannot be the data of a record of type {record}", quoted(&text.0));
        errors.error_hint(text.span, message, reason);
    }
    text.0.clone()
}
