//! ICMP probes: of hosts that answer, that are off, and behind packet filters.

use lab::{Family, Host, Lab, Outcome};

/// Groups that may use ping sockets: none.
const RAW_SOCKETS: &str = "1 0";

/// The same: the director's.
const PING_SOCKETS: &str = "0 0";

/// Services of one server, probed plainly, with a mark, and from an address that lb1 has beside its own.
fn services(family: Family) -> String {
    let (vip, address) = (family.vip(), family.choose("10.0.1.1", "fd00:2::1"));
    let always = format!(
        "type: icmp, address: '{address}', interval: 300ms, timeout: 300ms, rise: 1, fall: 1, start: unknown"
    );
    format!(
        "
        probes:
          plain: {{ {always} }}
          marked: {{ {always}, mark: 0x50 }}
          sourced: {{ {always}, source: '{}' }}
        services:
          plain: {{ vip: '{vip}', ports: {{ tcp: 1001 }}, probe: plain, servers: {{ host1: {{}} }} }}
          marked: {{ vip: '{vip}', ports: {{ tcp: 1002 }}, probe: marked, servers: {{ host1: {{}} }} }}
          sourced: {{ vip: '{vip}', ports: {{ tcp: 1003 }}, probe: sourced, servers: {{ host1: {{}} }} }}
        ",
        family.choose("10.0.1.99", "fd00:2::99")
    )
}

/// Has echo requests at a hook of the host meet one rule.
fn filter(host: &Host, hook: &str, family: Family, rule: &str) -> lab::Result<()> {
    let echo = family.choose("icmp type echo-request", "icmpv6 type echo-request");
    host.run("nft delete table inet firewall").ok();
    host.run("nft add table inet firewall")?;
    host.run(&format!("nft add chain inet firewall {hook} {{ type filter hook {hook} priority 0 ; }}"))?;
    host.run(&format!("nft add rule inet firewall {hook} {echo} {rule}")).map(drop)
}

/// Sees to it that lb1 uses ping sockets, or raw ones; and gives it one more address.
fn prepare(lab: &Lab, family: Family, groups: &str) -> lab::Result<()> {
    let director = &lab.directors()[0];
    director.set("net.ipv4.ping_group_range", groups)?;
    // Nothing leaves from it unless told to.
    let address = family.choose("10.0.1.99/24", "fd00:2::99/64 preferred_lft 0 nodad");
    director.run(&format!("ip address add {address} dev eth1")).map(drop)
}

fn verdicts(family: Family, groups: &str) -> Outcome {
    let lab = Lab::new(&["host1"])?;
    prepare(&lab, family, groups)?;
    let (server, own) = (&lab.servers()[0], &lab.directors()[0]);
    let director = lab.start_director("lb1", &lab.configuration(&services(family)))?;
    for service in ["plain", "marked", "sourced"] {
        director.comes_up(service, "host1")?;
    }
    let address = family.choose("10.0.1.1", "fd00:2::1");
    let silent = format!("no answer from {address} within 300ms: it is off or overloaded");
    let forbidden = format!("a packet filter on the way forbids packets to {address}");

    let other = family.choose("ip saddr != 10.0.1.99 drop", "ip6 saddr != fd00:2::99 drop");
    filter(server, "input", family, other)?;
    director.goes_down("plain", "host1", &silent)?;
    director.comes_up("sourced", "host1")?;

    filter(server, "input", family, "reject with icmpx type admin-prohibited")?;
    let says = format!("{forbidden} (says {address})");
    director.goes_down("plain", "host1", &says)?;
    director.goes_down("sourced", "host1", &says)?;

    server.run("nft delete table inet firewall")?;
    director.comes_up("plain", "host1")?;
    filter(own, "output", family, "meta mark != 0x50 drop")?;
    // Ping sockets of IPv6 keep to themselves what their own host drops.
    let dropped = if (family, groups) == (Family::V6, PING_SOCKETS) { &silent } else { &forbidden };
    director.goes_down("plain", "host1", dropped)?;
    director.comes_up("marked", "host1")?;
    Ok(())
}

fn a_host_is_pinged_by_a_raw_socket(family: Family) -> Outcome {
    verdicts(family, RAW_SOCKETS)
}

fn a_host_is_pinged_by_a_ping_socket(family: Family) -> Outcome {
    verdicts(family, PING_SOCKETS)
}

fn off(family: Family, groups: &str) -> Outcome {
    let lab = Lab::new(&["host1"])?;
    prepare(&lab, family, groups)?;
    lab.servers()[0].unplug("eth0")?;
    // Time enough for the kernel to find out that nobody has that address.
    let patient = services(family).replace("300ms", "5s");
    let director = lab.start_director("lb1", &lab.configuration(&patient))?;
    let address = family.choose("10.0.1.1", "fd00:2::1");
    director.goes_down("plain", "host1", &format!("host {address} cannot be reached: it is off"))?;
    Ok(())
}

fn a_host_that_is_off_cannot_be_reached_by_a_raw_socket(family: Family) -> Outcome {
    off(family, RAW_SOCKETS)
}

fn a_host_that_is_off_cannot_be_reached_by_a_ping_socket(family: Family) -> Outcome {
    off(family, PING_SOCKETS)
}

lab::both_families!(
    a_host_is_pinged_by_a_raw_socket,
    a_host_is_pinged_by_a_ping_socket,
    a_host_that_is_off_cannot_be_reached_by_a_raw_socket,
    a_host_that_is_off_cannot_be_reached_by_a_ping_socket,
);
