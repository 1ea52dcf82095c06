//! Whether an answer is the one that was to come.

use crate::excerpt::line;
use crate::kind::Dns;
use crate::kind::dns::{answer as normal, record_type, response_code, response_code_name};
use crate::{Failure, Fault};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use std::net::SocketAddr;

/// So many records are shown.
const SHOWN: usize = 4;

/// So much of each record's data is shown, in characters.
const DATA_SHOWN: usize = 60;

/// An answer, for people.
pub(super) fn words(message: &Message) -> String {
    let code = response_code_name(message.metadata.response_code.into());
    match records(&message.answers) {
        records if records.is_empty() => format!("{code}, no records"),
        records => format!("{code}, {records}"),
    }
}

/// Holds an answer against what the probe asks for.
///
/// # Errors
/// The response code is none of the good ones, or no record has the data.
pub(super) fn judge(message: &Message, dns: &Dns, address: SocketAddr) -> Result<(), Failure> {
    let local = |reason: String| Failure::new(Fault::Local, reason);
    let asked = record_type(&dns.record).map_err(local)?;
    let code: u16 = message.metadata.response_code.into();
    if !dns.rcodes.iter().any(|good| response_code(good) == Ok(code)) {
        return Err(Failure::new(Fault::Answer, format!("{address} {}", refusal(message, dns))));
    }
    let Some(expected) = &dns.answer else { return Ok(()) };
    let expected = normal(asked, expected).map_err(local)?;
    let answers: Vec<Record> =
        message.answers.iter().filter(|it| it.record_type() == asked.into()).cloned().collect();
    if answers.iter().any(|record| comparable(record) == expected) {
        return Ok(());
    }
    let (name, kind) = (&dns.query, &dns.record);
    let refers = message.authorities.iter().any(|record| record.record_type() == RecordType::NS);
    let reason = if !answers.is_empty() {
        format!("{name} has {}, not {expected}", records(&answers))
    } else if !message.answers.is_empty() {
        format!("{name} has no {kind}, only {}", records(&message.answers))
    } else if refers {
        format!("it refers to other servers for {name}, as it does not serve that zone")
    } else {
        format!("{name} has no {kind}, and nothing else came")
    };
    Err(Failure::new(Fault::Answer, format!("{address} gave a wrong answer: {reason}")))
}

/// What a response code that is not wanted means.
#[expect(clippy::wildcard_enum_match_arm, reason = "the list of codes is open")]
fn refusal(message: &Message, dns: &Dns) -> String {
    let code = message.metadata.response_code;
    let means = match code {
        ResponseCode::FormErr => "it could not read the question".to_owned(),
        ResponseCode::ServFail => {
            "it could not find the answer: a zone did not load, or the servers that it asks do not answer"
                .to_owned()
        }
        ResponseCode::NXDomain => format!("to its knowledge there is no name {}", dns.query),
        ResponseCode::NotImp => "it does not answer questions of this kind".to_owned(),
        ResponseCode::Refused => format!(
            "it does not answer this director's address, or knows nothing of the zone of {} and asks no others",
            dns.query
        ),
        ResponseCode::NotAuth => format!("it does not serve the zone of {}", dns.query),
        _ => format!("{} was to come", dns.rcodes.join(" or ")),
    };
    format!("answered {}: {means}", response_code_name(code.into()))
}

/// The data of a record as zone files have it; empty for types that are not compared.
#[expect(clippy::wildcard_enum_match_arm, reason = "the list of types is open")]
fn data(record: &Record) -> String {
    match &record.data {
        RData::A(address) => address.to_string(),
        RData::AAAA(address) => address.to_string(),
        RData::NS(name) => name.to_ascii(),
        RData::CNAME(name) => name.to_ascii(),
        RData::PTR(name) => name.to_ascii(),
        RData::MX(mx) => format!("{} {}", mx.preference, mx.exchange.to_ascii()),
        RData::SRV(srv) => format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target.to_ascii()),
        RData::SOA(soa) => {
            let times = [soa.refresh, soa.retry, soa.expire].map(|time| time.cast_unsigned().to_string());
            let (primary, mailbox) = (soa.mname.to_ascii(), soa.rname.to_ascii());
            format!("{primary} {mailbox} {} {} {}", soa.serial, times.join(" "), soa.minimum)
        }
        RData::TXT(txt) => String::from_utf8_lossy(&txt.txt_data.concat()).into_owned(),
        _ => String::new(),
    }
}

/// The data of a record as it is compared.
fn comparable(record: &Record) -> String {
    let data = data(record);
    if record.record_type() == RecordType::TXT {
        // Quotes in it are no quotes around it.
        return data;
    }
    normal(record.record_type().into(), &data).unwrap_or(data)
}

/// The first few records, safe to show.
fn records(records: &[Record]) -> String {
    let text = |record: &Record| {
        format!("{} {}", record.record_type(), line(comparable(record).as_bytes(), DATA_SHOWN))
    };
    let mut shown: Vec<String> = records.iter().take(SHOWN).map(text).collect();
    if let Some(more @ 1..) = records.len().checked_sub(SHOWN) {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}
