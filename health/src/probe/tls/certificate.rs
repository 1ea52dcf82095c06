//! What certificates say, and what is wrong with them.

use crate::excerpt::line;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error};
use std::net::IpAddr;
use std::time::Duration;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

/// So many characters of a name are shown.
const NAME_SHOWN: usize = 80;

/// So many of a certificate's names are shown.
const NAMES_SHOWN: usize = 5;

const DAY: i64 = 24 * 3600;

/// Who the certificate is for, who issued it, and until when, for people.
pub(super) fn summary(own: &CertificateDer<'_>) -> String {
    let Some(parsed) = parse(own) else {
        return "a certificate that cannot be read".to_owned();
    };
    let validity = parsed.validity();
    format!(
        "certificate of {} by {}, valid from {} to {}",
        shown(parsed.subject()),
        shown(parsed.issuer()),
        day(&validity.not_before),
        day(&validity.not_after)
    )
}

/// `Ok` within the time that the certificate is valid in.
///
/// # Errors
/// As of a verifier of chains.
pub(super) fn is_current(own: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let parsed = parse(own).ok_or(CertificateError::BadEncoding)?;
    if parsed.validity().not_after.timestamp() < seconds(now) {
        Err(CertificateError::Expired.into())
    } else if parsed.validity().not_before.timestamp() > seconds(now) {
        Err(CertificateError::NotValidYet.into())
    } else {
        Ok(())
    }
}

/// A note if the certificate ends within `warning`, or has ended.
pub(super) fn ends_soon(own: &CertificateDer<'_>, now: UnixTime, warning: Duration) -> Option<String> {
    let parsed = parse(own)?;
    let end = &parsed.validity().not_after;
    let left = end.timestamp() - seconds(now);
    if left < 0 {
        Some(format!("its certificate expired on {}: renew it", day(end)))
    } else if u64::try_from(left).is_ok_and(|left| left <= warning.as_secs()) {
        Some(format!("its certificate ends on {}, {}: renew it", day(end), days("in ", left, "")))
    } else {
        None
    }
}

/// Why the certificate will not do, in words that follow `its certificate`.
#[expect(clippy::wildcard_enum_match_arm, reason = "the lists of errors are open")]
pub(super) fn complaint(
    error: &Error,
    own: &CertificateDer<'_>,
    chain: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    now: UnixTime,
) -> String {
    let Some(parsed) = parse(own) else {
        return "cannot be read: it is damaged".to_owned();
    };
    let Error::InvalidCertificate(error) = error else {
        return format!("cannot be verified: {error}");
    };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => expired(&parsed, chain, now),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            not_yet(&parsed, chain, now)
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            wrong_name(&parsed, name)
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for servers: its extended key usage lacks server authentication".to_owned()
        }
        _ if parsed.subject() == parsed.issuer() => format!(
            "is self-signed, by {}: put it into ca_file to trust it, or set verify: false",
            shown(parsed.issuer())
        ),
        CertificateError::UnknownIssuer => unknown_issuer(&parsed, chain),
        _ if parsed.is_ca() => {
            format!("is the one of an authority, {}, not of a server", shown(parsed.subject()))
        }
        CertificateError::BadEncoding => "is not encoded as it should be".to_owned(),
        CertificateError::BadSignature => {
            format!("was not signed by its issuer, {}: it is forged or damaged", shown(parsed.issuer()))
        }
        other => format!("cannot be verified: {other}"),
    }
}

/// Why the server did not prove that the certificate is its own, in words that follow `its certificate`.
pub(super) fn unproven(error: &Error, own: &CertificateDer<'_>) -> String {
    let key = parse(own).and_then(|parsed| {
        let key = parsed.public_key().parsed().ok()?;
        let name = match &key {
            PublicKey::RSA(_) => "RSA",
            PublicKey::EC(_) => "EC",
            PublicKey::DSA(_)
            | PublicKey::GostR3410(_)
            | PublicKey::GostR3410_2012(_)
            | PublicKey::Unknown(_) => return None,
        };
        Some((name, key.key_size()))
    });
    match key {
        Some(("RSA", bits)) if bits < 2048 => {
            format!("has a key that is too short to be safe: RSA with {bits} bits, 2048 is the least")
        }
        Some((name, bits)) => format!("is not proven to be its own (key: {name} with {bits} bits): {error}"),
        None => format!("is not proven to be its own: {error}"),
    }
}

fn expired(own: &X509Certificate<'_>, chain: &[CertificateDer<'_>], now: UnixTime) -> String {
    let ended = |parsed: &X509Certificate<'_>| parsed.validity().not_after.timestamp() < seconds(now);
    let since = |parsed: &X509Certificate<'_>| {
        let end = &parsed.validity().not_after;
        format!("{}, {}", day(end), days("", seconds(now) - end.timestamp(), " ago"))
    };
    if ended(own) {
        return format!("expired on {}: renew it", since(own));
    }
    match chain.iter().filter_map(parse).find(|parsed| ended(parsed)) {
        Some(link) => {
            format!("comes of one that expired on {}: {}", since(&link), shown(link.subject()))
        }
        None => "comes of an authority that has expired".to_owned(),
    }
}

fn not_yet(own: &X509Certificate<'_>, chain: &[CertificateDer<'_>], now: UnixTime) -> String {
    let starts = |parsed: &X509Certificate<'_>| parsed.validity().not_before.timestamp() > seconds(now);
    let (which, start) = if starts(own) {
        (String::new(), Some(day(&own.validity().not_before)))
    } else {
        let link = chain.iter().filter_map(parse).find(starts);
        (" (by one that it comes of)".to_owned(), link.map(|link| day(&link.validity().not_before)))
    };
    let start = start.unwrap_or_else(|| "a later day".to_owned());
    format!("is not valid before {start}{which}: check the clocks of the director and of who issued it")
}

fn wrong_name(own: &X509Certificate<'_>, asked: &ServerName<'_>) -> String {
    let mut names = names(own);
    if names.is_empty() {
        return format!(
            "has no subjectAltName, so it is for no name at all (its subject {} does not count)",
            shown(own.subject())
        );
    }
    let more = names.len().saturating_sub(NAMES_SHOWN);
    names.truncate(NAMES_SHOWN);
    let list = names.join(", ");
    let list = if more == 0 { list } else { format!("{list} and {more} more") };
    format!("is for {list}, not for {}: set sni to the name that is meant", asked.to_str())
}

fn names(own: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = own.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(line(name.as_bytes(), NAME_SHOWN)),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        GeneralName::OtherName(..)
        | GeneralName::RFC822Name(_)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::URI(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    });
    names.collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

/// Follows the chain to its end, whose issuer the director does not know.
fn unknown_issuer(own: &X509Certificate<'_>, chain: &[CertificateDer<'_>]) -> String {
    let mut issuer = shown(own.issuer());
    let mut wanted = own.issuer().as_raw().to_vec();
    for link in chain.iter().filter_map(parse) {
        if link.subject().as_raw() == wanted && link.subject() != link.issuer() {
            issuer = shown(link.issuer());
            wanted = link.issuer().as_raw().to_vec();
        }
    }
    let hint = if chain.is_empty() {
        "add it to ca_file, or have the server send the certificates between"
    } else {
        "add it to ca_file"
    };
    format!("comes of an authority that is not trusted here, {issuer}: {hint}, or set verify: false")
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    x509_parser::parse_x509_certificate(der.as_ref()).ok().map(|(_, parsed)| parsed)
}

fn shown(name: &X509Name<'_>) -> String {
    let text = name.to_string();
    if text.is_empty() { "(no name)".to_owned() } else { line(text.as_bytes(), NAME_SHOWN) }
}

fn day(time: &ASN1Time) -> String {
    time.to_datetime().date().to_string()
}

fn days(before: &str, seconds: i64, after: &str) -> String {
    match seconds / DAY {
        0 => "today".to_owned(),
        1 => format!("{before}1 day{after}"),
        count => format!("{before}{count} days{after}"),
    }
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tls::sample::params;
    use proptest::prelude::*;
    use rcgen::KeyPair;
    use std::sync::LazyLock;

    static SAMPLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let params = params(&["a.example", "*.b.example", "10.0.0.1", "::1"]);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    });

    /// A certificate with some bytes changed, and perhaps cut.
    fn damaged() -> impl Strategy<Value = CertificateDer<'static>> {
        let changes = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..8);
        (changes, any::<proptest::sample::Index>(), any::<bool>()).prop_map(|(changes, cut, is_cut)| {
            let mut bytes = SAMPLE.clone();
            for (index, value) in changes {
                let index = index.index(bytes.len());
                bytes[index] = value;
            }
            bytes.truncate(if is_cut { cut.index(bytes.len()) } else { bytes.len() });
            bytes.into()
        })
    }

    fn errors() -> impl Strategy<Value = CertificateError> {
        proptest::sample::select(vec![
            CertificateError::Expired,
            CertificateError::NotValidYet,
            CertificateError::NotValidForName,
            CertificateError::InvalidPurpose,
            CertificateError::UnknownIssuer,
            CertificateError::BadSignature,
            CertificateError::Revoked,
        ])
    }

    proptest! {
        #[test]
        fn whatever_a_certificate_is_there_are_words(
            own in damaged(),
            chain in proptest::collection::vec(damaged(), 0..4),
            error in errors(),
            now in any::<u32>(),
            warning in any::<u64>(),
        ) {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::from(now)));
            let name = ServerName::try_from("c.example").unwrap();
            let error = error.into();
            let mut texts = vec![
                complaint(&error, &own, &chain, &name, now),
                unproven(&error, &own),
                summary(&own),
            ];
            texts.extend(ends_soon(&own, now, Duration::from_secs(warning)));
            for text in texts {
                prop_assert!(!text.is_empty() && text.len() < 8_000, "{text}");
                prop_assert!(!text.chars().any(char::is_control), "{text}");
            }
            let _ = is_current(&own, now);
        }
    }
}
