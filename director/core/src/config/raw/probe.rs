//! Probes.

use crate::config::decode::{Decode, Definitions, List, Named, OneOrMany, choice, expected, record};
use crate::config::report::Diagnostics;
use crate::config::values::{Name, Number, Period, Port, Text};
use crate::config::yaml::Node;
use serde_json::{Value, json};
use std::net::IpAddr;

record! {
    /// How to find out whether a real server works. Types other than tcp are not supported yet.
    Probe {
        /// What is tried, as tcp: a connection can be made.
        ["type"] kind: ProbeType = required,
        /// Port to probe. Default: the server's port for the first port of the service.
        port: Port,
        /// Address to probe. Default: the real server's own.
        address: IpAddr,
        /// From one probe's start to the next one's: 100ms to 1h. Default: 2s.
        interval: Period<100, 3_600_000>,
        /// A probe without a verdict by then has failed: 10ms to `interval`. Default: 1s, or `interval` if that is
        /// shorter.
        timeout: Period<10, 3_600_000>,
        /// So many successes in a row bring a server up. Default: 2.
        rise: Number<1, 100>,
        /// So many failures in a row take a server down. Default: 3.
        fall: Number<1, 100>,
        /// What a server is before its first verdict: up until it has failed `fall` times, or down until it has
        /// passed. Default: up.
        start: Start,
        /// Longest random delay of a probe, so that not all start at once. Not supported yet.
        jitter: Period<0, 3_600_000>,
        /// A probe that takes longer passes, but is reported as slow. Not supported yet.
        slow: Period<1, 3_600_000>,
        /// http, https: version of the protocol, "1.0" or "1.1".
        version: HttpVersion,
        /// http, https: the Host header.
        host: Text,
        /// http, https: the path that is asked for. Default: /.
        path: Text,
        /// http, https: the method. Default: GET.
        method: Method,
        /// http, https: further headers.
        headers: Named<Text>,
        /// http, https: good status codes, as 200 or "200-299".
        status: OneOrMany<StatusSpan>,
        /// http, https: a regular expression that the body matches.
        body: Text,
        /// https, tls, smtp: the certificate is verified. Default: false.
        verify: bool,
        /// https, tls: the server name that is asked for.
        sni: Text,
        /// smtp: the name that the probe greets with.
        helo: Text,
        /// smtp: STARTTLS is tried too. Default: false.
        starttls: bool,
        /// rdp: a refused negotiation is a failure too. Default: false.
        strict: bool,
        /// dns: the name that is asked for.
        query: Text,
        /// dns: the record type that is asked for. Default: A.
        record: Name,
        /// udp: what is sent.
        send: Text,
        /// udp: how the answer begins.
        expect: Text,
        /// exec: the program and its arguments.
        command: List<Text>,
    }
}

choice! {
    /// What a probe tries.
    ProbeType {
        Tcp = "tcp",
        Http = "http",
        Https = "https",
        Smtp = "smtp",
        Rdp = "rdp",
        Tls = "tls",
        Dns = "dns",
        Udp = "udp",
        Icmp = "icmp",
        Exec = "exec",
    }
}

choice! {
    /// What a server is before its first verdict.
    Start {
        Up = "up",
        Down = "down",
    }
}

choice! {
    /// Versions of HTTP.
    HttpVersion {
        Http10 = "1.0",
        Http11 = "1.1",
    }
}

choice! {
    /// Methods of HTTP.
    Method {
        Get = "GET",
        Head = "HEAD",
        Options = "OPTIONS",
        Post = "POST",
    }
}

/// An HTTP status code, or a closed range of them.
#[derive(Debug)]
pub(in crate::config) struct StatusSpan;

impl Decode for StatusSpan {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let what = "a status code or a range of them, as 200 or 200-299";
        let Some(text) = node.number_or_text() else {
            return expected(node, what, errors);
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let code = |text: &str| text.parse::<u16>().ok().filter(|code| (100..=599).contains(code));
        match (code(first), code(last)) {
            (Some(first), Some(last)) if first <= last => Some(Self),
            _ => expected(node, what, errors),
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": "^[1-5][0-9]{2}-[1-5][0-9]{2}$" },
        ] })
    }
}
