//! Which keys belong to which types of probes, and which need another key beside them.

use crate::config::decode::{Given, Record, Words};
use crate::config::raw::{self, ProbeType};
use crate::config::report::Diagnostics;

/// Reports keys that the type does not have, and keys that mean nothing without another one. `complete`: no key of
/// the probe was reported before.
pub(super) fn check(raw: &raw::Probe, kind: ProbeType, complete: bool, errors: &mut Diagnostics) {
    let given = raw.given();
    for key in &given {
        let types = types_with(key.key);
        if types.is_empty() || types.contains(&kind) {
            check_partners(key, &given, complete, errors);
            continue;
        }
        let message = format!("a probe of type {} has no {:?}", kind.word(), key.key);
        let types: Vec<_> = types.iter().map(|kind| kind.word()).collect();
        errors.error_hint(key.span, message, format!("it belongs to type {}", types.join(", ")));
    }
}

/// The types that have `key`; empty: all of them.
fn types_with(key: &str) -> &'static [ProbeType] {
    use ProbeType::{Dns, Exec, Http, Https, Icmp, Rdp, Smtp, Tcp, Tls, Udp};
    match key {
        "port" => &[Tcp, Tls, Http, Https, Smtp, Rdp, Dns, Udp, Exec],
        // Programs leave as they like.
        "source" | "mark" => &[Tcp, Tls, Http, Https, Smtp, Rdp, Dns, Udp, Icmp],
        "version" | "host" | "path" | "method" | "headers" | "status" | "body" | "body_contains"
        | "body_limit" => &[Http, Https],
        "verify" | "ca_file" | "sni" | "expiry_warning" => &[Https, Tls, Smtp],
        "helo" | "starttls" | "tls" => &[Smtp],
        "strict" | "cookie" => &[Rdp],
        "query" | "record" | "rcode" | "answer" => &[Dns],
        "send" | "send_hex" | "expect" | "expect_hex" | "reply" => &[Udp],
        "command" | "user" | "exit" => &[Exec],
        _ => &[],
    }
}

fn check_partners(key: &Given, given: &[Given], complete: bool, errors: &mut Diagnostics) {
    let partners: &[&str] = match key.key {
        "slow_weight" => &["slow"],
        "body_limit" => &["body", "body_contains"],
        _ => return,
    };
    if complete && !given.iter().any(|other| partners.contains(&other.key)) {
        let names: Vec<_> = partners.iter().map(|name| format!("{name:?}")).collect();
        let message = format!("{:?} means nothing without {}", key.key, names.join(" or "));
        errors.error_hint(key.span, message, format!("add {}, or take it out", partners.join(" or ")));
    }
}
