//! UDP probes on servers that reply, refuse, say something else and fall silent.

use lab::{Family, Host, Lab, Outcome, Server};

/// Services of exchange1, whose UDP port 53 greets with its name.
fn services(family: Family) -> String {
    let (vip, address) = (family.vip(), family.choose("10.0.1.1", "fd00:2::1"));
    let always = format!(
        "type: udp, address: '{address}', port: 53, interval: 300ms, timeout: 300ms, rise: 1, fall: 1, start: unknown"
    );
    format!(
        "
        probes:
          any: {{ {always}, send: hello }}
          prefix: {{ {always}, send: hello, expect_hex: '32 32 30 20' }}
          other: {{ {always}, send: hello, expect: welcome }}
          optional: {{ {always}, send: hello, reply: optional }}
        services:
          any: {{ vip: '{vip}', ports: {{ udp: 1001 }}, probe: any, servers: {{ exchange1: {{}} }} }}
          prefix: {{ vip: '{vip}', ports: {{ udp: 1002 }}, probe: prefix, servers: {{ exchange1: {{}} }} }}
          other: {{ vip: '{vip}', ports: {{ udp: 1003 }}, probe: other, servers: {{ exchange1: {{}} }} }}
          optional: {{ vip: '{vip}', ports: {{ udp: 1004 }}, probe: optional, servers: {{ exchange1: {{}} }} }}
        "
    )
}

/// Lets datagrams to the host fall on the floor.
fn deafen(host: &Host) -> lab::Result<()> {
    host.run("nft add table inet firewall")?;
    host.run("nft add chain inet firewall input { type filter hook input priority 0 ; }")?;
    host.run("nft add rule inet firewall input udp dport 53 drop").map(drop)
}

fn verdicts_follow_what_comes_back(family: Family) -> Outcome {
    let lab = Lab::new(&["exchange1"])?;
    let host = &lab.servers()[0];
    let server = Server::start(host)?;
    let director = lab.start_director("lb1", &lab.configuration(&services(family)))?;
    for service in ["any", "prefix", "optional"] {
        director.comes_up(service, "exchange1")?;
    }
    director.goes_down("other", "exchange1", r#"which does not begin with "welcome""#)?;

    server.stop();
    let refused =
        format!("refused: nothing listens on UDP {}", family.choose("10.0.1.1:53", "[fd00:2::1]:53"));
    director.goes_down("any", "exchange1", &refused)?;
    director.goes_down("optional", "exchange1", &refused)?;

    deafen(host)?;
    director.goes_down(
        "any",
        "exchange1",
        "within 300ms: it is off or overloaded, or a firewall drops packets",
    )?;
    director.comes_up("optional", "exchange1")?;

    host.run("nft flush ruleset")?;
    let _server = Server::start(host)?;
    director.comes_up("prefix", "exchange1")?;
    Ok(())
}

fn a_host_that_is_off_is_told_apart_from_one_that_is_silent(family: Family) -> Outcome {
    let lab = Lab::new(&["exchange1"])?;
    lab.servers()[0].unplug("eth0")?;
    // Time enough for the kernel to find out that nobody has that address.
    let patient = services(family).replace("300ms", "5s");
    let director = lab.start_director("lb1", &lab.configuration(&patient))?;
    let host = family.choose("10.0.1.1", "fd00:2::1");
    director.goes_down("any", "exchange1", &format!("host {host} cannot be reached: it is off"))?;
    director.goes_down("optional", "exchange1", &format!("host {host} cannot be reached: it is off"))?;
    Ok(())
}

lab::both_families!(
    verdicts_follow_what_comes_back,
    a_host_that_is_off_is_told_apart_from_one_that_is_silent
);
