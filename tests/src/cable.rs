//! The cables between machines and the switch, and what may happen to them.

use crate::farm::{SWITCH, switch_port};
use crate::{Host, Result, eventually};
use std::time::Duration;

/// The kernel tells bridges of carriers once a second.
const LIMIT: Duration = Duration::from_secs(10);

/// What a bad cable loses. The interfaces at its ends keep their carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Everything, both ways.
    All,
    /// All that the machine sends.
    FromIt,
    /// All that is sent to the machine.
    ToIt,
    /// The directors' adverts and hellos, both ways; all else gets through.
    Heartbeats,
}

impl Host {
    /// Pulls the plug of a network interface: this host sees its carrier go, the others notice nothing.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn unplug(&self, interface: &str) -> Result<()> {
        self.carrier(interface, "down")
    }

    /// Puts the plug back in, and waits until the switch forwards there again.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn plug(&self, interface: &str) -> Result<()> {
        self.carrier(interface, "up")?;
        let (switch, port) = (Self::new(SWITCH), switch_port(self.name(), interface));
        let forwards = || switch.run(&format!("bridge link show dev {port}"));
        eventually(LIMIT, "the switch forwards", || {
            forwards().is_ok_and(|it| it.contains("state forwarding"))
        })
    }

    /// Moves the switch's end of the cable, so that addresses and routes stay as they are.
    fn carrier(&self, interface: &str, state: &str) -> Result<()> {
        let port = switch_port(self.name(), interface);
        Self::new(SWITCH).run(&format!("ip link set {port} {state}")).map(drop)
    }

    /// Makes the cable of an interface a bad one; a [`Capture`](crate::Capture) still hears what this host sends.
    ///
    /// # Errors
    /// There is no such interface, or it has a bad one already.
    pub fn cut(&self, interface: &str, cut: Cut) -> Result<()> {
        self.cut_at_once(&[interface], cut)
    }

    /// As [`Self::cut`], several at the same moment: all of them, and the host is gone as if its power had failed.
    ///
    /// # Errors
    /// As for [`Self::cut`]; nothing has changed then.
    pub fn cut_at_once(&self, interfaces: &[&str], cut: Cut) -> Result<()> {
        let tables: String = interfaces.iter().map(|interface| self.bad_cable(interface, cut)).collect();
        Self::new(SWITCH).feed("nft -f -", &tables).map(drop)
    }

    /// A table for the switch.
    fn bad_cable(&self, interface: &str, cut: Cut) -> String {
        let port = switch_port(self.name(), interface);
        let (from_it, to_it) = match cut {
            Cut::All => ("drop", "drop"),
            Cut::FromIt => ("drop", ""),
            Cut::ToIt => ("", "drop"),
            Cut::Heartbeats => (HEARTBEATS, HEARTBEATS),
        };
        format!(
            "create table netdev {port}
            table netdev {port} {{
                chain from-it {{
                    type filter hook ingress device {port} priority 0
                    {from_it}
                }}
                chain to-it {{
                    type filter hook egress device {port} priority 0
                    {to_it}
                }}
            }}
            "
        )
    }

    /// Makes the cable a good one again.
    ///
    /// # Errors
    /// It is one.
    pub fn mend(&self, interface: &str) -> Result<()> {
        let port = switch_port(self.name(), interface);
        Self::new(SWITCH).run(&format!("nft delete table netdev {port}")).map(drop)
    }
}

/// VRRP, and the directors' hellos.
const HEARTBEATS: &str = "meta l4proto 112 drop
                          udp dport 3780 drop";
