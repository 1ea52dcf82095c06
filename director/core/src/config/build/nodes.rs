//! The directors and their gateway.

use super::addresses::{Addresses, Owner};
use super::{entries, one_or_several};
use crate::config::decode::Spanned;
use crate::config::raw;
use crate::config::report::Diagnostics;
use crate::model::{Attachment, Network, Node};
use std::collections::BTreeMap;
use std::net::IpAddr;

pub(super) fn build<'a>(
    file: &'a raw::File,
    addresses: &mut Addresses<'a>,
    errors: &mut Diagnostics,
) -> BTreeMap<String, Node> {
    if let Some(nodes) = file.nodes.as_ref().filter(|nodes| nodes.0.is_empty()) {
        let hint = "name at least one director, with its public and private interface";
        errors.error_hint(nodes.key, "there are no nodes", hint);
    }
    let mut built = BTreeMap::new();
    for entry in entries(file.nodes.as_ref()) {
        let Some(node) = &entry.value else { continue };
        let mut side = |raw: &'a Option<Spanned<raw::Attachment>>| {
            attachment(&entry.name, raw.as_deref()?, addresses, errors)
        };
        if let (Some(public), Some(private)) = (side(&node.public), side(&node.private)) {
            built.insert(entry.name.clone(), Node { name: entry.name.clone(), public, private });
        }
    }
    built
}

fn attachment<'a>(
    node: &'a str,
    raw: &'a raw::Attachment,
    addresses: &mut Addresses<'a>,
    errors: &mut Diagnostics,
) -> Option<Attachment> {
    let mut own = Vec::new();
    for network in one_or_several(raw.address.as_ref(), raw.addresses.as_ref()) {
        if is_network_address(network.value) {
            let message = format!("{} is a network, not an address in it", network.value);
            errors.error_hint(network.span, message, "write the director's own address there");
        }
        addresses.claim(network.address(), Owner::Node(node), network.span, errors);
        own.push(network.value);
    }
    let interface = raw.interface.as_ref()?.0.clone();
    (!own.is_empty()).then_some(Attachment { interface, addresses: own })
}

/// True for the first address of a network that can have hosts beside it.
fn is_network_address(network: Network) -> bool {
    let point_to_point = if network.address().is_ipv4() { 31 } else { 127 };
    network.length() < point_to_point && network.address() == network.network()
}

/// The virtual gateway addresses.
pub(super) fn gateways<'a>(
    file: &'a raw::File,
    nodes: &BTreeMap<String, Node>,
    addresses: &mut Addresses<'a>,
    errors: &mut Diagnostics,
) -> Vec<IpAddr> {
    let mut gateways: Vec<IpAddr> = Vec::new();
    for gateway in file.gateway.iter().flat_map(|gateways| &gateways.0) {
        let address = gateway.value;
        if let Some(other) = gateways.iter().find(|other| other.is_ipv4() == address.is_ipv4()) {
            let message = format!("{address} is a second {} gateway beside {other}", family(address));
            errors.error_hint(gateway.span, message, "one address of each family");
            continue;
        }
        check_private("gateway", gateway, nodes, "it is an address for the real servers to route to", errors);
        addresses.claim(address, Owner::Gateway, gateway.span, errors);
        gateways.push(address);
    }
    gateways
}

/// Reports an address on the public side that lies outside a node's network there.
pub(super) fn check_public(
    what: &str,
    address: &Spanned<IpAddr>,
    nodes: &BTreeMap<String, Node>,
    errors: &mut Diagnostics,
) {
    if let Some(node) = nodes.values().find(|node| !node.public.contains(address.value)) {
        let hint = "clients' packets to it would not reach every director";
        outside(what, address, "public", (&node.name, &node.public), hint, errors);
    }
}

/// Reports an address on the private side that lies outside a node's network there.
pub(super) fn check_private(
    what: &str,
    address: &Spanned<IpAddr>,
    nodes: &BTreeMap<String, Node>,
    hint: &str,
    errors: &mut Diagnostics,
) {
    if let Some(node) = nodes.values().find(|node| !node.private.contains(address.value)) {
        outside(what, address, "private", (&node.name, &node.private), hint, errors);
    }
}

fn outside(
    what: &str,
    address: &Spanned<IpAddr>,
    side: &str,
    (node, attachment): (&str, &Attachment),
    hint: &str,
    errors: &mut Diagnostics,
) {
    let networks: Vec<String> = attachment
        .addresses
        .iter()
        .filter_map(|own| Network::new(own.network(), own.length()))
        .map(|network| network.to_string())
        .collect();
    let networks = networks.join(", ");
    let message =
        format!("{what} {} lies outside the {side} side of node {node:?}: {networks}", address.value);
    errors.error_hint(address.span, message, hint);
}

/// The family of an address, for messages.
pub(super) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}
