//! Addresses, networks and what is said with them.

use super::number::decimal;
use crate::config::decode::{Decode, Definitions, expected, text};
use crate::config::report::{Diagnostics, quoted};
use crate::config::yaml::Node;
use crate::model::Network;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

impl Decode for IpAddr {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let what = "an IPv4 or IPv6 address";
        let text = text(node, what, errors)?;
        match text.parse::<Self>() {
            Ok(address) if address.is_unspecified() || address.is_multicast() || address.is_loopback() => {
                errors.error(node.span, format!("{address} is no host's address"));
                None
            }
            Ok(address) => Some(address),
            Err(_) => {
                let message = format!("expected {what}, found {}", quoted(text));
                match text.split_once('/') {
                    Some((address, _)) => {
                        errors.error_hint(node.span, message, format!("without prefix length: {address}"));
                    }
                    None => errors.error_hint(
                        node.span,
                        message,
                        "as 192.168.1.35 or fd00::35; names are not looked up",
                    ),
                }
                None
            }
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] })
    }
}

impl Decode for Network {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let what = "an address with prefix length";
        let text = text(node, what, errors)?;
        text.parse().ok().or_else(|| {
            let message = format!("expected {what}, found {}", quoted(text));
            errors.error_hint(node.span, message, "as 192.168.1.33/24 or fd00::33/64");
            None
        })
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^[0-9A-Fa-f.:]+/[0-9]{1,3}$" })
    }
}

/// A loopback address and port: what may be listened on without protection.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Endpoint(pub(in crate::config) SocketAddr);

impl Decode for Endpoint {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let what = "an address and port, as 127.0.0.1:9090";
        let text = text(node, what, errors)?;
        match text.parse::<SocketAddr>() {
            Ok(endpoint) if endpoint.port() == 0 => {
                errors.error(node.span, "expected a port from 1 to 65535, found 0");
                None
            }
            Ok(endpoint) => Some(Self(endpoint)),
            Err(_) => expected(node, what, errors),
        }
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": "^([0-9.]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5}$" })
    }
}

/// Leading bits of a client's address that make one client, 1 to `MAX`: `24`, `/24`, and for IPv4 also
/// `255.255.255.0`.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Granularity<const MAX: u8>(pub(in crate::config) u8);

impl<const MAX: u8> Decode for Granularity<MAX> {
    fn decode(node: &Node<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let length = |text: &str| text.strip_prefix('/').and_then(decimal);
        let bits = node
            .number()
            .and_then(decimal)
            .or_else(|| node.text().and_then(length))
            .or_else(|| node.text().filter(|_| MAX == 32).and_then(netmask));
        let bits = bits.and_then(|bits| u8::try_from(bits).ok()).filter(|bits| (1..=MAX).contains(bits));
        let netmask = if MAX == 32 { " or a netmask" } else { "" };
        bits.map(Self)
            .or_else(|| expected(node, &format!("a prefix length from 1 to {MAX}{netmask}"), errors))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": MAX },
            { "type": "string", "pattern": if MAX == 32 { "^(/[0-9]{1,2}|[0-9]+(\\.[0-9]+){3})$" } else { "^/[0-9]{1,3}$" } },
        ] })
    }
}

/// The length of a netmask; `None` if its bits are not contiguous.
fn netmask(text: &str) -> Option<u32> {
    let mask = text.parse::<Ipv4Addr>().ok()?.to_bits();
    (mask.leading_ones() == mask.count_ones()).then_some(mask.leading_ones())
}
