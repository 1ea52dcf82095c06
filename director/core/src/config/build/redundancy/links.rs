//! Where adverts go.

use crate::config::decode::{List, Spanned};
use crate::config::raw::Link;
use crate::config::report::{Diagnostics, Span};
use crate::model::{Attachment, Node, Side};
use std::collections::BTreeMap;

/// The links, in the order of the file; `section` is the place of what is not written.
pub(super) fn build(
    given: Option<&Spanned<List<Link>>>,
    section: Span,
    nodes: &BTreeMap<String, Node>,
    errors: &mut Diagnostics,
) -> Vec<Side> {
    let mut links: Vec<Side> = Vec::new();
    for link in given.iter().flat_map(|links| &links.0) {
        let side = match link.value {
            Link::Public => Side::Public,
            Link::Private => Side::Private,
        };
        if links.contains(&side) {
            errors.error_hint(link.span, format!("{side} is in the list twice"), "name it once");
        } else {
            check_family(side, link.span, nodes, errors);
            links.push(side);
        }
    }
    if given.is_none() {
        links.extend([Side::Public, Side::Private]);
        links.iter().for_each(|side| check_family(*side, section, nodes, errors));
    }
    links
}

/// Reports a link on which the directors have no family in common: none could hear all others.
fn check_family(side: Side, span: Span, nodes: &BTreeMap<String, Node>, errors: &mut Diagnostics) {
    let without = |ipv4: bool| nodes.values().find(|node| !has_family(side.of(node), ipv4));
    if let (Some(no_v4), Some(no_v6)) = (without(true), without(false)) {
        let message = format!(
            "adverts cannot reach every director on the {side} side: node {:?} has no IPv4 address there, and node \
             {:?} no IPv6 address",
            no_v4.name, no_v6.name
        );
        let hint = "give all of them an address of one family there, or leave the link out under `links`";
        errors.error_hint(span, message, hint);
    }
}

fn has_family(attachment: &Attachment, ipv4: bool) -> bool {
    attachment.addresses.iter().any(|own| own.address().is_ipv4() == ipv4)
}
