//! What directors tell each other besides adverts.

use lab::{Lab, eventually};
use serde_json::Value;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

const REDUNDANCY: &str = "
    redundancy:
      vrid: 51
      interval: 100ms
      priority: { lb1: 150, lb2: 100 }
    services:
      web: { vips: [192.168.1.35], ports: { tcp: 80 }, servers: { exchange1: { weight: 1 }, exchange2: { weight: 1 } } }
";

fn peer_of<'a>(status: &'a Value, node: &str) -> &'a Value {
    let peers = status["peers"].as_array();
    peers.into_iter().flatten().find(|peer| peer["node"] == node).unwrap_or(&Value::Null)
}

#[test]
fn each_director_shows_what_the_others_say() {
    lab::test(|| {
        let (lab, mut pair, _servers) = Lab::with(3, &["exchange1", "exchange2"])?.serve_pair(REDUNDANCY)?;
        pair.active_is("lb1")?;
        let roles = [("lb1", "active", 150), ("lb2", "backup", 100), ("lb3", "backup", 100)];
        for (name, ..) in roles {
            for (peer, role, priority) in roles.iter().filter(|(peer, ..)| *peer != name) {
                pair[name].shows(&format!("{name} knows {peer}"), |it| {
                    let peer = peer_of(it, peer);
                    let says = &peer["says"];
                    peer["reachable"] == true
                        && (&says["role"], &says["priority"], &says["fit"])
                            == (&(*role).into(), &(*priority).into(), &true.into())
                        && says["same_configuration"] == true
                        && says["version"] == env!("CARGO_PKG_VERSION")
                })?;
            }
        }

        let other = lab.configuration(&format!("{REDUNDANCY}    # another comment\n"));
        pair["lb3"].reload(&other)?;
        let same = |name: &str, peer: &str, same: bool| {
            pair[name].shows(&format!("{name} compares its configuration with {peer}'s"), |it| {
                peer_of(it, peer)["says"]["same_configuration"] == same
            })
        };
        same("lb1", "lb3", false)?;
        same("lb1", "lb2", true)?;
        same("lb3", "lb1", false)?;
        pair["lb3"].reload(&lab.configuration(REDUNDANCY))?;
        same("lb1", "lb3", true)?;
        same("lb3", "lb2", true)?;

        pair["lb3"].kill()?;
        pair["lb1"].shows("lb3 can't be reached", |it| peer_of(it, "lb3")["reachable"] == false)?;
        pair["lb3"].start()?;
        pair["lb1"].shows("lb3 is back", |it| peer_of(it, "lb3")["reachable"] == true)?;
        pair["lb3"].stop()?;
        pair["lb1"].shows("lb3 takes no part", |it| peer_of(it, "lb3")["says"]["role"] == "initialize")?;
        assert_eq!(
            pair["lb1"].redundancy()?["discards"]
                .as_object()
                .map(|it| it.values().filter(|it| **it != 0).count()),
            Some(0)
        );
        Ok(())
    });
}

/// A machine that was set up from the other's notes.
#[test]
fn a_director_under_another_ones_name_is_told_of() {
    lab::test(|| {
        let lab = Lab::exchange()?;
        let _servers = lab.start_servers()?;
        let configuration = lab.configuration(REDUNDANCY);
        let lb1 = lab.start_director("lb1", &configuration)?;
        lb1.turns("active")?;
        let taken_for_lb1 = configuration.replace("  lb1:\n", "  lb0:\n").replace("  lb2:\n", "  lb1:\n");
        let second = lab.start_director("lb2", &taken_for_lb1.replace("  lb0:\n", "  lb2:\n"))?;
        eventually(LIMIT, "it says that it does not have lb1's address", || {
            let log = second.log();
            log.contains("can't say hello") && log.contains("192.168.1.33") && log.contains("--node")
        })?;
        assert_eq!(lb1.role()?, "active");
        Ok(())
    });
}
