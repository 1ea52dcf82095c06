//! Clients that find no room for an entry.

use super::*;

/// Two servers, one with a port of its own where `mapped`, and room for two entries a family.
fn farm(mapped: bool) -> Farm {
    let port = if mapped { "port: 8080" } else { "" };
    let mut farm = Farm::new(&format!(
        "
version: 1
nodes:
  lb1:
    public: {{interface: eth0, addresses: [192.168.1.33/24, 'fd00:1::33/64']}}
    private: {{interface: eth1, addresses: [10.0.1.33/24, 'fd00:2::33/64']}}
servers:
  a: {{addresses: [10.0.1.1, 'fd00:2::1']}}
  b: {{addresses: [10.0.1.2, 'fd00:2::2']}}
services:
  web:
    mark: 80
    vips: [192.168.1.35, 'fd00:1::35']
    ports: {{both: 80}}
    persistence: {{timeout: 60s}}
    servers: {{a: {{{port}}}, b: {{{port}}}}}
"
    ));
    farm.model.persistence_limit = 2;
    farm.layout = Layout::new(&farm.model, 100, None);
    farm.apply();
    farm
}

#[test]
fn a_client_without_room_for_an_entry_is_served_and_counted() {
    for mapped in [false, true] {
        for (family, vip, network) in [(4, "192.168.1.35", "198.51.100."), (6, "fd00:1::35", "2001:db8::")] {
            for protocol in [TCP, UDP] {
                let mut farm = farm(mapped);
                let overflow = |farm: &mut Farm, host: usize| {
                    let trace = farm.send(&format!("{network}{host}"), vip, protocol, 80);
                    assert!(trace.dnat.is_some(), "client {host}: {trace:?}");
                    // The element that leads there counts.
                    let chain = format!("deliver{family}{}/", if mapped { "-ports" } else { "" });
                    trace.path.iter().any(|rule| rule.starts_with(&chain))
                };
                let went: Vec<bool> = [1, 2, 3, 1, 2, 3].map(|host| overflow(&mut farm, host)).into();
                assert_eq!(went, [false, false, true, false, false, true], "{vip} {protocol} {mapped}");
                farm.now += Duration::from_secs(61);
                assert!(!overflow(&mut farm, 3), "there is room again");
            }
        }
    }
}

#[test]
fn a_client_gets_its_entry_in_one_rule() {
    let mut farm = farm(false);
    let path = farm.send("198.51.100.1", "192.168.1.35", TCP, 80).path;
    let sticking: Vec<&String> = path.iter().filter(|rule| rule.starts_with("stick4")).collect();
    assert_eq!(sticking, ["stick4-32-60s/1"]);
}
