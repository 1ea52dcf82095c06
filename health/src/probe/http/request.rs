//! The request that a probe sends.

use crate::kind::{Http, HttpVersion, Method};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, USER_AGENT};
use hyper::http::Error;
use hyper::{HeaderMap, Request, Version, header::HeaderValue};
use std::net::SocketAddr;

const AGENT: &str = concat!("director/", env!("CARGO_PKG_VERSION"));

/// The request to a server at `address`. Headers of the settings stand instead of those that it would have by itself.
///
/// # Errors
/// The path, the host or a header is none that could be sent.
pub(super) fn build(settings: &Http, address: SocketAddr) -> Result<Request<Empty<Bytes>>, Error> {
    let mut further = HeaderMap::new();
    for (name, value) in &settings.headers {
        further.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    let mut request = Request::builder()
        .method(method(settings.method))
        .uri(&settings.path)
        .version(version(settings.version));
    for (name, value) in own_headers(settings, address) {
        if !further.contains_key(&name) {
            request = request.header(name, value);
        }
    }
    let mut request = request.body(Empty::new())?;
    for (name, value) in &further {
        request.headers_mut().append(name, value.clone());
    }
    Ok(request)
}

fn own_headers(settings: &Http, address: SocketAddr) -> Vec<(HeaderName, String)> {
    let mut headers = Vec::new();
    headers.extend(host(settings, address).map(|host| (HOST, host)));
    headers.push((USER_AGENT, AGENT.to_owned()));
    headers.push((ACCEPT, "*/*".to_owned()));
    if settings.version == HttpVersion::Http11 {
        headers.push((CONNECTION, "close".to_owned()));
    }
    if settings.method == Method::Post {
        headers.push((CONTENT_LENGTH, "0".to_owned()));
    }
    headers
}

/// The Host header (RFC 9112, section 3.2); HTTP/1.0 has none unless it is set.
pub(super) fn host(settings: &Http, address: SocketAddr) -> Option<String> {
    let usual = if settings.tls.is_some() { 443 } else { 80 };
    match (&settings.host, settings.version) {
        (Some(host), _) => Some(host.clone()),
        (None, HttpVersion::Http10) => None,
        (None, HttpVersion::Http11) if address.port() != usual => Some(address.to_string()),
        (None, HttpVersion::Http11) if address.is_ipv6() => Some(format!("[{}]", address.ip())),
        (None, HttpVersion::Http11) => Some(address.ip().to_string()),
    }
}

/// As it stands in the request's first line.
pub(super) fn method(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Options => "OPTIONS",
        Method::Post => "POST",
    }
}

fn version(version: HttpVersion) -> Version {
    match version {
        HttpVersion::Http10 => Version::HTTP_10,
        HttpVersion::Http11 => Version::HTTP_11,
    }
}
