//! The lines about the director itself: what it runs, and what needs attention.

use super::redundancy;
use crate::status::{ReconcileStatus, RoleStatus, ServiceStatus, ServingStatus, Status, SynProtectionStatus};
use crate::words::printable;
use std::fmt::{self, Formatter};
use std::time::Duration;

/// Writes three lines, those about the virtual router, and one for everything that is not as it should be.
pub(super) fn write(f: &mut Formatter<'_>, status: &Status) -> fmt::Result {
    let configuration = &status.configuration;
    writeln!(
        f,
        "director {}, version {}, up {}",
        printable(&status.node),
        printable(&status.version),
        duration(status.uptime_seconds)
    )?;
    if let Some(status) = &status.redundancy {
        redundancy::write(f, status)?;
    }
    writeln!(
        f,
        "configuration {} ({}), loaded {} ago",
        printable(&configuration.path),
        printable(&configuration.hash),
        duration(configuration.age_seconds)
    )?;
    writeln!(f, "{}", reconcile(&status.reconcile))?;
    for line in attention(status) {
        writeln!(f, "! {line}")?;
    }
    Ok(())
}

fn reconcile(reconcile: &ReconcileStatus) -> String {
    let kinds: Vec<String> = reconcile
        .drift_repairs
        .iter()
        .filter(|(_, repairs)| **repairs > 0)
        .map(|(kind, repairs)| format!("{} {repairs}", printable(kind)))
        .collect();
    let repairs: u64 = reconcile.drift_repairs.values().fold(0, |sum, repairs| sum.saturating_add(*repairs));
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    format!(
        "reconciled {} times, {} failed, {repairs} drift repairs{kinds}, last change took {:.1} ms",
        reconcile.runs,
        reconcile.failures,
        reconcile.last_seconds * 1e3
    )
}

/// What is not as it should be, each in one paragraph.
fn attention(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(error) = &status.redundancy_error {
        lines.push(format!("nothing is known of the virtual router: {}", printable(error)));
    }
    lines.extend(status.redundancy.iter().flat_map(redundancy::attention));
    if let Some(error) = &status.configuration.error {
        lines.push(format!("the last reload was refused: {}", paragraph(error)));
    }
    if let Some(error) = &status.reconcile.error {
        lines.push(format!("the last reconcile run failed: {}", paragraph(error)));
    }
    lines.extend(status.settings.iter().filter(|setting| setting.deviates()).map(|setting| {
        let (name, wanted) = (printable(&setting.name), printable(&setting.wanted));
        match &setting.actual {
            Some(actual) => format!("setting {name} is {}, wanted is {wanted}", printable(actual)),
            None => format!("setting {name} does not exist in this kernel, wanted is {wanted}"),
        }
    }));
    // A Backup has none.
    let holds = status.redundancy.as_ref().is_none_or(|status| status.role == RoleStatus::Active);
    lines.extend(status.addresses.iter().filter(|address| holds && !address.present).map(|address| {
        format!("address {} is missing on {}", address.address, printable(&address.interface))
    }));
    lines.extend(status.services.iter().filter_map(|service| {
        let trouble = match (service.serving, service.quorum.held) {
            (ServingStatus::Regular, true) => return None,
            (ServingStatus::Regular, false) => {
                "is below its quorum, and has no sorry server that could serve"
            }
            (ServingStatus::Sorry, _) => "is served by its sorry servers",
            (ServingStatus::Nobody, _) => "has no server that takes new connections",
        };
        Some(format!("service {} {trouble}", printable(&service.name)))
    }));
    let unprotected =
        |service: &&ServiceStatus| service.syn_protection == Some(SynProtectionStatus::Unsupported);
    lines.extend(status.services.iter().filter(unprotected).map(|service| {
        format!("service {} runs without SYN protection: this kernel has none", printable(&service.name))
    }));
    lines
}

/// A text of several lines, the further ones indented.
fn paragraph(text: &str) -> String {
    text.trim_end().lines().map(printable).collect::<Vec<_>>().join("\n    ")
}

fn duration(seconds: u64) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(seconds))
}
