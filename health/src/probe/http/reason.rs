//! What an answer that is not good means, and what to do.

use super::request;
use crate::Failure;
use crate::excerpt::line;
use crate::kind::{BodyMatch, Http, HttpVersion};
use crate::protocol::Speaker;
use hyper::header::{ALLOW, HeaderName, LOCATION, RETRY_AFTER};
use hyper::{HeaderMap, StatusCode, Uri};
use std::net::SocketAddr;

/// So many characters of a header are shown.
const HEADER_SHOWN: usize = 100;

/// So many characters of a body are shown.
const BODY_SHOWN: usize = 120;

const NEEDS_HOST: &str = "this server may need http 1.1 with a host header";

/// What servers say to a request without TLS on their port for TLS: nginx, Apache, Go.
const PLAIN_TO_TLS: [&str; 3] = ["HTTPS port", "SSL-enabled server port", "to an HTTPS server"];

/// The status is not among the good ones. `first` is how the answer began.
pub(super) fn bad_status(
    status: u16,
    headers: &HeaderMap,
    settings: &Http,
    address: SocketAddr,
    first: &[u8],
) -> String {
    let cause = if is_plain_to_tls(status, settings, first) {
        "this port speaks TLS: use type https".to_owned()
    } else {
        cause(status, headers, settings, address)
    };
    format!("{} request got {status}: {cause}", version(settings))
}

/// The body lacks what it should hold.
pub(super) fn bad_body(status: u16, body: &[u8], cut: bool, settings: &Http) -> String {
    let wanted = match &settings.body {
        Some(BodyMatch::Contains(text)) => format!("no \"{}\"", line(text.as_bytes(), BODY_SHOWN)),
        Some(BodyMatch::Matches(pattern)) => {
            format!("nothing that matches /{}/", line(pattern.as_str().as_bytes(), BODY_SHOWN))
        }
        None => "nothing".to_owned(),
    };
    let place = match (body.len(), cut) {
        (0, false) => "the body, which is empty".to_owned(),
        (length, true) => format!("the first {length} bytes of the body"),
        (length, false) => format!("the body of {length} bytes"),
    };
    let start = if body.is_empty() {
        String::new()
    } else {
        format!(", which begins \"{}\"", line(body, BODY_SHOWN))
    };
    format!("{} request got {status}, but there is {wanted} in {place}{start}", version(settings))
}

/// The connection ended before the answer did.
pub(super) fn without_answer(
    failure: Failure,
    settings: &Http,
    address: SocketAddr,
    first: &[u8],
) -> Failure {
    if speaks_tls(settings, first) {
        return Failure::new(failure.fault, tls_on_plain(address));
    }
    if !first.is_empty() {
        return failure;
    }
    let tls = if settings.tls.is_none() { ", or its port speaks TLS (type https)" } else { "" };
    let hint = match (request::host(settings, address), &settings.host) {
        (None, _) => format!("{NEEDS_HOST}{}", tls.replace("its port", "this port")),
        (Some(host), None) => {
            format!("it may not know the host {host}: set host to a name that it serves{tls}")
        }
        (Some(host), Some(_)) => format!("it may not know the host {host}{tls}"),
    };
    Failure::new(failure.fault, format!("{failure}: {hint}"))
}

/// What came is not HTTP.
pub(super) fn no_http(error: &hyper::Error, settings: &Http, address: SocketAddr, first: &[u8]) -> String {
    if speaks_tls(settings, first) {
        tls_on_plain(address)
    } else if first.starts_with(b"HTTP/") {
        format!("{address} does not speak proper HTTP ({error}): \"{}\"", line(first, BODY_SHOWN))
    } else {
        format!("{address} speaks no HTTP: it answered \"{}\"", line(first, BODY_SHOWN))
    }
}

/// True if `needle` is found in `haystack`.
pub(super) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || haystack.windows(needle.len()).any(|window| window == needle)
}

fn tls_on_plain(address: SocketAddr) -> String {
    format!("{address} answered by TLS: this port speaks TLS: use type https")
}

/// An alert came for a request without TLS.
fn speaks_tls(settings: &Http, first: &[u8]) -> bool {
    settings.tls.is_none() && Speaker::of(first) == Some(Speaker::Tls)
}

fn is_plain_to_tls(status: u16, settings: &Http, first: &[u8]) -> bool {
    status == 400
        && settings.tls.is_none()
        && PLAIN_TO_TLS.iter().any(|words| contains(first, words.as_bytes()))
}

fn version(settings: &Http) -> &'static str {
    match settings.version {
        HttpVersion::Http10 => "HTTP/1.0",
        HttpVersion::Http11 => "HTTP/1.1",
    }
}

fn cause(status: u16, headers: &HeaderMap, settings: &Http, address: SocketAddr) -> String {
    let path = &settings.path;
    let host = request::host(settings, address);
    // The server can only tell by the name what is asked of it.
    if matches!(status, 400 | 403 | 404 | 421) && settings.host.is_none() {
        let Some(host) = host else { return NEEDS_HOST.to_owned() };
        let too = match status {
            403 => format!(", or forbids {path}"),
            404 => format!(", or have no {path}"),
            _ => String::new(),
        };
        return format!("this server may not know the host {host}{too}: set host to a name that it serves");
    }
    let host = host.unwrap_or_default();
    match status {
        300..=399 => elsewhere(status, headers, settings, &host),
        400 => format!(
            "the server does not know the host {host}, or cannot make sense of the request: check host, path and headers"
        ),
        401 => format!("{path} needs a login: add 401 to status, or probe a path that needs none"),
        403 => format!("the server forbids {path}: let the director have it, or probe another path"),
        404 => format!("there is no {path} on {host}: check path and host"),
        405 => {
            let method = request::method(settings.method);
            let allowed = shown(headers, &ALLOW).map(|list| format!(" (it allows {list})"));
            format!("{method} is not allowed for {path}{}: set another method", allowed.unwrap_or_default())
        }
        407 => "this is a proxy, and wants a login".to_owned(),
        408 => "the server did not wait for the request: it is overloaded, or its timeout is too short"
            .to_owned(),
        421 => format!(
            "the server does not serve {host} on this connection: host and sni must be the same name, and one \
             that it serves"
        ),
        426 | 505 if settings.version == HttpVersion::Http10 => {
            format!("the server no longer takes HTTP/1.0: {NEEDS_HOST}")
        }
        426 => "the server wants another protocol for this".to_owned(),
        429 => {
            let wait = shown(headers, &RETRY_AFTER).map(|time| format!(" (it wants a pause of {time})"));
            format!(
                "the server gets too many requests{}: probe less often, or exempt the director",
                wait.unwrap_or_default()
            )
        }
        500 => format!("the application failed at {path}: see the server's log"),
        501 => format!("the server does not know the method {}", request::method(settings.method)),
        502 => "the server is a proxy itself, and got no proper answer from behind it".to_owned(),
        503 => "the server is out of service or overloaded: a stopped application pool (IIS), or maintenance"
            .to_owned(),
        504 => "the server is a proxy itself, and what is behind it did not answer in time".to_owned(),
        505 => format!("the server does not take {}", version(settings)),
        other => {
            let name = StatusCode::from_u16(other).ok().and_then(|code| code.canonical_reason());
            let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
            format!("that status{name} is not in the list that passes")
        }
    }
}

/// Where a redirect leads, and how that would be probed.
fn elsewhere(status: u16, headers: &HeaderMap, settings: &Http, host: &str) -> String {
    let Some(place) = shown(headers, &LOCATION) else {
        return format!(
            "the answer is elsewhere, but it does not say where: add {status} to status if that is good"
        );
    };
    let mut keys = Vec::new();
    if let Some(uri) = headers.get(LOCATION).and_then(|value| Uri::try_from(value.as_bytes()).ok()) {
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        keys.extend(uri.scheme_str().filter(|other| *other != scheme).map(|other| format!("type {other}")));
        let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
        keys.extend(
            uri.host()
                .filter(|other| !other.eq_ignore_ascii_case(bare))
                .map(|other| format!("host {}", line(other.as_bytes(), HEADER_SHOWN))),
        );
        keys.extend(
            uri.path_and_query()
                .map(|path| path.as_str())
                .filter(|path| *path != settings.path)
                .map(|path| format!("path {}", line(path.as_bytes(), HEADER_SHOWN))),
        );
    }
    let keys = if keys.is_empty() { "that".to_owned() } else { keys.join(", ") };
    format!("it sends to {place}, and redirects are not followed: probe {keys}, or add {status} to status")
}

fn shown(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| line(value.as_bytes(), HEADER_SHOWN)).filter(|text| !text.is_empty())
}
