//! What the control loop remembers over restarts, a file for each kind, so that a changed weight writes little.

use crate::command::OverrideChange;
use crate::decide::{Overrides, PortOverrides};
use crate::redundancy::Sequences;
use crate::redundancy::thread::Past;
use crate::state::{StateError, Store};
use crate::targets::LastVerdicts;
use crate::traffic::{Connections, Totals};
use director_core::ids::{Registry, ServiceNumber};
use director_core::overrides::{Drain, Override, WeightOverride};
use director_core::persistence::Pins;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

/// Addresses that the director added, with their interface.
pub(super) type OwnAddresses = BTreeSet<(IpAddr, String)>;

/// What servers have carried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Traffic {
    /// Connections and the last readings of the kernel's counters.
    pub(super) connections: Connections,
    /// Packets and bytes by destination id.
    pub(super) totals: BTreeMap<u32, Totals>,
    /// Persistence entries that made room for others, by service.
    #[serde(default)]
    pub(super) evicted: BTreeMap<ServiceNumber, u64>,
}

/// What protects signed adverts and hellos from being played again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Signatures {
    /// The number of the last run.
    epoch: u64,
    heard: Sequences,
}

/// What probes said last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Verdicts {
    /// The kernel's id of the time since it started.
    boot: String,
    up: LastVerdicts,
}

impl Verdicts {
    /// What of it still holds: after a restart of the daemon everything, for it has just been seen. After one of the
    /// machine only failures: who has been away must see a server work before it counts as up, if its probe says so.
    fn of_boot(mut self, boot: String) -> Self {
        if self.boot != boot {
            self.up.retain(|_, up| !*up);
        }
        Self { boot, ..self }
    }
}

/// Empty if the kernel tells none.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// The state files and what is in them.
#[derive(Debug)]
pub(super) struct Memory {
    registry: Store<Registry>,
    overrides: (Store<Overrides>, Overrides),
    pins: (Store<Pins>, Pins),
    ports: (Store<PortOverrides>, PortOverrides),
    addresses: (Store<OwnAddresses>, OwnAddresses),
    /// The file has other addresses.
    unrecorded: bool,
    verdicts: (Store<Verdicts>, Verdicts),
    signatures: (Store<Signatures>, Signatures),
}

/// What stood in the files when they were opened.
#[derive(Debug)]
pub(super) struct Remembered {
    pub(super) registry: Registry,
    pub(super) traffic: (Store<Traffic>, Traffic),
}

impl Memory {
    pub(super) fn open(folder: &Path) -> Result<(Self, Remembered), StateError> {
        let (registry_store, registry) = Store::open(folder, "numbers.json")?;
        let traffic = Store::open(folder, "traffic.json")?;
        let (verdict_store, verdicts): (_, Verdicts) = Store::open(folder, "verdicts.json")?;
        let memory = Self {
            registry: registry_store,
            overrides: Store::open(folder, "overrides.json")?,
            pins: Store::open(folder, "pins.json")?,
            ports: Store::open(folder, "ports.json")?,
            addresses: Store::open(folder, "addresses.json")?,
            unrecorded: false,
            verdicts: (verdict_store, verdicts.of_boot(boot_id())),
            signatures: Store::open(folder, "signatures.json")?,
        };
        Ok((memory, Remembered { registry, traffic }))
    }

    pub(super) fn save_registry(&mut self, registry: &Registry) -> Result<(), StateError> {
        self.registry.save(registry)
    }

    pub(super) fn overrides(&self) -> &Overrides {
        &self.overrides.1
    }

    /// Records a change before it takes effect. `now` is in seconds since 1970.
    pub(super) fn change(
        &mut self,
        service: &str,
        server: &str,
        change: OverrideChange,
        now: u64,
    ) -> Result<(), StateError> {
        let mut overrides = self.overrides.1.clone();
        let servers = overrides.entry(service.to_owned()).or_default();
        let it = servers.entry(server.to_owned()).or_default();
        match change {
            OverrideChange::Weight { weight, seconds } => {
                let until = seconds.map(|seconds| now.saturating_add(seconds));
                it.weight = Some(WeightOverride { weight, until });
            }
            OverrideChange::Drain(request) => {
                it.drain = Some(Drain {
                    since: it.drain.map_or(now, |drain| drain.since),
                    deadline: request.deadline_seconds.map(|seconds| now.saturating_add(seconds)),
                    at_deadline: request.at_deadline,
                    returning_clients: request.returning_clients,
                });
            }
            OverrideChange::Enable => it.drain = None,
            OverrideChange::Reset => *it = Override::default(),
        }
        self.set_overrides(in_force(overrides, now))
    }

    /// Forgets what has lapsed.
    pub(super) fn forget_lapsed(&mut self, now: u64) -> Result<(), StateError> {
        self.set_overrides(in_force(self.overrides.1.clone(), now))
    }

    pub(super) fn set_overrides(&mut self, overrides: Overrides) -> Result<(), StateError> {
        save_changed(&mut self.overrides, overrides)
    }

    pub(super) fn pins(&self) -> &Pins {
        &self.pins.1
    }

    pub(super) fn set_pins(&mut self, pins: Pins) -> Result<(), StateError> {
        save_changed(&mut self.pins, pins)
    }

    pub(super) fn ports(&self) -> &PortOverrides {
        &self.ports.1
    }

    /// Records states of ports before they take effect.
    pub(super) fn set_ports(&mut self, mut ports: PortOverrides) -> Result<(), StateError> {
        ports.retain(|_, states| !states.is_empty());
        save_changed(&mut self.ports, ports)
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

    /// Begins a run: what the thread that signs adverts and hellos goes on with. Its number is on the disk when this
    /// returns.
    pub(super) fn begin(&mut self) -> Result<Past, StateError> {
        let (store, signatures) = &mut self.signatures;
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let clock = u64::try_from(clock).unwrap_or(u64::MAX);
        signatures.epoch = clock.max(signatures.epoch.saturating_add(1));
        store.save(signatures)?;
        Ok(Past { epoch: signatures.epoch, heard: signatures.heard.clone() })
    }

    /// Records what the next run goes on with.
    pub(super) fn set_past(&mut self, Past { epoch, heard }: Past) -> Result<(), StateError> {
        let epoch = self.signatures.1.epoch.max(epoch);
        save_changed(&mut self.signatures, Signatures { epoch, heard })
    }

    /// What probes said when the earlier run ended.
    pub(super) fn verdicts(&self) -> &LastVerdicts {
        &self.verdicts.1.up
    }

    pub(super) fn set_verdicts(&mut self, up: LastVerdicts) -> Result<(), StateError> {
        let boot = self.verdicts.1.boot.clone();
        save_changed(&mut self.verdicts, Verdicts { boot, up })
    }
}

/// What is left of `overrides` at `now`.
fn in_force(mut overrides: Overrides, now: u64) -> Overrides {
    overrides.retain(|_, servers| {
        servers.values_mut().for_each(|it| *it = it.at(now));
        servers.retain(|_, it| !it.is_empty());
        !servers.is_empty()
    });
    overrides
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    #[test]
    fn each_run_has_a_higher_number_even_if_the_clock_went_back() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let first = Memory::open(folder.path())?.0.begin()?.epoch;
        let second = Memory::open(folder.path())?.0.begin()?.epoch;
        assert!(second > first);
        let ahead = Signatures { epoch: second + 3600 * 1_000_000_000, heard: Sequences::new() };
        Store::open(folder.path(), "signatures.json")?.0.save(&ahead)?;
        let (mut memory, _) = Memory::open(folder.path())?;
        assert_eq!(memory.begin()?, Past { epoch: ahead.epoch + 1, heard: Sequences::new() });

        let heard: Sequences = [("public".to_owned(), [([192, 168, 1, 34].into(), (7, 9))].into())].into();
        memory.set_past(Past { epoch: 0, heard: heard.clone() })?;
        let past = Memory::open(folder.path())?.0.begin()?;
        assert_eq!(past, Past { epoch: ahead.epoch + 2, heard: heard.clone() });

        // A peer knew it from a later time.
        memory.set_past(Past { epoch: ahead.epoch + 9, heard: heard.clone() })?;
        let past = Memory::open(folder.path())?.0.begin()?;
        assert_eq!(past, Past { epoch: ahead.epoch + 10, heard });
        Ok(())
    }
}
