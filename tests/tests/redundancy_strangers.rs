//! Who has another key, or none, is not heard; nor is another virtual router.

mod farm;

use farm::{ADDRESSES, pair, reigns};
use lab::{Capture, Director, Host, Keepalived, Lab, Pair, Server, keepalived};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const OLD: &str = "c2VjcmV0cyBhcmUgZm9yIGRpcmVjdG9ycyBvbmx5";
const WRONG: &str = "dGhpcyBvbmUgYmVsb25ncyB0byBzb21lYm9keSBlbHNl";

/// Every machine has its own file there.
const KEY_FILE: &str = "key_file: /run/director/keys\npreempt: never";

fn write(host: &Host, keys: &str) -> Result<(), Box<dyn std::error::Error>> {
    let directory = host.directory()?.join("run");
    fs::create_dir_all(&directory)?;
    let path = directory.join("keys");
    fs::write(&path, keys)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

/// New keys, and the director has read them.
fn change(director: &Director, keys: &str) -> Result<(), Box<dyn std::error::Error>> {
    write(director.host(), keys)?;
    Ok(director.cli(&["reload"]).map(drop)?)
}

/// A pair with the same key.
fn signed() -> Result<(Lab, Pair, Vec<Server>), Box<dyn std::error::Error>> {
    let lab = Lab::exchange()?;
    lab.directors().iter().try_for_each(|host| write(host, &format!("1 {OLD}\n")))?;
    let (lab, pair, servers) = lab.serve_pair(&pair(KEY_FILE))?;
    pair.active_is("lb1")?;
    Ok((lab, pair, servers))
}

#[test]
fn directors_with_different_keys_are_both_active_and_say_why() {
    lab::test(|| {
        let (_lab, pair, _servers) = signed()?;
        // The same number, another secret; then another number.
        for keys in [format!("1 {WRONG}\n"), format!("7 {WRONG}\n")] {
            change(&pair["lb2"], &keys)?;
            pair["lb2"].turns("active")?;
            pair["lb1"].turns("active")?;
            for director in pair.directors() {
                let refused = |it: &Value| it["discards"]["authentication"].as_u64();
                let before = refused(&director.redundancy()?);
                director.shows("what it hears is refused", |it| {
                    refused(it) > before.map(|before| before + 5) && it["peers"][0]["reachable"] == false
                })?;
                assert!(director.log().contains("keys"), "{}", director.log());
            }
            change(&pair["lb2"], &format!("1 {OLD}\n"))?;
            pair.active_is("lb1")?;
            pair.held_by(&["lb1"], &ADDRESSES)?;
        }
        Ok(())
    });
}

#[test]
fn unsigned_adverts_are_not_heard() {
    lab::test_with(&[keepalived::NEED], || {
        let (lab, mut pair, _servers) = signed()?;
        pair["lb2"].stop()?;
        let [lb1, lb2] = lab.directors() else { return Err("two directors".into()) };
        let mut stranger = Keepalived::new(
            lb2.clone(),
            "global_defs {
                vrrp_version 3
            }
            vrrp_instance farm {
                interface eth0
                virtual_router_id 51
                priority 254
                advert_int 0.1
                unicast_src_ip 192.168.1.34
                unicast_peer {
                    192.168.1.33
                }
                virtual_ipaddress {
                    192.168.1.35
                    192.168.1.36
                }
            }",
        )?;
        stranger.start()?;
        pair["lb1"].shows("they are refused", |it| it["discards"]["authentication"].as_u64() > Some(0))?;
        assert_eq!(pair["lb1"].role()?, "active");
        assert!(lb1.has_address(lab::farm::VIP)?);
        Ok(())
    });
}

/// Somebody else's routers chose the same number. Those that share an address with us are heard: a director that is
/// not in the file yet may be one.
#[test]
fn another_virtual_router_with_the_same_vrid_is_not_heard() {
    lab::test_with(&[keepalived::NEED], || {
        let (lab, pair, _servers) = Lab::exchange()?.serve_pair(&pair("mode: multicast\npreempt: always"))?;
        pair.active_is("lb1")?;
        let client = lab.client().host().clone();
        client.run("ip address add 192.168.1.99/24 dev eth0")?;
        // More often than the director: each advert that keepalived refuses puts off its own next one.
        let router = |address: &str| {
            format!(
                "global_defs {{
                    vrrp_version 3
                }}
                vrrp_instance other {{
                    interface eth0
                    mcast_src_ip 192.168.1.99
                    virtual_router_id 51
                    priority 254
                    advert_int 0.04
                    virtual_ipaddress {{
                        192.168.1.77
                        {address}
                    }}
                }}"
            )
        };
        let capture = Capture::start()?;
        let mut stranger = Keepalived::new(client, &router("192.168.1.78"))?;
        stranger.start()?;
        for director in pair.directors() {
            let refused = |it: &Value| it["discards"]["other_router"].as_u64();
            director.shows("it refuses them", |it| refused(it) > Some(20))?;
            let events = director.cli(&["events"])?;
            let told =
                "192.168.1.99 lists none of our addresses: another virtual router here has the same vrid";
            assert!(events.contains(told), "{events}");
            assert!(director.cli(&["status"])?.contains("other_router"));
        }
        pair.active_is("lb1")?;
        pair.held_by(&["lb1"], &ADDRESSES)?;
        let roles = |host: &str| reigns(&capture.sent_by(host).unwrap_or_default()).len();
        assert_eq!((roles("lb1"), roles("lb2")), (1, 0), "nobody changed its role");

        stranger.reload(&router("192.168.1.35"))?;
        pair["lb1"].turns("backup")?;
        assert_eq!(pair["lb2"].role()?, "backup");
        Ok(())
    });
}
