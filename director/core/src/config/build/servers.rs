//! The real servers by name.

use super::addresses::{Addresses, Owner};
use super::nodes::{check_private, family};
use super::{entries, one_or_several, unknown_name};
use crate::config::raw;
use crate::config::report::{Diagnostics, Span};
use crate::model::Node;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The real servers, and whether something uses them.
pub(super) struct Servers<'a>(BTreeMap<&'a str, Server>);

struct Server {
    addresses: Vec<IpAddr>,
    span: Span,
    used: bool,
}

pub(super) fn build<'a>(
    file: &'a raw::File,
    nodes: &BTreeMap<String, Node>,
    addresses: &mut Addresses<'a>,
    errors: &mut Diagnostics,
) -> Servers<'a> {
    let mut servers = BTreeMap::new();
    for entry in entries(file.servers.as_ref()) {
        let mut own: Vec<IpAddr> = Vec::new();
        let raw = entry.value.as_deref();
        let given = raw.map(|raw| one_or_several(raw.address.as_ref(), raw.addresses.as_ref()));
        for address in given.into_iter().flatten() {
            if own.iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
                let message =
                    format!("server {:?} has a second {} address", entry.name, family(address.value));
                errors.error_hint(
                    address.span,
                    message,
                    "one address of each family; else make it two servers",
                );
                continue;
            }
            let hint = "its answers would not come back through the director: full NAT would be needed, \
                        which is not supported yet";
            check_private("server", address, nodes, hint, errors);
            addresses.claim(address.value, Owner::Server(&entry.name), address.span, errors);
            own.push(address.value);
        }
        servers.insert(entry.name.as_str(), Server { addresses: own, span: entry.span, used: false });
    }
    Servers(servers)
}

impl Servers<'_> {
    /// The addresses of the server `name`, which stands at `span`. Empty: they were reported. `None`: there is no
    /// such server, and that is reported now.
    pub(super) fn use_addresses(
        &mut self,
        name: &str,
        span: Span,
        errors: &mut Diagnostics,
    ) -> Option<&[IpAddr]> {
        if !self.0.contains_key(name) {
            let meant = unknown_name("server", name, span, self.0.keys().copied(), errors);
            if let Some(server) = meant.and_then(|meant| self.0.get_mut(meant)) {
                server.used = true;
            }
            return None;
        }
        let server = self.0.get_mut(name)?;
        server.used = true;
        Some(&server.addresses)
    }

    pub(super) fn report_unused(&self, errors: &mut Diagnostics) {
        for (name, server) in self.0.iter().filter(|(_, server)| !server.used) {
            let hint = "name it in a service or management address, or take it out";
            errors.error_hint(server.span, format!("nothing uses server {name:?}"), hint);
        }
    }
}
