//! keepalived on both machines, each with a small ruleset by hand that stays loaded.
//!
//! One virtual router a network, in a sync group: the usual way to fail over NAT with keepalived. Adverts are
//! multicast, and all else is keepalived's default too.

use super::Product;
use crate::Outcome;
use crate::observation::PORT;
use lab::farm::VIP;
use lab::{Keepalived, Lab, addresses, baseline};
use std::time::Duration;

pub(crate) struct Keepaliveds {
    machines: [Keepalived; 2],
    interval: Duration,
    priorities: [u8; 2],
}

impl Keepaliveds {
    pub(crate) fn new(lab: &Lab, interval: Duration, priorities: [u8; 2]) -> Outcome<Self> {
        let servers = addresses(&["10.0.1.1", "10.0.1.2"])?;
        for host in lab.directors() {
            baseline::load_by_hand(host, VIP, &[PORT], &servers)?;
        }
        let machine = |node: usize| {
            Keepalived::new(lab.directors()[node].clone(), &configuration(interval, priorities[node]))
        };
        Ok(Self { machines: [machine(0)?, machine(1)?], interval, priorities })
    }
}

fn configuration(interval: Duration, priority: u8) -> String {
    let instance = |name: &str, interface: &str, router: u8, address: &str| {
        format!(
            "vrrp_instance {name} {{
                state BACKUP
                interface {interface}
                virtual_router_id {router}
                priority {priority}
                advert_int {}
                version 3
                virtual_ipaddress {{ {address} dev {interface} }}
            }}
            ",
            interval.as_secs_f64()
        )
    };
    "vrrp_sync_group farm { group { public private } }\n".to_owned()
        + &instance("public", "eth0", 51, &format!("{VIP}/32"))
        + &instance("private", "eth1", 52, "10.0.1.254/32")
}

impl Product for Keepaliveds {
    fn start(&mut self, node: usize) -> Outcome {
        Ok(self.machines[node].start()?)
    }

    fn stop(&mut self, node: usize) -> Outcome {
        Ok(self.machines[node].stop()?)
    }

    fn kill(&mut self, node: usize) -> Outcome {
        Ok(self.machines[node].kill()?)
    }

    /// A reload with a priority below that of the other one.
    fn hand_over(&mut self) -> Outcome {
        Ok(self.machines[0].reload(&configuration(self.interval, self.priorities[1].saturating_sub(50)))?)
    }

    fn hand_back(&mut self) -> Outcome {
        Ok(self.machines[0].reload(&configuration(self.interval, self.priorities[0]))?)
    }

    fn clear(&mut self, lab: &Lab) -> Outcome {
        Ok(lab.directors().iter().try_for_each(|host| baseline::remove(host, VIP))?)
    }
}
