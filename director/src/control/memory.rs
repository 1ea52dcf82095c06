//! What the control loop remembers over restarts, a file for each kind, so that a changed weight writes little.

use crate::command::OverrideChange;
use crate::state::{StateError, Store};
use crate::traffic::{Connections, Totals};
use director_core::availability::Override;
use director_core::ids::Registry;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

/// Overrides by service and server.
pub(super) type Overrides = BTreeMap<String, BTreeMap<String, Override>>;

/// Addresses that the director added, with their interface.
pub(super) type OwnAddresses = BTreeSet<(IpAddr, String)>;

/// What servers have carried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Traffic {
    /// Connections and the last readings of the kernel's counters.
    pub(super) connections: Connections,
    /// Packets and bytes by destination id.
    pub(super) totals: BTreeMap<u32, Totals>,
}

/// The state files and what is in them.
#[derive(Debug)]
pub(super) struct Memory {
    registry: Store<Registry>,
    overrides: (Store<Overrides>, Overrides),
    addresses: (Store<OwnAddresses>, OwnAddresses),
    /// The file has other addresses.
    unrecorded: bool,
    traffic: Store<Traffic>,
    down: (Store<BTreeSet<String>>, BTreeSet<String>),
}

/// What stood in the files when they were opened.
#[derive(Debug)]
pub(super) struct Remembered {
    pub(super) registry: Registry,
    pub(super) traffic: Traffic,
}

impl Memory {
    pub(super) fn open(folder: &Path) -> Result<(Self, Remembered), StateError> {
        let (registry_store, registry) = Store::open(folder, "numbers.json")?;
        let (traffic_store, traffic) = Store::open(folder, "traffic.json")?;
        let memory = Self {
            registry: registry_store,
            overrides: Store::open(folder, "overrides.json")?,
            addresses: Store::open(folder, "addresses.json")?,
            unrecorded: false,
            traffic: traffic_store,
            down: Store::open(folder, "down.json")?,
        };
        Ok((memory, Remembered { registry, traffic }))
    }

    pub(super) fn save_registry(&mut self, registry: &Registry) -> Result<(), StateError> {
        self.registry.save(registry)
    }

    pub(super) fn save_traffic(&mut self, traffic: &Traffic) -> Result<(), StateError> {
        self.traffic.save(traffic)
    }

    pub(super) fn overrides(&self) -> &Overrides {
        &self.overrides.1
    }

    /// Records a change before it takes effect.
    pub(super) fn change(
        &mut self,
        service: &str,
        server: &str,
        change: OverrideChange,
    ) -> Result<(), StateError> {
        let mut overrides = self.overrides.1.clone();
        let servers = overrides.entry(service.to_owned()).or_default();
        let it = servers.entry(server.to_owned()).or_default();
        match change {
            OverrideChange::Weight(weight) => it.weight = Some(weight),
            OverrideChange::Drain => it.drained = true,
            OverrideChange::Enable => it.drained = false,
            OverrideChange::Reset => *it = Override::default(),
        }
        servers.retain(|_, it| !it.is_empty());
        overrides.retain(|_, servers| !servers.is_empty());
        self.set_overrides(overrides)
    }

    pub(super) fn set_overrides(&mut self, overrides: Overrides) -> Result<(), StateError> {
        save_changed(&mut self.overrides, overrides)
    }

    pub(super) fn addresses(&self) -> &OwnAddresses {
        &self.addresses.1
    }

    /// Records an address before it is added, so that it is known as ours even after a kill. They are remembered
    /// in any case: the next call tries again to record what could not be.
    pub(super) fn set_addresses(&mut self, addresses: OwnAddresses) -> Result<(), StateError> {
        if self.addresses.1 != addresses {
            self.addresses.1 = addresses;
            self.unrecorded = true;
        }
        if self.unrecorded {
            self.addresses.0.save(&self.addresses.1)?;
            self.unrecorded = false;
        }
        Ok(())
    }

    /// Targets that were down when the earlier run ended.
    pub(super) fn down(&self) -> &BTreeSet<String> {
        &self.down.1
    }

    pub(super) fn set_down(&mut self, down: BTreeSet<String>) -> Result<(), StateError> {
        save_changed(&mut self.down, down)
    }
}

fn save_changed<T: PartialEq + Serialize + for<'de> Deserialize<'de> + Default>(
    (store, value): &mut (Store<T>, T),
    new: T,
) -> Result<(), StateError> {
    if *value != new {
        store.save(&new)?;
        *value = new;
    }
    Ok(())
}
