//! Kernel settings (sysctl) that the data plane rests on.
//!
//! Settings of conntrack exist once its module is loaded, which the ruleset sees to: apply them after it.

use crate::status::SettingStatus;
use director_core::model::{Model, Node, Side};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::PathBuf;

/// A setting and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Place under `/proc/sys`: `net/ipv4/ip_forward`.
    pub path: String,
    /// What it shall be.
    pub wanted: u32,
    /// Which other values will do.
    pub accept: Accept,
    /// One for all network namespaces: only the first can write it, all others take it as it is.
    pub global: bool,
}

/// Which values will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// The wanted one.
    Exact,
    /// The wanted one and larger ones: the kernel rounds up.
    AtLeast,
}

/// Everything that `model` wants of the kernel on `node`.
#[must_use]
pub fn wanted(model: &Model, node: &Node) -> Vec<Setting> {
    let setting =
        |path: &str, wanted| Setting { path: path.to_owned(), wanted, accept: Accept::Exact, global: false };
    let conntrack = |name: &str, wanted| setting(&format!("net/netfilter/nf_conntrack_{name}"), wanted);
    let kernel = &model.kernel;

    let mut settings = vec![setting("net/ipv4/ip_forward", 1)];
    if uses_ipv6(model) {
        settings.push(setting("net/ipv6/conf/all/forwarding", 1));
    }
    if model.outbound.hairpin {
        // A real server must not learn a way to the other one that bypasses the director.
        for interface in ["all", &node.private.interface] {
            settings.push(setting(&format!("net/ipv4/conf/{interface}/send_redirects"), 0));
        }
    }
    settings.extend(of_virtual_mac(model, node));
    // Packets of connections that conntrack does not know must not pass as new ones, un-NATed.
    settings.push(conntrack("tcp_loose", 0));
    // Windows seen by the other director, or before a restart, are no reason to drop.
    settings.push(conntrack("tcp_be_liberal", 1));
    settings.push(conntrack("acct", u32::from(kernel.accounting)));
    // Buckets first: a larger table of entries in few buckets is slow meanwhile.
    if let Some(buckets) = kernel.conntrack_buckets {
        settings.push(Setting { accept: Accept::AtLeast, global: true, ..conntrack("buckets", buckets) });
    }
    if let Some(max) = kernel.conntrack_max {
        settings.push(Setting { global: true, ..conntrack("max", max) });
    }
    settings
}

/// An address on an interface of its own is to be asked for there alone, and told of there alone.
fn of_virtual_mac(model: &Model, node: &Node) -> Vec<Setting> {
    let set = |family: &str, interface: &str, name: &str, wanted| Setting {
        path: format!("net/{family}/conf/{interface}/{name}"),
        wanted,
        accept: Accept::Exact,
        global: false,
    };
    let mut settings = BTreeMap::new();
    for side in [Side::Public, Side::Private] {
        let (base, carrier) = (&side.of(node).interface, &model.carrier(node, side));
        if base == carrier {
            continue;
        }
        let of_side = [
            // Each answers for its own addresses, with its own MAC address.
            set("ipv4", base, "arp_ignore", 1),
            set("ipv4", carrier, "arp_ignore", 1),
            // The answers of servers leave by the base, and have the VIP for a source, which it must not ask with.
            set("ipv4", base, "arp_announce", 2),
            // What comes in here is answered by the base; loose prevails over a strict setting for all.
            set("ipv4", carrier, "rp_filter", 2),
        ];
        settings.extend(of_side.into_iter().map(|setting| (setting.path.clone(), setting)));
        if uses_ipv6(model) {
            // No address of its own, with which it would talk by itself.
            let setting = set("ipv6", carrier, "addr_gen_mode", 1);
            settings.insert(setting.path.clone(), setting);
        }
    }
    settings.into_values().collect()
}

/// What [`Settings::apply`] did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Settings that had been as wanted, and that somebody else had changed.
    pub repaired: u64,
    /// What could not be set, and why.
    pub errors: Vec<String>,
}

/// The settings of the network namespace that the calling thread is in.
#[derive(Debug)]
pub struct Settings {
    root: PathBuf,
    manage: bool,
    wanted: Vec<Setting>,
    /// Paths of those that were as wanted when last looked at.
    held: BTreeSet<String>,
}

impl Settings {
    /// What `model` wants on `node`; nothing is read or written yet.
    #[must_use]
    pub fn new(model: &Model, node: &Node) -> Self {
        Self::under("/proc/sys".into(), model.kernel.manage, wanted(model, node))
    }

    /// The same for another place of the files.
    #[must_use]
    pub fn under(root: PathBuf, manage: bool, wanted: Vec<Setting>) -> Self {
        Self { root, manage, wanted, held: BTreeSet::new() }
    }

    /// Writes what differs; nothing if the settings are not managed.
    pub fn apply(&mut self) -> Applied {
        let mut applied = Applied::default();
        if !self.manage {
            return applied;
        }
        for setting in &self.wanted {
            match self.set(setting) {
                Ok(written) => {
                    let was_held = !self.held.insert(setting.path.clone());
                    applied.repaired += u64::from(written && was_held);
                }
                Err(error) => {
                    self.held.remove(&setting.path);
                    let taken_as_it_is = setting.global && error.kind() == ErrorKind::PermissionDenied;
                    if !taken_as_it_is {
                        applied.errors.push(words(setting, &error));
                    }
                }
            }
        }
        applied
    }

    /// True if a setting is no longer as [`Self::apply`] left it.
    #[must_use]
    pub fn drifted(&self) -> bool {
        let held = self.wanted.iter().filter(|setting| self.held.contains(&setting.path));
        held.into_iter().any(|setting| !self.read(setting).is_ok_and(|actual| setting.accepts(&actual)))
    }

    /// All settings as they are now, beside what is wanted.
    #[must_use]
    pub fn status(&self) -> Vec<SettingStatus> {
        let show = |setting: &Setting| SettingStatus {
            name: setting.name(),
            wanted: match setting.accept {
                Accept::Exact => setting.wanted.to_string(),
                Accept::AtLeast => format!(">= {}", setting.wanted),
            },
            actual: self.read(setting).ok(),
        };
        self.wanted.iter().map(show).collect()
    }

    /// True if it had to be written.
    fn set(&self, setting: &Setting) -> io::Result<bool> {
        if setting.accepts(&self.read(setting)?) {
            return Ok(false);
        }
        std::fs::write(self.root.join(&setting.path), setting.wanted.to_string())?;
        let actual = self.read(setting)?;
        if setting.accepts(&actual) { Ok(true) } else { Err(io::Error::other(format!("it stays {actual}"))) }
    }

    fn read(&self, setting: &Setting) -> io::Result<String> {
        Ok(std::fs::read_to_string(self.root.join(&setting.path))?.trim().to_owned())
    }
}

impl Setting {
    /// Its name as `sysctl` has it: dots between the parts, a slash for a dot within one.
    #[must_use]
    pub fn name(&self) -> String {
        let swapped = |letter| match letter {
            '/' => '.',
            '.' => '/',
            other => other,
        };
        self.path.chars().map(swapped).collect()
    }

    fn accepts(&self, actual: &str) -> bool {
        actual.parse().is_ok_and(|actual: u32| match self.accept {
            Accept::Exact => actual == self.wanted,
            Accept::AtLeast => actual >= self.wanted,
        })
    }
}

fn uses_ipv6(model: &Model) -> bool {
    model.public_addresses().iter().chain(&model.gateways).any(IpAddr::is_ipv6)
}

fn words(setting: &Setting, error: &io::Error) -> String {
    let (name, wanted) = (setting.name(), setting.wanted);
    if error.kind() == ErrorKind::NotFound {
        return format!("the kernel has no setting {name}: is its module loaded, its interface there?");
    }
    format!("cannot set {name} to {wanted}: {error}")
}

#[cfg(test)]
mod tests;
