//! Way out, kernel, API.

use crate::config::raw;
use crate::config::report::Diagnostics;
use crate::model::{ApiSettings, KernelSettings, Model, Network, Node, Outbound};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub(super) fn outbound(
    raw: Option<&raw::Outbound>,
    nodes: &BTreeMap<String, Node>,
    errors: &mut Diagnostics,
) -> Outbound {
    let Some(raw) = raw else { return Outbound::default() };
    let mut masquerade: Vec<Network> = Vec::new();
    for network in raw.masquerade.iter().flat_map(|networks| &networks.0) {
        let value = network.value;
        if value.address() != value.network() {
            let message = format!("{value} is an address in a network, not the network itself");
            errors.error_hint(network.span, message, format!("write {}/{}", value.network(), value.length()));
        } else if masquerade.contains(&value) {
            errors.error_hint(network.span, format!("{value} is in the list twice"), "name it once");
        } else if !nodes.is_empty() && !nodes.values().any(|node| on_private_side(node, value)) {
            let message = format!("{value} lies outside the private side of every node");
            errors.error_hint(network.span, message, "masquerade is for the networks of the real servers");
        }
        masquerade.push(value);
    }
    Outbound {
        masquerade,
        hairpin: raw.hairpin.as_ref().is_some_and(|hairpin| hairpin.value),
        reset_invalid: raw.reset_invalid.as_ref().is_some_and(|reset| reset.value),
    }
}

/// True if the networks share an address.
fn on_private_side(node: &Node, network: Network) -> bool {
    node.private
        .addresses
        .iter()
        .any(|own| own.contains(network.network()) || network.contains(own.network()))
}

pub(super) fn kernel(raw: Option<&raw::Kernel>) -> KernelSettings {
    let switch = |key: Option<bool>| key.unwrap_or(true);
    KernelSettings {
        manage: switch(raw.and_then(|raw| Some(raw.manage.as_ref()?.value))),
        accounting: switch(raw.and_then(|raw| Some(raw.accounting.as_ref()?.value))),
        conntrack_max: raw.and_then(|raw| Some(raw.conntrack_max.as_ref()?.0)),
        conntrack_buckets: raw.and_then(|raw| Some(raw.conntrack_buckets.as_ref()?.0)),
    }
}

pub(super) fn persistence_limit(raw: Option<&raw::Kernel>) -> u32 {
    let given = raw.and_then(|raw| Some(raw.persistence_entries.as_ref()?.0));
    given.unwrap_or(Model::DEFAULT_PERSISTENCE_LIMIT)
}

pub(super) fn api(raw: Option<&raw::Api>, errors: &mut Diagnostics) -> ApiSettings {
    let listen = raw.and_then(|raw| raw.listen.as_ref());
    if let Some(listen) = listen.filter(|listen| !listen.0.ip().is_loopback()) {
        let message = format!("{} is not a loopback address", listen.0.ip());
        errors.error_hint(
            listen.span,
            message,
            format!(
                "write 127.0.0.1:{}: listening elsewhere needs TLS, which is not supported yet",
                listen.0.port()
            ),
        );
    }
    ApiSettings {
        socket: raw
            .and_then(|raw| Some(raw.socket.as_ref()?.0.clone()))
            .unwrap_or_else(|| PathBuf::from(Model::DEFAULT_SOCKET)),
        group: raw.and_then(|raw| Some(raw.group.as_ref()?.0.clone())),
        listen: listen.map(|listen| listen.0),
    }
}
