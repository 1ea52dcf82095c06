//! What the director is compared with: plain routing, and the smallest ruleset that an administrator would write by
//! hand.

use crate::{Host, Result};
use std::fmt::Write;
use std::net::IpAddr;

/// The real servers' gateway, with its prefix length.
const GATEWAYS: [&str; 2] = ["10.0.1.254/24", "fd00:2::254/64"];

/// Makes `director` the gateway of the real servers' network, and a router between it and all others.
///
/// # Errors
/// A command failed.
pub fn route(director: &Host) -> Result<()> {
    for gateway in GATEWAYS {
        director.run(&format!("ip address replace {gateway} dev eth1"))?;
    }
    forward(director)
}

/// [`route`], and balance tcp `ports` of `vip` over `servers` in turn, by plain nftables and without any daemon.
///
/// # Errors
/// A command failed.
pub fn balance_by_hand(director: &Host, vip: IpAddr, ports: &[u16], servers: &[IpAddr]) -> Result<()> {
    route(director)?;
    let length = if vip.is_ipv4() { 24 } else { 64 };
    director.run(&format!("ip address replace {vip}/{length} dev eth0"))?;
    load_by_hand(director, vip, ports, servers)
}

/// The ruleset of [`balance_by_hand`], and forwarding: somebody else sees to VIP and gateway.
///
/// # Errors
/// A command failed.
pub fn load_by_hand(director: &Host, vip: IpAddr, ports: &[u16], servers: &[IpAddr]) -> Result<()> {
    forward(director)?;
    let family = if vip.is_ipv4() { "ip" } else { "ip6" };
    let mut map = String::new();
    for (number, server) in servers.iter().enumerate() {
        let _ = write!(map, "{number} : {server}, ");
    }
    let ports =
        ports.iter().map(|port| format!("{vip} . {port} : goto balance")).collect::<Vec<_>>().join(", ");
    let address = if vip.is_ipv4() { "ipv4_addr" } else { "ipv6_addr" };
    let ruleset = format!(
        "table {family} by-hand {{
            chain balance {{
                dnat to numgen inc mod {count} map {{ {map} }}
            }}
            map services {{
                type {address} . inet_service : verdict
                elements = {{ {ports} }}
            }}
            chain prerouting {{
                type nat hook prerouting priority dstnat
                {family} daddr . tcp dport vmap @services
            }}
        }}",
        count = servers.len()
    );
    director.feed("nft -f -", &ruleset).map(drop)
}

/// Undoes [`route`] and [`balance_by_hand`], as far as they were done; other rulesets on `director` go too.
///
/// # Errors
/// A command failed.
pub fn remove(director: &Host, vip: IpAddr) -> Result<()> {
    director.run("nft flush ruleset")?;
    director.run(&format!("ip address flush dev eth0 to {vip}"))?;
    for gateway in GATEWAYS {
        let address = gateway.split('/').next().unwrap_or(gateway);
        director.run(&format!("ip address flush dev eth1 to {address}"))?;
    }
    Ok(())
}

fn forward(director: &Host) -> Result<()> {
    director.set("net.ipv4.ip_forward", "1")?;
    director.set("net.ipv6.conf.all.forwarding", "1")
}
