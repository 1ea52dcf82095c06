//! The virtual router as it is shown.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use sync::vrrp::machine::Role;

/// A director's part in the virtual router.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RedundancyStatus {
    /// What it is.
    pub role: RoleStatus,
    /// Seconds since it is.
    pub since_seconds: f64,
    /// Why, in words.
    pub why: String,
    /// The virtual router's identifier.
    pub vrid: u8,
    /// Its priority now: what its adverts carry.
    pub priority: u8,
    /// Its priority while nothing is wrong with it.
    pub configured_priority: u8,
    /// It could serve.
    pub fit: bool,
    /// What lowers its priority or makes it unfit, in words.
    pub lowered_by: Vec<String>,
    /// `never`, `always` or `after-sync`.
    pub preempt: String,
    /// It does not take over by itself since the operator made it step down.
    pub stood_down: bool,
    /// It is Active since the operator made another director step down: nobody preempts it.
    pub chosen: bool,
    /// It holds the connections of the Active.
    pub caught_up: bool,
    /// How often the Active adverts, in seconds.
    pub interval_seconds: f64,
    /// Adverts and hellos are signed.
    pub authenticated: bool,
    /// The thread has real-time priority.
    pub real_time: bool,
    /// The Active that a Backup hears.
    pub active: Option<ActiveStatus>,
    /// The links that adverts go by.
    pub links: Vec<LinkStatus>,
    /// The other directors.
    pub peers: Vec<PeerStatus>,
    /// Adverts and hellos that were refused since the daemon started, by reason.
    pub discards: BTreeMap<String, u64>,
    /// Changes of role since the daemon started.
    pub transitions: u64,
    /// How often another director was Active at the same time since the daemon started.
    pub dual_active_episodes: u64,
    /// For how long in all.
    pub dual_active_seconds: f64,
    /// Frames that told neighbours of addresses since the daemon started.
    pub announcements: u64,
}

/// What a director is in a virtual router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleStatus {
    /// Takes no part yet, or no more.
    Initialize,
    /// Waits.
    Backup,
    /// Has the addresses.
    Active,
}

impl RoleStatus {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Initialize, Self::Backup, Self::Active];

    /// The word that the API, the tables and the metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Backup => "backup",
            Self::Active => "active",
        }
    }
}

impl From<Role> for RoleStatus {
    fn from(role: Role) -> Self {
        match role {
            Role::Initialize => Self::Initialize,
            Role::Backup => Self::Backup,
            Role::Active => Self::Active,
        }
    }
}

/// The Active as a Backup hears it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActiveStatus {
    /// Its name, if it is a node of the file.
    pub node: Option<String>,
    /// Its address on the first link.
    pub address: IpAddr,
    /// Its priority.
    pub priority: u8,
    /// Seconds since its last advert.
    pub heard_seconds: f64,
}

/// A link that adverts go by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// `public` or `private`.
    pub name: String,
    /// Its interface.
    pub interface: String,
    /// It is up and has a carrier.
    pub up: bool,
    /// Adverts are missing here that come by another link.
    pub silent: bool,
    /// Adverts sent since the daemon started.
    pub sent: u64,
    /// Adverts taken since the daemon started.
    pub received: u64,
    /// Seconds since the last one taken.
    pub heard_seconds: Option<f64>,
}

/// Another director.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its name.
    pub node: String,
    /// Its address on the first link.
    pub address: IpAddr,
    /// Seconds since its last hello; `None`: it never said one. Another product says none.
    pub heard_seconds: Option<f64>,
    /// It says hello.
    pub reachable: bool,
    /// What it says of itself.
    pub says: Option<PeerSays>,
}

/// What a director says of itself in its hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerSays {
    /// What it is; `initialize`: it has stopped.
    pub role: RoleStatus,
    /// Its priority now.
    pub priority: u8,
    /// What is taken off it.
    pub lowered: u8,
    /// It could serve.
    pub fit: bool,
    /// It holds the connections.
    pub caught_up: bool,
    /// Its version.
    pub version: String,
    /// Its configuration is the same as ours.
    pub same_configuration: bool,
}
