//! What the director is compared with: the smallest ruleset that an administrator would write by hand.

use crate::{Host, Result};
use std::fmt::Write;
use std::net::IpAddr;

/// Makes `director` balance tcp `ports` of `vip` over `servers` in turn, by plain nftables and without any daemon.
/// `vip` is added to eth0, and the gateway 10.0.1.254 or fd00:2::254 to eth1.
///
/// # Errors
/// A command failed.
pub fn balance_by_hand(director: &Host, vip: IpAddr, ports: &[u16], servers: &[IpAddr]) -> Result<()> {
    let (family, length, gateway) =
        if vip.is_ipv4() { ("ip", 24, "10.0.1.254") } else { ("ip6", 64, "fd00:2::254") };
    director.run(&format!("ip address add {vip}/{length} dev eth0"))?;
    director.run(&format!("ip address add {gateway}/{length} dev eth1"))?;
    director.set("net.ipv4.ip_forward", "1")?;
    director.set("net.ipv6.conf.all.forwarding", "1")?;
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
