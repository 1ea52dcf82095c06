//! The status as a table in the style of `ipvsadm -L -n --stats`, below a few lines about the director itself.

mod columns;
mod rates;
mod redundancy;
mod summary;

use crate::status::{
    ManagementStatus, PortStatus, ServerStatus, ServiceStatus, ServingStatus, Status, SynProtectionStatus,
    TrafficStatus,
};
use crate::words::printable;
pub(crate) use columns::{Align, Columns};
pub use rates::RateTable;
use std::fmt::{self, Display};
use std::net::IpAddr;

/// Prints a [`Status`] for people. Every figure is exact, nothing is cut to fit a screen.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a>(pub &'a Status);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(status) = self;
        summary::write(f, status)?;
        writeln!(f)?;
        let sheet = Sheet {
            alignment: ALIGNMENT,
            headings: HEADINGS,
            service: |_| None,
            server: server_row,
            management: management_row,
        };
        sheet.write(f, status)
    }
}

/// Rows of `N` columns below lines of services and management addresses.
struct Sheet<const N: usize> {
    alignment: [Align; N],
    headings: [&'static str; N],
    /// A first row of all servers together.
    service: fn(&ServiceStatus) -> Option<[String; N]>,
    server: fn(&ServerStatus) -> [String; N],
    management: fn(&ManagementStatus) -> [String; N],
}

impl<const N: usize> Sheet<N> {
    fn write(&self, f: &mut fmt::Formatter<'_>, status: &Status) -> fmt::Result {
        // All rows share the columns' widths.
        let headings = self.headings.map(str::to_owned);
        let services = status.services.iter().flat_map(|service| self.rows(service));
        let management = status.management.iter().map(self.management);
        let rows = std::iter::once(headings.clone()).chain(services).chain(management);
        let columns = Columns::new(self.alignment, rows);
        writeln!(f, "FWM  Mark Service Scheduler Flags  VIP  Ports")?;
        writeln!(f, "  -> {}", columns.line(&headings))?;
        for service in &status.services {
            writeln!(f, "{}", service_line(service))?;
            for row in self.rows(service) {
                writeln!(f, "  -> {}", columns.line(&row))?;
            }
            if service.servers.is_empty() {
                writeln!(f, "  -> (no servers)")?;
            }
        }
        for management in &status.management {
            writeln!(f, "{}", management_line(management))?;
            writeln!(f, "  -> {}", columns.line(&(self.management)(management)))?;
        }
        Ok(())
    }

    fn rows(&self, service: &ServiceStatus) -> impl Iterator<Item = [String; N]> {
        (self.service)(service).into_iter().chain(service.servers.iter().map(self.server))
    }
}

const WIDTH: usize = 12;
type Row = [String; WIDTH];

const HEADINGS: [&str; WIDTH] = [
    "Server", "Address", "State", "Weight", "Conns", "Active", "Inactive", "InPkts", "OutPkts", "InBytes",
    "OutBytes", "Reason",
];

const ALIGNMENT: [Align; WIDTH] = {
    let mut alignment = [Align::Right; WIDTH];
    alignment[0] = Align::Left;
    alignment[1] = Align::Left;
    alignment[2] = Align::Left;
    alignment[WIDTH - 1] = Align::Left;
    alignment
};

fn server_row(server: &ServerStatus) -> Row {
    row(
        [&name(server), &address(server), server.state.name(), &weight(server)],
        &server.traffic,
        &server.reason,
    )
}

fn management_row(management: &ManagementStatus) -> Row {
    row([&management.server, &management.address.to_string(), "-", "-"], &management.traffic, "")
}

fn row(first: [&str; 4], traffic: &TrafficStatus, reason: &str) -> Row {
    let [server, address, state, weight] = first.map(printable);
    [
        server,
        address,
        state,
        weight,
        traffic.connections.to_string(),
        traffic.active.to_string(),
        traffic.inactive.to_string(),
        traffic.packets_in.to_string(),
        traffic.packets_out.to_string(),
        traffic.bytes_in.to_string(),
        traffic.bytes_out.to_string(),
        printable(reason),
    ]
}

fn service_line(service: &ServiceStatus) -> String {
    let mut flags = printable(&service.scheduler);
    if let Some(seconds) = service.persistence_seconds {
        flags.push_str(&format!(" persistent {seconds}s{}", granularity(service)));
    }
    flags.push_str(&protection(service));
    flags.push_str(&serving(service));
    let ports = printable(&service.ports.join(" ")) + &port_states(service);
    virtual_line(service.mark, &service.name, &flags, &joined(&service.vips), &ports)
}

/// What limits and protects the service, and how its connections come to the servers.
fn protection(service: &ServiceStatus) -> String {
    let mut text = String::new();
    if let Some(limit) = &service.rate_limit {
        text.push_str(&format!(" {}", printable(&limit.to_string())));
    }
    match service.syn_protection {
        Some(SynProtectionStatus::On) => text.push_str(" syn-protection"),
        Some(SynProtectionStatus::Unsupported) => text.push_str(" syn-protection (unsupported)"),
        None => {}
    }
    if service.full_nat {
        text.push_str(" full-nat");
    }
    text
}

/// Ports that are not simply enabled by the configuration: ` (tcp 80 drained, udp 53 enabled)`.
fn port_states(service: &ServiceStatus) -> String {
    let text = |it: &PortStatus| format!("{} {} {}", it.protocol.name(), it.ports(), it.state.name());
    let texts: Vec<String> = service.port_states.iter().map(text).collect();
    if texts.is_empty() { String::new() } else { format!(" ({})", texts.join(", ")) }
}

/// Who serves, and the quorum, where that needs saying.
fn serving(service: &ServiceStatus) -> String {
    let mut text = match (service.serving, service.serving_priority) {
        (ServingStatus::Regular, Some(priority @ 1..)) => format!(" priority {priority} serves"),
        (ServingStatus::Regular, _) => String::new(),
        (ServingStatus::Sorry, _) => " sorry serves".to_owned(),
        (ServingStatus::Nobody, _) => " nobody serves".to_owned(),
    };
    let quorum = service.quorum;
    if quorum.weight > 1 {
        let lost = if quorum.held { "" } else { " lost" };
        text.push_str(&format!(" quorum {}/{}{lost}", quorum.present, quorum.weight));
    }
    text
}

/// What makes one client, for the families that the service has: `/24,v6/64`.
fn granularity(service: &ServiceStatus) -> String {
    let families = [("/", service.granularity_v4, false), ("v6/", service.granularity_v6, true)];
    let families =
        families.into_iter().filter(|(_, _, v6)| service.vips.iter().any(|vip| vip.is_ipv6() == *v6));
    let bits = families.filter_map(|(prefix, bits, _)| bits.map(|bits| format!("{prefix}{bits}")));
    bits.collect::<Vec<_>>().join(",")
}

fn management_line(management: &ManagementStatus) -> String {
    let vip = management.vip.to_string();
    virtual_line(management.mark, &management.name, "management", &vip, "every port")
}

fn virtual_line(mark: u32, name: &str, flags: &str, vips: &str, ports: &str) -> String {
    format!("FWM  {mark} (0x{mark:x}) {} {flags}  {vips}  {ports}", printable(name))
}

/// Its name, and what it is among the servers unless it serves first.
fn name(server: &ServerStatus) -> String {
    match server.priority {
        Some(0) => server.name.clone(),
        Some(priority) => format!("{} ({priority})", server.name),
        None => format!("{} (sorry)", server.name),
    }
}

/// The weight in force, and the configured one beside it where that says something else.
fn weight(server: &ServerStatus) -> String {
    if server.weight == server.configured_weight && server.override_weight.is_none() {
        server.weight.to_string()
    } else {
        format!("{} (of {})", server.weight, server.configured_weight)
    }
}

fn address(server: &ServerStatus) -> String {
    let addresses = joined(&server.addresses);
    if server.port_map.is_empty() { addresses } else { format!("{addresses} port {}", server.port_map) }
}

fn joined(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
