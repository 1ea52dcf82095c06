//! Keeps web pages away from the TCP listener.

use super::{Kind, Problem};
use axum::extract::Request;
use axum::http::{HeaderValue, header, uri::Authority};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// Passes requests of programs on this machine; refuses what a browser sends for a page of somewhere else.
pub(super) async fn local_programs_only(request: Request, next: Next) -> Response {
    match check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(request: &Request) -> Result<(), Problem> {
    if request.headers().contains_key(header::ORIGIN) {
        return Err(Problem::new(Kind::CrossSite, "requests with an Origin are refused"));
    }
    let in_target = request.uri().authority().map(|authority| is_loopback(authority.as_str()));
    let in_headers = request.headers().get_all(header::HOST).iter().map(is_loopback_header);
    let mut hosts = in_target.into_iter().chain(in_headers).peekable();
    if hosts.peek().is_none() || hosts.any(|loopback| !loopback) {
        let problem = Problem::new(Kind::ForeignHost, "the request is not addressed to this machine");
        return Err(problem.hint("call http://127.0.0.1, http://[::1] or http://localhost"));
    }
    Ok(())
}

fn is_loopback_header(host: &HeaderValue) -> bool {
    host.to_str().is_ok_and(is_loopback)
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn knows_the_names_of_this_machine() {
        for host in ["localhost", "LocalHost:9100", "127.0.0.1", "127.8.8.8:80", "[::1]", "[::1]:9100"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "example.org", "localhost.example.org", "10.0.0.1:9100", "[fd00::1]", "a b", "::1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
