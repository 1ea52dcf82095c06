//! What the command line does without a running director: show the ruleset of a file, compare it with the kernel,
//! take everything away.

use super::memory::Memory;
use super::{addresses, clocks};
use crate::configuration::Configuration;
use crate::dataplane::{self, Dataplane, Kernel};
use crate::decide::{Demands, Overrides, Pools, PortOverrides, Situation};
use crate::kernel::address::{self, AddressChange, AddressError, Addresses};
use crate::kernel::ruleset::NftKernel;
use crate::kernel::settings::Settings;
use crate::state::{self, StateError};
use crate::status::SettingStatus;
use crate::targets::{self, Role, Starts, VerdictMap};
use crate::words::some_of;
use director_core::ids::{Exhausted, Registry};
use director_core::model::Model;
use director_core::plan::{self, Layout};
use director_core::pool::{Offer, Offers};
use director_nft::diff::diff;
use director_nft::ir::Ruleset;
use director_nft::observed::Observed;
use director_nft::render;
use director_nft::transaction::Transaction;
use health::{Monitor, Policy, Start, Target, TargetId};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// More names than numbers.
    #[error(transparent)]
    Numbers(#[from] Exhausted),
    /// The state files.
    #[error(transparent)]
    State(#[from] StateError),
    /// The kernel's ruleset.
    #[error("cannot work on the kernel's ruleset (it takes root): {0}")]
    Ruleset(#[from] director_nft::netlink::Error),
    /// The kernel's addresses.
    #[error("cannot work on the kernel's addresses: {0}")]
    Address(#[from] AddressError),
    /// Some addresses stayed.
    #[error("the ruleset is removed, but not every address: {0}")]
    AddressesStay(String),
}

/// What a configuration would change.
#[derive(Debug)]
pub struct Plan {
    /// The ruleset.
    pub ruleset: Transaction,
    /// The addresses.
    pub addresses: Vec<AddressChange>,
    /// The settings that would be written.
    pub settings: Vec<SettingStatus>,
}

/// The ruleset of a configuration as nft's text: freshly numbered, all servers up, nothing overridden.
///
/// # Errors
/// The file has more names than there are numbers.
pub fn render(configuration: &Configuration) -> Result<String, OfflineError> {
    let mut registry = Registry::default();
    registry.assign(&configuration.model)?;
    let verdicts = verdicts(configuration, |policy| Policy { start: Start::Up, ..policy }, &Starts::new());
    let offers = offers(&configuration.model, &verdicts, &Overrides::new(), &PortOverrides::new());
    Ok(render::ruleset(&ruleset(configuration, &registry, &offers, &Observed::default(), true)))
}

/// What `configuration` would change in the kernel, with the numbers, overrides and failed probes that the
/// director in `state_dir` has recorded. Changes nothing.
///
/// # Errors
/// See [`OfflineError`].
pub async fn plan(configuration: &Configuration, state_dir: &Path) -> Result<Plan, OfflineError> {
    let (memory, remembered) = Memory::open(state_dir)?;
    let mut registry = remembered.registry;
    registry.assign(&configuration.model)?;
    let mut kernel = NftKernel::open()?;
    let observed = kernel.observe()?;
    let protects = dataplane::protects(&mut kernel, &configuration.model);
    let verdicts = verdicts(configuration, |policy| policy, &targets::resume(memory.verdicts()));
    let offers = offers(&configuration.model, &verdicts, memory.overrides(), memory.ports());
    let wanted = addresses::wanted(&configuration.model, &configuration.node);
    let present = Addresses::open()?.picture().await?.placed();
    let managed = configuration.model.kernel.manage;
    let settings = Settings::new(&configuration.model, &configuration.node).status();
    Ok(Plan {
        ruleset: diff(&observed, &ruleset(configuration, &registry, &offers, &observed, protects)),
        addresses: foreseen(
            address::plan(&wanted, &present, memory.addresses()),
            configuration.model.redundancy.is_none() || !present.is_disjoint(memory.addresses()),
        ),
        settings: settings.into_iter().filter(|setting| managed && setting.deviates()).collect(),
    })
}

/// Whether a director that shares its addresses and `holds` none of them will put some on is not for the file to say.
fn foreseen(mut changes: Vec<AddressChange>, holds: bool) -> Vec<AddressChange> {
    changes.retain(|change| holds || matches!(change, AddressChange::Remove { .. }));
    changes
}

/// Removes the table, and the addresses that the director in `state_dir` added. Tells how many these were.
///
/// # Errors
/// See [`OfflineError`]. What could be removed is.
pub async fn flush(state_dir: &Path) -> Result<usize, OfflineError> {
    // A running director would put everything back, wherever its socket is.
    let _lock = state::lock(state_dir)?;
    let (mut memory, _) = Memory::open(state_dir)?;
    let before = memory.addresses().len();
    let mut kernel = Dataplane::new(NftKernel::open()?);
    // Addresses first: without a ruleset a VIP would answer with the host's own sockets.
    let errors = addresses::remove_all(&mut memory).await;
    kernel.remove()?;
    match errors.as_slice() {
        [] => Ok(before - memory.addresses().len()),
        errors => Err(OfflineError::AddressesStay(some_of(errors))),
    }
}

/// What servers' probes say at the start.
fn verdicts(configuration: &Configuration, policy: impl Fn(Policy) -> Policy, starts: &Starts) -> VerdictMap {
    let since = Instant::now();
    let verdict = |(id, target): (TargetId, Target)| {
        (id, Arc::new(Monitor::new(policy(target.policy), since).verdict()))
    };
    let (model, node) = (&configuration.model, &configuration.node);
    targets::targets(model, node, Role::Active, starts).into_iter().map(verdict).collect()
}

/// What services offer.
fn offers(model: &Model, verdicts: &VerdictMap, overrides: &Overrides, ports: &PortOverrides) -> Offers {
    let situation = Situation { model, verdicts, overrides, ports, demands: &Demands::new(), now: clocks() };
    situation.offers(&mut Pools::new())
}

fn ruleset(
    configuration: &Configuration,
    registry: &Registry,
    offers: &Offers,
    observed: &Observed,
    protects: bool,
) -> Ruleset {
    let services = configuration.model.services.values();
    let slots = services.map(|it| plan::slot_count(it, Offer::of(offers, &it.name))).sum();
    let mut layout = Layout::new(&configuration.model, slots, None);
    if !protects {
        layout.leave_unprotected();
    }
    layout.adopt(observed);
    plan::ruleset(&layout, &configuration.model, &configuration.node, registry, offers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn what_others_may_hold_is_not_added_but_what_is_not_wanted_goes() {
        let placed = || (IpAddr::from([192, 168, 1, 35]), "eth0".to_owned());
        let add = AddressChange::Add { address: placed().0, interface: placed().1 };
        let remove = AddressChange::Remove { address: placed().0, interface: placed().1 };
        let changes = || vec![add.clone(), remove.clone()];
        assert_eq!(foreseen(changes(), false), std::slice::from_ref(&remove));
        assert_eq!(foreseen(changes(), true), changes());
    }

    #[tokio::test]
    async fn flushing_is_refused_while_a_director_has_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let held = state::lock(folder.path()).unwrap();
        let error = flush(folder.path()).await.unwrap_err();
        assert!(matches!(error, OfflineError::State(StateError::Locked(_))), "{error}");
        drop(held);
    }
}
