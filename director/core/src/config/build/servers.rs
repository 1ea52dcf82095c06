//! The real servers by name.

use super::addresses::{Addresses, Owner};
use super::nodes::{check_private, family};
use super::{entries, one_or_several, unknown_name};
use crate::config::decode::Spanned;
use crate::config::raw;
use crate::config::report::{Diagnostics, Span};
use crate::model::Node;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The real servers, and whether something uses them.
pub(super) struct Servers<'a>(BTreeMap<&'a str, Server<'a>>);

struct Server<'a> {
    addresses: Vec<&'a Spanned<IpAddr>>,
    span: Span,
    used: bool,
    /// One of those who need its answers to come back through the director.
    gateway_user: Option<User<'a>>,
}

/// Who uses a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum User<'a> {
    /// A service whose servers have the director for their gateway.
    Service(&'a str),
    /// A service whose servers answer to the director's own address, wherever they are.
    FullNat,
    /// A management address.
    Management(&'a str),
}

pub(super) fn build<'a>(
    file: &'a raw::File,
    addresses: &mut Addresses<'a>,
    errors: &mut Diagnostics,
) -> Servers<'a> {
    let mut servers = BTreeMap::new();
    for entry in entries(file.servers.as_ref()) {
        let mut own: Vec<&Spanned<IpAddr>> = Vec::new();
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
            addresses.claim(address.value, Owner::Server(&entry.name), address.span, errors);
            own.push(address);
        }
        let server = Server { addresses: own, span: entry.span, used: false, gateway_user: None };
        servers.insert(entry.name.as_str(), server);
    }
    Servers(servers)
}

impl<'a> Servers<'a> {
    /// The addresses of the server `name`, which stands at `span` and is used by `user`. Empty: they were reported. `None`: there is no
    /// such server, and that is reported now.
    pub(super) fn use_addresses(
        &mut self,
        name: &str,
        span: Span,
        user: User<'a>,
        errors: &mut Diagnostics,
    ) -> Option<Vec<IpAddr>> {
        if !self.0.contains_key(name) {
            let meant = unknown_name("server", name, span, self.0.keys().copied(), errors);
            if let Some(server) = meant.and_then(|meant| self.0.get_mut(meant)) {
                server.used = true;
            }
            return None;
        }
        let server = self.0.get_mut(name)?;
        server.used = true;
        if user != User::FullNat {
            server.gateway_user.get_or_insert(user);
        }
        Some(server.addresses.iter().map(|address| address.value).collect())
    }

    /// Reports servers outside the private network that somebody needs there.
    pub(super) fn check_reach(&self, nodes: &BTreeMap<String, Node>, errors: &mut Diagnostics) {
        for server in self.0.values() {
            let hint = match server.gateway_user {
                None | Some(User::FullNat) => continue,
                Some(User::Service(name)) => format!(
                    "its answers to clients of service {name:?} would not come back through the director, \
                     but with full_nat: true there"
                ),
                Some(User::Management(name)) => format!(
                    "its answers to management address {name:?} would not come back through the director"
                ),
            };
            for address in &server.addresses {
                check_private("server", address, nodes, &hint, errors);
            }
        }
    }

    pub(super) fn report_unused(&self, errors: &mut Diagnostics) {
        for (name, server) in self.0.iter().filter(|(_, server)| !server.used) {
            let hint = "name it in a service or management address, or take it out";
            errors.error_hint(server.span, format!("nothing uses server {name:?}"), hint);
        }
    }
}
