//! What the virtual router is and has done.

use super::*;
use crate::status::{RedundancyStatus, RoleStatus};

pub(super) fn redundancy(families: &mut Families, status: &RedundancyStatus) {
    for role in RoleStatus::ALL {
        families.set(REDUNDANCY_ROLE, &[role.name()], flag(status.role == role));
    }
    families.set(REDUNDANCY_SINCE, &[], status.since_seconds);
    families.set(REDUNDANCY_PRIORITY, &[], f64::from(status.priority));
    families.set(REDUNDANCY_CONFIGURED_PRIORITY, &[], f64::from(status.configured_priority));
    families.set(REDUNDANCY_FIT, &[], flag(status.fit));
    families.set(REDUNDANCY_STOOD_DOWN, &[], flag(status.stood_down));
    families.set(REDUNDANCY_REAL_TIME, &[], flag(status.real_time));
    families.set(REDUNDANCY_TRANSITIONS, &[], count(status.transitions));
    families.set(REDUNDANCY_DUAL_EPISODES, &[], count(status.dual_active_episodes));
    families.set(REDUNDANCY_DUAL_SECONDS, &[], status.dual_active_seconds);
    families.set(REDUNDANCY_ANNOUNCEMENTS, &[], count(status.announcements));
    for (reason, discards) in &status.discards {
        families.set(REDUNDANCY_DISCARDS, &[reason], count(*discards));
    }
    for link in &status.links {
        let labels = [link.name.as_str(), link.interface.as_str()];
        families.set(REDUNDANCY_LINK_UP, &labels, flag(link.up));
        families.set(REDUNDANCY_LINK_SILENT, &labels, flag(link.silent));
        families.set(REDUNDANCY_SENT, &labels, count(link.sent));
        families.set(REDUNDANCY_RECEIVED, &labels, count(link.received));
        if let Some(ago) = link.heard_seconds {
            families.set(REDUNDANCY_ADVERT_AGE, &labels, ago);
        }
    }
    for peer in &status.peers {
        let labels = [peer.node.as_str()];
        families.set(REDUNDANCY_PEER_REACHABLE, &labels, flag(peer.reachable));
        if let Some(says) = &peer.says {
            families.set(REDUNDANCY_PEER_FIT, &labels, flag(says.fit));
            families.set(REDUNDANCY_PEER_PRIORITY, &labels, f64::from(says.priority));
            families.set(REDUNDANCY_PEER_SAME, &labels, flag(says.same_configuration));
        }
    }
}
