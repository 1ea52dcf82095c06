//! One round: all entries are read, looked at, and put right.

use super::{element, entry};
use director_core::persistence::{Action, Client, Live, Pass, Policies, Report};
use director_core::plan::persistence_map;
use director_nft::netlink::{DynamicElement, Error, Nft, Put};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

/// What a round needs to know.
#[derive(Debug)]
pub struct Round {
    /// What entries there may be.
    pub policies: Policies,
    /// Clients with connections.
    pub live: Live,
    /// Clients whose entries were deleted on purpose.
    pub forgotten: BTreeSet<Client>,
    /// Entries with less time left may be gone before the next round.
    pub horizon: Duration,
    /// Families that have a table: true for IPv6.
    pub families: Vec<bool>,
}

impl Round {
    /// Goes through it; blocks while the kernel works. The report's actions have been carried out, as far as the
    /// kernel let them.
    ///
    /// # Errors
    /// Entries could not be read, and nothing was done; or not every action could be carried out, and the report
    /// stands beside the first error.
    pub fn run(&self, nft: &mut Nft) -> Result<(Report, Option<Error>), Error> {
        let mut pass = Pass::new(&self.policies, &self.live, &self.forgotten, self.horizon);
        for ipv6 in &self.families {
            nft.each_dynamic(persistence_map(*ipv6), |element| {
                if let Some(entry) = entry(&element) {
                    pass.see(&entry);
                }
                ControlFlow::Continue(())
            })?;
        }
        let mut report = pass.finish();
        let error = carry_out(nft, &self.policies, std::mem::take(&mut report.actions)).err();
        Ok((report, error))
    }
}

/// Carries actions out: deletions first, for they make room.
///
/// # Errors
/// The first one that the kernel refused; the others were tried.
pub fn carry_out(
    nft: &mut Nft,
    policies: &Policies,
    actions: impl IntoIterator<Item = Action>,
) -> Result<(), Error> {
    let mut families = [Changes::default(), Changes::default()];
    for action in actions {
        let client = match action {
            Action::Put { entry, .. } | Action::Delete(entry) => entry.client,
        };
        let [four, six] = &mut families;
        let changes = if client.address.is_ipv6() { six } else { four };
        match action {
            Action::Delete(entry) => changes.delete.push(element(&entry, Duration::ZERO)),
            Action::Put { entry, only_missing } => {
                let timeout = policies.of(entry.destination).map(|policy| policy.timeout);
                let element = element(&entry, timeout.or(entry.left).unwrap_or_default());
                if only_missing { &mut changes.add } else { &mut changes.put }.push(element);
            }
        }
    }
    let mut result = Ok(());
    for (ipv6, Changes { delete, put, add }) in [false, true].into_iter().zip(families) {
        let map = persistence_map(ipv6);
        if !delete.is_empty() {
            result = result.and(nft.delete_unchanged(map, &delete).map(drop));
        }
        for (elements, how) in [(put, Put::Replace), (add, Put::OnlyMissing)] {
            if !elements.is_empty() {
                result = result.and(nft.put_dynamic(map, &elements, how).map(drop));
            }
        }
    }
    result
}

/// What is to be done in a family's table.
#[derive(Default)]
struct Changes {
    delete: Vec<DynamicElement>,
    put: Vec<DynamicElement>,
    add: Vec<DynamicElement>,
}
