//! Management addresses.

use super::addresses::Owner;
use super::entries;
use super::nodes::{check_public, family};
use super::servers::User;
use super::services::Context;
use crate::config::raw;
use crate::model::ManagementAddress;
use std::collections::BTreeMap;

const MAX: usize = 16_384;

/// The management addresses by name: all of them, if nothing was reported.
pub(super) fn build<'a>(
    file: &'a raw::File,
    context: &mut Context<'_, 'a>,
) -> BTreeMap<String, ManagementAddress> {
    let entries = entries(file.management.as_ref());
    if let Some(extra) = entries.get(MAX) {
        let message = format!("there are {} management addresses; at most {MAX} are allowed", entries.len());
        context.errors.error(extra.span, message);
    }
    let mut built = BTreeMap::new();
    for entry in entries {
        if let Some(management) = entry.value.as_ref().and_then(|raw| address(&entry.name, raw, context)) {
            built.insert(entry.name.clone(), management);
        }
    }
    built
}

fn address<'a>(
    name: &'a str,
    raw: &'a raw::Management,
    context: &mut Context<'_, 'a>,
) -> Option<ManagementAddress> {
    if let Some(vip) = &raw.vip {
        check_public("VIP", vip, context.nodes, context.errors);
        context.addresses.claim(vip.value, Owner::Management(name), vip.span, context.errors);
    }
    let server = raw.server.as_ref()?;
    let addresses =
        context.servers.use_addresses(&server.0, server.span, User::Management(name), context.errors)?;
    let vip = raw.vip.as_ref()?;
    let address = addresses.iter().copied().find(|address| address.is_ipv4() == vip.is_ipv4());
    if address.is_none() && !addresses.is_empty() {
        let family = family(vip.value);
        let message =
            format!("VIP {} leads nowhere: server {:?} has no {family} address", vip.value, server.0);
        context.errors.error_hint(vip.span, message, format!("give the server an {family} address too"));
    }
    Some(ManagementAddress {
        name: name.to_owned(),
        vip: vip.value,
        server: server.0.clone(),
        address: address?,
        mark: context.marks.management(name)?,
    })
}
