//! An HTTP request and the answers that pass.

use super::{Pattern, Tls};
use std::ops::RangeInclusive;

/// An HTTP request and the answers that pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// How TLS is spoken; `None`: it is not.
    pub tls: Option<Tls>,
    /// Version of the request.
    pub version: HttpVersion,
    /// Method of the request.
    pub method: Method,
    /// What is asked for, from the first `/`.
    pub path: String,
    /// The Host header. `None`: in HTTP/1.0 there is none, in HTTP/1.1 it is the target's address.
    pub host: Option<String>,
    /// Further headers, by name.
    pub headers: Vec<(String, String)>,
    /// Good status codes.
    pub status: StatusSet,
    /// What the body must hold; `None`: it is not read.
    pub body: Option<BodyMatch>,
    /// So many bytes of the body are read to find it.
    pub body_limit: usize,
}

/// Versions of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpVersion {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

/// Methods of HTTP that probes use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// HEAD: the answer has no body.
    Head,
    /// OPTIONS.
    Options,
    /// POST, with an empty body.
    Post,
}

/// What the body must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyMatch {
    /// This text, anywhere.
    Contains(String),
    /// A match of this expression, anywhere.
    Matches(Pattern),
}

/// A set of status codes, as ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(pub Vec<RangeInclusive<u16>>);

impl StatusSet {
    /// True if `code` is one of them.
    #[must_use]
    pub fn contains(&self, code: u16) -> bool {
        self.0.iter().any(|range| range.contains(&code))
    }
}

impl Default for StatusSet {
    /// 200 to 299, 301, 302 and 401: what a KEMP `LoadMaster` takes for healthy.
    fn default() -> Self {
        Self(vec![200..=299, 301..=302, 401..=401])
    }
}
