//! A question to a DNS server, and the words that it is put in.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A question to a DNS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// The name that is asked for, as `example.com` or `.`.
    pub query: String,
    /// The record type that is asked for, as `A`.
    pub record: String,
    /// Response codes that pass, as `NOERROR`; not empty.
    pub rcodes: Vec<String>,
    /// One of the answer's records must have this data in the text form of zone files, as [`answer`] reads it.
    /// `None`: any answer will do, also an empty one.
    pub answer: Option<String>,
}

/// Longest label of a name, in bytes (RFC 1035, section 2.3.4).
const LABEL_LIMIT: usize = 63;

/// Longest name, in characters: 255 bytes as it is sent.
const NAME_LIMIT: usize = 253;

/// Types of records by name, with their numbers (IANA's registry of DNS parameters).
const RECORDS: [(&str, u16); 19] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("HINFO", 13),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("NAPTR", 35),
    ("DNAME", 39),
    ("DS", 43),
    ("SSHFP", 44),
    ("DNSKEY", 48),
    ("TLSA", 52),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("CAA", 257),
];

/// Response codes by name; the place is the number (RFC 1035, section 4.1.1, and RFC 2136, section 2.2).
const RCODES: [&str; 11] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
    "NOTAUTH", "NOTZONE",
];

/// The labels of a name, without the dot at its end; none for the root, `.`.
///
/// # Errors
/// What is wrong with the name, in words.
pub fn labels(name: &str) -> Result<Vec<&str>, String> {
    if name == "." {
        return Ok(Vec::new());
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err("a name is missing: the root is `.`".to_owned());
    }
    if name.len() > NAME_LIMIT {
        return Err(format!("a name has at most {NAME_LIMIT} characters, this one {}", name.len()));
    }
    if !name.is_ascii() {
        return Err(format!("`{name}` is not written in ASCII: use the form that begins with xn--"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_*/".contains(c);
    if let Some(other) = name.chars().find(|c| !fits(*c) && *c != '.') {
        return Err(format!("`{}` has no place in a name", other.escape_default()));
    }
    let labels: Vec<&str> = name.split('.').collect();
    if labels.iter().any(|label| label.is_empty()) {
        return Err(format!("`{name}` has an empty part between two dots"));
    }
    if let Some(label) = labels.iter().find(|label| label.len() > LABEL_LIMIT) {
        return Err(format!("`{label}` is too long: a part has at most {LABEL_LIMIT} characters"));
    }
    Ok(labels)
}

/// The number of a record type: by name in any case.
///
/// # Errors
/// There is no such type, in words.
pub fn record_type(name: &str) -> Result<u16, String> {
    let found = RECORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, number)| *number).ok_or_else(|| {
        let known: Vec<&str> = RECORDS.iter().map(|(known, _)| *known).collect();
        format!("`{name}` is no record type; it is one of {}", known.join(", "))
    })
}

/// The number of a response code: by name in any case.
///
/// # Errors
/// There is no such code, in words.
pub fn response_code(name: &str) -> Result<u16, String> {
    let place = RCODES.iter().position(|known| known.eq_ignore_ascii_case(name));
    place
        .and_then(|place| u16::try_from(place).ok())
        .ok_or_else(|| format!("`{name}` is no response code; it is one of {}", RCODES.join(", ")))
}

/// The name of a response code, or its number.
#[must_use]
pub fn response_code_name(number: u16) -> String {
    RCODES.get(usize::from(number)).map_or_else(|| format!("code {number}"), |name| (*name).to_owned())
}

/// The data of a record of type `record`, written in the one way in which it can be compared: addresses by value,
/// names in lower case and without the dot at their end, the strings of a TXT joined.
///
/// # Errors
/// A record of this type cannot have such data, or is none of those that can be compared; why, in words.
pub fn answer(record: u16, text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("the data of a record is missing".to_owned());
    }
    let name = RECORDS.iter().find(|(_, number)| *number == record).map_or("", |(name, _)| name);
    match name {
        "A" => {
            let address: Result<Ipv4Addr, _> = text.parse();
            address.map(|it| it.to_string()).map_err(|_| format!("`{text}` is no IPv4 address"))
        }
        "AAAA" => {
            let address: Result<Ipv6Addr, _> = text.parse();
            address.map(|it| it.to_string()).map_err(|_| format!("`{text}` is no IPv6 address"))
        }
        "NS" | "CNAME" | "PTR" => fields(text, "a name, as `www.example.com`", 0, &[0]),
        "MX" => fields(text, "a preference and a name, as `10 mail.example.com`", 1, &[1]),
        "SRV" => fields(text, "priority, weight, port and a name, as `0 5 5060 sip.example.com`", 3, &[3]),
        "SOA" => fields(text, "two names and five numbers, as in a zone file", 6, &[0, 1]),
        "TXT" => Ok(joined(text)),
        _ => {
            Err("data can be compared of A, AAAA, NS, CNAME, PTR, MX, SRV, SOA and TXT records only"
                .to_owned())
        }
    }
}

fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all { text.parse().ok() } else { None }
}

/// Words of which those in the places `names` are names and the others numbers; `last` is the last word's place.
fn fields(text: &str, form: &str, last: usize, names: &[usize]) -> Result<String, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let wrong = || format!("`{text}` is not {form}");
    if words.len() != last + 1 {
        return Err(wrong());
    }
    let mut normal = Vec::with_capacity(words.len());
    for (place, word) in words.into_iter().enumerate() {
        normal.push(if names.contains(&place) {
            labels(word)?;
            host(word)
        } else {
            digits::<u32>(word).ok_or_else(wrong)?.to_string()
        });
    }
    Ok(normal.join(" "))
}

fn host(text: &str) -> String {
    let bare = if text == "." { text } else { text.strip_suffix('.').unwrap_or(text) };
    bare.to_ascii_lowercase()
}

/// The strings of a TXT record as one: quoted ones as they stand between the quotes (where `\` takes away the next
/// character's meaning), unquoted text whole.
fn joined(text: &str) -> String {
    if !text.starts_with('"') {
        return text.to_owned();
    }
    let (mut joined, mut quoted) = (String::new(), false);
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '"' => quoted = !quoted,
            '\\' => joined.extend(rest.next()),
            _ if quoted || !character.is_whitespace() => joined.push(character),
            _ => {}
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(record: &str, text: &str) -> Result<String, String> {
        answer(record_type(record).unwrap(), text)
    }

    #[test]
    fn names_have_labels() {
        assert_eq!(labels("."), Ok(vec![]));
        assert_eq!(labels("www.example.com"), Ok(vec!["www", "example", "com"]));
        assert_eq!(labels("_sip._udp.example.com."), Ok(vec!["_sip", "_udp", "example", "com"]));
        assert_eq!(labels(&format!("{}.", vec!["a"; 127].join("."))).map(|labels| labels.len()), Ok(127));
    }

    #[test]
    fn what_is_no_name_is_told() {
        for (name, reason) in [
            ("", "a name is missing: the root is `.`"),
            ("a..b", "`a..b` has an empty part between two dots"),
            (
                "bücher.example",
                "`bücher.example` is not written in ASCII: use the form that begins with xn--",
            ),
            ("a b", "` ` has no place in a name"),
            ("a\n", "`\\n` has no place in a name"),
        ] {
            assert_eq!(labels(name), Err(reason.to_owned()));
        }
        assert!(labels(&"a".repeat(64)).unwrap_err().contains("at most 63 characters"));
        assert!(labels(&vec!["a"; 128].join(".")).unwrap_err().contains("at most 253 characters"));
    }

    #[test]
    fn types_and_codes_go_by_name() {
        assert_eq!(record_type("mx"), Ok(15));
        for wrong in ["", "B", "TYPE65"] {
            assert!(record_type(wrong).is_err(), "{wrong}");
        }
        assert_eq!(response_code("NXDomain"), Ok(3));
        assert!(response_code("NOPE").unwrap_err().contains("NOERROR, FORMERR, SERVFAIL"));
        assert_eq!(response_code_name(5), "REFUSED");
        assert_eq!(response_code_name(23), "code 23");
    }

    #[test]
    fn data_is_compared_by_what_it_means() {
        for (record, one, other) in [
            ("A", "10.0.0.1", " 10.0.0.1 "),
            ("AAAA", "2001:DB8:0::1", "2001:db8::1"),
            ("CNAME", "WWW.Example.com.", "www.example.com"),
            ("NS", ".", "."),
            ("MX", "10  Mail.example.com", "010 mail.example.com."),
            ("SRV", "0 5 5060 sip.example.com", "0 5 5060 SIP.example.com."),
            ("SOA", "ns.example. root.example. 1 2 3 4 5", "NS.example root.example 1 2 3 4 5"),
            ("TXT", r#""v=spf1 " "-all""#, "v=spf1 -all"),
            ("TXT", r#""say \"hi\"""#, r#"say "hi""#),
        ] {
            assert_eq!(normal(record, one).unwrap(), normal(record, other).unwrap(), "{record}");
        }
        assert_ne!(normal("TXT", "Case"), normal("TXT", "case"));
        assert_ne!(normal("MX", "10 a"), normal("MX", "20 a"));
    }

    #[test]
    fn data_that_a_record_cannot_have_is_told() {
        for (record, text) in [
            ("A", "2001:db8::1"),
            ("A", "010.0.0.1"),
            ("AAAA", "10.0.0.1"),
            ("CNAME", "two names"),
            ("MX", "mail.example.com"),
            ("MX", "high mail.example.com"),
            ("SRV", "0 5 sip.example.com"),
            ("SOA", "ns.example. root.example. 1"),
            ("TXT", ""),
            ("HTTPS", "1 ."),
        ] {
            assert!(normal(record, text).is_err(), "{record} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_form_stays_as_it_is(place in 0..RECORDS.len(), text in any::<String>()) {
            let _ = labels(&text);
            let record = RECORDS[place].1;
            if let Ok(normal) = answer(record, &text) && record != 16 {
                prop_assert_eq!(answer(record, &normal), Ok(normal));
            }
        }
    }
}
