//! HTTP requests.

use super::{names, tls};
use crate::config::decode::Spanned;
use crate::config::raw;
use crate::config::report::{Diagnostics, quoted};
use crate::config::values::Text;
use health::kind::{BodyMatch, Http, HttpVersion, Method, Pattern, StatusSet};
use std::net::Ipv6Addr;

const BODY_LIMIT: u32 = 64 << 10;
const MAX_HEADERS: usize = 32;
/// Headers that a probe writes itself: what they say must be so.
const OWN_HEADERS: [&str; 3] = ["connection", "content-length", "transfer-encoding"];

pub(super) fn build(raw: &raw::Probe, secure: bool, errors: &mut Diagnostics) -> Http {
    let host = raw.host.as_ref().map(|text| host(text, errors));
    let (headers, host_header) = headers(raw, errors);
    let host = host.or(host_header);
    let name = host.as_deref().map(without_port).filter(|name| names::is_host_name(name));
    let name = name.map(str::to_owned);
    let method = raw.method.as_ref().map_or(Method::Get, |method| method_of(method.value));
    Http {
        tls: secure.then(|| tls::build(raw, name, errors)),
        version: raw.version.as_ref().map_or(HttpVersion::default(), |version| version.0),
        method,
        path: raw.path.as_ref().map_or_else(|| "/".to_owned(), |text| path(text, errors)),
        host,
        headers,
        status: match &raw.status {
            Some(list) => StatusSet(list.0.iter().map(|span| span.value.0.clone()).collect()),
            None => StatusSet::default(),
        },
        body: body(raw, method, errors),
        body_limit: raw.body_limit.as_ref().map_or(BODY_LIMIT, |limit| limit.0) as usize,
    }
}

fn method_of(method: raw::Method) -> Method {
    match method {
        raw::Method::Get => Method::Get,
        raw::Method::Head => Method::Head,
        raw::Method::Options => Method::Options,
        raw::Method::Post => Method::Post,
    }
}

fn host(text: &Spanned<Text>, errors: &mut Diagnostics) -> String {
    let host = &text.0;
    let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = host.parse::<std::net::Ipv4Addr>().is_ok()
        || v6.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    if !address && !names::is_host_name(host) {
        let message = format!("{} is no host's name", quoted(host));
        let hint = match host.parse::<Ipv6Addr>() {
            Ok(address) => format!("write it as \"[{address}]\""),
            Err(_) => names::hint(host),
        };
        errors.error_hint(text.span, message, hint);
    }
    host.clone()
}

fn without_port(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn path(text: &Spanned<Text>, errors: &mut Diagnostics) -> String {
    let path = &text.0;
    if !path.starts_with('/') {
        let message = format!("the path {} does not begin with /", quoted(path));
        let hint = match path.split_once("://").and_then(|(_, rest)| rest.split_once('/')) {
            Some((host, path)) => format!("write path: /{path} and host: {host}"),
            None => format!("write /{path}"),
        };
        errors.error_hint(text.span, message, hint);
    // RFC 3986, sections 2 and 3.3; a fragment is never sent.
    } else if let Some(bad) =
        path.chars().find(|c| !c.is_ascii_alphanumeric() && !"-._~!$&'()*+,;=:@/?%".contains(*c))
    {
        let message = format!("the path has a character that HTTP does not allow there: {bad:?}");
        let mut bytes = [0; 4];
        let encoded: String =
            bad.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect();
        let hint = if bad == '#' {
            "servers never see what follows a #: leave it out".to_owned()
        } else {
            format!("write it as {encoded}")
        };
        errors.error_hint(text.span, message, hint);
    }
    path.clone()
}

/// Headers but Host, and the value of Host if it is among them.
fn headers(raw: &raw::Probe, errors: &mut Diagnostics) -> (Vec<(String, String)>, Option<String>) {
    let given = raw.headers.as_ref().map_or(&[][..], |headers| &headers.value.0);
    if let Some(extra) = given.get(MAX_HEADERS) {
        let message = format!("there are {} headers; at most {MAX_HEADERS} are allowed", given.len());
        errors.error(extra.span, message);
    }
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut host = None;
    for (index, header) in given.iter().enumerate() {
        let same = |other: &&raw::Header| other.name.eq_ignore_ascii_case(&header.name);
        if given.iter().take(index).any(|other| same(&other)) {
            let message =
                format!("header {:?} is there twice: large and small letters are the same", header.name);
            errors.error_hint(header.span, message, "write it once");
        }
        if OWN_HEADERS.iter().any(|own| header.name.eq_ignore_ascii_case(own)) {
            let message = format!("a probe writes the header {:?} itself", header.name);
            errors.error_hint(header.span, message, "take it out");
        }
        if !header.name.eq_ignore_ascii_case("host") {
            headers.push((header.name.clone(), header.value.clone()));
            continue;
        }
        if let Some(key) = &raw.host {
            let message = "the Host header is given twice";
            errors.error_hint(
                header.span,
                message,
                format!("the key \"host\" in line {} is the same", key.key.line),
            );
        }
        host = Some(header.value.clone());
    }
    (headers, host)
}

fn body(raw: &raw::Probe, method: Method, errors: &mut Diagnostics) -> Option<BodyMatch> {
    let place = raw.body.as_ref().or(raw.body_contains.as_ref())?;
    if method == Method::Head {
        let message = "the answer to a HEAD request has no body to look at";
        errors.error_hint(place.key, message, "take it out, or use method: GET");
    }
    let Some(expression) = &raw.body else {
        return raw.body_contains.as_ref().map(|text| BodyMatch::Contains(text.0.clone()));
    };
    match Pattern::new(&expression.0) {
        Ok(pattern) => Some(BodyMatch::Matches(pattern)),
        Err(error) => {
            let message = format!("this is no regular expression: {}", in_a_line(&error));
            let hint = "for a plain text use body_contains; look-around and back-references are not known";
            errors.error_hint(expression.span, message, hint);
            None
        }
    }
}

/// The last line of what the library says, which tells what is wrong; the others draw the place.
fn in_a_line(error: &str) -> &str {
    let last = error.lines().last().unwrap_or(error);
    last.strip_prefix("error: ").unwrap_or(last)
}
