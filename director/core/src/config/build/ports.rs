//! Ports of services: which they are, that nobody else has them, and what becomes of them on the way to a server.

use crate::config::decode::{Record, Spanned};
use crate::config::raw;
use crate::config::report::{Diagnostics, Span};
use crate::config::values::{PortSpan, PortTable};
use crate::model::{PortMap, PortRange, Protocol};
use crate::ports::{intersect, subtract};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Most entries of a service's list of ports.
const MAX_RANGES: usize = 1024;
/// Most ports of a service whose servers map single ones.
const MAX_MAPPED: usize = 1024;

/// A range of ports and where it stands.
pub(super) struct Placed {
    pub(super) range: PortRange,
    pub(super) span: Span,
}

/// The ranges of a service. Those that overlap are reported.
pub(super) fn of_service(raw: &Spanned<raw::Ports>, errors: &mut Diagnostics) -> Vec<Placed> {
    if raw.given().is_empty() {
        errors.error_hint(raw.key, "the service has no ports", "name some under tcp, udp or both");
    }
    ranges(raw, errors)
}

/// Those of a service's ports that are disabled, split where its ranges are. Others are reported.
pub(super) fn disabled(raw: &raw::Service, ports: &[Placed], errors: &mut Diagnostics) -> Vec<PortRange> {
    let Some(raw) = &raw.disabled_ports else { return Vec::new() };
    let known: Vec<PortRange> = ports.iter().map(|it| it.range).collect();
    let disabled = ranges(raw, errors);
    for placed in disabled.iter().filter(|_| !known.is_empty()) {
        if let Some(missing) = subtract(&[placed.range], &known).first() {
            let message = format!("the service has no {missing} to disable");
            errors.error_hint(placed.span, message, "only ports of the service can be disabled");
        }
    }
    let disabled: Vec<PortRange> = disabled.iter().map(|it| it.range).collect();
    intersect(&disabled, &known)
}

/// The ranges, tcp first, each protocol's in the order of the file. Those that overlap are reported.
fn ranges(raw: &Spanned<raw::Ports>, errors: &mut Diagnostics) -> Vec<Placed> {
    let both = raw.both.iter().flat_map(|ports| &ports.0);
    let tcp = raw.tcp.iter().flat_map(|ports| &ports.0).chain(both.clone());
    let udp = raw.udp.iter().flat_map(|ports| &ports.0).chain(both);
    let place = |protocol, ports: &Spanned<PortSpan>| {
        let range = PortRange { protocol, first: ports.first, last: ports.last };
        Placed { range, span: ports.span }
    };
    let placed: Vec<_> = tcp
        .map(|ports| place(Protocol::Tcp, ports))
        .chain(udp.map(|ports| place(Protocol::Udp, ports)))
        .collect();
    if placed.len() > MAX_RANGES {
        let message =
            format!("there are {} entries of ports; at most {MAX_RANGES} are allowed", placed.len());
        errors.error_hint(raw.key, message, "make ranges of neighbouring ports");
    }
    let mut claims = Claims::default();
    for placed in &placed {
        claims.0.push(Claim { of: (None, placed.range.protocol), placed, service: "this service" });
    }
    claims.report_overlaps(errors);
    placed
}

/// Who has which ports of which VIP.
#[derive(Default)]
pub(super) struct Claims<'a>(Vec<Claim<'a>>);

struct Claim<'a> {
    /// What must not be shared. Within a service, the VIP does not matter.
    of: (Option<IpAddr>, Protocol),
    placed: &'a Placed,
    service: &'a str,
}

impl<'a> Claims<'a> {
    pub(super) fn add(&mut self, service: &'a str, vip: IpAddr, ports: &'a [Placed]) {
        self.0.extend(ports.iter().map(|placed| Claim {
            of: (Some(vip), placed.range.protocol),
            placed,
            service,
        }));
    }

    /// Reports every range that shares a port with one before it.
    pub(super) fn report_overlaps(mut self, errors: &mut Diagnostics) {
        self.0.sort_by_key(|claim| (claim.of, claim.placed.range.first, claim.placed.span));
        let mut reported = BTreeSet::new();
        let mut widest: Option<Claim<'_>> = None;
        for claim in self.0 {
            if let Some(other) = widest.as_ref().filter(|it| it.of == claim.of)
                && other.placed.range.last >= claim.placed.range.first
                && (claim.of.0.is_none() || other.service != claim.service)
            {
                let (first, second) =
                    if other.placed.span < claim.placed.span { (other, &claim) } else { (&claim, other) };
                if reported.insert((first.placed.span, second.placed.span)) {
                    report_overlap(first, second, errors);
                }
            }
            let wider = widest
                .as_ref()
                .is_none_or(|it| it.of != claim.of || it.placed.range.last < claim.placed.range.last);
            if wider {
                widest = Some(claim);
            }
        }
    }
}

fn report_overlap(first: &Claim<'_>, second: &Claim<'_>, errors: &mut Diagnostics) {
    let (first_range, second_range) = (first.placed.range, second.placed.range);
    let shared =
        ports_text(first_range.first.max(second_range.first), first_range.last.min(second_range.last));
    let protocol = second_range.protocol.name();
    let vip = second.of.0.map(|vip| format!(" of {vip}")).unwrap_or_default();
    let (message, hint) = if second.of.0.is_some() {
        let owner = format!("service {:?}, in line {}", first.service, first.placed.span.line);
        (
            format!("{protocol} port {shared}{vip} already belongs to {owner}"),
            "a port of a VIP leads to one service",
        )
    } else {
        (
            format!("{protocol} port {shared} is in the list twice, also in line {}", first.placed.span.line),
            "name it once",
        )
    };
    errors.error_hint(second.placed.span, message, hint);
}

fn ports_text(first: u16, last: u16) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// What becomes of a service's ports at one of its servers.
pub(super) fn map(raw: &raw::ServiceServer, ports: &[Placed], errors: &mut Diagnostics) -> PortMap {
    if let Some(port) = &raw.port {
        return PortMap::All(port.0);
    }
    raw.ports.as_ref().map_or(PortMap::Keep, |table| PortMap::Table(checked_table(table, ports, errors)))
}

fn checked_table(
    table: &Spanned<PortTable>,
    ports: &[Placed],
    errors: &mut Diagnostics,
) -> BTreeMap<u16, u16> {
    let total: usize = ports.iter().map(|it| usize::from(it.range.last - it.range.first) + 1).sum();
    if total > MAX_MAPPED {
        let message =
            format!("ports are mapped in services of at most {MAX_MAPPED} ports; this one has {total}");
        errors.error_hint(table.key, message, "make the mapped ports a service of their own");
    }
    for (from, to) in &table.0 {
        let known = ports.iter().any(|it| (it.range.first..=it.range.last).contains(from));
        if !known && !ports.is_empty() {
            errors.error_hint(
                to.key,
                format!("the service has no port {from}"),
                "only ports of the service can be mapped",
            );
        }
    }
    table.0.iter().map(|(from, to)| (*from, to.0)).collect()
}
